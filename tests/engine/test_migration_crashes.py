"""Migrations whose process dies anywhere: each user is moved once, each number used once, nothing stays in doubt."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial

import pytest

from datasets.batches import BatchNumbers, BatchOptions
from engine import inventory, plan_store
from engine.apply import Chunk, apply_chunk, start
from engine.plan import LineState
from engine.proof import verify
from tests.fakes.crashes import CrashingDatabase, Points, crash_tenant, run_until_crash
from tests.fakes.databases import with_tables
from tests.fakes.migration_site import POLICIES, Deployment, deployment

pytestmark = pytest.mark.slow

SEED = 20260310
OPTIONS = [
    pytest.param(BatchOptions(policies=POLICIES), id="Keep"),
    pytest.param(BatchOptions(numbers=BatchNumbers.NUMBER_RANGE, pool="vienna"), id="NumberRange"),
]


def prepare(options: BatchOptions, points: Points) -> tuple[Deployment, str]:
    """Give a deployment of three users with lines, and the plan that moves them; the points are disarmed."""
    database = with_tables(CrashingDatabase("sqlite://", points))
    site = deployment(database, sync_delay_s=40, move_delay_s=20)
    for number in (1, 2, 3):
        site.skype.home(f"id-{number}", f"tel:+43123450{number}")
    plan_id = site.plan(options, "id-1", "id-2", "id-3")
    crash_tenant(site.tenant, points)
    points.passed = 0
    return site, plan_id


def visit(site: Deployment, plan_id: str) -> None:
    """Work on what is due."""
    start(site.runtime, plan_id)
    apply_chunk(site.runtime, Chunk(plan_id, 1, 10))


def two_visits(site: Deployment, plan_id: str) -> None:
    """Visit, let the cloud follow, and visit again."""
    visit(site, plan_id)
    site.tenant.clock.sleep(60)
    visit(site, plan_id)


def finish(site: Deployment, plan_id: str) -> None:
    """Visit until the plan is settled, and compare what happened with what was wanted."""
    for _ in range(60):
        with site.runtime.database.read() as connection:
            if plan_store.header(connection, plan_id).state == "settled":
                break
        site.tenant.clock.sleep(site.runtime.limits.lease_s + 1)
        visit(site, plan_id)
    check(site, plan_id)


def check(site: Deployment, plan_id: str) -> None:
    """Fail unless everybody was moved exactly once and the numbers are in order."""
    assert {line.state for line in site.lines(plan_id)} == {LineState.VERIFIED}
    counted = Counter(site.tenant.writes())
    assert [count for (name, _), count in counted.items() if name in ("move_user", "assign_number")] == [1] * 6
    assert all(len(owners) == 1 for owners in site.tenant.owners().values())
    assert (len(site.tenant.owners()), site.tenant.double_owners) == (3, 0)
    with site.runtime.database.read() as connection:
        assert inventory.violations(connection) == []
        assert verify(connection).faults == []


@pytest.mark.parametrize("options", OPTIONS)
def test_a_process_may_die_at_any_point_once(options: BatchOptions) -> None:
    """At every ninth point of a visit the process dies; the next one finishes, and nobody is moved twice (M41)."""
    for point in range(1, 400, 9):
        points = Points()
        site, plan_id = prepare(options, points)
        points.arm(point)
        if not run_until_crash(partial(two_visits, site, plan_id)):
            break
        points.disarm()
        finish(site, plan_id)
        site.runtime.database.close()
    assert point > 100


@pytest.mark.parametrize("options", OPTIONS)
def test_processes_may_die_again_and_again(options: BatchOptions) -> None:
    """Each process gets a little further than the one before; in the end everybody is moved once (M41)."""
    rng, points = random.Random(SEED), Points()
    site, plan_id = prepare(options, points)
    for _ in range(40):
        points.arm(rng.randint(3, 40))
        run_until_crash(partial(visit, site, plan_id))
        site.tenant.clock.sleep(site.runtime.limits.lease_s + 1)
    points.disarm()
    finish(site, plan_id)
