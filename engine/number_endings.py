"""Plan the end of what is over: reservations, and grace periods on our side and on that of Teams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from sqlalchemy import Connection

from datasets.inventory import NumberState, Taken
from datasets.numbering import PhoneNumber
from datasets.treatments import Treatment
from engine import announcements, inventory, inventory_endings, number_lines, plan_store
from engine.locations import is_blocked
from engine.plan import Plan
from engine.requests import new_id
from engine.runtime import Runtime

MOST = 5_000
"""Numbers that one run ends; what is left is over still, and the next run's."""


def plan_endings(runtime: Runtime, request_id: str, state: NumberState) -> str:
    """Store the plan that frees exactly the numbers in this state whose time is over now; gives its id."""
    now = runtime.now()
    with runtime.database.read() as connection:
        over = list(islice(inventory_endings.over(connection, now, state), MOST))
    if state == NumberState.GRACE:
        announced = announcements.ours(runtime.systems)
        lines = number_lines.endings(over, _still_blocked(runtime, over), announced)
        lines = (*lines, *number_lines.silences(_out_of_place(runtime, over, announced)))
    else:
        lines = number_lines.endings(over)
    plan = Plan(id=new_id("p"), request_id=request_id, lines=lines)
    with runtime.database.write() as connection:
        plan_store.save(connection, plan, now)
    return plan.id


def _out_of_place(
    runtime: Runtime, over: Sequence[Taken], announced: Mapping[str, Treatment]
) -> Mapping[str, Treatment]:
    """Give the announcements of numbers that somebody has again, or that nobody lets rest."""
    ending = {row.number.e164 for row in over}
    with runtime.database.read() as connection:
        return {
            number: each
            for number, each in announced.items()
            if number not in ending and not _rests(connection, PhoneNumber.from_e164(number))
        }


def _rests(connection: Connection, number: PhoneNumber) -> bool:
    """Tell whether a number rests, or is about to: somebody has it whose next step takes it."""
    row = inventory.find(connection, number)
    if row is None or row.state != NumberState.ASSIGNED:
        return row is not None and row.state == NumberState.GRACE
    return bool(plan_store.open_lines(connection, [row.owner]))


def _still_blocked(runtime: Runtime, over: Sequence[Taken]) -> frozenset[str]:
    """Name the numbers that Teams would still refuse: its days may end later than ours, never a block for ever."""
    texts = [row.number.e164 for row in over]
    return frozenset(text for text in texts if is_blocked(runtime.systems, text))
