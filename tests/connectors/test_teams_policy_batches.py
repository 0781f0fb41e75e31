"""Policy operations through PowerShell, on the stand-in tenant: started, found by name, followed to their end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.errors import Busy, Invalid, NotFound
from connectors.teams_policy_batches import TeamsPolicyBatches
from connectors.teams_shell import TeamsShell
from connectors.tokens import Tokens
from lab.server import Lab
from tests.fakes.graph_site import app_of
from tests.fakes.shell_site import endpoint_of, shell_of

CALLING = "TeamsCallingPolicy"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Start a tenant."""
    with Lab(folder=tmp_path_factory.mktemp("lab"), users=12, seed=2) as running:
        yield running


@pytest.fixture
def batches(lab: Lab) -> Iterator[TeamsPolicyBatches]:
    """Give the operations of the tenant over signed-in sessions."""
    lab.parts.settings.batch_delay_s = 0.0
    endpoints = dict(lab.endpoints)
    shell = shell_of(endpoint_of(endpoints))
    with TeamsShell(shell, Tokens(app_of(endpoints)).token):
        yield TeamsPolicyBatches(shell)


def people(lab: Lab, count: int) -> list[str]:
    """Give the ids of some people."""
    return [user.id for user in lab.tenant.users.values() if user.account_type == "user"][:count]


def policies(lab: Lab, users: list[str]) -> list[str | None]:
    """Give the calling policies of users."""
    return [lab.tenant.voice(user).policies.get(CALLING) for user in users]


def test_an_operation_gives_a_policy_and_takes_it_away(lab: Lab, batches: TeamsPolicyBatches) -> None:
    """Everybody gets the policy by object id; None takes it away again."""
    users = people(lab, 3)
    done = batches.operation(batches.begin_policy_operation(CALLING, "Frontline", users, "give 1"))
    assert (done.name, done.is_over, done.failed) == ("give 1", True, {})
    assert policies(lab, users) == ["Frontline"] * 3
    batches.begin_policy_operation(CALLING, None, users, "take 1")
    assert policies(lab, users) == [None] * 3


@pytest.mark.parametrize("strangers", [["nobody"], ["nobody", "no-one"]])
def test_who_gets_nothing_is_told_with_the_reason(lab: Lab, batches: TeamsPolicyBatches, strangers: list[str]) -> None:
    """An operation that is Completed may have failed for some: the users of its answer say for whom, and why."""
    (user,) = people(lab, 1)
    done = batches.operation(batches.begin_policy_operation(CALLING, "Frontline", [user, *strangers], "mixed"))
    assert (done.is_over, dict(done.failed)) == (True, dict.fromkeys(strangers, "User not found"))


def test_an_operation_is_found_by_its_name(lab: Lab, batches: TeamsPolicyBatches) -> None:
    """What was sent and not answered can be looked for; a name that nobody used is not there."""
    lab.parts.settings.batch_delay_s = 1000
    started = batches.begin_policy_operation(CALLING, "Frontline", people(lab, 1), "callwright p-1 9.1")
    found = batches.named("callwright p-1 9.1")
    assert found is not None
    assert (found.id, found.is_over) == (started, False)
    assert batches.named("callwright p-1 9.2") is None
    lab.parts.clock.advance(1000)


def test_limits_are_kept(lab: Lab, batches: TeamsPolicyBatches) -> None:
    """5,001 users are refused before anything is sent; a tenant with too many operations is busy, not broken."""
    before = len(lab.calls.since(0))
    with pytest.raises(Invalid, match="5001 users are too many"):
        batches.begin_policy_operation(CALLING, "Frontline", [f"u{n}" for n in range(5001)], "large")
    assert len(lab.calls.since(0)) == before
    lab.parts.settings.batch_delay_s = 1000
    for number in range(5):
        batches.begin_policy_operation(CALLING, "Frontline", people(lab, 1), f"one of six: {number}")
    with pytest.raises(Busy, match="Too many policy assignment operations"):
        batches.begin_policy_operation(CALLING, "Frontline", people(lab, 1), "the sixth")
    lab.parts.clock.advance(1000)
    with pytest.raises(NotFound):
        batches.operation("0" * 32)
