<<<<<<< HEAD
"""Gates: what must be true at the very moment before a change is sent, or the change is refused (pure).

They hold whoever planned the change: a leaver's steps, a rollback, a bulk edit. Each guards an order that the systems
themselves do not: a licence that goes takes the number with it in silence, and a deleted user keeps a number for weeks.
=======
"""Gates: a batch lets a line of its plans begin, or not now: it is paused, cancelled, or its window is shut.

What has begun is finished whatever the gate says, because a user who was moved and has no number yet cannot be called.
Plans that belong to no batch have no gate.
>>>>>>> 79145c5 (wip: batches)
"""

from __future__ import annotations

<<<<<<< HEAD
from collections.abc import Callable
from dataclasses import dataclass

from engine.change import Change, Effect
from engine.readers import Observed


@dataclass(frozen=True)
class Gate:
    """Which attributes of the change's own user to look at, and what they must not be."""

    attributes: tuple[str, ...]
    bars: Callable[[Change, dict[str, object]], str | None]


def _number_first(change: Change, seen: dict[str, object]) -> str | None:
    number = seen["number"]
    if number is None or change.parameters.get("frees_number") is False:
        return None
    return f"{number} is still assigned and would be freed in silence ; take the number away first"


def _number_and_account_first(_change: Change, seen: dict[str, object]) -> str | None:
    if seen["number"] is not None:
        return f"{seen['number']} is still assigned, and a deleted user keeps a number ; take it away first"
    if seen["account_enabled"]:
        return "the account is still enabled ; disable it first"
    return None


def _account_first(_change: Change, seen: dict[str, object]) -> str | None:
    return "the account is still enabled ; disable it first" if seen["enabled"] else None


GATES: dict[str, Gate] = {
    "remove_licence": Gate(("number",), _number_first),
    "delete_user": Gate(("number", "account_enabled"), _number_and_account_first),
    "delete_ad_user": Gate(("enabled",), _account_first),
}


def to_look_at(change: Change) -> list[Effect]:
    """Name the values that decide whether a change may be sent; none for a kind without a gate."""
    gate = GATES.get(change.kind)
    return [Effect(object=_of(change), attribute=name) for name in gate.attributes] if gate else []


def barred(change: Change, seen: Observed) -> str | None:
    """Say why a change must not be sent now; None when it may."""
    gate = GATES.get(change.kind)
    return None if gate is None else gate.bars(change, {name: seen[_of(change), name] for name in gate.attributes})


def _of(change: Change) -> str:
    name = change.parameters.get("sam_account_name")
    return f"ad:{name}" if name else f"user:{change.parameters['user_id']}"
=======
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select
from sqlalchemy.engine import Row

from datasets.tables.batches import batch_plans, batches
from datasets.tables.plans import plan_changes, plan_lines
from engine import batches as batch_rows
from engine import requests
from engine.plan import LineState

_STOPPED = (batch_rows.PAUSED, batch_rows.CANCELLED)
_JOINED = batch_plans.join(batches, batches.c.id == batch_plans.c.batch_id)


def is_open(connection: Connection, plan_id: str, now: datetime) -> bool:
    """Tell whether a line of the plan may begin now. An undo is let through: it is asked for one by one."""
    query = select(batches.c.control, batches.c.window_start, batches.c.window_end, batch_plans.c.kind)
    row = connection.execute(query.select_from(_JOINED).where(batch_plans.c.plan_id == plan_id)).first()
    return row is None or row.kind == "undo" or (row.control not in _STOPPED and is_in_window(row, now))


def is_in_window(row: Row[tuple[object, ...]], now: datetime) -> bool:
    """Tell whether a moment is inside the window of a batch."""
    start, end = row.window_start, row.window_end
    return (start is None or start <= now) and (end is None or now < end)


def shut(now: datetime) -> ColumnElement[bool]:
    """Give the condition for plans whose gate is shut, to be used on `plan_lines`."""
    c = batches.c
    stopped = or_(
        c.control.in_(_STOPPED),
        and_(c.window_start.is_not(None), c.window_start > now),
        and_(c.window_end.is_not(None), c.window_end <= now),
    )
    held = select(batch_plans.c.plan_id).select_from(_JOINED).where(batch_plans.c.kind == "move", stopped)
    return plan_lines.c.plan_id.in_(held)


def begun() -> ColumnElement[bool]:
    """Give the condition for lines of which something was sent, to be used on `plan_lines`."""
    same = (plan_changes.c.plan_id == plan_lines.c.plan_id) & (plan_changes.c.line == plan_lines.c.line)
    return exists(select(1).select_from(plan_changes).where(same, plan_changes.c.sent_at.is_not(None)))


def count_failure(connection: Connection, plan_id: str, now: datetime) -> str | None:
    """Pause the batch when a wave has failed more than its error budget allows; gives the reason, raised as an alert."""
    query = select(batches.c.id, batches.c.name, batches.c.control, batches.c.error_budget_percent, batch_plans)
    row = connection.execute(query.select_from(_JOINED).where(batch_plans.c.plan_id == plan_id)).first()
    if row is None or row.kind == "undo" or row.control in _STOPPED:
        return None
    c = plan_lines.c
    lines, failed = (
        connection.execute(select(func.count()).select_from(plan_lines).where(c.plan_id == plan_id, which)).scalar_one()
        for which in (c.line > 0, c.state == LineState.FAILED)
    )
    failed -= row.forgiven
    if failed * 100 <= row.error_budget_percent * lines:
        return None
    reason = f"wave {row.wave}: {failed} of {lines} users failed, more than {row.error_budget_percent:g} %"
    batch_rows.set_control(connection, row.id, batch_rows.PAUSED, reason, now)
    remedy = f"look, then: ./callwright batch resume '{row.name}'"
    requests.raise_alert(connection, alert_of(row.name), f"{reason} ; {remedy}", None, now)
    return reason


def alert_of(name: str) -> str:
    """Give the cause of the alert about a batch that paused itself."""
    return f"batch paused: {name}"[:200]
>>>>>>> 79145c5 (wip: batches)
