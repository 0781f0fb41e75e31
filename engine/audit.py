"""The journal read as an audit: who changed what, when, why, before and after, and whether it can be taken back.

Reading only. Applied, refused and failed lines are told alike; that nobody altered them is proved by `engine/proof.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select, tuple_
from sqlalchemy.engine import Row

from datasets.tables.journal import journal, journal_effects
from datasets.tables.plans import plan_changes, plan_lines, plans
from datasets.tables.requests import requests
from engine.kinds import system_of, why_irreversible

_SLICE = 500


@dataclass(frozen=True)
class AuditFilter:
    """What to read: a user by object id, UPN or part of the name; a number; a run by request, plan or flow run id."""

    user: str = ""
    number: str = ""
    run: str = ""
    since: datetime | None = None
    limit: int = 100


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
        lines = select(plan_lines.c.plan_id, plan_lines.c.line)
        theirs = lines.where(plan_lines.c.object.in_(_objects_of(connection, wanted.user)))
        yield tuple_(journal.c.plan_id, journal.c.line).in_(theirs)
    if wanted.number:
        yield tuple_(journal.c.stream_id, journal.c.seq).in_(_effects_on(f"number:{wanted.number}"))
    if wanted.run:
        run = wanted.run
        # The first also finds approvals of a batch, which are no plan's.
        yield or_(journal.c.plan_id == run, requests.c.id == run, requests.c.flow_run_id == run)
    if wanted.since is not None:
        yield journal.c.at >= wanted.since


def _objects_of(connection: Connection, user: str) -> list[str]:
    # By object id, so that a renamed person keeps their history; a name only finds the ids.
    # An id is answered from an index; only a name has to be looked for in every label.
    objects, labels = plan_lines.c.object, func.lower(plan_lines.c.label)
    for named in (objects.in_([user, f"user:{user}"]), labels.contains(user.lower(), autoescape=True)):
        found = list(connection.execute(select(objects).where(named).distinct()).scalars())
        if found:
            return found
    return []


def _effects_on(obj: str) -> Select[Any]:
    return select(journal_effects.c.stream_id, journal_effects.c.seq).where(journal_effects.c.object == obj)


def _effects_of(connection: Connection, rows: Any) -> dict[tuple[str, int], list[Row[Any]]]:
    keys = [(row.stream_id, row.seq) for row in rows]
    wanted, seen = set(keys), set[tuple[str, int, str, str]]()
    found: dict[tuple[str, int], list[Row[Any]]] = {}
    c = journal_effects.c
    for start in range(0, len(keys), _SLICE):
        part = keys[start : start + _SLICE]
        # Two lists, not one of pairs: SQLite finds pairs by reading the whole table.
        here = c.stream_id.in_({key[0] for key in part}) & c.seq.in_({key[1] for key in part})
        for effect in connection.execute(select(journal_effects).where(here).order_by(c.object, c.attribute)):
            key = (effect.stream_id, effect.seq, effect.object, effect.attribute)
            if key[:2] in wanted and key not in seen:
                seen.add(key)
                found.setdefault((effect.stream_id, effect.seq), []).append(effect)
    return found


def _entry(row: Row[Any], effects: list[Row[Any]] | None) -> dict[str, Any]:
    names = ("at", "request_id", "plan_id", "line", "change", "kind", "label", "target", "phase", "result", "reason")
    values = {name: getattr(row, name) for name in names}
    payload = row.payload if isinstance(row.payload, dict) else {}
    values["message"] = payload.get("message", "")
    values["system"] = system_of(row.kind) if row.kind else ""
    values["irreversible"] = why_irreversible(row.kind) if row.kind else ""
    values["actor"] = {"kind": row.actor_kind, "name": row.actor_name, "verified": row.actor_verified}
    values["flow_run_id"] = row.flow_run_id
    if effects is None:
        values["effects"] = row.effects or []
    else:
        wanted = ("object", "attribute", "before", "after")
        values["effects"] = [{name: getattr(effect, name) for name in wanted} for effect in effects]
    return values


def request_of(connection: Connection, run: str) -> dict[str, Any] | None:
    """Read the request of a run, by its own id or by the Prefect flow run's; None when there is none yet."""
    query = select(requests).where(or_(requests.c.id == run, requests.c.flow_run_id == run))
    row = connection.execute(query.order_by(requests.c.created_at).limit(1)).one_or_none()
    return None if row is None else dict(row._mapping)


def request_of_run(connection: Connection, run: str) -> dict[str, Any] | None:
    """Read the request of a run, also by the id of one of its plans."""
    plan = select(plans.c.request_id).where(plans.c.id == run)
    request_id = connection.execute(plan).scalar_one_or_none()
    return request_of(connection, request_id or run)
