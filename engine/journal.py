"""The write-ahead journal: the intent is committed before a remote write, the outcome after it.

One stream per chunk lease, so each stream has a single writer; its entries are chained by digest. Closed streams
enter a manifest, manifests chain globally. The chain covers a salted digest of each payload and its effects.
"""

from __future__ import annotations

import secrets
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from operator import attrgetter, itemgetter
from typing import Literal

from orjson import OPT_SORT_KEYS, dumps
from pydantic import JsonValue
from sqlalchemy import Connection, insert, select, text, update

from connectors.database import Database
from datasets.tables.journal import journal_manifests, journal_streams
from datasets.tables.plans import plans
from engine import journal_rows
from engine.change import Effect
from engine.digests import GENESIS, entry_digest
from engine.journal_rows import EffectValues, EntryValues, moment_text
from engine.leases import LeaseLost

_SALT = 32  # characters of a salt
_KEY = itemgetter(0, 1)
_MANIFESTS_LOCK = 4_711_002
Phase = Literal["intent", "outcome"]
Result = Literal["", "applied", "verified", "already", "not_done", "unknown", "failed", "refused", "approved"]


@dataclass(frozen=True)
class Entry:
    """What is appended: which change of which line, the phase, its result and a payload."""

    at: datetime
    line: int
    change: int
    target: str
    phase: Phase
    result: Result
    payload: JsonValue
    effects: tuple[Effect, ...] = ()


class Stream:
    """One chain of entries, written under one chunk lease."""

    def __init__(self, stream_id: str, plan_id: str, head: str, entries: int) -> None:
        self.id, self.plan_id = stream_id, plan_id
        self._head, self._entries = head, entries
        self._lock = threading.Lock()

    @property
    def position(self) -> tuple[str, int]:
        """Give the digest of the last entry, and how many there are."""
        return self._head, self._entries

    @contextmanager
    def transaction(self, database: Database) -> Iterator[Appender]:
        """Open a write transaction that may append; the chain moves on only if it commits."""
        with self._lock:
            with database.write() as connection:
                appender = Appender(connection, self, self._head, self._entries)
                yield appender
                appender.finish()
            self._head, self._entries = appender.head, appender.entries


class Appender:
    """Collects entries within one transaction; `connection` is for what must commit together with them."""

    def __init__(self, connection: Connection, stream: Stream, head: str, entries: int) -> None:
        self.connection, self._stream = connection, stream
        self.head, self.entries = head, entries
        self._before = entries
        self._pending: list[Entry] = []
        self.append = self._pending.append  # adds an entry at the end; rows are made when the transaction ends

    def finish(self) -> None:
        """Write the rows and move the stream's head; raises LeaseLost when somebody else appended to this stream."""
        made = _Links(self._stream, self.head, self.entries)
        made.add(self._pending)
        self.head, self.entries = made.head, made.seq
        self._move_head()
        journal_rows.insert_entries(self.connection, made.rows)
        journal_rows.insert_effects(self.connection, made.effects)

    def _move_head(self) -> None:
        stream = {"entries": self.entries, "head": self.head, "id": self._stream.id, "before": self._before}
        if not self.connection.execute(_MOVE_HEAD, stream).rowcount:
            raise LeaseLost(f"journal stream {self._stream.id} has another writer ; this process stops")


_MOVE_HEAD = text(
    "UPDATE journal_streams SET entries = :entries, head = :head"
    " WHERE id = :id AND entries = :before AND closed_at IS NULL"
)


