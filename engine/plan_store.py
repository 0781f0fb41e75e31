"""Plans as rows: store them before they are actions, load lines to apply them, move their states. SQL only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Connection, Select, func, insert, select, update
from sqlalchemy.engine import Row

from config.errors import InputRefused
from datasets.tables.plans import plan_changes, plan_lines, plans
from engine import batch_gates
from engine.change import Change
from engine.plan import OPEN_LINES, ChangeState, Line, LineState, Plan

_SLICE = 200
PLANNED_ANEW = ("account", "other_plan", "unreadable", "replan", "effective")


@dataclass
class StoredChange:
    """A change of a stored plan with its state; `sent_at` is when its latest intent was committed."""

    seq: int
    change: Change
    state: ChangeState
    sent_at: datetime | None
    absent_reads: int


@dataclass
class StoredLine:
    """A line of a stored plan."""

    plan_id: str
    line: int
    object: str
    label: str
    success: str
    source: dict[str, JsonValue]
    state: LineState
    reason: str
    condition: str | None
    not_before: datetime | None
    give_up_at: datetime | None
    attempts: int
    changes: list[StoredChange]


def current_hash(plan_id: str, request_id: str, lines: Sequence[StoredLine]) -> str:
    """Give the hash of a plan as its rows are now."""
    made = tuple(
        Line(object=line.object, label=line.label, changes=tuple(stored.change for stored in line.changes))
        for line in lines
    )
    return Plan(id=plan_id, request_id=request_id, lines=made).hash


def save(connection: Connection, plan: Plan, now: datetime) -> None:
    """Store a plan whole, in the caller's transaction."""
    connection.execute(
        insert(plans).values(id=plan.id, request_id=plan.request_id, created_at=now, hash=plan.hash, state="planned")
    )
    line_rows: list[dict[str, Any]] = []
    change_rows: list[dict[str, Any]] = []
    for number, line in enumerate(plan.lines, start=1):
        values = line.model_dump(exclude={"changes", "state"})
        line_rows.append(
            values
            | {"plan_id": plan.id, "line": number, "fingerprint": line.fingerprint, "state": line.state, "attempts": 0}
        )
        change_rows += [_change_row(plan.id, number, seq, change) for seq, change in enumerate(line.changes, start=1)]
    for start in range(0, len(line_rows), _SLICE):
        connection.execute(insert(plan_lines), line_rows[start : start + _SLICE])
    for start in range(0, len(change_rows), _SLICE):
        connection.execute(insert(plan_changes), change_rows[start : start + _SLICE])


def _change_row(plan_id: str, line: int, seq: int, change: Change) -> dict[str, Any]:
    return change.model_dump(mode="json") | {
        "plan_id": plan_id,
        "line": line,
        "seq": seq,
        "state": ChangeState.PLANNED,
        "absent_reads": 0,
        "sent_at": None,
    }


def header(connection: Connection, plan_id: str) -> Row[Any]:
    """Give the plan's own row; raises InputRefused for an id that nobody knows."""
    return _header(connection, plan_id, select(plans))


def locked_header(connection: Connection, plan_id: str) -> Row[Any]:
    """Give the plan's own row and keep every other process from moving the plan until this transaction ends."""
    return _header(connection, plan_id, select(plans).with_for_update())


def _header(connection: Connection, plan_id: str, query: Select[Any]) -> Row[Any]:
    row = connection.execute(query.where(plans.c.id == plan_id)).one_or_none()
    if row is None:
        raise InputRefused(f"no plan {plan_id}", remedy="see ./callwright plan list")
    return row


def latest(connection: Connection, limit: int) -> Sequence[Row[Any]]:
    """List the newest plans with their line counts, newest first."""
    lines = select(plan_lines.c.plan_id, func.count().label("lines")).group_by(plan_lines.c.plan_id).subquery()
    query = select(plans, lines.c.lines).outerjoin(lines, lines.c.plan_id == plans.c.id)
    return connection.execute(query.order_by(plans.c.created_at.desc()).limit(limit)).all()


def load_lines(connection: Connection, plan_id: str, numbers: Iterable[int] | None = None) -> list[StoredLine]:
    """Load lines (all when no numbers are named) with their changes, in order."""
    chosen = None if numbers is None else list(numbers)
    lines = select(plan_lines).where(plan_lines.c.plan_id == plan_id).order_by(plan_lines.c.line)
    changes = select(plan_changes).where(plan_changes.c.plan_id == plan_id).order_by("line", "seq")
    if chosen is not None:
        lines = lines.where(plan_lines.c.line.in_(chosen))
        changes = changes.where(plan_changes.c.line.in_(chosen))
    by_line: dict[int, list[StoredChange]] = {}
    for row in connection.execute(changes):
        by_line.setdefault(row.line, []).append(_stored_change(row))
    return [_stored_line(row, by_line.get(row.line, [])) for row in connection.execute(lines)]


def _stored_change(row: Row[Any]) -> StoredChange:
    names = ("kind", "target", "parameters", "effects", "reason", "waits_for")
    change = Change.model_validate({name: getattr(row, name) for name in names})
    return StoredChange(row.seq, change, ChangeState(row.state), row.sent_at, row.absent_reads)


def _stored_line(row: Row[Any], changes: list[StoredChange]) -> StoredLine:
    values = row._asdict()
    values.pop("fingerprint")
    return StoredLine(**values | {"state": LineState(row.state)}, changes=changes)


