"""The write-ahead journal: the intent is committed before a remote write, the outcome after it.

One stream per chunk lease, so each stream has a single writer; its entries are chained by digest. Closed streams
enter a manifest, manifests chain globally. The chain covers a salted digest of each payload.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import JsonValue
from sqlalchemy import Connection, insert, select, update

from connectors.database import Database
from datasets.tables.journal import journal, journal_effects, journal_manifests, journal_streams
from datasets.tables.plans import plans
from engine.change import Effect, canonical
from engine.leases import LeaseLost

GENESIS = "0" * 64
Phase = Literal["intent", "outcome"]
Result = Literal["", "applied", "verified", "already", "not_done", "unknown", "failed", "refused"]


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


def payload_digest(salt: str, payload: JsonValue) -> str:
    """Give the salted digest of a payload; with the payload erased, the digest still proves the chain."""
    return hashlib.sha256(salt.encode() + canonical(payload)).hexdigest()


def entry_digest(previous: str, fields: Iterable[JsonValue]) -> str:
    """Give the digest of an entry from its predecessor's digest and its fields."""
    return hashlib.sha256(previous.encode() + canonical(list(fields))).hexdigest()


class Stream:
    """One chain of entries, written under one chunk lease."""

    def __init__(self, stream_id: str, plan_id: str, head: str, entries: int) -> None:
        self.id, self.plan_id = stream_id, plan_id
        self._head, self._entries = head, entries
        self._lock = threading.Lock()

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
    """Appends entries within one transaction; `connection` is for what must commit together with them."""

    def __init__(self, connection: Connection, stream: Stream, head: str, entries: int) -> None:
        self.connection, self._stream = connection, stream
        self.head, self.entries = head, entries
        self._before = entries

    def append(self, entry: Entry) -> None:
        """Add an entry at the end of the stream."""
        salt = secrets.token_hex(16)
        digest_of_payload = payload_digest(salt, entry.payload)
        row = {
            "stream_id": self._stream.id,
            "seq": self.entries + 1,
            "at": entry.at,
            "plan_id": self._stream.plan_id,
            "line": entry.line,
            "change": entry.change,
            "target": entry.target,
            "phase": entry.phase,
            "result": entry.result,
            "payload": entry.payload,
            "salt": salt,
            "payload_digest": digest_of_payload,
            "previous": self.head,
        }
        row["digest"] = entry_digest(self.head, chained_fields(row))
        self.connection.execute(insert(journal).values(row))
        self.head, self.entries = str(row["digest"]), self.entries + 1
        self._add_effects(entry)

    def _add_effects(self, entry: Entry) -> None:
        rows = [
            {
                "stream_id": self._stream.id,
                "seq": self.entries,
                "object": effect.object,
                "attribute": effect.attribute,
                "at": entry.at,
                "before": effect.before,
                "after": effect.after,
            }
            for effect in entry.effects
        ]
        if rows:
            self.connection.execute(insert(journal_effects), rows)

    def finish(self) -> None:
        """Move the stream's head; raises LeaseLost when somebody else appended to this stream."""
        moved = self.connection.execute(
            update(journal_streams)
            .where(
                journal_streams.c.id == self._stream.id,
                journal_streams.c.entries == self._before,
                journal_streams.c.closed_at.is_(None),
            )
            .values(entries=self.entries, head=self.head)
        ).rowcount
        if not moved:
            raise LeaseLost(f"journal stream {self._stream.id} has another writer ; this process stops")


def chained_fields(row: dict[str, object]) -> list[JsonValue]:
    """List the fields of an entry that its digest covers, in their fixed order."""
    at = row["at"]
    assert isinstance(at, datetime)
    names = ("stream_id", "seq", "plan_id", "line", "change", "target", "phase", "result", "payload_digest")
    return [at.isoformat(), *(row[name] for name in names)]  # type: ignore[list-item] # texts and integers


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
    return _append_manifest(connection, request_id, streams, now)


def _append_manifest(connection: Connection, request_id: str, streams: list[JsonValue], now: datetime) -> int:
    last = connection.execute(select(journal_manifests.c.digest).order_by(journal_manifests.c.id.desc()).limit(1))
    previous = last.scalar_one_or_none() or GENESIS
    digest = entry_digest(previous, [request_id, now.isoformat(), streams])
    added = connection.execute(
        insert(journal_manifests)
        .values(request_id=request_id, at=now, streams=streams, previous=previous, digest=digest, note="")
        .returning(journal_manifests.c.id)
    ).scalar_one()
    ids = [row[0] for row in streams if isinstance(row, list)]
    connection.execute(update(journal_streams).where(journal_streams.c.id.in_(ids)).values(manifest_id=added))
    return int(added)
