"""Sixty users of a hybrid lab move and get their policies by operations over the real protocols, in spite of faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from datasets.batches import BatchNumbers, BatchOptions
from engine.plan import LineState
from engine.plan_store import StoredLine
from engine.policy_batch_plan import POLICY_BATCH
from engine.proof import verify
from lab.records import User
from tests.fakes.databases import sqlite_database
from tests.fakes.hybrid_lab import HybridLab, hybrid_lab

pytestmark = pytest.mark.slow

POLICIES: dict[str, str | None] = {"OnlineVoiceRoutingPolicy": "VRP-Vienna", "TenantDialPlan": "DP-Vienna"}
OPTIONS = BatchOptions(numbers=BatchNumbers.NONE, policies=POLICIES)
BEGIN, OF_USER, GRANT = "New-CsBatchPolicyAssignmentOperation", "BatchPolicyAssignment.user", "policy.assign"
MANY, SOME = 60, 20


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HybridLab]:
    """Run one hybrid lab for the tests of this file; each takes people of its own."""
    folder = tmp_path_factory.mktemp("hybrid")
    database = sqlite_database(folder)
    with pytest.MonkeyPatch.context() as patch, hybrid_lab(folder, database, patch, users=220, hybrid_share=1) as made:
        yield made
    database.close()


def people(estate: HybridLab, count: int) -> list[User]:
    """Give people of the servers who have none of the policies."""
    found = estate.homed(count)
    for user in found:
        for kind in POLICIES:
            estate.lab.tenant.grant_policy(user.id, kind, None)
    return found


def given(estate: HybridLab, users: list[User]) -> list[bool]:
    """Tell who has the policies, as the lab knows it."""
    voices = [estate.lab.tenant.voice(user.id) for user in users]
    return [voice.policies.items() >= POLICIES.items() for voice in voices]


def calls(estate: HybridLab, since: int) -> Counter[str]:
    """Count the calls that give policies, and what asks how far they are."""
    names = [str(call["operation"]) for call in estate.lab.calls.since(since)]
    return Counter(name for name in names if name in (BEGIN, GRANT, "Get-CsBatchPolicyAssignmentOperation"))


def states(lines: list[StoredLine]) -> Counter[str]:
    """Count lines by state."""
    return Counter(line.state.value for line in lines)


def test_one_of_sixty_fails_alone(estate: HybridLab) -> None:
    """Sixty are moved and two operations give the policies; for one they fail, and so does that user's own call."""
    users = people(estate, MANY)
    bad = users[7].id
    said = "The user is not licensed for this policy"
    faults = [
        estate.lab.faults.add({"name": "error", "match": {"operation": name, "target": bad}, "message": said})
        for name in (OF_USER, GRANT)
    ]
    first = len(estate.lab.calls.since())
    *lines, many = estate.settle(estate.plan(OPTIONS, *users))
    for fault in faults:
        estate.lab.faults.remove(fault)
    assert (states(lines), many.state) == ({"verified": MANY - 1, "failed": 1}, LineState.VERIFIED)
    assert said in lines[7].reason
    assert given(estate, users) == [user.id != bad for user in users]
    # Of three workers two may have been busy with a user when the operations began.
    assert (calls(estate, first)[BEGIN], calls(estate, first)[GRANT] in (1, 2, 3)) == (2, True)
    with estate.runtime.database.read() as connection:
        assert verify(connection).faults == []


def test_a_lost_reply_gives_nothing_twice(estate: HybridLab) -> None:
    """The operation is accepted and the connection breaks: it is found by its name and followed to its end."""
    users = people(estate, SOME)
    fault = estate.lab.faults.add({"name": "drop_reply", "match": {"operation": BEGIN}, "times": 1})
    first = len(estate.lab.calls.since())
    lines = estate.settle(estate.plan(OPTIONS, *users))
    estate.lab.faults.remove(fault)
    assert states(lines) == {"verified": SOME + 1}
    assert (all(given(estate, users)), calls(estate, first)[BEGIN], calls(estate, first)[GRANT]) == (True, 2, 0)


def test_an_operation_takes_its_time_and_its_users_wait(estate: HybridLab) -> None:
    """Until Teams is done nobody is given anything a second time; then reading shows it and everybody is verified."""
    users = people(estate, SOME)
    estate.lab.settings.change({"batch_delay_s": 100})
    first = len(estate.lab.calls.since())
    plan_id = estate.plan(OPTIONS, *users)
    for _ in range(3):
        *lines, many = estate.visit(plan_id)
    assert {(line.state, line.condition) for line in lines} == {(LineState.WAITING, POLICY_BATCH)}
    assert many.reason == f"Teams gives {SOME} users their policies"
    estate.lab.settings.change({"batch_delay_s": 0})
    estate.lab.parts.clock.advance(100)
    assert states(estate.settle(plan_id)) == {"verified": SOME + 1}
    assert (calls(estate, first)[BEGIN], calls(estate, first)[GRANT]) == (2, 0)


def test_a_tenant_that_throttles_is_asked_again(estate: HybridLab) -> None:
    """Operations of others fill the tenant: ours are refused as busy, and sent when there is room."""
    users = people(estate, SOME)
    said = "Too many policy assignment operations are in progress. Please try again later."
    fault = estate.lab.faults.add({"name": "error", "match": {"operation": BEGIN}, "message": said, "times": 2})
    lines = estate.settle(estate.plan(OPTIONS, *users))
    estate.lab.faults.remove(fault)
    assert (states(lines), all(given(estate, users))) == ({"verified": SOME + 1}, True)
