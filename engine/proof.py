"""The proof that the journal is as it was written: every digest is computed anew, from the rows as they are stored.

Reading only. A cut at the very end shows only against heads that were exported (`engine/audit_heads.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, select

from datasets.tables.journal import erasures, journal_manifests, journal_streams
from engine import journal_rows
from engine.audit_heads import missing
from engine.digests import GENESIS, EffectText, entry_digest, payload_digest
from engine.journal import manifest_fields
from engine.journal_rows import EffectRow, EntryRow, moment_text

_SHOWN_FAULTS = 50
Heads = dict[str, tuple[str, int]]


@dataclass
class Proof:
    """What a verification found: how much was checked, each fault in words, and the last link of the chain."""

    entries: int = 0
    streams: int = 0
    manifests: int = 0
    unsealed: int = 0
    erased: int = 0
    heads: int = 0
    head: str = GENESIS
    faults: list[str] = field(default_factory=list)

    def add(self, fault: str) -> None:
        """Note a fault; only the first fifty are kept."""
        if len(self.faults) < _SHOWN_FAULTS:
            self.faults.append(fault)


def verify(connection: Connection, exported: list[dict[str, Any]] | None = None) -> Proof:
    """Recompute every digest of every stream and of the chain of manifests, and compare with exported heads."""
    proof = Proof()
    heads = _verify_streams(connection, proof)
    _verify_manifests(connection, proof, heads)
    proof.heads = len(exported or [])
    for fault in missing(connection, exported or []):
        proof.add(fault)
    return proof


def _verify_streams(connection: Connection, proof: Proof) -> Heads:
    heads, stored = _beginnings(connection, proof)
    _Walk(connection, proof, heads).through()
    for stream_id, found in heads.items():
        if found != stored.get(stream_id):
            written = stored.get(stream_id, ("", 0))[1]
            proof.add(f"stream {stream_id}: ends at entry {found[1]}, but {written} were written")
    return heads


def _beginnings(connection: Connection, proof: Proof) -> tuple[Heads, Heads]:
    heads: Heads = {}
    stored: Heads = {}
    for row in connection.execute(select(journal_streams)):
        heads[row.id] = (entry_digest(GENESIS, [row.id, row.plan_id, row.chunk, row.epoch]), 0)
        stored[row.id] = (row.head, row.entries)
        proof.streams += 1
        proof.unsealed += row.manifest_id is None
    return heads, stored


class _Walk:
    """One pass over entries and effects side by side."""

    def __init__(self, connection: Connection, proof: Proof, heads: Heads) -> None:
        self._entries, self._effects = journal_rows.entries(connection), journal_rows.effects(connection)
        self._next: EffectRow | None = None
        self._proof, self._heads = proof, heads
        until = connection.execute(select(func.max(erasures.c.until))).scalar()
        self._erased_until = "" if until is None else moment_text(until)

    def through(self) -> None:
        """Check every entry with its effects."""
        self._next = next(self._effects, None)
        stream, digest, seq = "", GENESIS, 0
        for entry in self._entries:
            if entry[0] != stream:
                if stream:
                    self._heads[stream] = digest, seq
                stream = entry[0]
                digest, seq = self._heads.get(stream, (GENESIS, 0))
            self._proof.entries += 1
            self._check(entry, digest, seq)
            digest, seq = entry[13], entry[1]
        if stream:
            self._heads[stream] = digest, seq
        while self._next is not None:
            self._stray(self._next)

    def _check(self, row: EntryRow, digest: str, seq: int) -> None:
        stream_id, number, at, *said, payload, salt, stated, previous, own = row
        if number != seq + 1 or previous != digest:
            self._broken(row, digest, seq)
        effects = self._effects_of(stream_id, number, at) if self._next is not None else ()
        if payload is None:
            self._erased(row, bool(effects))
        elif payload_digest(salt, payload, effects) != stated:
            self._proof.add(f"{_name(row)}: its payload or its effects were altered")
        if entry_digest(previous, (at, stream_id, number, *said, stated)) != own:
            self._proof.add(f"{_name(row)}: was altered")

    def _broken(self, row: EntryRow, digest: str, seq: int) -> None:
        if row[1] != seq + 1:
            self._proof.add(f"{_name(row)}: entry {seq + 1} is missing")
        if row[12] != digest:
            self._proof.add(f"{_name(row)}: does not continue the entry before it")

    def _erased(self, row: EntryRow, has_effects: bool) -> None:
        self._proof.erased += 1
        if row[2] > self._erased_until:
            self._proof.add(f"{_name(row)}: its payload is gone, and no erasure on record covers it")
        if has_effects or row[10]:
            self._proof.add(f"{_name(row)}: was altered after it was erased")

    def _effects_of(self, stream_id: str, number: int, at: str) -> list[EffectText]:
        found: list[EffectText] = []
        while self._next is not None and (self._next[0], self._next[1]) <= (stream_id, number):
            row = self._next
            if row[0] != stream_id or row[1] != number:
                self._stray(row)
                continue
            if row[4] != at:
                self._proof.add(f"stream {stream_id} entry {number}: the moment of an effect was altered")
            found.append((row[2], row[3], row[5], row[6]))
            self._next = next(self._effects, None)
        return found

    def _stray(self, row: EffectRow) -> None:
        self._proof.add(f"stream {row[0]} entry {row[1]}: has an effect on {row[3]} but is not there")
        self._next = next(self._effects, None)


def _name(row: EntryRow) -> str:
    return f"stream {row[0]} entry {row[1]}"


def _verify_manifests(connection: Connection, proof: Proof, heads: Heads) -> None:
    sealed: set[str] = set()
    noted: set[str] = set()
    for row in connection.execute(select(journal_manifests).order_by(journal_manifests.c.id)):
        proof.manifests += 1
        if row.previous != proof.head:
            proof.add(f"manifest {row.id}: does not continue the manifest before it")
        if entry_digest(row.previous, manifest_fields(row.request_id, row.at, row.streams, row.note)) != row.digest:
            proof.add(f"manifest {row.id}: was altered")
        for stream_id, head, entries in row.streams:
            sealed.add(stream_id)
            if heads.get(stream_id) != (head, entries):
                proof.add(f"manifest {row.id}: stream {stream_id} is not as it was sealed")
        noted.add(row.note)
        proof.head = row.digest
    marked = select(journal_streams.c.id).where(journal_streams.c.manifest_id.is_not(None))
    for stream_id in set(connection.execute(marked).scalars()) - sealed:
        proof.add(f"stream {stream_id}: its manifest is missing")
    for fault in _unnoted(connection, noted):
        proof.add(fault)


def erasure_note(erasure_id: str, until: str) -> str:
    """Give the note by which the chain remembers an erasure."""
    return f"erasure {erasure_id}: payloads up to {until}"


def _unnoted(connection: Connection, noted: set[str]) -> Iterator[str]:
    for row in connection.execute(select(erasures)):
        if erasure_note(row.id, moment_text(row.until)) not in noted:
            yield f"erasure {row.id}: is not in the chain as it stands there"
