"""Calling settings through PowerShell, on the stand-in tenant: read by group, written group by group."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.errors import Invalid
from connectors.teams_calling import TeamsCalling
from connectors.teams_shell import TeamsShell
from connectors.tokens import Tokens
from datasets.calling_settings import CallingGroup, Settings
from lab.server import Lab
from tests.fakes.graph_site import app_of
from tests.fakes.lab_people import ready
from tests.fakes.shell_site import endpoint_of, shell_of

TO_VOICEMAIL: Settings = {
    "IsForwardingEnabled": True,
    "ForwardingType": "Immediate",
    "ForwardingTargetType": "Voicemail",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Start a tenant."""
    with Lab(folder=tmp_path_factory.mktemp("lab"), users=12, seed=2) as running:
        yield running


@pytest.fixture
def calling(lab: Lab) -> Iterator[TeamsCalling]:
    """Give the calling settings of the tenant over signed-in sessions."""
    endpoints = dict(lab.endpoints)
    shell = shell_of(endpoint_of(endpoints))
    with TeamsShell(shell, Tokens(app_of(endpoints)).token):
        yield TeamsCalling(shell)


def test_every_group_is_written_and_read_back(lab: Lab, calling: TeamsCalling) -> None:
    """What was read before can be written again; a group that is off is only that."""
    user, other = ready(lab.tenant, 2)
    before = calling.settings(user.id)
    assert before is not None
    assert before["forwarding"] == {"IsForwardingEnabled": False}
    wanted: dict[CallingGroup, Settings] = {
        "forwarding": TO_VOICEMAIL,
        "unanswered": {"IsUnansweredEnabled": False},
        "call_group": {"CallGroupOrder": "InOrder", "CallGroupTargets": [f"sip:{other.upn}"]},
        "notification": {"GroupNotificationOverride": "Mute"},
    }
    for name, values in wanted.items():
        calling.set_group(user.id, name, values)
    assert calling.settings(user.id) == wanted
    for name, values in before.items():
        calling.set_group(user.id, name, values)
    assert calling.settings(user.id) == before


def test_nobody_has_no_settings_and_a_wrong_group_is_refused(lab: Lab, calling: TeamsCalling) -> None:
    """Who is not there is None; what Teams refuses is said in its words."""
    (user,) = ready(lab.tenant, 1)
    assert calling.settings("00000000-0000-0000-0000-000000000000") is None
    with pytest.raises(Invalid, match="ForwardingTarget is required"):
        calling.set_group(user.id, "forwarding", TO_VOICEMAIL | {"ForwardingTargetType": "SingleTarget"})
