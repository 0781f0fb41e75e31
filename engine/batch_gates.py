"""Gates: a batch lets a line of its plans begin, or not now: it is paused, cancelled, or its window is shut.

What has begun is finished whatever the gate says, because a user who was moved and has no number yet cannot be called.
What has not begun is held, or given up by whoever visits it when the batch was cancelled. Plans that belong to no batch
have no gate.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select

from datasets.tables.batches import batch_plans, batches
from datasets.tables.plans import plan_changes, plan_lines
from engine import batches as batch_rows
from engine.policy_batch_plan import OBJECT

_AFTER_WINDOW = timedelta(days=1)
"""How long a plan outlives the window of its batch: somebody may give it another one."""
_STOPPED = (batch_rows.PAUSED, batch_rows.CANCELLED)
_JOINED = batch_plans.join(batches, batches.c.id == batch_plans.c.batch_id)


def is_open(connection: Connection, plan_id: str, now: datetime) -> bool:
    """Tell whether a line of the plan may begin now. An undo is let through: it is asked for one by one."""
    query = select(batches.c.control, batches.c.window_start, batches.c.window_end, batch_plans.c.kind)
    row = connection.execute(query.select_from(_JOINED).where(batch_plans.c.plan_id == plan_id)).first()
    return (
        row is None
        or row.kind == "undo"
        or (_lets(row.control, row.kind) and is_in_window(row.window_start, row.window_end, now))
    )


def _lets(control: str, kind: str) -> bool:
    """Tell whether the control of a batch lets lines of such a plan begin: while others pause, only of a retry."""
    return control not in _STOPPED and (control != batch_rows.RETRY or kind == "retry")


def is_cancelled(connection: Connection, plan_id: str) -> bool:
    """Tell whether the batch that a plan moves was cancelled: lines that have not begun are given up."""
    query = select(batches.c.control, batch_plans.c.kind).select_from(_JOINED).where(batch_plans.c.plan_id == plan_id)
    row = connection.execute(query).first()
    return row is not None and row.kind != "undo" and row.control == batch_rows.CANCELLED


def holds(connection: Connection, plan_id: str, now: datetime) -> bool:
    """Tell whether lines that have not begun are to be left as they are now; nothing of a cancelled batch is."""
    return not (is_open(connection, plan_id, now) or is_cancelled(connection, plan_id))


def is_in_window(start: datetime | None, end: datetime | None, now: datetime) -> bool:
    """Tell whether a moment is inside the window of a batch."""
    return (start is None or start <= now) and (end is None or now < end)


def held(now: datetime) -> ColumnElement[bool]:
    """Give the condition for plans whose lines are held, to be used on `plan_lines`."""
    c = batches.c
    stopped = or_(
        c.control == batch_rows.PAUSED,
        and_(c.control == batch_rows.RETRY, batch_plans.c.kind != "retry"),
        and_(c.window_start.is_not(None), c.window_start > now),
        and_(c.window_end.is_not(None), c.window_end <= now),
    )
    of_batches = select(batch_plans.c.plan_id).select_from(_JOINED).where(batch_plans.c.kind != "undo", stopped)
    return plan_lines.c.plan_id.in_(of_batches.where(c.control != batch_rows.CANCELLED))


def begun() -> ColumnElement[bool]:
    """Give the condition for lines of which something was sent, to be used on `plan_lines`.

    A line that gives policies to many begins with its users, and looks itself who of them was begun.
    """
    same = (plan_changes.c.plan_id == plan_lines.c.plan_id) & (plan_changes.c.line == plan_lines.c.line)
    sent = exists(select(1).select_from(plan_changes).where(same, plan_changes.c.sent_at.is_not(None)))
    return sent | plan_lines.c.object.like(f"{OBJECT}%")


def waits_for_window(connection: Connection, now: datetime) -> set[str]:
    """Give the plans of batches whose window is not over for long: they last until then, and keep their claims."""
    c = batches.c
    ends = func.coalesce(c.window_end, c.window_start)
    query = select(batch_plans.c.plan_id).select_from(_JOINED).where(batch_plans.c.kind != "undo")
    return set(connection.execute(query.where(c.control != batch_rows.CANCELLED, ends > now - _AFTER_WINDOW)).scalars())
