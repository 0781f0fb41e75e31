"""Retention: personal data is erased at its date, and the record stays provable.

Payloads and effects of journal entries go, the salt with them, and so do the plans, feed rows, batch rows and
quarantined rows of that time, and who had which number; who has one still is kept. Who did what kind of thing to which
object id, when and with what result stays. The erasure itself is a link of the chain, written before anything is
erased; each slice is a short transaction and may be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Delete,
    Select,
    Update,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    null,
    select,
    tuple_,
    update,
)

from connectors.database import Database
from datasets.tables.batches import batch_plans, batch_users, batches
from datasets.tables.events import events
from datasets.tables.feeds import feed_rows, feeds, quarantine
from datasets.tables.journal import erasures, journal, journal_effects
from datasets.tables.lifecycle import departures, known_people
from datasets.tables.number_history import number_history
from datasets.tables.plans import plan_changes, plan_lines, plans
from engine.claims import person as person_owner
from engine.departures import OPEN
from engine.journal import append_manifest
from engine.journal_rows import moment_text
from engine.plan import OPEN_LINES
from engine.proof import erasure_note
from engine.requests import new_id

_SLICE = 500
Keys = Sequence[tuple[object, ...]]
ERASED = "erased"


def due(connection: Connection, until: datetime) -> dict[str, int]:
    """Count what an erasure up to a moment would take."""
    return {name: connection.execute(_count(query)).scalar_one() for name, query in _queries(until).items()}


def erase(database: Database, until: datetime, *, request_id: str, reason: str, now: datetime) -> dict[str, int]:
    """Erase personal data of entries, plans and feed rows up to a moment; gives how much of each.

    Plans with open lines and the latest accepted feed of each name are left: they are still needed.
    """
    with database.read() as connection:
        found = due(connection, until)
    if not any(found.values()):
        return found
    with database.write() as connection:
        _record(connection, until, request_id=request_id, reason=reason, now=now)
    for name, query in _queries(until).items():
        last: tuple[object, ...] = ()
        while last_now := _slice(database, query, _ACTS[name], last):
            last = last_now
    return found


def _record(connection: Connection, until: datetime, *, request_id: str, reason: str, now: datetime) -> None:
    erasure_id = new_id("e")
    note = erasure_note(erasure_id, moment_text(until))
    manifest = append_manifest(connection, request_id, [], now=now, note=note)
    row = {"id": erasure_id, "until": until, "at": now, "request_id": request_id, "reason": reason}
    connection.execute(erasures.insert().values(**row, manifest_id=manifest))


def _slice(
    database: Database, query: Select[Any], act: Callable[[Connection, Keys], None], after: tuple[object, ...]
) -> tuple[object, ...]:
    """Do what is due next after a key, in the order of the keys; gives the last key, nothing when all is done."""
    with database.write() as connection:
        keys = [tuple(row) for row in connection.execute(_beyond(query, after).limit(_SLICE))]
        if keys:
            act(connection, keys)
    return keys[-1] if keys else ()


def _beyond(query: Select[Any], after: tuple[object, ...]) -> Select[Any]:
    """Look only beyond a key: starting anew for each slice would pass everything again that is done already."""
    key = list(query.selected_columns)
    if after:
        query = query.where(tuple_(*key) > tuple_(*map(literal, after)) if len(key) > 1 else key[0] > after[0])
    return query.order_by(*key)


def _each(connection: Connection, statement: Update | Delete, key: Sequence[ColumnElement[Any]], keys: Keys) -> None:
    """Change rows one by one by their whole key: an index finds each, where SQLite scans for a list of pairs."""
    names = [f"key_{place}" for place in range(len(key))]
    here = and_(*(column == bindparam(name) for column, name in zip(key, names, strict=True)))
    connection.execute(statement.where(here), [dict(zip(names, values, strict=True)) for values in keys])


def _count(query: Select[Any]) -> Select[Any]:
    return select(func.count()).select_from(query.subquery())


def _queries(until: datetime) -> dict[str, Select[Any]]:
    """Give the keys of what is due, in the order in which it must go."""
    settled = select(plans.c.id).where(plans.c.created_at <= until, plans.c.id.not_in(_open_plans()))
    old_feeds = select(feeds.c.id).where(feeds.c.at <= until, feeds.c.id.not_in(_latest_feeds()))
    lines = plan_lines.c.plan_id.in_(settled) & (plan_lines.c.label != ERASED)
    changes = plan_changes.c.plan_id.in_(settled) & (plan_changes.c.reason != ERASED)
    rows = feed_rows.c.feed_id.in_(old_feeds) & (feed_rows.c.outcome != ERASED)
    return {
        "effects": select(journal_effects.c.stream_id, journal_effects.c.seq)
        .where(journal_effects.c.at <= until)
        .distinct(),
        "entries": select(journal.c.stream_id, journal.c.seq).where(journal.c.at <= until, journal.c.salt != ""),
        "plan changes": select(plan_changes.c.plan_id, plan_changes.c.line, plan_changes.c.seq).where(changes),
        "plan lines": select(plan_lines.c.plan_id, plan_lines.c.line).where(lines),
        "feed rows": select(feed_rows.c.feed_id, feed_rows.c.line).where(rows),
        "quarantined rows": select(quarantine.c.id).where(quarantine.c.feed_id.in_(old_feeds)),
        "events": select(events.c.id).where(events.c.settled_at <= until, _has_people()),
        "known people": select(known_people.c.employee_id).where(known_people.c.at <= until, ~_is_leaving()),
        "departures": select(departures.c.id).where(departures.c.closed_at <= until, departures.c.label != ERASED),
        "batch rows": select(batch_users.c.batch_id, batch_users.c.row).where(_old_batch(until)),
        "number history": select(number_history.c.id).where(number_history.c.at <= until, _tells_of_somebody()),
    }


def _old_batch(until: datetime) -> ColumnElement[bool]:
    """Match rows of batches of that time of which nothing is open any more."""
    open_batches = select(batch_plans.c.batch_id).where(batch_plans.c.plan_id.in_(_open_plans()))
    old = select(batches.c.id).where(batches.c.created_at <= until, batches.c.id.not_in(open_batches))
    return batch_users.c.batch_id.in_(old) & (batch_users.c.label != ERASED)


def _has_people() -> ColumnElement[bool]:
    """Match events that were refused or failed and whose people are kept, so that they can be tried again."""
    return events.c.state.in_(("refused", "failed")) & (events.c.rows != JSON.NULL)


def _is_leaving() -> ColumnElement[bool]:
    """Match people whose departure is open: its steps are taken by what HR said last, be it years ago."""
    leaving = select(departures.c.subject).where(departures.c.state == OPEN)
    return (literal(person_owner("")) + known_people.c.employee_id).in_(leaving)


def _open_plans() -> Select[Any]:
    return select(plan_lines.c.plan_id).where(plan_lines.c.state.in_(OPEN_LINES))


def _latest_feeds() -> Select[Any]:
    latest = select(feeds.c.name, func.max(feeds.c.at)).where(feeds.c.accepted).group_by(feeds.c.name)
    return select(feeds.c.id).where(tuple_(feeds.c.name, feeds.c.at).in_(latest))


def _tells_of_somebody() -> ColumnElement[bool]:
    """Match rows that name somebody who had a number, or why."""
    c = number_history.c
    return c.owner_before.not_in(("", ERASED)) | (~_is_present() & (c.owner.not_in(("", ERASED)) | (c.reason != "")))


def _is_present() -> ColumnElement[bool]:
    """Match the newest row of a number that somebody has: it is no history yet."""
    c, later = number_history.c, number_history.alias()
    same = and_(later.c.space == c.space, later.c.width == c.width, later.c.n == c.n, later.c.id > c.id)
    return ~exists().where(same).correlate(number_history) & c.state.not_in(("free", "outside"))


def _erase_effects(connection: Connection, keys: Keys) -> None:
    c = journal_effects.c
    _each(connection, delete(journal_effects), (c.stream_id, c.seq), keys)


def _erase_entries(connection: Connection, keys: Keys) -> None:
    c = journal.c
    _each(connection, update(journal).values(payload=null(), salt=""), (c.stream_id, c.seq), keys)


def _erase_changes(connection: Connection, keys: Keys) -> None:
    c = plan_changes.c
    emptied = update(plan_changes).values(parameters={}, effects=[], reason=ERASED)
    _each(connection, emptied, (c.plan_id, c.line, c.seq), keys)


def _erase_lines(connection: Connection, keys: Keys) -> None:
    c = plan_lines.c
    _each(connection, update(plan_lines).values(label=ERASED, source={}, reason=""), (c.plan_id, c.line), keys)


def _erase_feed_rows(connection: Connection, keys: Keys) -> None:
    c = feed_rows.c
    emptied = update(feed_rows).values(person=null(), employee_id=None, outcome=ERASED, reason="")
    _each(connection, emptied, (c.feed_id, c.line), keys)


def _erase_batch_rows(connection: Connection, keys: Keys) -> None:
    c, values = batch_users.c, {"given": ERASED, "label": ERASED, "remark": ""}
    _each(connection, update(batch_users).values(values), (c.batch_id, c.row), keys)
    whole = batches.c.id.in_({str(key[0]) for key in keys})
    connection.execute(update(batches).where(whole).values(source={"kind": ERASED, "text": ""}))


def _erase_quarantine(connection: Connection, keys: Keys) -> None:
    connection.execute(delete(quarantine).where(quarantine.c.id.in_([key[0] for key in keys])))


def _erase_events(connection: Connection, keys: Keys) -> None:
    connection.execute(update(events).where(events.c.id.in_([key[0] for key in keys])).values(rows=None))


def _forget_people(connection: Connection, keys: Keys) -> None:
    """Forget people of whom HR has said nothing for so long; whoever is in a feed was heard of last night."""
    connection.execute(delete(known_people).where(known_people.c.employee_id.in_([key[0] for key in keys])))


def _erase_departures(connection: Connection, keys: Keys) -> None:
    chosen = departures.c.id.in_([key[0] for key in keys])
    connection.execute(update(departures).where(chosen).values(subject=ERASED, label=ERASED))


def _erase_history(connection: Connection, keys: Keys) -> None:
    c, stays = number_history.c, _is_present()
    owner = case((stays | (c.owner == ""), c.owner), else_=ERASED)
    before = case((c.owner_before == "", ""), else_=ERASED)
    values = {"owner": owner, "owner_before": before, "reason": case((stays, c.reason), else_="")}
    connection.execute(update(number_history).where(c.id.in_([key[0] for key in keys])).values(values))


_ACTS = {
    "effects": _erase_effects,
    "entries": _erase_entries,
    "plan changes": _erase_changes,
    "plan lines": _erase_lines,
    "feed rows": _erase_feed_rows,
    "quarantined rows": _erase_quarantine,
    "events": _erase_events,
    "known people": _forget_people,
    "departures": _erase_departures,
    "batch rows": _erase_batch_rows,
    "number history": _erase_history,
}
