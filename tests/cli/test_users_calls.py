"""Calling settings of users in Teams, from the lab's PowerShell to a search, a page of one user and a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.calling import CallingSettings, Delegate
from lab.server import Lab
from tests.fakes.command_line import Run
from tests.fakes.lab_environment import environment_of
from tests.fakes.lab_people import with_number

pytestmark = pytest.mark.slow


@pytest.fixture
def lab(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """Point the settings at a small lab."""
    with Lab(folder=folder / "lab", users=12, seed=2) as running:
        for name, value in environment_of(running.endpoints, folder).items():
            monkeypatch.setenv(name, value)
        yield running


def test_where_calls_go_in_teams_is_found_shown_and_exported(lab: Lab, run: Run, folder: Path) -> None:
    """M62, M84: forwarding, delegates and voicemail are columns with an age; PowerShell that is out keeps them."""
    user, other = with_number(lab.tenant)[:2]
    lab.tenant.calling[user.id] = CallingSettings(
        forwarding=True,
        forwarding_target_type="SingleTarget",
        forwarding_target="sip:sales@contoso.example",
        delegates=(Delegate(other.id),),
    )
    assert run("users", "sync").code == 0
    (found,) = run("users", "search", "SALES@", "--columns", "teams_forwarding,delegates", "--json").json["users"]
    assert (found["id"], found["teams_forwarding"]) == (user.id, "sip:sales@contoso.example")
    assert other.upn in found["delegates"]
    shown = run("users", "show", user.id, "--json").json
    assert shown["teams_unanswered"] == "voicemail after 20 s"
    assert shown["teams_calls_as_of"]
    assert shown["as_of"]["teams_calls"]
    assert run("users", "export", "users.csv", "--text", "sales@").code == 0
    assert "teams_forwarding" in Path("users.csv").read_text("utf-8-sig").splitlines()[0]
    lab.control("POST", "/faults", {"name": "unavailable", "match": {"operation": "Get-CsUserCallingSettings"}})
    ran = run("users", "sync", "--json")
    assert (ran.code, ran.json["degraded"]) == (1, ["teams_calls"])
    assert len(run("users", "search", "sales@", "--json").json["users"]) == 1