def due_lines(connection: Connection, plan_id: str, now: datetime) -> list[int]:
    """List the lines that may be worked on now: planned ones and waiting or unknown ones whose moment has come.

    Lines that must be planned anew are left out; `lines_to_replan` lists those. So are lines that may not begin now,
    because the batch is paused or its window is shut. Those of a cancelled batch are there, to be given up.
    """
    c, due = plan_lines.c, _is_due(now)
    if batch_gates.holds(connection, plan_id, now):
        due &= batch_gates.begun()
    return list(connection.execute(select(c.line).where((c.plan_id == plan_id) & due).order_by(c.line)).scalars())


def _is_due(now: datetime) -> ColumnElement[bool]:
    c = plan_lines.c
    in_time = (c.not_before <= now) | c.not_before.is_(None)
    parked = c.state.in_([LineState.WAITING, LineState.UNKNOWN]) & in_time
    return (c.state == LineState.PLANNED) | (parked & (c.condition.is_(None) | c.condition.not_in(PLANNED_ANEW)))


def lines_to_replan(connection: Connection, now: datetime) -> list[StoredLine]:
    """Load the lines whose condition is met by planning them anew, once their moment has come."""
    c = plan_lines.c
    query = select(plan_lines).where(
        c.state == LineState.WAITING,
        c.condition.in_(PLANNED_ANEW),
        (c.not_before <= now) | c.not_before.is_(None),
        c.plan_id.in_(select(plans.c.id).where(plans.c.state == "applying")),
    )
    return [_stored_line(row, []) for row in connection.execute(query.order_by(c.plan_id, c.line))]


def due_plans(connection: Connection, now: datetime) -> list[str]:
    """List the plans being applied that have something due, or nothing open and only want settling; oldest first."""
    c = plan_lines.c
    is_open = c.state.in_(OPEN_LINES)
    due = is_open & ((c.not_before <= now) | c.not_before.is_(None)) & (~batch_gates.held(now) | batch_gates.begun())
    due_ids, open_ids = (select(c.plan_id).where(which) for which in (due, is_open))
    query = select(plans.c.id).where(plans.c.state == "applying", plans.c.id.in_(due_ids) | plans.c.id.not_in(open_ids))
    return list(connection.execute(query.order_by(plans.c.created_at)).scalars())


def set_plan_state(connection: Connection, plan_id: str, state: str) -> None:
    """Move a plan: planned → applying → settled, or planned → discarded."""
    connection.execute(update(plans).where(plans.c.id == plan_id).values(state=state))


def set_line(connection: Connection, line: StoredLine) -> None:
    """Write a line's state, reason and waiting condition back."""
    here = (plan_lines.c.plan_id == line.plan_id) & (plan_lines.c.line == line.line)
    connection.execute(
        update(plan_lines)
        .where(here)
        .values(
            state=line.state,
            reason=line.reason,
            condition=line.condition,
            not_before=line.not_before,
            give_up_at=line.give_up_at,
            attempts=line.attempts,
        )
    )


def set_change(connection: Connection, line: StoredLine, change: StoredChange) -> None:
    """Write a change's state back."""
    c = plan_changes.c
    here = (c.plan_id == line.plan_id) & (c.line == line.line) & (c.seq == change.seq)
    values = {"state": change.state, "sent_at": change.sent_at, "absent_reads": change.absent_reads}
    connection.execute(update(plan_changes).where(here).values(values))


def settle_plan_if_done(connection: Connection, plan_id: str) -> bool:
    """Mark a plan as settled when no line is open any more; tells whether it was not before."""
    c = plan_lines.c
    is_open = (c.plan_id == plan_id) & c.state.in_(OPEN_LINES)
    if connection.execute(select(func.count()).select_from(plan_lines).where(is_open)).scalar_one():
        return False
    still = (plans.c.id == plan_id) & plans.c.state.not_in(["settled", "discarded"])
    return bool(connection.execute(update(plans).where(still).values(state="settled")).rowcount)


def counts(connection: Connection, plan_id: str) -> Counter[str]:
    """Count lines by state; verified ones under what they are called."""
    c = plan_lines.c
    query = select(c.state, c.success, func.count()).where(c.plan_id == plan_id).group_by(c.state, c.success)
    result: Counter[str] = Counter()
    for state, success, number in connection.execute(query):
        result[success if state == LineState.VERIFIED else state] += number
    return result


def count_parked(connection: Connection) -> int:
    """Count the lines that wait or are unknown in plans that are being applied."""
    c = plan_lines.c
    query = select(func.count()).select_from(plan_lines).join(plans, plans.c.id == c.plan_id)
    parked = c.state.in_([LineState.WAITING, LineState.UNKNOWN]) & (plans.c.state == "applying")
    return int(connection.execute(query.where(parked)).scalar_one())


def open_lines(connection: Connection, objects: Iterable[str]) -> list[StoredLine]:
    """Load the open lines of all plans that concern these objects, with their changes."""
    names, c = list(objects), plan_lines.c
    found: list[StoredLine] = []
    for start in range(0, len(names), _SLICE):
        query = select(c.plan_id, c.line).where(c.object.in_(names[start : start + _SLICE]), c.state.in_(OPEN_LINES))
        for plan_id, line in connection.execute(query).all():
            found += load_lines(connection, plan_id, [line])
    return found


def has_sent(line: StoredLine) -> bool:
    """Tell whether any change of the line was ever sent."""
    return any(change.sent_at is not None for change in line.changes)


def overtake(connection: Connection, lines: Iterable[StoredLine], why: str) -> set[str]:
    """Close open lines of plans that nobody started; gives the objects of the others, on which somebody is at work."""
    busy = set()
    for line in lines:
        if has_sent(line) or header(connection, line.plan_id).state != "planned":
            busy.add(line.object)
            continue
        line.state, line.reason = LineState.SUPERSEDED, why
        set_line(connection, line)
        settle_plan_if_done(connection, line.plan_id)
    return busy
