"""What we verifiably changed last of each value of some objects, and for which line: the journal's word. SQL only."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, and_, select

from datasets.tables.journal import journal, journal_effects
from datasets.tables.plans import plan_lines
from engine.life import Trace

_SLICE = 200


def last_changes(connection: Connection, objects: Iterable[str]) -> dict[tuple[str, str], Trace]:
    """Give the last verified change of every value of these objects; what was already so is none of ours."""
    names, found = list(dict.fromkeys(objects)), dict[tuple[str, str], Trace]()
    e, j = journal_effects.c, journal.c
    query = (
        select(e.object, e.attribute, e.before, e.after, j.at, plan_lines.c.source)
        .join(journal, and_(j.stream_id == e.stream_id, j.seq == e.seq))
        .join(plan_lines, and_(plan_lines.c.plan_id == j.plan_id, plan_lines.c.line == j.line))
        .where(j.result == "verified")
    )
    for start in range(0, len(names), _SLICE):
        part = query.where(e.object.in_(names[start : start + _SLICE]))
        for row in connection.execute(part.order_by(j.at, e.stream_id, e.seq)):
            found[row.object, row.attribute] = Trace(row.before, row.after, row.at, row.source or {})
    return found
