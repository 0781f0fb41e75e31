"""Events that came over HTTP: a row before the sender hears anything, the same key the same event. SQL only.

Every function takes a connection whose transaction the caller owns, and the moment it is.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from pydantic import JsonValue
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.engine import Row

from config.errors import InputRefused
from datasets.tables.events import events
from engine.feeds import outcome_counts
from engine.requests import new_id

Door = Literal["events", "scim", "workflow"]
MOST_ATTEMPTS = 3
MOST_CALLBACKS = 20
REST = timedelta(seconds=60)
_OPEN_OUTCOMES = ("pending", "waiting", "unknown")
_BAD_OUTCOMES = ("failed", "refused", "quarantined")


class Arrival(NamedTuple):
    """What came in: through which door, from whom, what they call it, its digest, and the people in it."""

    door: Door
    sender: str
    is_verified: bool
    key: str
    digest: str
    rows: Sequence[Mapping[str, str]]
    answer: Mapping[str, JsonValue]
    callback: str = ""


class KeyReused(InputRefused):
    """Refuse an event: its key came before with another content."""


def receive(connection: Connection, arrival: Arrival, now: datetime) -> tuple[str, dict[str, Any], bool]:
    """Store an event; gives its id, the answer, and whether it is new. Raises KeyReused.

    The same key with the same content is the same event and gets the same answer.
    """
    if connection.dialect.name == "postgresql":  # two arrivals with one key would both find it new
        connection.execute(text("LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE"))
    known = known_answer(connection, arrival)
    if known is not None:
        return known.id, dict(known.answer), False
    event_id = new_id("e")
    answer = {**arrival.answer, "event": event_id}
    kept = {name: getattr(arrival, name) for name in ("door", "sender", "is_verified", "key", "digest", "callback")}
    fresh = {"state": "received", "attempts": 0, "message": "", "run_id": "", "received_at": now}
    callbacks = {"callback_state": "due" if arrival.callback else "none", "callback_attempts": 0}
    rows = [dict(row) for row in arrival.rows]
    connection.execute(insert(events).values(id=event_id, rows=rows, answer=answer, **kept, **fresh, **callbacks))
    return event_id, answer, True


def known_answer(connection: Connection, arrival: Arrival) -> Row[Any] | None:
    """Give the event that came with this key before. Raises KeyReused when it said something else."""
    same = (events.c.door == arrival.door) & (events.c.sender == arrival.sender) & (events.c.key == arrival.key)
    known = connection.execute(select(events).where(same)).one_or_none()
    if known is not None and not hmac.compare_digest(known.digest, arrival.digest):
        raise KeyReused(f"key {arrival.key} came before with another content", remedy="send it under a new key")
    return known


def load(connection: Connection, event_id: str) -> Row[Any]:
    """Give an event; raises InputRefused for an id that nobody knows."""
    row = connection.execute(select(events).where(events.c.id == event_id)).one_or_none()
    if row is None:
        raise InputRefused(f"no event {event_id}", remedy="./callwright events list shows what came in")
    return row


def latest(connection: Connection, limit: int) -> Sequence[Row[Any]]:
    """List events, newest first."""
    return connection.execute(select(events).order_by(events.c.received_at.desc()).limit(limit)).all()


def unfinished(connection: Connection) -> Sequence[Row[Any]]:
    """List the events that were not carried out yet, oldest first."""
    query = select(events).where(events.c.state.in_(["received", "started"]))
    return connection.execute(query.order_by(events.c.received_at)).all()


def may_start(event: Row[Any], now: datetime) -> bool:
    """Tell whether no run is under way for an event; one that was tried rests for a while."""
    return event.state == "received" and (event.settled_at is None or event.settled_at <= now - REST)


def running(connection: Connection) -> Sequence[Row[Any]]:
    """List the events whose run was started and has not ended."""
    return connection.execute(select(events).where(events.c.state == "started")).all()


def started(connection: Connection, event_id: str, run_id: str) -> None:
    """Note that a run was started for an event; one that has ended stays so."""
    here = (events.c.id == event_id) & (events.c.state == "received")
    values = {"state": "started", "run_id": run_id, "attempts": events.c.attempts + 1}
    connection.execute(update(events).where(here).values(values))


def try_again(connection: Connection, event_id: str, message: str, now: datetime, *, is_outage: bool) -> None:
    """Let an event be tried again later: while a system is out for as long as it is, after a crash a few times."""
    row = load(connection, event_id)
    if is_outage or row.attempts < MOST_ATTEMPTS:
        values = {"state": "received", "message": message, "settled_at": now}
        connection.execute(update(events).where(events.c.id == event_id).values(values))
    else:
        settle(connection, event_id, "failed", message, now)


def settle(connection: Connection, event_id: str, state: str, message: str, now: datetime) -> None:
    """Note how an event's run ended; once it took effect the people in it are forgotten here, the feed has them."""
    values = {"state": state, "message": message, "settled_at": now} | ({"rows": None} if state == "finished" else {})
    connection.execute(update(events).where(events.c.id == event_id).values(values))


