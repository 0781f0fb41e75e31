"""The checklist of each user of a batch, from its plans: what was checked, what was done, how it ended. SQL only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, or_, select

from datasets.checklists import CHECKS, STEPS, checked, stepped
from datasets.tables.batches import batch_users
from datasets.tables.plans import plan_changes, plan_lines
from engine.batches import Standing, standings

FIRST = ("user", "wave")
LAST = ("end", "why")
COLUMNS = (*FIRST, *CHECKS, *STEPS, *LAST)
_SLICE = 500


def of_batch(
    connection: Connection, batch_id: str, *, limit: int | None = None, user: str = ""
) -> list[dict[str, str]]:
    """Give the checklists of the users of a batch, in the order of its rows; `user` is a name, an id or a part of it.

    What was not planned yet has no marks: a preflight tells of it.
    """
    people = standings(connection, batch_id, limit=None if user else limit)
    if user:
        wanted = _rows_of(connection, batch_id, user)
        people = [each for each in people if each.row in wanted][:limit]
    return [
        row for start in range(0, len(people), _SLICE) for row in _some(connection, batch_id, people[start:][:_SLICE])
    ]


def _rows_of(connection: Connection, batch_id: str, user: str) -> set[int]:
    c = batch_users.c
    named = or_(c.user_id == user, c.label.icontains(user, autoescape=True), c.given.icontains(user, autoescape=True))
    return set(connection.execute(select(c.row).where(c.batch_id == batch_id, named)).scalars())


def _some(connection: Connection, batch_id: str, people: Sequence[Standing]) -> Iterator[dict[str, str]]:
    lines = _lines(connection, batch_id, [each.row for each in people])
    changes = _changes(connection, [(line.plan_id, line.line) for line in lines.values()])
    for each in people:
        marks = dict.fromkeys((*CHECKS, *STEPS), "")
        line = lines.get(each.row)
        if line is not None:
            marks = _checked(line) | stepped(changes.get((line.plan_id, line.line), []))
        wave = "" if each.wave is None else str(each.wave)
        yield {"user": each.user, "wave": wave, **marks, "end": each.state.replace("_", " "), "why": each.reason}


def _lines(connection: Connection, batch_id: str, rows: Sequence[int]) -> dict[int, Any]:
    """Give the line of each row that was planned."""
    c, lines = batch_users.c, plan_lines.c
    joined = batch_users.join(plan_lines, (lines.plan_id == c.plan_id) & (lines.object == "user:" + c.user_id))
    query = select(c.row, lines.plan_id, lines.line, lines.source, lines.state).select_from(joined)
    return {found.row: found for found in connection.execute(query.where(c.batch_id == batch_id, c.row.in_(rows)))}


def _changes(connection: Connection, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], list[tuple[str, str]]]:
    c = plan_changes.c
    found: dict[tuple[str, int], list[tuple[str, str]]] = {}
    for plan_id in sorted({key[0] for key in keys}):
        numbers = [line for plan, line in keys if plan == plan_id]
        query = select(c.line, c.kind, c.state).where(c.plan_id == plan_id, c.line.in_(numbers)).order_by(c.line, c.seq)
        for line, kind, state in connection.execute(query):
            found.setdefault((plan_id, line), []).append((kind, state))
    return found


def _checked(line: Any) -> dict[str, str]:
    source = line.source
    blocking = source.get("blocked_by", source.get("checks", []) if line.state == "refused" else [])
    warning = [name for name in source.get("checks", []) if name not in blocking]
    return checked(blocking, warning, is_on_premises=source.get("home", "onPremises") == "onPremises")
