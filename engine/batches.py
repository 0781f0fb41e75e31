"""Batches as rows: who is in one, in which wave, and how everybody stands, read from the plans and never remembered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, insert, literal, or_, select, update
from sqlalchemy.engine import Row

from config.errors import InputRefused
from connectors.upserts import insert_new
from datasets.batches import BatchOptions
from datasets.tables.batches import batch_plans, batch_users, batches
from datasets.tables.plans import plan_lines, plans
from engine.plan import LineState
from engine.requests import new_id

NEW, GO, PAUSED, CANCELLED = "new", "go", "paused", "cancelled"
RETRY = "retry"
"""Paused, except for the waves of those who are tried again."""
NOT_FOUND, DUPLICATE = "not_found", "duplicate"
LONGEST_NAME = 120
_SLICE = 500


class Member(NamedTuple):
    """A row of a batch: what was written, and whom it means; `problem` says why it is nobody."""

    row: int
    given: str
    user_id: str | None
    label: str
    problem: str = ""
    remark: str = ""


@dataclass(frozen=True)
class Batch:
    """A batch as it is stored."""

    id: str
    name: str
    created_at: datetime
    created_by: str
    source: Mapping[str, JsonValue]
    options: BatchOptions
    control: str
    control_reason: str
    control_at: datetime


class Standing(NamedTuple):
    """How one user of a batch stands."""

    row: int
    user: str
    wave: int | None
    state: str
    reason: str
    plan_id: str | None


def waves_of(count: int, options: BatchOptions) -> Iterator[int]:
    """Give the wave of each of so many users, in order: the canary first, then waves of the wanted size."""
    for place in range(count):
        rest = place - options.canary_size
        first = 1 if options.canary_size else 0
        yield 1 if rest < 0 else first + 1 + rest // options.wave_size


def create(
    connection: Connection,
    name: str,
    source: Mapping[str, JsonValue],
    options: BatchOptions,
    members: Sequence[Member],
    *,
    by: str,
    now: datetime,
    request_id: str | None = None,
) -> str:
    """Store a batch with its users in waves; gives its id. Raises InputRefused for a name that is taken or too long."""
    if len(name) > LONGEST_NAME:
        raise InputRefused(f"the name of the batch has {len(name)} letters", remedy=f"use {LONGEST_NAME} at most")
    if not any(each.user_id for each in members):
        first = f": {members[0].given or 'row ' + str(members[0].row)}: {members[0].remark}" if members else ""
        raise InputRefused(f"batch {name!r} would have no users{first}", remedy="check the filter, file or group")
    batch_id = new_id("b")
    row = {
        "id": batch_id,
        "name": name,
        "created_at": now,
        "created_by": by,
        "source": dict(source),
        "options": options.model_dump(mode="json"),
        "control": NEW,
        "control_reason": "",
        "control_at": now,
        "window_start": options.window_start,
        "window_end": options.window_end,
        "error_budget_percent": options.error_budget_percent,
        "request_id": request_id,
    }
    if not insert_new(connection, batches, row):  # somebody who takes the name at the same moment is waited for
        raise InputRefused(f"there is a batch {name!r} already", remedy="choose another name")
    waves = waves_of(sum(each.user_id is not None for each in members), options)
    rows = [each._asdict() | {"batch_id": batch_id, "wave": next(waves) if each.user_id else None} for each in members]
    for start in range(0, len(rows), _SLICE):
        connection.execute(insert(batch_users), rows[start : start + _SLICE])
    return batch_id


def find(connection: Connection, name: str) -> Batch:
    """Give a batch by name or id. Raises InputRefused."""
    return _found(connection, name, select(batches))


def locked(connection: Connection, batch_id: str) -> Batch:
    """Give a batch and let nobody decide about it until this transaction ends. Raises InputRefused."""
    return _found(connection, batch_id, select(batches).with_for_update())


def _found(connection: Connection, name: str, query: Select[Any]) -> Batch:
    row = connection.execute(query.where(or_(batches.c.id == name, batches.c.name == name))).first()
    if row is None:
        raise InputRefused(f"there is no batch {name!r}", remedy="see ./callwright batch list")
    return _batch(row)


def refuse_cancelled(batch: Batch) -> None:
    """Raise InputRefused for a batch that was cancelled."""
    if batch.control == CANCELLED:
        raise InputRefused(f"batch {batch.name!r} was cancelled", remedy="make a new one of the users who are left")


def latest(connection: Connection, limit: int) -> list[Batch]:
    """List batches, the newest first."""
    rows = connection.execute(select(batches).order_by(batches.c.created_at.desc(), batches.c.id).limit(limit))
    return [_batch(row) for row in rows]


def in_progress(connection: Connection) -> list[Batch]:
    """List the batches of which something may be begun: started, neither paused nor cancelled, oldest first."""
    query = select(batches).where(batches.c.control.in_((GO, RETRY)))
    rows = connection.execute(query.order_by(batches.c.created_at))
    return [_batch(row) for row in rows]


def _batch(row: Row[Any]) -> Batch:
    names = ("id", "name", "created_at", "created_by", "source", "control", "control_reason", "control_at")
    options = BatchOptions.model_validate(row.options)
    return Batch(**{name: getattr(row, name) for name in names}, options=options)


def set_control(connection: Connection, batch_id: str, control: str, reason: str, now: datetime) -> None:
    """Note what was decided about a batch."""
    values = {"control": control, "control_reason": reason, "control_at": now}
    connection.execute(update(batches).where(batches.c.id == batch_id).values(values))


def users_of(connection: Connection, batch_id: str, wave: int | None = None) -> list[tuple[str, str]]:
    """List the users of a batch or of a wave in their order: id and label."""
    c = batch_users.c
    query = select(c.user_id, c.label).where(c.batch_id == batch_id, c.user_id.is_not(None)).order_by(c.row)
    query = query if wave is None else query.where(c.wave == wave)
    return [(str(row.user_id), row.label) for row in connection.execute(query)]


def note_plan(connection: Connection, batch_id: str, wave: int, plan_id: str) -> None:
    """Note the plan that answers a wave."""
    kind = "retry" if wave > last_first_wave(connection, find(connection, batch_id)) else "move"
    connection.execute(insert(batch_plans).values(plan_id=plan_id, batch_id=batch_id, wave=wave, kind=kind, forgiven=0))
    connection.execute(update(batch_users).where(_members(batch_id, wave)).values(plan_id=plan_id))


def note_undo(connection: Connection, batch_id: str, wave: int, plan_id: str) -> None:
    """Note the plan that takes a wave back, for those whom it takes back."""
    connection.execute(
        insert(batch_plans).values(plan_id=plan_id, batch_id=batch_id, wave=wave, kind="undo", forgiven=0)
    )
    taken_back = select(plan_lines.c.object).where(plan_lines.c.plan_id == plan_id)
    here = _members(batch_id, wave) & _OBJECT.in_(taken_back)
    connection.execute(update(batch_users).where(here).values(undo_plan_id=plan_id))


def _members(batch_id: str, wave: int) -> ColumnElement[bool]:
    c = batch_users.c
    return and_(c.batch_id == batch_id, c.wave == wave, c.user_id.is_not(None))


def forget_discarded(connection: Connection, batch_id: str) -> None:
    """Have waves planned anew whose plan was discarded, by a person or because its claims expired."""
    c = batch_users.c
    discarded = select(plans.c.id).where(plans.c.state == "discarded")
    here = and_(c.batch_id == batch_id, c.plan_id.in_(discarded))
    connection.execute(update(batch_users).where(here).values(plan_id=None))


def plans_of(connection: Connection, batch_id: str, wave: int | None = None, kind: str = "move") -> list[str]:
    """List the plans that move a batch or a wave, the first time or again, in the order of the waves; or that undo."""
    c = batch_plans.c
    wanted = (kind,) if kind == "undo" else ("move", "retry")
    query = select(c.plan_id).where(c.batch_id == batch_id, c.kind.in_(wanted)).order_by(c.wave, c.plan_id)
    query = query if wave is None else query.where(c.wave == wave)
    return list(connection.execute(query).scalars())


def not_begun(connection: Connection, batch_id: str) -> list[str]:
    """List the plans of a batch, to move users or to take them back, that nobody has started."""
    c = batch_plans.c
    query = select(c.plan_id).join(plans, plans.c.id == c.plan_id).where(c.batch_id == batch_id)
    return list(connection.execute(query.where(plans.c.state == "planned").order_by(c.wave, c.plan_id)).scalars())


def is_planned(connection: Connection, batch_id: str) -> bool:
    """Tell whether any wave of a batch was ever planned."""
    return bool(plans_of(connection, batch_id))


def last_first_wave(connection: Connection, batch: Batch) -> int:
    """Give the last of the waves that the batch was made with; those who are tried again come in later ones."""
    c = batch_users.c
    query = select(func.count()).where(c.batch_id == batch.id, c.user_id.is_not(None))
    return max(waves_of(connection.execute(query).scalar_one(), batch.options), default=0)


def canary_end(connection: Connection, batch: Batch) -> int:
    """Give the row of the last user of the canary; 0 where there is none."""
    c, size = batch_users.c, batch.options.canary_size
    query = select(c.row).where(c.batch_id == batch.id, c.user_id.is_not(None)).order_by(c.row).limit(size)
    return max(connection.execute(query).scalars(), default=0)


def new_waves(connection: Connection, batch: Batch, states: Sequence[str], wave: int | None = None) -> int:
    """Put the users of these states, of one wave or of all, into waves of their own; gives how many they are.

    Who was in the canary is in one again, the others are in waves of the wanted size.
    """
    c, size, end = batch_users.c, batch.options.wave_size, canary_end(connection, batch)
    last = connection.execute(select(func.max(c.wave)).where(c.batch_id == batch.id)).scalar_one() or 0
    rows = [each.row for each in standings(connection, batch.id, states=states, wave=wave)]
    canary, rest = [row for row in rows if row <= end], [row for row in rows if row > end]
    parts = [*([canary] if canary else []), *(rest[start : start + size] for start in range(0, len(rest), size))]
    for number, part in enumerate(parts, start=last + 1):
        for start in range(0, len(part), _SLICE):
            here = (c.batch_id == batch.id) & c.row.in_(part[start : start + _SLICE])
            connection.execute(update(batch_users).where(here).values(wave=number, plan_id=None, undo_plan_id=None))
    return len(rows)


def last_rows(connection: Connection, batch_id: str) -> dict[int, int]:
    """Give the last row of each wave."""
    c = batch_users.c
    query = select(c.wave, func.max(c.row)).where(c.batch_id == batch_id, c.wave.is_not(None)).group_by(c.wave)
    return dict(connection.execute(query).tuples().all())


# ---- how everybody stands

_MOVE, _UNDO = plan_lines.alias("move"), plan_lines.alias("undo")
_OBJECT = literal("user:") + batch_users.c.user_id
# Found by the user, who has few lines, and not by the plan, which has thousands: SQLite would read them for each user.
_MOVE_LINE = and_(_MOVE.c.plan_id.concat("") == batch_users.c.plan_id, _MOVE.c.object == _OBJECT)
_UNDO_LINE = and_(_UNDO.c.plan_id.concat("") == batch_users.c.undo_plan_id, _UNDO.c.object == _OBJECT)
_JOINED = batch_users.outerjoin(_MOVE, _MOVE_LINE)
# One question without the state in its condition: SQLite would ask the index of states, and read every line there is.
_ALL_VERIFIED = select(func.min(case((_UNDO.c.state == LineState.VERIFIED, 1), else_=0))).where(_UNDO_LINE)
_UNDONE = and_(batch_users.c.undo_plan_id.is_not(None), _ALL_VERIFIED.scalar_subquery() == 1)  # it may be several lines
_NOT_UNDONE = (
    select(_UNDO.c.reason).where(_UNDO_LINE, _UNDO.c.reason != "").order_by(_UNDO.c.line).limit(1).scalar_subquery()
)
_STATE: ColumnElement[str] = case(
    (batch_users.c.problem != "", batch_users.c.problem),
    (_UNDONE, "undone"),
    (_MOVE.c.state.is_(None), "ready"),
    (_MOVE.c.state == LineState.VERIFIED, _MOVE.c.success),
    else_=_MOVE.c.state,
)
_REASON: ColumnElement[str] = case(
    (batch_users.c.problem != "", batch_users.c.remark),
    else_=func.coalesce(_NOT_UNDONE, _MOVE.c.reason, ""),
)


def counts(connection: Connection, batch_id: str) -> Counter[str]:
    """Count the users of a batch by state."""
    query = select(_STATE, func.count()).select_from(_JOINED).where(batch_users.c.batch_id == batch_id)
    return Counter({str(state): number for state, number in connection.execute(query.group_by(_STATE))})


def wave_counts(connection: Connection, batch_id: str) -> list[tuple[int, str | None, Counter[str]]]:
    """Count the users of each wave by state, with the wave's plan, in the order of the waves."""
    c = batch_users.c
    columns = (c.wave, c.plan_id, _STATE)
    query = select(*columns, func.count()).select_from(_JOINED).where(c.batch_id == batch_id, c.wave.is_not(None))
    found: dict[int, tuple[str | None, Counter[str]]] = {}
    for wave, plan_id, state, number in connection.execute(query.group_by(*columns).order_by(c.wave)):
        place = found.setdefault(wave, (plan_id, Counter()))
        place[1][str(state)] += number
    return [(wave, plan_id, counted) for wave, (plan_id, counted) in found.items()]


def to_plan(connection: Connection, batch_id: str, wave: int) -> list[str]:
    """List the users of a wave in their order, without those who were taken back: these stay where they are."""
    c = batch_users.c
    query = select(c.user_id).select_from(_JOINED).where(_members(batch_id, wave), _STATE != "undone")
    return [str(user_id) for user_id in connection.execute(query.order_by(c.row)).scalars()]


def standings(
    connection: Connection,
    batch_id: str,
    *,
    states: Sequence[str] = (),
    wave: int | None = None,
    limit: int | None = None,
) -> list[Standing]:
    """List the users of a batch with state and reason, in the order of the rows."""
    c = batch_users.c
    columns = (c.row, c.label, c.wave, _STATE, _REASON, c.plan_id)
    query = select(*columns).select_from(_JOINED).where(c.batch_id == batch_id).order_by(c.row)
    query = query.where(_STATE.in_(states)) if states else query
    query = query if wave is None else query.where(c.wave == wave)
    return [Standing(*row) for row in connection.execute(query if limit is None else query.limit(limit))]
