"""Keep feeds: every row and what became of it, rows in quarantine, events that were seen. SQL only.

Every function takes a connection whose transaction the caller owns, and the moment it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Literal, NamedTuple, TypedDict, TypeVar, Unpack

from pydantic import JsonValue
from sqlalchemy import Connection, bindparam, func, insert, null, select, text, update
from sqlalchemy.engine import Row

from config.errors import InputRefused
from connectors.upserts import insert_into
from datasets.checks import QualityReport, Rule
from datasets.feeds import BadRow, Outcome, QuarantineState
from datasets.people import Person
from datasets.tables.feeds import feed_events, feed_rows, feeds, quarantine
from datasets.tables.requests import requests
from engine.change import fingerprint

SLICE = 1000
LONGEST_ID = 200
# Follows the name of a feed whose rows were read again from quarantine.
AGAIN = " (again)"
# After these the same event is tried again: nothing came of it.
WITHOUT_EFFECT = frozenset({Outcome.PENDING, Outcome.QUARANTINED, Outcome.REFUSED, Outcome.FAILED})
_OF_DRY_RUNS = WITHOUT_EFFECT | {"planned", Outcome.UNCHANGED, Outcome.WAITING}

T = TypeVar("T")


class FeedHead(TypedDict):
    """What identifies a feed: its file's digest, the mapping's name and kind, and the request it came with."""

    feed_id: str
    name: str
    digest: str
    kind: Literal["snapshot", "events"]
    request_id: str
    now: datetime


class SettledRow(NamedTuple):
    """A row about which all is said."""

    line: int
    outcome: Outcome
    reason: str


def record_feed(
    connection: Connection, *, people: Iterable[tuple[int, Person]], bad: Iterable[BadRow], **head: Unpack[FeedHead]
) -> int:
    """Store a feed with every row, in the caller's transaction; returns how many rows it has.

    `bad` is read after `people`, so both may come from one pass over the file; a bad row replaces the person on its
    line. A feed that is known by its id is left as it is.
    """
    feed_id = head["feed_id"]
    known = connection.execute(select(feeds.c.rows).where(feeds.c.id == feed_id)).scalar_one_or_none()
    if known is not None:
        return int(known)
    names = {"id": feed_id, "at": head["now"], "rows": 0, "accepted": False}
    kept = {name: head[name] for name in ("name", "digest", "kind", "request_id")}
    connection.execute(insert(feeds).values(names | kept))
    for part in _slices(people):
        connection.execute(insert(feed_rows), [_row_of(feed_id, line, person) for line, person in part])
    _quarantine(connection, head, bad)
    rows = connection.execute(select(func.count()).where(feed_rows.c.feed_id == feed_id)).scalar_one()
    connection.execute(update(feeds).where(feeds.c.id == feed_id).values(rows=rows))
    return rows


def people_of(connection: Connection, feed_id: str) -> list[tuple[int, Person]]:
    """Give everybody the feed may act for, with lines: not the quarantined, nor events that `check_events` settled."""
    settled = [Outcome.QUARANTINED]
    if load(connection, feed_id).kind == "events":
        settled += [Outcome.REFUSED, Outcome.UNCHANGED]
    query = select(feed_rows.c.line, feed_rows.c.person).where(
        (feed_rows.c.feed_id == feed_id) & feed_rows.c.outcome.not_in(settled)
    )
    rows = connection.execute(query.order_by(feed_rows.c.line))
    return [(row.line, Person.model_validate(row.person)) for row in rows]


def load(connection: Connection, feed_id: str) -> Row[Any]:
    """Give the feed's own row; raises InputRefused for an id that nobody knows."""
    row = connection.execute(select(feeds).where(feeds.c.id == feed_id)).one_or_none()
    if row is None:
        raise InputRefused(f"no feed {feed_id}", remedy="run the feed again")
    return row


