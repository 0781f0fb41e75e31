"""What our database knows about policies that many users get at once: who is ready, what is under way. SQL only.

A round of a line is what it gives at one time: an operation of Teams for each policy type, for the same users. Which
users, and under which name, is in the journal's intents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, Row, exists, func, select, update

from datasets.tables.journal import journal
from datasets.tables.plans import plan_changes, plan_lines
from engine import batch_gates
from engine.change import Change
from engine.plan import OPEN_LINES, ChangeState, LineState
from engine.plan_store import StoredChange, StoredLine
from engine.policy_batch_plan import KIND, OBJECT, OWN, POLICY_BATCH, POLICY_DIRECT

_SLICE = 500
_UNDER_WAY = (ChangeState.SENT, ChangeState.APPLIED, ChangeState.UNKNOWN)
_C = plan_lines.c
_FOR_MANY = _C.object.like(f"{OBJECT}%")


@dataclass(frozen=True)
class Members:
    """How the users of a line stand: lines that are ready, how many may still be, and how many of those begin now."""

    ready: tuple[int, ...]
    coming: int
    beginning: int


def members(connection: Connection, line: StoredLine, now: datetime) -> Members:
    """Say how the users of a line stand. Ready is who waits for nothing else; who was not begun is not, while held."""
    is_open = batch_gates.is_open(connection, line.plan_id, now)
    ready: list[int] = []
    coming = beginning = 0
    for row in _rows(connection, line.plan_id, lines_of(line)):
        if row.state == LineState.WAITING and row.condition == POLICY_BATCH and (is_open or row.has_sent):
            ready.append(row.line)
        elif row.condition != POLICY_DIRECT:
            coming += 1
            beginning += row.state == LineState.PLANNED and is_open
    return Members(tuple(ready), coming, beginning)


def _rows(connection: Connection, plan_id: str, numbers: Sequence[int]) -> Iterator[Row[Any]]:
    """Read the open lines whose policies have not been sent."""
    own, sent = plan_changes.alias("own"), plan_changes.alias("sent")
    has_sent = exists().where(sent.c.plan_id == plan_id, sent.c.line == _C.line, sent.c.sent_at.is_not(None))
    mine = (own.c.plan_id == _C.plan_id) & (own.c.line == _C.line) & (own.c.kind == OWN)
    query = select(_C.line, _C.state, _C.condition, has_sent.label("has_sent")).join(own, mine)
    query = query.where(_C.plan_id == plan_id, _C.state.in_(OPEN_LINES), own.c.state == ChangeState.PLANNED)
    for some in _slices(numbers):
        yield from connection.execute(query.where(_C.line.in_(some)).order_by(_C.line))


def lines_of(line: StoredLine) -> list[int]:
    """Give the lines of all users whom a line was planned for."""
    return cast("list[int]", line.changes[0].change.parameters["lines"])


def waiting(connection: Connection, plan_id: str, numbers: Iterable[int]) -> dict[int, str]:
    """Give those of these lines that still wait for an operation, with their objects."""
    found: dict[int, str] = {}
    for some in _slices(list(numbers)):
        query = select(_C.line, _C.object).where(_waits(plan_id, some)).order_by(_C.line)
        found |= {row.line: row.object for row in connection.execute(query)}
    return found


def release(connection: Connection, plan_id: str, reasons: dict[int, str], now: datetime) -> None:
    """Have lines that wait for an operation given their policies by calls of their own, as soon as they are visited."""
    by_reason: dict[str, list[int]] = {}
    for number, reason in reasons.items():
        by_reason.setdefault(reason, []).append(number)
    for reason, numbers in by_reason.items():
        for some in _slices(numbers):
            values = {"condition": POLICY_DIRECT, "reason": reason, "not_before": now}
            connection.execute(update(plan_lines).where(_waits(plan_id, some)).values(values))


def let_go(connection: Connection, line: StoredLine, reason: str, now: datetime) -> None:
    """Have everybody who waits for a line for all given policies by a call of their own: the line ends."""
    release(connection, line.plan_id, dict.fromkeys(lines_of(line), reason), now)


def _waits(plan_id: str, numbers: Sequence[int]) -> Any:
    here = (_C.plan_id == plan_id) & _C.line.in_(numbers)
    return here & (_C.state == LineState.WAITING) & (_C.condition == POLICY_BATCH)


def _slices(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    return (numbers[start : start + _SLICE] for start in range(0, len(numbers), _SLICE))


def is_open(connection: Connection, plan_id: str, own: Change) -> bool:
    """Tell whether the line for all that a user's change waits for is open; in a write transaction it stays so."""
    here = (_C.plan_id == plan_id) & (_C.object == str(own.parameters["given_by"])) & _C.state.in_(OPEN_LINES)
    return connection.execute(select(_C.line).where(here).with_for_update(read=True)).first() is not None