def retry(connection: Connection, event_id: str, now: datetime) -> str:
    """Let a refused or failed event come in again, as of the moment it came first; gives the new event's id.

    Whoever still waits for word hears of the new one. Raises InputRefused for an event that is not of these, or whose
    people are erased.
    """
    here = events.c.id == event_id
    connection.execute(select(events.c.id).where(here).with_for_update())  # two of these would both find it refused
    row = load(connection, event_id)
    if row.state not in ("refused", "failed"):
        raise InputRefused(f"event {event_id} is {row.state}", remedy="only a refused or failed event is tried again")
    if row.rows is None:
        raise InputRefused(f"the people in event {event_id} are erased", remedy="let the sender send a new one")
    new, is_due = new_id("e"), row.callback_state == "due"
    values = {**row._mapping, "id": new, "key": f"{row.key[:250]} (again {new})", "state": "received", "message": ""}
    values |= {"attempts": 0, "run_id": "", "settled_at": None, "callback_attempts": 0}
    connection.execute(insert(events).values(values | {"callback_state": "due" if is_due else "none"}))
    past = {"state": "retried", "message": f"{row.message} ; {new} takes its place", "settled_at": now, "rows": None}
    connection.execute(update(events).where(here).values(past | ({"callback_state": "none"} if is_due else {})))
    return new


def feed_of(event_id: str) -> str:
    """Give the id of the feed that an event becomes."""
    return f"f-{event_id.removeprefix('e-')}"


def due_callbacks(connection: Connection, now: datetime) -> list[tuple[str, str, str]]:
    """Give the events whose sender waits for word and for whom all is settled: id, address and status."""
    rested = (events.c.callback_attempts == 0) | (events.c.settled_at <= now - REST)
    done = events.c.state.in_(["finished", "refused", "failed"]) & rested
    rows = connection.execute(select(events).where((events.c.callback_state == "due") & done)).all()
    judged = ((row, _status(connection, row)) for row in rows)
    return [(row.id, row.callback, status) for row, status in judged if status]


def called_back(connection: Connection, event_id: str, state: str, message: str, now: datetime) -> None:
    """Note whether the sender was told; what is still due is tried again, but not for ever."""
    row = load(connection, event_id)
    attempts = row.callback_attempts + 1
    ends = "failed" if state == "due" and attempts >= MOST_CALLBACKS else state
    values = {"callback_state": ends, "callback_attempts": attempts, "message": message or row.message}
    connection.execute(update(events).where(events.c.id == event_id).values(settled_at=now, **values))


def _status(connection: Connection, row: Row[Any]) -> str:
    """Give what the sender shall hear: Completed, Failed, or nothing yet while something waits."""
    if row.state != "finished":
        return "Failed"
    counts = outcome_counts(connection, feed_of(row.id))
    if any(counts[each] for each in _OPEN_OUTCOMES):
        return ""
    return "Failed" if any(counts[each] for each in _BAD_OUTCOMES) else "Completed"
