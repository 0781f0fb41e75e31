"""How long nobody could call the users of a wave, from our record: from the move until the number was seen in Teams.

Where the reply to a move was lost, the time counts from the moment it was sent: longer than it was, never shorter.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, select

from datasets.preflight import Unreachable
from datasets.tables.journal import journal
from engine import plan_store
from engine.history import Done, done_in
from engine.plan_store import StoredChange, StoredLine

_NOT_YET = "accepted, not visible yet"
_BEGINS, _ENDS = ("move_to_teams",), ("assign_number", "await_voice")


def unreachable(connection: Connection, plan_ids: Iterable[str]) -> list[Unreachable]:
    """List who of these plans could not be called, since when and until when; only users who shall have a number."""
    return [found for plan_id in plan_ids for found in _of_plan(connection, plan_id)]


def _of_plan(connection: Connection, plan_id: str) -> list[Unreachable]:
    done: dict[int, dict[str, Done]] = {}
    for each in done_in(connection, [plan_id]):
        done.setdefault(each.line, {})[each.kind] = each
    lines = plan_store.load_lines(connection, plan_id)
    return [found for line in lines if (found := _of_line(connection, line, done.get(line.line, {}))) is not None]


def _of_line(connection: Connection, line: StoredLine, done: dict[str, Done]) -> Unreachable | None:
    move = next((change for change in line.changes if change.change.kind in _BEGINS), None)
    ends = [change.change.kind for change in line.changes if change.change.kind in _ENDS]
    moved = done.get("move_to_teams")
    if move is None or moved is None or not ends:
        return None
    return Unreachable(
        user_id=line.object.removeprefix("user:"),
        label=line.label,
        plan_id=line.plan_id,
        since=_since(connection, line, move),
        until=max(done[kind].at for kind in ends) if all(kind in done for kind in ends) else None,
    )


def _since(connection: Connection, line: StoredLine, move: StoredChange) -> datetime:
    """Give when the server accepted the move; when that got lost, when it was sent."""
    c = journal.c
    query = select(c.at, c.result, c.payload).where(
        c.plan_id == line.plan_id, c.line == line.line, c.change == move.seq, c.phase == "outcome"
    )
    first = next((row for row in connection.execute(query.order_by(c.at)) if row.result != "not_done"), None)
    assert first is not None
    was_answered = first.result in ("applied", "verified") and (first.payload or {}).get("message") in ("", _NOT_YET)
    return first.at if was_answered or move.sent_at is None else move.sent_at