def set_outcomes(connection: Connection, feed_id: str, outcomes: Iterable[tuple[int, str, str]]) -> None:
    """Record what became of rows: line, outcome, reason."""
    statement = (
        update(feed_rows)
        .where((feed_rows.c.feed_id == feed_id) & (feed_rows.c.line == bindparam("of_line")))
        .values(outcome=bindparam("new_outcome"), reason=bindparam("new_reason"))
    )
    for part in _slices(outcomes):
        values = [{"of_line": line, "new_outcome": outcome, "new_reason": reason} for line, outcome, reason in part]
        connection.execute(statement, values)


def outcome_counts(connection: Connection, feed_id: str) -> Counter[str]:
    """Count the rows of a feed by outcome; the counts add up to its rows."""
    of_feed = feed_rows.c.feed_id == feed_id
    query = select(feed_rows.c.outcome, func.count()).where(of_feed).group_by(feed_rows.c.outcome)
    return Counter({row[0]: row[1] for row in connection.execute(query)})


def rows_with(connection: Connection, feed_id: str, outcomes: Collection[str], limit: int) -> Sequence[Row[Any]]:
    """List rows of a feed with one of these outcomes, in the order of the file."""
    query = select(feed_rows).where((feed_rows.c.feed_id == feed_id) & feed_rows.c.outcome.in_(list(outcomes)))
    return connection.execute(query.order_by(feed_rows.c.line).limit(limit)).all()


def keep_quality(connection: Connection, feed_id: str, report: QualityReport, rules: Sequence[Rule]) -> None:
    """Keep what the suite said of a feed, and which rules it asked; a pack of evidence shows it."""
    asked: list[JsonValue] = [rule.model_dump(mode="json") for rule in rules]
    said = report.model_dump(mode="json") | {"rules": asked}
    connection.execute(update(feeds).where(feeds.c.id == feed_id).values(quality=said))


def accept(connection: Connection, feed_id: str) -> None:
    """Believe a feed: the next one is compared with it, and a snapshot's rows replace what older ones left open.

    Rows that were read again are no snapshot of everybody, so they replace nothing.
    """
    feed = load(connection, feed_id)
    connection.execute(update(feeds).where(feeds.c.id == feed_id).values(accepted=True))
    if feed.kind == "snapshot" and not feed.name.endswith(AGAIN):
        names = [feed.name, f"{feed.name}{AGAIN}"]
        older = select(feeds.c.id).where(feeds.c.name.in_(names) & (feeds.c.at < feed.at))
        left = (quarantine.c.state == QuarantineState.OPEN) & quarantine.c.feed_id.in_(older)
        connection.execute(update(quarantine).where(left).values(state=QuarantineState.SUPERSEDED, at=feed.at))


def reject(connection: Connection, feed_id: str) -> None:
    """Take back that a feed is believed: the next one is compared with the one before it."""
    connection.execute(update(feeds).where(feeds.c.id == feed_id).values(accepted=False))


def previous_feed(connection: Connection, name: str) -> Row[Any] | None:
    """Give the last accepted feed of that name."""
    query = select(feeds).where((feeds.c.name == name) & feeds.c.accepted)
    return connection.execute(query.order_by(feeds.c.at.desc(), feeds.c.id.desc()).limit(1)).one_or_none()


def list_quarantine(connection: Connection, state: str = QuarantineState.OPEN, limit: int = 100) -> Sequence[Row[Any]]:
    """List quarantined rows, oldest first; `at` is since when they are in their state."""
    query = select(quarantine).where(quarantine.c.state == state)
    return connection.execute(query.order_by(quarantine.c.id).limit(limit)).all()


