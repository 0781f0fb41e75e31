"""What we verifiably changed last of each value of some objects, and for which line: the journal's word.

With it a feed's plan tells joiners from those who had everything and are given something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, and_, select

from datasets.tables.journal import journal, journal_effects
from datasets.tables.plans import plan_lines
from engine.change import Effect
from engine.life import Trace
from engine.plan import Line, LineState

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


def with_movers(connection: Connection, lines: Sequence[Line]) -> list[Line]:
    """Call those moved who were onboarded before and are given something other than they were given last.

    So it is when a template or a pool says something else under its old name. What somebody took away outside of
    Callwright and is given again is no move.
    """
    joining = [line for line in lines if line.success == "onboarded" and line.changes]
    done = _onboarded(connection, [line.object for line in joining])
    again = [line for line in joining if line.object in done]
    traces = last_changes(connection, (each.object for line in again for each in _effects(line)))
    moved = {line.object for line in again if _gives_another(line, traces)}
    return [line.model_copy(update={"success": "moved"}) if line.object in moved else line for line in lines]


def _onboarded(connection: Connection, objects: Sequence[str]) -> set[str]:
    """Name those for whom a line of a feed was verified whole."""
    c, found = plan_lines.c, set[str]()
    for start in range(0, len(objects), _SLICE):
        part = c.object.in_(objects[start : start + _SLICE])
        rows = connection.execute(select(c.object, c.source).where(part, c.state == LineState.VERIFIED))
        found |= {row.object for row in rows if "feed_id" in row.source}
    return found


def _effects(line: Line) -> list[Effect]:
    return [effect for change in line.changes for effect in change.effects]


def _gives_another(line: Line, traces: Mapping[tuple[str, str], Trace]) -> bool:
    pairs = ((effect, traces.get(effect.key_pair)) for effect in _effects(line))
    return any(trace is None or trace.after != effect.after for effect, trace in pairs)
