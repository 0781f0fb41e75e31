"""How long nobody could call the users of a batch, from our record: from the move until the number was seen in Teams.

What one plan began another may end: a retry that gives the number, or an undo that moves the user back.
Where the reply to a move was lost, the time counts from the moment it was sent: longer than it was, never shorter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Select, and_, select

from datasets.preflight import Unreachable
from datasets.tables.journal import journal
from datasets.tables.plans import plan_changes, plan_lines, plans
from engine.plan import LineState

_NOT_YET = "accepted, not visible yet"
_MOVE, _ENDS, _BACK = "move_to_teams", ("assign_number", "await_voice"), ("move_to_pool", "await_on_premises")
_AT_ONCE = 500  # rows that are held at a time, so that a batch of any size is never held as a whole


def unreachable(connection: Connection, plan_ids: Collection[str]) -> Iterator[Unreachable]:
    """Tell who of these plans could not be called, since when and until when; only users who shall have a number."""
    rows = connection.execute(_outcomes(plan_ids).execution_options(yield_per=_AT_ONCE))
    for _, of_user in groupby(rows, attrgetter("object")):
        if (found := _of_user(list(of_user))) is not None:
            yield found


def _outcomes(plan_ids: Collection[str]) -> Select[Any]:
    """Ask what became of each move and of each change that ends an outage, by user, oldest first; one row at least."""
    c, j, lines = plan_changes.c, journal.c, plan_lines.c
    kinds = c.kind.in_((_MOVE, *_ENDS, *_BACK))
    change = and_(c.plan_id == lines.plan_id, c.line == lines.line, kinds)
    outcome = and_(j.plan_id == c.plan_id, j.line == c.line, j.change == c.seq, j.phase == "outcome")
    query = (
        select(lines.plan_id, lines.line, lines.object, lines.label, lines.state, plans.c.created_at)
        .add_columns(c.seq, c.kind, c.sent_at, j.at, j.result, j.payload)
        .join(plans, plans.c.id == lines.plan_id)
        .outerjoin(plan_changes, change)
        .outerjoin(journal, outcome)
        .where(lines.plan_id.in_(plan_ids), lines.object.startswith("user:"))
    )
    return query.order_by(lines.object, plans.c.created_at, lines.plan_id, lines.line, j.at, c.seq)


def _of_user(rows: Sequence[Any]) -> Unreachable | None:
    moves = [row for row in rows if row.kind == _MOVE and row.result not in (None, "not_done")]
    if not any(row.kind in _ENDS for row in rows) or not any(row.result == "verified" for row in moves):
        return None
    first = moves[0]
    was_answered = first.result in ("applied", "verified") and (first.payload or {}).get("message") in ("", _NOT_YET)
    since = first.at if was_answered or first.sent_at is None else first.sent_at
    ended = (_ended(list(of_line)) for _, of_line in groupby(rows, attrgetter("plan_id", "line")))
    return Unreachable(
        user_id=first.object.removeprefix("user:"),
        label=first.label,
        plan_id=first.plan_id,
        since=since,
        until=min((at for at in ended if at is not None and at >= since), default=None),
    )


def _ended(rows: Sequence[Any]) -> datetime | None:
    """Say when a line ended an outage; one that found nothing to give found it over when it was planned."""
    wanted = {row.seq for row in rows if row.kind in (*_ENDS, *_BACK)}
    done = {row.seq: row.at for row in rows if row.seq in wanted and row.result == "verified"}
    if not wanted:
        return rows[0].created_at if rows[0].state in (LineState.VERIFIED, LineState.UNCHANGED) else None
    return max(done.values()) if len(done) == len(wanted) else None
