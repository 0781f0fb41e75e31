"""Apply a stored plan, chunk by chunk: take leases, work on the lines in parallel, let go. Safe to run twice, anywhere.

A chunk continues from the journal: what is verified is not repeated, what is in doubt is settled first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from config.errors import InputRefused
from config.site_approvals import ApprovalRules
from connectors.database import Database
from connectors.errors import ConnectorError
from engine import (
    approvals,
    batch_alerts,
    batch_gates,
    departures,
    inventory,
    journal,
    leases,
    plan_store,
    policy_batches,
)
from engine.claims import settle_undone
from engine.journal import Entry, Result, Stream
from engine.lease_keeper import LeaseKeeper
from engine.leases import Lease, LeaseHeld
from engine.line import LineWork
from engine.plan import OPEN_LINES, LineState
from engine.plan_store import StoredLine
from engine.policy_batch_plan import is_for_many
from engine.policy_batch_work import PolicyBatchWork
from engine.runtime import Runtime
from engine.turnstile import Turn, uses_sessions

NO_RULES = ApprovalRules()
BATCH_CANCELLED = "the batch was cancelled"


@dataclass(frozen=True)
class Chunk:
    """A contiguous part of a plan's due lines: what one task works on."""

    plan_id: str
    first: int
    last: int

    @property
    def name(self) -> str:
        """Give the lease key."""
        return f"{self.plan_id}:{self.first}-{self.last}"


