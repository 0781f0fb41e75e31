"""Give up a plan that was begun or not: what has begun is finished by whoever works on it, the rest is discarded."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from config.errors import InputRefused
from datasets.tables.batches import batch_plans
from datasets.tables.plans import plans
from engine import apply, inventory, leases, plan_store
from engine.cache import Keeper
from engine.plan import OPEN_LINES


def give_up_plan(keeper: Keeper, plan_id: str, reason: str) -> None:
    """Discard a plan whole if nobody has started it, not even at this moment, else the lines that have not begun."""
    try:
        apply.discard(keeper.database, plan_id, keeper.now())
    except InputRefused:
        _give_up_rest(keeper, plan_id, reason)


def _give_up_rest(keeper: Keeper, plan_id: str, reason: str) -> None:
    """Discard the lines that have not begun; one that somebody has taken is begun or given up by them."""
    holder, now = keeper.new_holder(), keeper.now()
    with keeper.database.read() as connection:
        objects = {each.line: each.object for each in plan_store.load_lines(connection, plan_id) if _is_untouched(each)}
    for number, obj in objects.items():
        with keeper.database.write() as connection:
            lease = leases.acquire(connection, "object", obj, holder, now=now, ttl=keeper.lease)
            if lease is None:
                continue
            (line,) = plan_store.load_lines(connection, plan_id, [number])
            if _is_untouched(line):
                apply.give_up(connection, line, now, reason)
            leases.release(connection, [lease], now=now)
            plan_store.settle_plan_if_done(connection, plan_id)


def _is_untouched(line: plan_store.StoredLine) -> bool:
    return line.state in OPEN_LINES and not plan_store.has_sent(line)


def give_up_half_made(connection: Connection, plan_id: str, now: datetime) -> None:
    """Undo what a process that died left of a wave's plan: claims without a plan, or a plan that its batch lacks."""
    if connection.execute(select(batch_plans.c.plan_id).where(batch_plans.c.plan_id == plan_id)).first():
        return
    state = connection.execute(select(plans.c.state).where(plans.c.id == plan_id)).scalar_one_or_none()
    if state is None:
        inventory.give_back_plan(connection, plan_id, now)
    elif state == "planned":
        apply.discard_in(connection, plan_id, now)
