"""How long nobody could call the users of a wave, from our record: from the move until the number was seen in Teams.

Where the reply to a move was lost, the time counts from the moment it was sent: longer than it was, never shorter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, and_, select

from datasets.preflight import Unreachable
from datasets.tables.journal import journal
from datasets.tables.plans import plan_changes, plan_lines

_NOT_YET = "accepted, not visible yet"
_MOVE, _ENDS = "move_to_teams", ("assign_number", "await_voice")


def unreachable(connection: Connection, plan_ids: Iterable[str]) -> Iterator[Unreachable]:
    """Tell who of these plans could not be called, since when and until when; only users who shall have a number.

    Plan by plan, so that a batch of any size is never held as a whole.
    """
    for plan_id in plan_ids:
        rows = _outcomes(connection, plan_id)
        for _, of_line in groupby(rows, attrgetter("line")):
            if (found := _of_line(list(of_line))) is not None:
                yield found


def _outcomes(connection: Connection, plan_id: str) -> Sequence[Any]:
    """Read what became of each move and of each change that ends an outage, oldest first; one row where nothing did."""
    c, j, lines = plan_changes.c, journal.c, plan_lines.c
    outcome = and_(j.plan_id == c.plan_id, j.line == c.line, j.change == c.seq, j.phase == "outcome")
    query = (
        select(c.plan_id, c.line, c.seq, c.kind, c.sent_at, lines.object, lines.label, j.at, j.result, j.payload)
        .join(plan_lines, and_(lines.plan_id == c.plan_id, lines.line == c.line))
        .outerjoin(journal, outcome)
        .where(c.plan_id == plan_id, c.kind.in_((_MOVE, *_ENDS)))
    )
    return connection.execute(query.order_by(c.line, j.at, c.seq)).all()


def _of_line(rows: Sequence[Any]) -> Unreachable | None:
    moves = [row for row in rows if row.kind == _MOVE and row.result not in (None, "not_done")]
    wanted = {row.seq for row in rows if row.kind in _ENDS}
    ended = {row.seq: row.at for row in rows if row.kind in _ENDS and row.result == "verified"}
    if not wanted or not any(row.result == "verified" for row in moves):
        return None
    first = moves[0]
    was_answered = first.result in ("applied", "verified") and (first.payload or {}).get("message") in ("", _NOT_YET)
    return Unreachable(
        user_id=first.object.removeprefix("user:"),
        label=first.label,
        plan_id=first.plan_id,
        since=first.at if was_answered or first.sent_at is None else first.sent_at,
        until=max(ended.values()) if len(ended) == len(wanted) else None,
    )
