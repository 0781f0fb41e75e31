"""Bulk orders: what is missing is uploaded, what nobody has is released, in orders that Teams accepts."""

from __future__ import annotations

import pytest

from config.errors import InputRefused
from connectors.database import Database
from connectors.errors import Ambiguous
from datasets.inventory import Pool, Span
from datasets.number_orders import OrderKind
from datasets.users import NumberAssignment
from engine import inventory
from engine.number_orders import Ordered, plan_order
from engine.plan import LineState
from tests.fakes.number_acts import FIRST, POOL, Desk, desk

BIG = "big"


def with_pool(database: Database, size: int) -> Desk:
    """Give a desk with another pool of so many numbers."""
    at = desk(database)
    with database.write() as connection:
        span = Span.read("+499900000", f"+{499900000 + size - 1}")
        inventory.define_pool(connection, Pool(name=BIG, spans=(span,)))
    return at


def order(at: Desk, kind: OrderKind, pool: str = POOL) -> str:
    """Plan and apply the orders of a pool."""
    plan_id = plan_order(at.runtime, at.request(), Ordered(kind, pool=pool))
    at.apply(plan_id)
    return plan_id


def test_what_is_missing_is_uploaded_once(sqlite: Database) -> None:
    """Numbers that are listed are left out; a second plan has no lines."""
    at = desk(sqlite)
    at.tenant.listed[FIRST] = NumberAssignment(telephone_number=FIRST, number_type="directRouting")
    (line,) = at.lines(order(at, "upload"))
    assert (line.state, len(line.changes[0].change.effects)) == (LineState.VERIFIED, 9)
    assert len(at.tenant.listed) == 10
    assert at.lines(order(at, "upload")) == []


@pytest.mark.parametrize(("kind", "size", "orders"), [("upload", 10_001, 2), ("release", 1_001, 2)])
def test_orders_hold_what_teams_accepts(sqlite: Database, kind: OrderKind, size: int, orders: int) -> None:
    """A range is cut into orders of 10,000 uploads or 1,000 releases."""
    at = with_pool(sqlite, size)
    if kind == "release":
        numbers = [f"+{499900000 + n}" for n in range(size)]
        at.tenant.listed |= {n: NumberAssignment(telephone_number=n, number_type="directRouting") for n in numbers}
    assert at.states(order(at, kind, BIG)) == [LineState.VERIFIED] * orders
    assert len(at.tenant.listed) == (size if kind == "upload" else 0)


def test_numbers_that_fail_are_named_and_left_for_the_next_plan(sqlite: Database) -> None:
    """An order with failures is a failed line; planned again it holds only what failed."""
    at = desk(sqlite)
    at.numbering.refused.add(FIRST)
    (line,) = at.lines(order(at, "upload"))
    assert (line.state, "1 of 10 numbers failed" in line.reason) == (LineState.FAILED, True)
    at.numbering.refused.clear()
    (line,) = at.lines(order(at, "upload"))
    assert [e.object for e in line.changes[0].change.effects] == [f"number:{FIRST}"]


def test_a_slow_order_is_not_placed_twice(sqlite: Database) -> None:
    """An order whose end was not seen stays unknown while it may still run, and is settled by reading."""
    at = desk(sqlite)
    at.numbering.before_wait = [Ambiguous("the order had not ended")]
    plan_id = order(at, "upload")
    at.tenant.clock.sleep(1800)
    at.apply(plan_id)
    assert at.states(plan_id) == [LineState.UNKNOWN]
    at.numbering.wait_for_order("upload", "order-1", 60)
    at.tenant.clock.sleep(60)
    at.apply(plan_id)
    assert at.states(plan_id) == [LineState.VERIFIED]
    assert [name for name, _ in at.tenant.writes()] == ["place_upload"]


def test_numbers_that_somebody_has_are_not_released(sqlite: Database) -> None:
    """A release that touches a held number is refused whole, naming one."""
    at = desk(sqlite)
    at.tenant.listed[FIRST] = NumberAssignment(
        telephone_number=FIRST, number_type="directRouting", assignment_target_id="id-1"
    )
    with pytest.raises(InputRefused, match=r"1 of these numbers are somebody's, such as \+431234500"):
        order(at, "release")


@pytest.mark.parametrize(
    ("ordered", "reason"),
    [
        (Ordered("upload"), "nothing to order"),
        (Ordered("upload", start="+4911111", end="+4911112"), "is in no pool"),
        (Ordered("upload", start="+4910000000", end="+4999999999"), "too many"),
        (Ordered("upload", pool="nowhere"), "no pool 'nowhere'"),
    ],
    ids=["nothing", "no-pool", "too-many", "unknown-pool"],
)
def test_what_cannot_be_ordered_is_refused(sqlite: Database, ordered: Ordered, reason: str) -> None:
    """Nothing is planned for a range that is not ours, too large or not named."""
    at = desk(sqlite)
    with pytest.raises(InputRefused, match=reason):
        plan_order(at.runtime, at.request(), ordered)
