"""The biography of numbers: who had one, when, why, and who did it. Written with each move, read by number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, insert, select

from datasets.inventory import HistoryEntry, NumberState, Position, Taken
from datasets.numbering import PhoneNumber
from datasets.tables.number_history import number_history
from datasets.tables.plans import plans
from datasets.tables.requests import requests

_ACTOR: ContextVar[str] = ContextVar("actor of moves of numbers", default="")


@contextmanager
def acting_as(actor: str) -> Iterator[None]:
    """Name who moves numbers in this block; without it a move belongs to its plan, or to Callwright itself."""
    token = _ACTOR.set(actor)
    try:
        yield
    finally:
        _ACTOR.reset(token)


def note(
    connection: Connection,
    changes: Sequence[tuple[Position, str | None, Taken | None, Taken | None]],
    now: datetime,
    reason: str = "",
) -> None:
    """Write what became of numbers: where, of which pool, from what to what; what stays as it was is not written."""
    rows = [_row(*change, now, reason) for change in changes if _is_told(change[2], change[3])]
    if rows:
        connection.execute(insert(number_history), rows)


def history(connection: Connection, number: PhoneNumber, limit: int = 1000) -> list[HistoryEntry]:
    """Read what became of a number, newest first."""
    c, position = number_history.c, Position.of(number)
    here = and_(c.space == position.space, c.width == position.width, c.n == position.n)
    asked = select(number_history, requests.c.actor_name, requests.c.kind)
    asked = asked.join(plans, plans.c.id == c.plan_id, isouter=True)
    asked = asked.join(requests, requests.c.id == plans.c.request_id, isouter=True)
    rows = connection.execute(asked.where(here).order_by(c.id.desc()).limit(limit))
    return [_read(number, row) for row in rows]


def holder_at(connection: Connection, number: PhoneNumber, moment: datetime) -> HistoryEntry | None:
    """Say who had a number at a moment, and in what state; None when nothing was known of it by then."""
    c, position = number_history.c, Position.of(number)
    here = and_(c.space == position.space, c.width == position.width, c.n == position.n, c.at <= moment)
    row = connection.execute(select(number_history).where(here).order_by(c.id.desc()).limit(1)).first()
    return _read(number, row) if row else None


def _is_told(before: Taken | None, after: Taken | None) -> bool:
    if before is None or after is None:
        return before is not after
    told = ("state", "owner", "reason", "plan_id")
    return any(getattr(before, name) != getattr(after, name) for name in told) or (
        before.until != after.until and after.state != NumberState.CLAIMED  # a plan that renews its claim is no news
    )


def _row(position: Position, pool: str | None, before: Taken | None, after: Taken | None, *rest: Any) -> dict[str, Any]:
    now, reason = rest
    free = NumberState.FREE if pool else NumberState.OUTSIDE
    return {
        **position._asdict(),
        "at": now,
        "pool": pool,
        "state_before": before.state if before else free,
        "owner_before": before.owner if before else "",
        "state": after.state if after else free,
        "owner": after.owner if after else "",
        "reason": reason or (after.reason if after else ""),
        "until": after.until if after else None,
        "plan_id": (after and after.plan_id) or (before and before.plan_id),
        "actor": _ACTOR.get(),
    }


def _read(number: PhoneNumber, row: Any) -> HistoryEntry:
    by_plan = f"{row.actor_name} ({row.kind})" if getattr(row, "actor_name", None) else ""
    names = ("at", "pool", "state_before", "owner_before", "state", "owner", "reason", "until", "plan_id")
    told = {name: getattr(row, name) for name in names}
    return HistoryEntry(number=number, actor=row.actor or by_plan or "callwright", **told)
