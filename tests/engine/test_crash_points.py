"""Processes that die at numbered points of apply and are resumed: nothing doubled, leaked or left in doubt."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import asdict

import pytest
from sqlalchemy import func, select

from datasets.inventory import NumberState
from datasets.tables.inventory import taken
from datasets.tables.journal import journal
from datasets.tables.plans import plan_changes, plan_lines
from engine import inventory, plan_store
from engine.apply import Chunk, apply_chunk, chunks, start
from engine.runtime import Runtime
from tests.fakes.crashes import CrashingDatabase, Points, crash_tenant, run_until_crash
from tests.fakes.databases import with_tables
from tests.fakes.plans import define_pool, fresh, runtime_on, store_plan
from tests.fakes.tenant import FakeTenant

pytestmark = pytest.mark.slow

SEED = 20260302


def prepare(users: int, *, licence_delay_s: float = 0.0, lag_s: float = 0.0) -> tuple[FakeTenant, Runtime, Points]:
    """Store a plan for so many users on a database in memory, with the points disarmed."""
    points, tenant = Points(), fresh(users, licence_delay_s=licence_delay_s, lag_s=lag_s)
    database = with_tables(CrashingDatabase("sqlite://", points))
    runtime = runtime_on(database, tenant)
    define_pool(runtime)
    store_plan(runtime, tenant, tenant.users)
    crash_tenant(tenant, points)
    points.passed = 0
    return tenant, runtime, points


def visit(runtime: Runtime) -> None:
    """Work through the due lines, a few at a time."""
    start(runtime, "p-1")
    for chunk in chunks(runtime, "p-1", sessions=3):
        apply_chunk(runtime, chunk)


def revive(tenant: FakeTenant, runtime: Runtime) -> None:
    """Let the dead process's leases run out, as time does."""
    tenant.clock.sleep(runtime.limits.lease_s + 1)
    doubled = [number for number, owners in tenant.owners().items() if len(owners) > 1]
    assert not doubled


def is_settled(runtime: Runtime) -> bool:
    """Tell whether every line has come to its end."""
    with runtime.database.read() as connection:
        return bool(plan_store.header(connection, "p-1").state == "settled")


def finish(tenant: FakeTenant, runtime: Runtime, points: Points) -> None:
    """Resume without further crashes until the plan is settled."""
    points.disarm()
    for _ in range(100):
        if is_settled(runtime):
            return
        revive(tenant, runtime)
        visit(runtime)
    pytest.fail("the plan did not settle")


def assert_consistent(tenant: FakeTenant, runtime: Runtime) -> None:
    """Check the end state: tenant, inventory and journal agree, and nothing is in doubt."""
    numbers = [user.number for user in tenant.users.values()]
    assert all(numbers)
    assert len(set(numbers)) == len(numbers)
    assert tenant.double_owners == 0
    repeated = [call for call, times in Counter(tenant.writes()).items() if times > 1 and call[0] == "assign_number"]
    assert not repeated
    with runtime.database.read() as connection:
        assert set(connection.execute(select(plan_lines.c.state)).scalars()) == {"verified"}
        assert set(connection.execute(select(plan_changes.c.state)).scalars()) == {"verified"}
        assert connection.execute(select(func.count()).select_from(taken)).scalar_one() == len(numbers)
        assert set(connection.execute(select(taken.c.state)).scalars()) == {NumberState.ASSIGNED}
        assert inventory.violations(connection) == []
        done = select(func.count()).where(journal.c.result.in_(["verified", "already"]))
        assert connection.execute(done).scalar_one() == 5 * len(numbers)


def end_state(tenant: FakeTenant) -> list[dict[str, object]]:
    """Give everything the tenant ended with, but for the moment of licensing."""
    return [asdict(user) | {"licensed_at": None} for user in tenant.users.values()]


def points_of_a_quiet_run(users: int) -> tuple[int, list[dict[str, object]]]:
    """Count the points of a run that nobody disturbs, and give its end state."""
    tenant, runtime, points = prepare(users)
    visit(runtime)
    return points.passed, end_state(tenant)


def test_a_crash_at_every_single_point_of_a_plan_ends_in_the_same_state() -> None:
    """M83: a crash at each point of a two-user plan, then a resume, ends as the undisturbed run does."""
    total, expected = points_of_a_quiet_run(2)
    assert total > 60
    for point in range(1, total + 1):
        tenant, runtime, points = prepare(2)
        points.arm(point)
        assert run_until_crash(lambda: visit(runtime))  # noqa: B023 - called at once
        finish(tenant, runtime, points)
        assert_consistent(tenant, runtime)
        assert end_state(tenant) == expected


def test_hundreds_of_crashes_lose_nothing_and_double_nothing() -> None:
    """Random crash points of random plans: 0 numbers doubled or leaked, every intent settled, same end state."""
    crash_often(random.Random(SEED), 400)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(4))
def test_ten_thousand_crashes_lose_nothing_and_double_nothing(part: int) -> None:
    """The same for ten thousand crash points in four parts."""
    crash_often(random.Random(SEED + part), 2500)


def crash_often(rng: random.Random, times: int) -> None:
    """Let processes die so many times, and check each plan when it is settled."""
    crashes = 0
    while crashes < times:
        users = rng.choice([5, 20, 60])
        tenant, runtime, points = prepare(users, licence_delay_s=rng.choice([0, 300]), lag_s=rng.choice([0, 20]))
        while not is_settled(runtime) and crashes < times:
            points.arm(rng.randint(1, 60))
            crashes += run_until_crash(lambda: visit(runtime))  # noqa: B023 - called at once
            revive(tenant, runtime)
        finish(tenant, runtime, points)
        assert_consistent(tenant, runtime)
        assert end_state(tenant) == points_of_a_quiet_run(users)[1]
    assert crashes >= times


def test_two_processes_on_one_plan_never_both_write() -> None:
    """A chunk that another process holds is refused, whatever it is called; its users are written once."""
    tenant, runtime, points = prepare(3)
    points.disarm()
    seen: list[int] = []

    def intrude(name: str, target: str) -> None:
        if name == "assign_licence" and target == "id-1" and not seen:
            seen.append(1)
            counts = apply_chunk(runtime, Chunk("p-1", 1, 2))
            assert sum(counts.values()) == 0

    tenant.before = intrude
    start(runtime, "p-1")
    apply_chunk(runtime, Chunk("p-1", 1, 3))
    finish(tenant, runtime, points)
    assert seen
    assert max(Counter(tenant.writes()).values()) == 1
    assert_consistent(tenant, runtime)