def is_due(connection: Connection, plan_id: str, now: datetime) -> bool:
    """Tell whether a visit now would bring on somebody's policies, or end a line for all that nobody needs any more."""
    here, in_time = _C.plan_id == plan_id, (_C.not_before <= now) | _C.not_before.is_(None)

    def there_is(which: Any) -> bool:
        return connection.execute(select(_C.line).where(here, which).limit(1)).first() is not None

    waits = _C.state == LineState.WAITING
    if there_is(waits & (_C.condition == POLICY_DIRECT) & in_time):
        return True
    for_many = _FOR_MANY & _C.state.in_(OPEN_LINES) & in_time
    return there_is(for_many) and (
        there_is(waits & (_C.condition == POLICY_BATCH)) or not there_is(~_FOR_MANY & _C.state.in_(OPEN_LINES))
    )


def places(connection: Connection, plan_id: str) -> tuple[int, int] | None:
    """Give the first and the last open line for all of a plan; None where there is none."""
    here = (_C.plan_id == plan_id) & _FOR_MANY & _C.state.in_(OPEN_LINES)
    first, last = connection.execute(select(func.min(_C.line), func.max(_C.line)).where(here)).one()
    return None if first is None else (first, last)


def under_way(connection: Connection) -> int:
    """Count the operations of all our plans that are not known to be over."""
    c = plan_changes.c
    here = (c.plan_id == _C.plan_id) & (c.line == _C.line)
    query = select(func.count()).select_from(plan_changes.join(plan_lines, here))
    query = query.where(c.kind == KIND, c.state.in_(_UNDER_WAY), _C.state.in_(OPEN_LINES))
    return int(connection.execute(query).scalar_one())


@dataclass(frozen=True)
class Sent:
    """The latest intent of a change: its operation's name and users by line, and the operation's id once it is known.

    `at` is when something was heard of it last.
    """

    name: str
    lines: tuple[int, ...]
    operation_id: str | None
    at: datetime


def sent(connection: Connection, line: StoredLine, change: StoredChange) -> Sent:
    """Read from the journal what was sent last for a change that was sent."""
    j = journal.c
    rows = connection.execute(select(j.at, j.phase, j.payload).where(_of(line, change)).order_by(j.at)).all()
    intent = max((row for row in rows if row.phase == "intent"), key=lambda row: row.payload["round"])
    name = intent.payload["name"]
    answers = [row for row in rows if row.phase == "outcome" and (row.payload or {}).get("name") == name]
    known = next((row.payload["operation"] for row in answers if row.payload.get("operation")), None)
    return Sent(name, tuple(intent.payload["lines"]), known, max(row.at for row in (intent, *answers)))


def count_sent(connection: Connection, line: StoredLine, change: StoredChange) -> int:
    """Count the intents of a change so far: no two operations have one name."""
    query = select(func.count()).select_from(journal).where(_of(line, change), journal.c.phase == "intent")
    return int(connection.execute(query).scalar_one())


def _of(line: StoredLine, change: StoredChange) -> Any:
    j = journal.c
    return (j.plan_id == line.plan_id) & (j.line == line.line) & (j.change == change.seq)
