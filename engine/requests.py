"""Requests as rows: the first act of every run, its state and its summary, and the alerts it raises. SQL only."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import JsonValue
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.engine import Row

from datasets.record import Record
from datasets.tables.requests import alerts, requests

ActorKind = Literal["person", "os_user", "hr_feed", "prefect-ui", "schedule"]


NOTED = ("alert", "warnings", "reach", "chosen_as_of", "begin_to_leave")


class Actor(Record):
    """Who asked: kind, name, and whether somebody verified it."""

    kind: ActorKind
    name: str
    verified: bool = False


def new_id(prefix: str) -> str:
    """Give a fresh id such as `r-1f2e…`; the prefix tells people what it names."""
    return f"{prefix}-{uuid.uuid4().hex[:20]}"


def open_request(
    connection: Connection,
    kind: str,
    actor: Actor,
    *,
    parameters: Mapping[str, JsonValue],
    flow_run_id: str | None,
    now: datetime,
) -> str:
    """Write the request row and give its id. A flow run that is started again finds its own row."""
    if flow_run_id is not None:
        query = select(requests.c.id).where((requests.c.flow_run_id == flow_run_id) & (requests.c.kind == kind))
        known = connection.execute(query).scalar_one_or_none()
        if known is not None:
            return str(known)
    request_id = new_id("r")
    connection.execute(
        insert(requests).values(
            id=request_id,
            kind=kind,
            actor_kind=actor.kind,
            actor_name=actor.name,
            actor_verified=actor.verified,
            parameters=dict(parameters),
            flow_run_id=flow_run_id,
            state="open",
            created_at=now,
        )
    )
    return request_id


def load(connection: Connection, request_id: str) -> Row[Any]:
    """Give a request's row; raises NoResultFound for an unknown id."""
    return connection.execute(select(requests).where(requests.c.id == request_id)).one()


def spoken(connection: Connection, request_id: str) -> str:
    """Name a run and who asked for it, as people are told who is at work."""
    name = connection.execute(select(requests.c.actor_name).where(requests.c.id == request_id)).scalar_one_or_none()
    return "another run" if name is None else f"run {request_id} of {name}"


def note(connection: Connection, request_id: str, **facts: JsonValue) -> None:
    """Keep facts (of `NOTED`) that its summary shall tell, however the request ends."""
    known = load(connection, request_id).summary or {}
    connection.execute(update(requests).where(requests.c.id == request_id).values(summary={**known, **facts}))


def warn(connection: Connection, request_id: str, warnings: Sequence[str]) -> None:
    """Add warnings to those that the request's summary shall tell."""
    known = (load(connection, request_id).summary or {}).get("warnings", [])
    if warnings:
        note(connection, request_id, warnings=list(dict.fromkeys([*known, *warnings])))


def close_request(
    connection: Connection, request_id: str, state: str, summary: Mapping[str, JsonValue], now: datetime
) -> dict[str, JsonValue]:
    """Record how a request stands: finished, waiting, refused or failed; gives its summary with what was noted."""
    known = load(connection, request_id).summary or {}
    whole = {**{name: known[name] for name in NOTED if name in known}, **summary}
    connection.execute(
        update(requests).where(requests.c.id == request_id).values(state=state, summary=whole, finished_at=now)
    )
    return whole


def raise_alert(connection: Connection, cause: str, message: str, request_id: str | None, now: datetime) -> bool:
    """Raise an alert once per cause; tells whether it is new. One that stands keeps its time and gets the new words."""
    standing = (alerts.c.cause == cause) & alerts.c.cleared_at.is_(None)
    if connection.execute(update(alerts).where(standing).values(message=message)).rowcount:
        return False
    row = {"id": new_id("a"), "cause": cause, "message": message, "request_id": request_id, "raised_at": now}
    connection.execute(insert(alerts).values(row))
    return True


def clear_alert(connection: Connection, cause: str, now: datetime) -> bool:
    """Clear the standing alert of a cause; tells whether there was one."""
    standing = (alerts.c.cause == cause) & alerts.c.cleared_at.is_(None)
    return connection.execute(update(alerts).where(standing).values(cleared_at=now)).rowcount > 0


def standing_alerts(connection: Connection) -> Sequence[Row[Any]]:
    """List the alerts that nothing has cleared, oldest first."""
    return connection.execute(select(alerts).where(alerts.c.cleared_at.is_(None)).order_by(alerts.c.raised_at)).all()