class _Links:
    """Makes the rows of entries that continue a chain.

    A batch of thousands passes here: tuples, and one encoding for each thing that is hashed.
    """

    def __init__(self, stream: Stream, head: str, seq: int) -> None:
        self._id, self._plan_id = stream.id, stream.plan_id
        self.head, self.seq = head, seq
        self.rows: list[EntryValues] = []
        self.effects: list[EffectValues] = []

    def add(self, entries: list[Entry]) -> None:
        """Make the rows of these entries, in order."""
        stream, plan, head, seq = self._id, self._plan_id, self.head, self.seq
        at_before, at, add = None, "", self.rows.append
        salts = secrets.token_hex(_SALT // 2 * len(entries))  # drawn at once: asking for each costs more than hashing
        for number, e in enumerate(entries):
            if e.at is not at_before:
                at_before, at = e.at, moment_text(e.at)
            seq += 1
            salt = salts[_SALT * number : _SALT * (number + 1)]
            payload = dumps(e.payload, option=OPT_SORT_KEYS).decode()
            hashed = (salt + payload).encode()
            if e.effects:
                hashed += self._add_effects(e.effects, seq, at)
            inner = sha256(hashed).hexdigest()
            line, change, target, phase, result = _SAID(e)
            chained = dumps((at, stream, seq, plan, line, change, target, phase, result, inner))
            previous, head = head, sha256(head.encode() + chained).hexdigest()
            # fmt: off
            add((stream, seq, at, plan, line, change, target, phase, result, payload, salt, inner, previous, head))
            # fmt: on
        self.head, self.seq = head, seq

    def _add_effects(self, effects: Iterable[Effect], seq: int, at: str) -> bytes:
        """Keep the effects as rows and give the text of them that is hashed."""
        values = [*map(_EFFECT, effects)]
        if len(values) > 1:
            values.sort(key=_KEY)
        stream, rows = self._id, self.effects
        for obj, name, before, after in values:
            was = "null" if before is None else dumps(before, option=OPT_SORT_KEYS).decode()
            became = "null" if after is None else dumps(after, option=OPT_SORT_KEYS).decode()
            rows.append((stream, seq, obj, name, at, was, became))
        return dumps(values, option=OPT_SORT_KEYS)


_SAID = attrgetter("line", "change", "target", "phase", "result")
_EFFECT = attrgetter("object", "attribute", "before", "after")


def open_stream(connection: Connection, plan_id: str, chunk: str, *, epoch: int, holder: str, now: datetime) -> Stream:
    """Begin a stream for a chunk lease; its first link is the digest of its own description."""
    stream_id = uuid.uuid4().hex
    head = entry_digest(GENESIS, [stream_id, plan_id, chunk, epoch])
    row = {"id": stream_id, "plan_id": plan_id, "chunk": chunk, "epoch": epoch, "holder": holder, "opened_at": now}
    connection.execute(insert(journal_streams).values(**row, entries=0, head=head))
    return Stream(stream_id, plan_id, head, 0)


def close_stream(connection: Connection, stream: Stream, now: datetime) -> None:
    """Mark a stream as complete."""
    connection.execute(update(journal_streams).where(journal_streams.c.id == stream.id).values(closed_at=now))


def append_closed(connection: Connection, plan_id: str, chunk: str, entries: Iterable[Entry], now: datetime) -> None:
    """Write a stream of entries that belong to the caller's transaction: what was decided, without a remote write."""
    stream = open_stream(connection, plan_id, chunk, epoch=0, holder=uuid.uuid4().hex, now=now)
    appender = Appender(connection, stream, *stream.position)
    for entry in entries:
        appender.append(entry)
    appender.finish()
    close_stream(connection, stream, now)


def write_manifest(connection: Connection, request_id: str, plan_ids: Iterable[str], now: datetime) -> int | None:
    """Chain the plans' finished streams into the global chain of manifests; None when there is nothing new.

    A stream whose writer died is closed here once its plan is settled: nobody has business in it any more.
    """
    plan_ids = list(plan_ids)
    settled = select(plans.c.id).where(plans.c.id.in_(plan_ids), plans.c.state == "settled")
    orphans = journal_streams.c.plan_id.in_(settled) & journal_streams.c.closed_at.is_(None)
    connection.execute(update(journal_streams).where(orphans).values(closed_at=now))
    query = select(journal_streams.c.id, journal_streams.c.head, journal_streams.c.entries).where(
        journal_streams.c.plan_id.in_(plan_ids),
        journal_streams.c.manifest_id.is_(None),
        journal_streams.c.closed_at.is_not(None),
    )
    streams: list[JsonValue] = [[row.id, row.head, row.entries] for row in connection.execute(query.order_by("id"))]
    if not streams:
        return None
    return append_manifest(connection, request_id, streams, now=now)


def append_manifest(
    connection: Connection, request_id: str, streams: list[JsonValue], *, now: datetime, note: str = ""
) -> int:
    """Add a link to the global chain: finished streams, or a note of what happened to the journal itself."""
    _alone(connection)
    last = connection.execute(select(journal_manifests.c.digest).order_by(journal_manifests.c.id.desc()).limit(1))
    previous = last.scalar_one_or_none() or GENESIS
    digest = entry_digest(previous, manifest_fields(request_id, now, streams, note))
    added = connection.execute(
        insert(journal_manifests)
        .values(request_id=request_id, at=now, streams=streams, previous=previous, digest=digest, note=note)
        .returning(journal_manifests.c.id)
    ).scalar_one()
    ids = [row[0] for row in streams if isinstance(row, list)]
    connection.execute(update(journal_streams).where(journal_streams.c.id.in_(ids)).values(manifest_id=added))
    return int(added)


def _alone(connection: Connection) -> None:
    """Keep other writers away until the end of the transaction: two links must not continue the same one."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MANIFESTS_LOCK})


def manifest_fields(request_id: str, at: datetime, streams: list[JsonValue], note: str) -> list[JsonValue]:
    """List what the digest of a manifest covers."""
    return [request_id, moment_text(at), streams, note]
