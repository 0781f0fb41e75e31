"""The journal read as an audit: who changed what, when, before and after, and the proof that nobody altered it since.

Reading only. A cut at the very end of the chain of manifests shows only against a note kept outside: `Proof.head` is
there for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select
from sqlalchemy.engine import Row

from datasets.tables.journal import journal, journal_effects, journal_manifests, journal_streams
from datasets.tables.plans import plan_changes, plan_lines, plans
from datasets.tables.requests import requests
from engine.journal import GENESIS, chained_fields, entry_digest, payload_digest

_PAGE = 1000
_SHOWN_FAULTS = 50


@dataclass(frozen=True)
class AuditFilter:
    """What to read: a user by object id, UPN or part of the name; a run by request, plan or flow run id."""

    user: str = ""
    run: str = ""
    since: datetime | None = None
    limit: int = 100


@dataclass
class Proof:
    """What a verification found: how much was checked, each fault in words, and the last link of the chain."""

    entries: int = 0
    streams: int = 0
    manifests: int = 0
    unsealed: int = 0
    erased: int = 0
    head: str = GENESIS
    faults: list[str] = field(default_factory=list)

    def add(self, fault: str) -> None:
        """Note a fault; only the first fifty are kept."""
        if len(self.faults) < _SHOWN_FAULTS:
            self.faults.append(fault)


def log(connection: Connection, wanted: AuditFilter) -> list[dict[str, Any]]:
    """List journal entries, newest first, with the actor, the run and the values before and after."""
    rows = connection.execute(_log_query(connection, wanted)).all()
    effects = _effects_of(connection, rows)
    return [_entry(row, effects.get((row.stream_id, row.seq))) for row in rows]


def _log_query(connection: Connection, wanted: AuditFilter) -> Select[Any]:
    j, c = journal.c, plan_changes.c
    query = (
        select(journal, plan_lines.c.label, c.kind, c.effects, c.reason, plans.c.request_id)
        .add_columns(requests.c.actor_kind, requests.c.actor_name, requests.c.actor_verified, requests.c.flow_run_id)
        .outerjoin(plan_lines, and_(plan_lines.c.plan_id == j.plan_id, plan_lines.c.line == j.line))
        .outerjoin(plan_changes, and_(c.plan_id == j.plan_id, c.line == j.line, c.seq == j.change))
        .outerjoin(plans, plans.c.id == j.plan_id)
        .outerjoin(requests, requests.c.id == plans.c.request_id)
        .where(*_conditions(connection, wanted))
    )
    return query.order_by(j.at.desc(), j.stream_id, j.seq.desc()).limit(wanted.limit)


def _conditions(connection: Connection, wanted: AuditFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.user:
        yield plan_lines.c.object.in_(_objects_of(connection, wanted.user))
    if wanted.run:
        yield or_(plans.c.id == wanted.run, requests.c.id == wanted.run, requests.c.flow_run_id == wanted.run)
    if wanted.since is not None:
        yield journal.c.at >= wanted.since


def _objects_of(connection: Connection, user: str) -> list[str]:
    # By object id, so that a renamed person keeps their history; a name only finds the ids.
    objects, labels = plan_lines.c.object, func.lower(plan_lines.c.label)
    named = or_(objects.in_([user, f"user:{user}"]), labels.contains(user.lower(), autoescape=True))
    return list(connection.execute(select(objects).where(named).distinct()).scalars())


def _effects_of(connection: Connection, rows: Any) -> dict[tuple[str, int], list[Row[Any]]]:
    streams = {row.stream_id for row in rows}
    found: dict[tuple[str, int], list[Row[Any]]] = {}
    for effect in connection.execute(select(journal_effects).where(journal_effects.c.stream_id.in_(streams))):
        found.setdefault((effect.stream_id, effect.seq), []).append(effect)
    return found


def _entry(row: Row[Any], effects: list[Row[Any]] | None) -> dict[str, Any]:
    names = ("at", "request_id", "plan_id", "line", "change", "kind", "label", "target", "phase", "result", "reason")
    values = {name: getattr(row, name) for name in names}
    values["actor"] = {"kind": row.actor_kind, "name": row.actor_name, "verified": row.actor_verified}
    values["flow_run_id"] = row.flow_run_id
    if effects is None:
        values["effects"] = row.effects or []
    else:
        wanted = ("object", "attribute", "before", "after")
        values["effects"] = [{name: getattr(effect, name) for name in wanted} for effect in effects]
    return values


def verify(connection: Connection) -> Proof:
    """Recompute every digest of every stream and of the chain of manifests."""
    proof = Proof()
    heads = _verify_streams(connection, proof)
    _verify_manifests(connection, proof, heads)
    return proof


def _verify_streams(connection: Connection, proof: Proof) -> dict[str, tuple[str, int]]:
    heads: dict[str, tuple[str, int]] = {}
    stored: dict[str, tuple[str, int]] = {}
    for row in connection.execute(select(journal_streams)):
        heads[row.id] = (entry_digest(GENESIS, [row.id, row.plan_id, row.chunk, row.epoch]), 0)
        stored[row.id] = (row.head, row.entries)
        proof.streams += 1
        proof.unsealed += row.manifest_id is None
    query = select(journal).order_by(journal.c.stream_id, journal.c.seq).execution_options(yield_per=_PAGE)
    for row in connection.execute(query):
        heads[row.stream_id] = _verify_entry(row, heads.get(row.stream_id, (GENESIS, 0)), proof)
    for stream_id, found in heads.items():
        if found != stored.get(stream_id):
            proof.add(
                f"stream {stream_id}: ends at entry {found[1]}, but {stored.get(stream_id, ('', 0))[1]} were written"
            )
    return heads


def _verify_entry(row: Row[Any], head: tuple[str, int], proof: Proof) -> tuple[str, int]:
    where = f"stream {row.stream_id} entry {row.seq}"
    proof.entries += 1
    if row.seq != head[1] + 1:
        proof.add(f"{where}: entry {head[1] + 1} is missing")
    if row.previous != head[0]:
        proof.add(f"{where}: does not continue the entry before it")
    if row.payload is None:
        proof.erased += row.payload_digest != payload_digest(row.salt, None)
    elif payload_digest(row.salt, row.payload) != row.payload_digest:
        proof.add(f"{where}: its payload was altered")
    if entry_digest(row.previous, chained_fields(row._asdict())) != row.digest:
        proof.add(f"{where}: was altered")
    return row.digest, row.seq


def _verify_manifests(connection: Connection, proof: Proof, heads: dict[str, tuple[str, int]]) -> None:
    sealed: set[str] = set()
    for row in connection.execute(select(journal_manifests).order_by(journal_manifests.c.id)):
        proof.manifests += 1
        if row.previous != proof.head:
            proof.add(f"manifest {row.id}: does not continue the manifest before it")
        if entry_digest(row.previous, [row.request_id, row.at.isoformat(), row.streams]) != row.digest:
            proof.add(f"manifest {row.id}: was altered")
        for stream_id, head, entries in row.streams:
            sealed.add(stream_id)
            if heads.get(stream_id) != (head, entries):
                proof.add(f"manifest {row.id}: stream {stream_id} is not as it was sealed")
        proof.head = row.digest
    marked = select(journal_streams.c.id).where(journal_streams.c.manifest_id.is_not(None))
    for stream_id in set(connection.execute(marked).scalars()) - sealed:
        proof.add(f"stream {stream_id}: its manifest is missing")


def request_of(connection: Connection, run: str) -> dict[str, Any] | None:
    """Read the request of a run, by its own id or by the Prefect flow run's; None when there is none yet."""
    query = select(requests).where(or_(requests.c.id == run, requests.c.flow_run_id == run))
    row = connection.execute(query.order_by(requests.c.created_at).limit(1)).one_or_none()
    return None if row is None else dict(row._mapping)
