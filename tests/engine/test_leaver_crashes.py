"""Processes that die at numbered points of a leaver's steps: the next run ends as if nothing had happened."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import pytest

from datasets.people import Status
from engine import inventory, plan_store
from tests.fakes.company import Company, company
from tests.fakes.crashes import CrashingDatabase, Points, crash_tenant, run_until_crash
from tests.fakes.databases import with_tables


def prepare() -> tuple[Company, Points]:
    """Give a company in memory with one telephone user who left long ago, as HR tells only now."""
    points = Points()
    database = with_tables(CrashingDatabase("sqlite://", points))
    firm = company(database, users=2)
    firm.feed(firm.person(1))
    firm.days(1)
    crash_tenant(firm.tenant, points)
    points.passed = 0
    return firm, points


def leave(firm: Company) -> None:
    """Read the feed that says it."""
    last = firm.today.replace(year=firm.today.year - 1)
    firm.feed(firm.person(1, status=Status.TERMINATED, termination_date=last))


def finish(firm: Company, points: Points) -> None:
    """Go on after a crash as the schedules do: what is due is applied, the feed comes again, the steps are taken."""
    points.disarm()
    for _ in range(8):
        firm.tenant.clock.sleep(firm.runtime.limits.lease_s + 61)
        with firm.runtime.database.read() as connection:
            due = plan_store.due_plans(connection, firm.runtime.now())
        for plan_id in due:
            firm.carry_out(plan_id)
        leave(firm)
        if not firm.open_lines():
            return
    pytest.fail("lines stayed open")


def end_state(firm: Company) -> list[dict[str, object]]:
    """Give everything that the tenant and the inventory ended with, but for moments."""
    people = [asdict(user) | {"licensed_at": None} for user in firm.tenant.users.values()]
    return [*people, dict(firm.inventory()), dict(Counter(firm.departure_states()))]


def check_points(stride: int) -> None:
    """Die at every so-manieth point, and compare the end with that of an undisturbed run."""
    firm, points = prepare()
    leave(firm)
    total = points.passed
    finish(firm, points)
    expected = end_state(firm)
    assert total > 40
    for point in range(1, total + 1, stride):
        firm, points = prepare()
        points.arm(point)
        assert run_until_crash(lambda: leave(firm))  # noqa: B023 - called at once
        finish(firm, points)
        assert end_state(firm) == expected, point
        unassigned = [call for call in firm.tenant.writes() if call[0] == "unassign_number"]
        assert len(unassigned) == 1, point
        with firm.runtime.database.read() as connection:
            assert inventory.violations(connection) == []


@pytest.mark.slow
def test_a_crash_on_the_way_of_a_leaver_loses_nothing() -> None:
    """Rank 5: number resting, licence and account as planned, one departure, whatever point the process died at."""
    check_points(stride=7)


@pytest.mark.nightly
def test_a_crash_at_every_point_of_a_leaver_loses_nothing() -> None:
    """The same at every single point."""
    check_points(stride=1)
