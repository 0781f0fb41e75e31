"""Bad days of a wave over the real protocols: reads that lag, servers that only say yes; and everything taken back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from datasets.batches import BatchNumbers, BatchOptions
from engine import inventory
from engine.plan import LineState
from engine.proof import verify
from engine.rollback import Choice, Terms, plan_rollback
from lab import state
from lab.records import User
from tests.fakes.databases import sqlite_database
from tests.fakes.hybrid_lab import LIMITS, HybridLab, hybrid_lab

POLICIES: dict[str, str | None] = {"TenantDialPlan": "DP-Vienna", "OnlineVoiceRoutingPolicy": "VRP-Vienna"}
KEEP = BatchOptions(policies=POLICIES)
RANGE = BatchOptions(numbers=BatchNumbers.NUMBER_RANGE, pool="vienna", policies=POLICIES)
MOVE = "Move-CsUser"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HybridLab]:
    """Run one hybrid lab for the tests of this file; each takes people of its own."""
    folder = tmp_path_factory.mktemp("hybrid")
    database = sqlite_database(folder)
    with pytest.MonkeyPatch.context() as patch, hybrid_lab(folder, database, patch, users=160) as made:
        yield made
    database.close()


@pytest.fixture
def estate(running: HybridLab) -> Iterator[HybridLab]:
    """Let nothing that one test broke reach the next."""
    yield running
    running.lab.faults.clear()


@contextmanager
def fault(estate: HybridLab, name: str, operation: str, user: User, **more: Any) -> Iterator[None]:
    """Have something go wrong for the calls about a user."""
    names = [user.id, user.upn, f"sip:{user.upn}", str(user.text("onPremisesSamAccountName"))]
    line = (estate.line_of(user) or "").removeprefix("tel:")
    target = "|".join([*names, *([line] if line else [])])
    added = estate.lab.faults.add({"name": name, "match": {"operation": operation, "target": target}, **more})
    yield
    assert next(each for each in estate.lab.faults.listed() if each["id"] == added)["played"]
    estate.lab.faults.remove(added)


def moves(estate: HybridLab, since: int) -> Counter[str]:
    """Count the moves since a call by their users' account names."""
    return Counter(str(each["target"]) for each in estate.lab.calls.since(since) if each["operation"] == MOVE)


def everything(estate: HybridLab, user: User) -> dict[str, object]:
    """Give the snapshot of a user: home, line, voice and policies on the servers, and everything that Teams knows."""
    tenant, sam = estate.lab.tenant, str(user.text("onPremisesSamAccountName")).casefold()
    server = replace(tenant.skype[sam], changed_at=None)
    return {"server": server, "line": estate.line_of(user), **state.user(tenant, user.id)}


@pytest.mark.parametrize("read", ["Get-CsUser", "userConfigurations.get"])
def test_reads_that_lag_behind_a_move_repeat_nothing(estate: HybridLab, read: str) -> None:
    """While a read shows the state of an hour ago the line is in doubt; when it shows, one move was sent (M50)."""
    (user,) = estate.homed(1)
    patient = replace(estate, runtime=replace(estate.runtime, limits=replace(LIMITS, lag_window_s=600)))
    before = len(estate.lab.calls.since())
    plan_id = patient.plan(KEEP, user)
    with fault(estate, "lag", read, user, seconds=3600):
        lines = [patient.visit(plan_id)[0] for _ in range(4)]
    assert {line.state for line in lines} <= {LineState.UNKNOWN, LineState.WAITING}
    assert patient.settle(plan_id)[0].state == LineState.VERIFIED
    assert list(moves(estate, before).values()) == [1]


@pytest.mark.parametrize("write", [MOVE, "Set-CsUser", "numberAssignments.assign", "policy.assign"])
def test_a_server_that_only_says_yes_is_not_believed(estate: HybridLab, write: str) -> None:
    """It accepts a write and does nothing: the user is failed by name, and is not done (M50)."""
    user, other = estate.homed(2)
    plan_id = estate.plan(KEEP, user, other)
    with fault(estate, "false_success", write, user):
        bad, good = estate.settle(plan_id)
    assert (bad.state, good.state) == (LineState.FAILED, LineState.VERIFIED)
    assert "was accepted but never took effect" in bad.reason
    assert user.upn in bad.reason


@pytest.mark.parametrize("options", [KEEP, RANGE], ids=["Keep", "NumberRange"])
def test_the_undo_of_a_wave_equals_the_snapshot_before_it(estate: HybridLab, options: BatchOptions) -> None:
    """Home, line, number, Enterprise Voice and policies of three users are what they were (M41)."""
    people = estate.homed(3)
    before = [everything(estate, user) for user in people]
    plan_id = estate.plan(options, *people)
    assert [line.state for line in estate.settle(plan_id)] == [LineState.VERIFIED] * 3
    assert not [user for user, seen in zip(people, before, strict=True) if everything(estate, user) == seen]
    undo = plan_rollback(estate.runtime, estate.request(), Choice(plan_id), Terms())
    assert [line.state for line in estate.settle(undo)] == [LineState.VERIFIED] * 3
    assert [everything(estate, user) for user in people] == before
    with estate.runtime.database.read() as connection:
        assert inventory.violations(connection) == []
        assert verify(connection).faults == []
