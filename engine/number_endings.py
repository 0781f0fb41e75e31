"""Plan the end of what is over: reservations, and grace periods on our side and on that of Teams."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from datasets.inventory import NumberState, Taken
from engine import inventory_endings, number_lines, plan_store
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
    blocked = _still_blocked(runtime, over) if state == NumberState.GRACE else frozenset[str]()
    plan = Plan(id=new_id("p"), request_id=request_id, lines=number_lines.endings(over, blocked))
    with runtime.database.write() as connection:
        plan_store.save(connection, plan, now)
    return plan.id


def _still_blocked(runtime: Runtime, over: Sequence[Taken]) -> frozenset[str]:
    """Name the numbers that Teams would still refuse: its days may end later than ours, never a block for ever."""
    texts = [row.number.e164 for row in over]
    return frozenset(text for text in texts if is_blocked(runtime.systems, text))
