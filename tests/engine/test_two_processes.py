"""Two real processes against one tenant: whatever they are told, no user ever has two writers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.database import Database
from engine import inventory
from tests.fakes.appliers import Applier, appliers
from tests.fakes.contests import Contest, contest
from tests.fakes.waiting import until

pytestmark = pytest.mark.slow
PEOPLE = 12
WRITES = ("users.assignLicense", "numberAssignments.assign", "policy.assign")
DELAY_S = 0.3


@pytest.fixture
def arena(tmp_path: Path, database: Database) -> Iterator[Contest]:
    """Give a contest about a dozen people whose writes take a while, so that the processes meet."""
    with contest(tmp_path, database, PEOPLE) as made, ExitStack() as stack:
        made.control.change_settings(operation_delay_s=0.03)
        for operation in WRITES:
            stack.enter_context(made.control.fault("latency", operation, seconds=DELAY_S))
        yield made


def assert_each_served_once(arena: Contest) -> None:
    """Check in the lab's log and in its state that each person was written to once and has one number."""
    writes = arena.writes()
    assert writes == {(operation, f"user:{user}"): 1 for operation in WRITES for user in arena.users}
    assert not arena.duplicates()
    numbers = arena.numbers()
    assert len(set(numbers.values()) - {None}) == PEOPLE
    with arena.database.read() as connection:
        assert inventory.violations(connection) == []
        counts = inventory.counts(connection, "contested")
    assert (counts.assigned, counts.claimed) == (PEOPLE, 0)


def test_two_processes_apply_the_same_plan(arena: Contest) -> None:
    """Both are at work at once and share it; the journal has one intent for each change, the tenant saw one write."""
    arena.store_plan("p-same")
    first, second = (Applier(arena.environment, ["p-same"]) for _ in range(2))
    with appliers(first, second):
        said = [each.end() for each in (first, second)]
    arena.finish("p-same")
    assert said[0].overlaps(said[1])
    assert all(each.states.get("verified") for each in said)
    assert arena.states() == {("p-same", "verified"): PEOPLE}
    assert set(arena.intents().values()) == {1}
    assert_each_served_once(arena)


@pytest.mark.nightly
def test_leases_that_end_in_the_middle_of_every_write(arena: Contest) -> None:
    """With leases far shorter than a call the processes take each other's lines over all the time, and write once."""
    arena.store_plan("p-short")
    first, second = (Applier(arena.environment, ["p-short", "p-short"], lease_s=0.1) for _ in range(2))
    with appliers(first, second):
        said = [each.end() for each in (first, second)]
    arena.finish("p-short", after=timedelta(hours=1))
    assert said[0].overlaps(said[1])
    assert arena.states() == {("p-short", "verified"): PEOPLE}
    assert_each_served_once(arena)


def test_two_plans_want_the_same_people(arena: Contest) -> None:
    """Whoever comes first serves a person; the other plan's line is refused by name and its number is free again."""
    for plan_id in ("p-one", "p-two"):
        arena.store_plan(plan_id)
    first, second = Applier(arena.environment, ["p-one"]), Applier(arena.environment, ["p-two"])
    with appliers(first, second):
        said = [each.end() for each in (first, second)]
    arena.finish("p-one", "p-two")
    assert said[0].overlaps(said[1])
    states = arena.states()
    for plan_id in ("p-one", "p-two"):
        assert states[plan_id, "verified"] + states[plan_id, "refused"] == PEOPLE
    assert states["p-one", "verified"] + states["p-two", "verified"] == PEOPLE
    assert_each_served_once(arena)


def test_one_of_two_processes_is_killed(arena: Contest) -> None:
    """A process is killed between a write and its outcome; others finish its lines, each number given once."""
    arena.store_plan("p-killed")
    victim, other = (Applier(arena.environment, ["p-killed"]) for _ in range(2))
    with appliers(victim, other):
        until(lambda: len(arena.intents()) >= PEOPLE // 2)
        victim.kill()
        other.end()
    arena.finish("p-killed", after=timedelta(hours=1))
    assert victim.process.returncode == -9
    assert arena.states() == {("p-killed", "verified"): PEOPLE}
    assert_each_served_once(arena)