def chunks(runtime: Runtime, plan_id: str, sessions: int, *, smallest: int = 1, largest: int = 50) -> list[Chunk]:
    """Cut the due lines into chunks of guided size: remaining ÷ 2 sessions, between the smallest and the largest."""
    with runtime.database.read() as connection:
        due = plan_store.due_lines(connection, plan_id, runtime.now())
    found: list[Chunk] = []
    while due:
        size = max(smallest, min(largest, len(due) // (2 * sessions)))
        part, due = due[:size], due[size:]
        found.append(Chunk(plan_id, part[0], part[-1]))
    return found


def start(runtime: Runtime, plan_id: str, rules: ApprovalRules = NO_RULES) -> None:
    """Mark a plan as being applied; one without open lines settles at once.

    Raises InputRefused for a plan that was altered or discarded, ApprovalMissing when the site wants one first.
    """
    with runtime.database.write() as connection:
        state = plan_store.locked_header(connection, plan_id).state
        if state == "discarded":
            raise InputRefused(f"plan {plan_id} was discarded", remedy="plan anew")
        if state == "planned":
            approvals.require(connection, plan_id, rules, runtime.now())
            plan_store.set_plan_state(connection, plan_id, "applying")
            _record_refused(connection, plan_id, runtime.now())
            batch_alerts.plan_started(connection, plan_id, runtime.now())
        plan_store.settle_plan_if_done(connection, plan_id)


def _record_refused(connection: Connection, plan_id: str, now: datetime) -> None:
    """Journal the lines that were refused or had failed when they were planned: nothing is sent for them."""
    results: dict[LineState, Result] = {LineState.REFUSED: "refused", LineState.FAILED: "failed"}
    lines = [line for line in plan_store.load_lines(connection, plan_id) if line.state in results]
    entries = [
        Entry(now, line.line, 0, line.object, "outcome", results[line.state], {"message": line.reason})
        for line in lines
    ]
    if entries:
        journal.append_closed(connection, plan_id, "refused", entries, now)


def apply_chunk(runtime: Runtime, chunk: Chunk) -> Counter[str]:
    """Work on a chunk's due lines and count where they stand.

    Raises LeaseHeld while another process has the chunk, Unreachable when a system is down (the lines wait then).
    """
    work = _open(runtime, chunk)
    try:
        with LeaseKeeper(runtime, (work.lease, *work.objects.values())) as keeper:
            errors = _work(runtime, work, keeper)
    finally:
        _close(runtime, work)
    if errors:
        raise errors[0]
    return Counter(line.state.value for line in work.lines)


@dataclass
class _Open:
    stream: Stream
    lease: Lease
    objects: dict[str, Lease]
    lines: list[StoredLine]


def _open(runtime: Runtime, chunk: Chunk) -> _Open:
    now, holder = runtime.now(), runtime.new_holder()
    with runtime.database.write() as connection:
        if plan_store.header(connection, chunk.plan_id).state == "planned":
            remedy = f"apply the plan as a whole: ./callwright plan apply {chunk.plan_id}"
            raise InputRefused(f"plan {chunk.plan_id} was not started", remedy=remedy)
        lease = leases.acquire(connection, "chunk", chunk.name, holder, now=now, ttl=runtime.lease)
        if lease is None:
            held = leases.holder_of(connection, "chunk", chunk.name, now=now)
            raise LeaseHeld(f"another process applies {chunk.name}", held[1] if held else None)
        objects = _lease_objects(connection, runtime, chunk, holder)
        # Loaded under the leases: what another process finished meanwhile is seen as finished.
        lines = [line for line in _due(connection, runtime, chunk) if line.object in objects]
        stream = journal.open_stream(connection, chunk.plan_id, chunk.name, epoch=lease.epoch, holder=holder, now=now)
    return _Open(stream, lease, objects, lines)


def _due(connection: Connection, runtime: Runtime, chunk: Chunk) -> list[StoredLine]:
    due = plan_store.due_lines(connection, chunk.plan_id, runtime.now())
    return plan_store.load_lines(connection, chunk.plan_id, [n for n in due if chunk.first <= n <= chunk.last])


def _lease_objects(connection: Connection, runtime: Runtime, chunk: Chunk, holder: str) -> dict[str, Lease]:
    """Take the objects that are free; lines of the others stay as they are for whoever works on them."""
    taken: dict[str, Lease] = {}
    for name in sorted({line.object for line in _due(connection, runtime, chunk)}):
        lease = leases.acquire(connection, "object", name, holder, now=runtime.now(), ttl=runtime.lease)
        if lease is not None:
            taken[name] = lease
    return taken


def _work(runtime: Runtime, work: _Open, keeper: LeaseKeeper) -> list[ConnectorError]:
    if not work.lines:
        return []
    if runtime.limits.workers == 1:
        return [error for line in work.lines if (error := _work_on(runtime, work, keeper, line)) is not None]
    with ThreadPoolExecutor(min(runtime.limits.workers, len(work.lines)), thread_name_prefix="line") as pool:
        return [error for error in pool.map(lambda line: _work_on(runtime, work, keeper, line), work.lines) if error]


def _work_on(runtime: Runtime, work: _Open, keeper: LeaseKeeper, line: StoredLine) -> ConnectorError | None:
    """Work on one line; an unreachable system or a lost lease ends it here and is reported to the chunk."""
    held = (work.lease, work.objects[line.object])
    with _turn(runtime, line) as turn:
        keeper.leave(held[1])
        try:
            if is_for_many(line.object):
                PolicyBatchWork(runtime, work.stream, held, line).run()
            elif plan_store.has_sent(line) or _may_begin(runtime, held, line):
                LineWork(runtime, work.stream, held, line, turn).run()
        except ConnectorError as error:
            return error
    if line.state == LineState.FAILED:
        with runtime.database.write() as connection:
            batch_alerts.count_failure(connection, line.plan_id, runtime.now())
    return None


def _turn(runtime: Runtime, line: StoredLine) -> Turn:
    """Wait until it is the line's turn; one that has begun goes on at once, and so does one that needs no session."""
    turnstile = runtime.systems.turnstile
    if turnstile is None or plan_store.has_sent(line) or not uses_sessions(each.change for each in line.changes):
        return Turn()
    return turnstile.turn()


def _may_begin(runtime: Runtime, held: Sequence[Lease], line: StoredLine) -> bool:
    """Ask right before a line begins: its batch may have been paused, or its window shut, since the chunk began.

    A line of a batch that was cancelled is given up here. Raises LeaseLost.
    """
    with runtime.database.read() as connection:
        if batch_gates.is_open(connection, line.plan_id, runtime.now()):
            return True
        is_cancelled = batch_gates.is_cancelled(connection, line.plan_id)
    if is_cancelled:
        with runtime.database.write() as connection:
            leases.renew(connection, held, now=runtime.now(), ttl=runtime.lease)
            give_up(connection, line, runtime.now(), BATCH_CANCELLED)
    return False


def give_up(connection: Connection, line: StoredLine, now: datetime, reason: str) -> None:
    """Discard a line of which nothing was sent, with its claims, under the lease on its object."""
    line.state, line.reason = LineState.DISCARDED, reason
    line.condition = line.not_before = line.give_up_at = None
    plan_store.set_line(connection, line)
    for stored in line.changes:
        settle_undone(connection, stored.change, line.plan_id, now, {})
    if is_for_many(line.object):
        policy_batches.let_go(connection, line, line.reason, now)


def _close(runtime: Runtime, work: _Open) -> None:
    with runtime.database.write() as connection:
        now = runtime.now()
        journal.close_stream(connection, work.stream, now)
        leases.release(connection, [work.lease, *work.objects.values()], now=now)
        plan_store.settle_plan_if_done(connection, work.stream.plan_id)


def discard(database: Database, plan_id: str, now: datetime) -> int:
    """Discard a plan that was never started; tells how many claimed numbers are free again.

    With the first step of a deletion that a person asked for goes the deletion; every other departure stays open, and
    its next visit plans anew.
    """
    with database.write() as connection:
        return discard_in(connection, plan_id, now)


def discard_in(connection: Connection, plan_id: str, now: datetime) -> int:
    """Do what `discard` does, in the caller's transaction."""
    header = plan_store.locked_header(connection, plan_id)
    if header.state != "planned":
        what = f"plan {plan_id} is {header.state}"
        raise InputRefused(what, remedy="only a plan that was not started can be discarded")
    for line in plan_store.load_lines(connection, plan_id):
        if line.state in OPEN_LINES:
            line.state, line.reason = LineState.DISCARDED, "the plan was discarded"
            plan_store.set_line(connection, line)
        if line.source.get("deletion"):
            departures.forget_deletion(connection, str(line.source["deletion"]), header.request_id, now)
    given_back = inventory.give_back_plan(connection, plan_id, now)
    plan_store.set_plan_state(connection, plan_id, "discarded")
    return len(given_back)