def origins(connection: Connection, ids: Iterable[int]) -> list[tuple[str, Mapping[str, Any]]]:
    """Give kind and parameters of the requests with which quarantined rows came."""
    query = select(requests.c.kind, requests.c.parameters).join(feeds, feeds.c.request_id == requests.c.id)
    query = query.join(quarantine, quarantine.c.feed_id == feeds.c.id)
    found = (connection.execute(query.where(quarantine.c.id.in_(part))).all() for part in _slices(ids))
    return [(row.kind, row.parameters or {}) for rows in found for row in rows]


def retry_quarantine(connection: Connection, ids: Collection[int], now: datetime) -> Sequence[Row[Any]]:
    """Mark open rows as retried and give them with their raw cells. Raises InputRefused, changing nothing."""
    wanted = sorted(set(ids))
    rows = [row for part in _slices(wanted) for row in _locked(connection, part)]
    states = {row.id: row.state for row in rows}
    for row_id in wanted:
        if states.get(row_id) != QuarantineState.OPEN:
            what = f"is already {states[row_id]}" if row_id in states else "is not in quarantine"
            raise InputRefused(f"row {row_id} {what}", remedy="see ./callwright quarantine list")
    for part in _slices(wanted):
        chosen = update(quarantine).where(quarantine.c.id.in_(part))
        connection.execute(chosen.values(state=QuarantineState.RETRIED, at=now))
    return rows


def check_events(connection: Connection, feed_id: str, events: Iterable[tuple[int, Person]]) -> list[SettledRow]:
    """Let every event take effect once: settle, record and give the rows that must not.

    An id that says something else than before is refused; one that had its effect is unchanged. Rows without an event
    id are left alone.
    """
    if connection.dialect.name == "postgresql":  # two feeds with one event would both find it new
        connection.execute(text("LOCK TABLE feed_events IN SHARE ROW EXCLUSIVE MODE"))
    said: dict[str, list[tuple[int, str]]] = {}
    for line, person in events:
        if person.event_id:
            said.setdefault(person.event_id, []).append((line, _payload(person)))
    known = _known_events(connection, said)
    settled = [row for event, lines in said.items() for row in _judged(event, lines, known.get(_key(event)), feed_id)]
    set_outcomes(connection, feed_id, settled)
    done = {row.line for row in settled}
    _remember(connection, feed_id, [(event, lines[0]) for event, lines in said.items() if lines[0][0] not in done])
    return settled


def _row_of(feed_id: str, line: int, person: Person) -> dict[str, Any]:
    values = person.model_dump(mode="json", exclude_defaults=True)
    row = {"feed_id": feed_id, "line": line, "employee_id": person.employee_id[:LONGEST_ID], "person": values}
    return row | {"outcome": Outcome.PENDING, "reason": ""}


def _quarantine(connection: Connection, head: FeedHead, bad: Iterable[BadRow]) -> None:
    replace = _upsert(connection, feed_rows, ("employee_id", "outcome", "reason"), person=null())
    for part in _slices(_one_per_line(bad)):
        connection.execute(replace, [_bad_row_of(head["feed_id"], row) for row in part])
        connection.execute(insert(quarantine), [_quarantined(head, row) for row in part])


def _one_per_line(bad: Iterable[BadRow]) -> Iterator[BadRow]:
    """Join what is said about one row."""
    rows: dict[int, BadRow] = {}
    for row in bad:
        first = rows.get(row.line)
        rows[row.line] = row if first is None else first._replace(reason=f"{first.reason}; {row.reason}")
    return iter(rows.values())


def _bad_row_of(feed_id: str, row: BadRow) -> dict[str, Any]:
    employee_id = _storable(row.employee_id or "")[:LONGEST_ID] or None
    reason = _storable(f"{row.column}: {row.reason}" if row.column else row.reason)
    values = {"feed_id": feed_id, "line": row.line, "employee_id": employee_id}
    return values | {"outcome": Outcome.QUARANTINED, "reason": reason}


