"""Plan bulk orders: upload Direct Routing numbers into Teams' inventory, or release them from it.

An order is one change with an effect for each number; a range is cut into orders that Teams accepts. Only what is
missing is uploaded and only what nobody has or waits for is released, so a second plan has nothing left to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from sqlalchemy import Connection

from config.errors import InputRefused
from datasets.inventory import Span, UnknownPool
from datasets.number_orders import LARGEST, OrderKind
from datasets.number_types import DIRECT_ROUTING, kind_of, spoken
from datasets.numbering import PhoneNumber
from datasets.range_text import read_span
from datasets.users import NumberAssignment
from engine import inventory, plan_store
from engine.change import Change, Effect
from engine.plan import Line, Plan
from engine.requests import new_id
from engine.runtime import Runtime

MOST = 100_000
"""Numbers of one plan: an order names each of them, so a range of any size is ordered part by part."""


@dataclass(frozen=True)
class Ordered:
    """What to order: every number of a pool, or a part of a range."""

    kind: OrderKind
    pool: str | None = None
    start: str | None = None
    end: str | None = None


def plan_order(runtime: Runtime, request_id: str, ordered: Ordered) -> str:
    """Store the plan of the orders; gives its id. Raises InputRefused."""
    with runtime.database.read() as connection:
        wanted = _wanted(connection, ordered)
    if runtime.systems.numbering is None:
        raise InputRefused("orders of numbers need Teams PowerShell", remedy="set powershell.server")
    listed = {row.telephone_number: row for row in runtime.systems.teams.numbers()}
    if ordered.kind == "upload":
        chosen = [number.e164 for number in wanted if number.e164 not in listed]
    else:
        chosen = _to_release(runtime, wanted, listed)
    size = LARGEST[ordered.kind]
    lines = tuple(_line(ordered.kind, chosen[at : at + size]) for at in range(0, len(chosen), size))
    plan = Plan(id=new_id("p"), request_id=request_id, lines=lines)
    with runtime.database.write() as connection:
        plan_store.save(connection, plan, runtime.now())
    return plan.id


def _wanted(connection: Connection, ordered: Ordered) -> list[PhoneNumber]:
    spans = _spans(connection, ordered)
    size = sum(span.run.size for span in spans)
    if size > MOST:
        raise InputRefused(
            f"{size} numbers are too many for one plan", remedy=f"order {MOST} at most: --start and --end"
        )
    for span in spans:
        for text in (span.start, span.end):
            _refuse_other_kind(connection, text)
    return [position.number for span in spans for position in span.run.positions()]


def _spans(connection: Connection, ordered: Ordered) -> Sequence[Span]:
    if ordered.start:
        return [read_span(ordered.start, ordered.end or ordered.start)]
    if not ordered.pool:
        raise InputRefused("nothing to order is named", remedy="name a pool, or start and end of a range")
    pool = inventory.read_pool(connection, ordered.pool)
    if pool is None:
        raise UnknownPool(ordered.pool)
    return pool.spans


def _refuse_other_kind(connection: Connection, number: PhoneNumber) -> None:
    name = inventory.pool_of(connection, number)
    pool = inventory.read_pool(connection, name) if name else None
    if pool is None:
        raise InputRefused(f"{number} is in no pool", remedy="add its range to a pool first")
    if pool.kind != DIRECT_ROUTING:
        what = f"{number} is a {spoken(pool.kind)} number of pool {name}"
        raise InputRefused(what, remedy="only Direct Routing numbers are uploaded and released")


def _to_release(runtime: Runtime, wanted: Sequence[PhoneNumber], listed: dict[str, NumberAssignment]) -> list[str]:
    """Give the listed numbers of the range. Raises InputRefused when somebody has one, or waits for one."""
    here = [(number, listed[number.e164]) for number in wanted if number.e164 in listed]
    held = [number for number, row in here if row.assignment_target_id or kind_of(row) != DIRECT_ROUTING]
    with runtime.database.read() as connection:
        held += [number for number, _ in here if inventory.find(connection, number) is not None]
    if held:
        what = f"{len(set(held))} of these numbers are somebody's, such as {min(held)}"
        raise InputRefused(what, remedy="take them away first, and wait until they have rested")
    return [number.e164 for number, _ in here]


def _line(kind: OrderKind, numbers: Sequence[str]) -> Line:
    obj = f"numbers:{numbers[0]}..{numbers[-1]}"
    is_there = kind == "upload"
    given: list[JsonValue] = list(numbers)
    change = Change(
        kind=f"{kind}_numbers",
        target=obj,
        parameters={"numbers": given},
        effects=tuple(
            Effect(object=f"number:{number}", attribute="listed", before=not is_there, after=is_there)
            for number in numbers
        ),
        reason=f"{kind} order of {len(numbers)} numbers",
    )
    label = f"{numbers[0]} to {numbers[-1]} ({len(numbers)})"
    return Line(object=obj, label=label, success="ordered", source={"named": True}, changes=(change,))
