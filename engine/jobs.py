"""Bulk jobs: the requests of bulk edits with their plans, to be watched, cancelled or cleared away. SQL only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, update

from config.errors import InputRefused
from datasets.tables.plans import plans
from datasets.tables.requests import requests
from engine import plan_store

KIND = "bulk-edit"
DELETED = "deleted"


class Job(NamedTuple):
    """One bulk job: what was asked by whom, its plan, how that stands, and how many of its lines stand how."""

    id: str
    at: datetime
    by: str
    asked: str
    state: str
    plan_id: str
    users: int
    counts: dict[str, int]


def latest(connection: Connection, limit: int) -> Sequence[Job]:
    """List jobs, newest first; those that were deleted are left out."""
    query = _query().order_by(requests.c.created_at.desc()).limit(limit)
    return [_job(connection, row) for row in connection.execute(query)]


def load(connection: Connection, job_id: str) -> Job:
    """Give one job, by its request or its plan. Raises InputRefused."""
    query = _query().where((requests.c.id == job_id) | (plans.c.id == job_id))
    row = connection.execute(query).first()
    if row is None:
        raise InputRefused(f"there is no job {job_id}", remedy="./callwright jobs list shows them")
    return _job(connection, row)


def hide(connection: Connection, job_id: str) -> None:
    """Take a job off the list; request, plan and journal stay."""
    connection.execute(update(requests).where(requests.c.id == job_id).values(state=DELETED))


def _query() -> Any:
    columns = (requests.c.id, requests.c.created_at, requests.c.actor_name, requests.c.parameters, requests.c.state)
    joined = requests.outerjoin(plans, plans.c.request_id == requests.c.id)
    named = (plans.c.id.label("plan_id"), plans.c.state.label("plan_state"))
    return select(*columns, *named).select_from(joined).where(requests.c.kind == KIND, requests.c.state != DELETED)


def _job(connection: Connection, row: Any) -> Job:
    counts = dict(plan_store.counts(connection, row.plan_id)) if row.plan_id else {}
    asked = row.parameters or {}
    what = ", ".join(asked.get("set", [])) or asked.get("file") or "a sheet"
    state = row.plan_state or row.state
    return Job(row.id, row.created_at, row.actor_name, what, state, row.plan_id or "", sum(counts.values()), counts)