def _quarantined(head: FeedHead, row: BadRow) -> dict[str, Any]:
    return {
        "feed_id": head["feed_id"],
        "feed_name": head["name"],
        "line": row.line,
        "column": _storable(row.column),
        "reason": _storable(row.reason),
        "row": {_storable(column): _storable(cell) for column, cell in row.raw.items()},
        "state": QuarantineState.OPEN,
        "at": head["now"],
    }


def _storable(value: str) -> str:
    """Replace what PostgreSQL stores in no text: NUL and halves of surrogate pairs."""
    return value.replace("\0", "\ufffd").encode(errors="replace").decode()


def _locked(connection: Connection, ids: Sequence[int]) -> Sequence[Row[Any]]:
    query = select(quarantine).where(quarantine.c.id.in_(ids)).order_by(quarantine.c.id)
    return connection.execute(query.with_for_update()).all()


def _payload(person: Person) -> str:
    return fingerprint(person.model_dump(mode="json", exclude_defaults=True))


def _key(event: str) -> str:
    return event if len(event) <= LONGEST_ID else fingerprint(event)


def _known_events(connection: Connection, events: Iterable[str]) -> dict[str, Row[Any]]:
    """Give where these events came before; an event of a dry run did not, until its plan was applied."""
    here = (feed_rows.c.feed_id == feed_events.c.feed_id) & (feed_rows.c.line == feed_events.c.line)
    query = select(feed_events, feed_rows.c.outcome, requests.c.parameters).join(feed_rows, here)
    query = query.join(feeds, feeds.c.id == feed_events.c.feed_id).join(requests, requests.c.id == feeds.c.request_id)
    found: dict[str, Row[Any]] = {}
    for part in _slices(_key(event) for event in events):
        rows = connection.execute(query.where(feed_events.c.event_id.in_(part)))
        found.update((row.event_id, row) for row in rows if row.outcome not in _OF_DRY_RUNS or not is_dry(row))
    return found


def is_dry(row: Row[Any]) -> bool:
    """Tell whether a row with the parameters of a request is that of a dry run."""
    return bool((row.parameters or {}).get("dry_run"))


def _judged(event: str, lines: list[tuple[int, str]], seen: Row[Any] | None, feed_id: str) -> list[SettledRow]:
    first, payload = lines[0]
    if any(other != payload for _, other in lines):
        numbers = ", ".join(str(line) for line, _ in lines)
        reason = f"event {event[:LONGEST_ID]} says different things on lines {numbers} ; correct it at its source"
        return [SettledRow(line, Outcome.REFUSED, reason) for line, _ in lines]
    if seen is not None and (seen.feed_id, seen.line) != (feed_id, first):
        place = f"in feed {seen.feed_id}, line {seen.line}"
        if seen.digest != payload:
            reason = f"event {event[:LONGEST_ID]} said something else {place} ; send a correction as a new event"
            return [SettledRow(line, Outcome.REFUSED, reason) for line, _ in lines]
        if seen.outcome not in WITHOUT_EFFECT:
            return [SettledRow(line, Outcome.UNCHANGED, f"this event was handled {place}") for line, _ in lines]
    return [SettledRow(line, Outcome.UNCHANGED, f"the same event as line {first}") for line, _ in lines[1:]]


def _remember(connection: Connection, feed_id: str, events: Iterable[tuple[str, tuple[int, str]]]) -> None:
    at = load(connection, feed_id).at
    replace = _upsert(connection, feed_events, ("digest", "feed_id", "line", "at"))
    for part in _slices(events):
        values = [
            {"event_id": _key(event), "digest": payload, "feed_id": feed_id, "line": line, "at": at}
            for event, (line, payload) in part
        ]
        connection.execute(replace, values)


def _upsert(connection: Connection, table: Any, columns: Sequence[str], **fixed: Any) -> Any:
    inserting = insert_into(connection, table)
    values = {name: inserting.excluded[name] for name in columns} | fixed
    return inserting.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)


def _slices(values: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(values)
    while part := list(islice(rest, SLICE)):
        yield part
