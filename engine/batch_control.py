"""Controls a batch: begin, pause, resume, cancel, retry failed only, discard. A row first, so it holds everywhere.

Each looks at the batch again under its lock: what somebody else decided since it was found is not undone by accident.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from config.errors import InputRefused
from connectors.database import Database
from datasets.batch_steps import OPEN, Step, Wave, next_step
from datasets.batches import BatchOptions
from datasets.tables.batches import batch_plans, batch_users, batches
from datasets.tables.plans import plan_lines, plans
from engine import apply, batch_alerts, plan_store, policy_batches
from engine import batches as batch_rows
from engine.batches import CANCELLED, GO, NEW, PAUSED, RETRY, Batch
from engine.giving_up import give_up_plan
from engine.plan import LineState
from engine.runtime import Runtime

RETRIED = ("failed", "refused")


def waves(connection: Connection, batch: Batch, now: datetime) -> list[Wave]:
    """Say how the waves of a batch stand, from the plans and the journal."""
    query = select(plans.c.id, plans.c.state).where(plans.c.id.in_(_plan_ids(batch.id)))
    states = {row.id: row.state for row in connection.execute(query)}
    rows, canary = batch_rows.last_rows(connection, batch.id), batch_rows.canary_end(connection, batch)
    last = batch_rows.last_first_wave(connection, batch)
    return [
        Wave(
            wave=wave,
            counts=counts,
            plan_id=plan_id,
            plan_state=states.get(plan_id) if plan_id else None,
            is_due=plan_id is not None and _is_due(connection, plan_id, now),
            is_canary=rows[wave] <= canary,
            is_retry=wave > last,
        )
        for wave, plan_id, counts in batch_rows.wave_counts(connection, batch.id)
    ]


def _is_due(connection: Connection, plan_id: str, now: datetime) -> bool:
    """Tell whether a visit would bring a wave on; a line for many users is for the sake of those who are ready."""
    places, due = policy_batches.places(connection, plan_id), plan_store.due_lines(connection, plan_id, now)
    of_users = [line for line in due if places is None or line < places[0]]
    return bool(of_users) or policy_batches.is_due(connection, plan_id, now)


def _plan_ids(batch_id: str):  # type: ignore[no-untyped-def] # an SQL expression
    return select(batch_plans.c.plan_id).where(batch_plans.c.batch_id == batch_id)


def step(
    connection: Connection, batch: Batch, tried: Collection[str], now: datetime, *, retried_only: bool = False
) -> Step:
    """Decide what a batch does next; where others pause, or on demand, only for those who are tried again."""
    only = retried_only or batch.control == RETRY
    found = [each for each in waves(connection, batch, now) if each.is_retry or not only]
    return next_step(batch.control, batch.control_reason, batch.options, found, tried, now)


def standing(connection: Connection, batch: Batch, now: datetime) -> tuple[str, str]:
    """Say in a word how a batch stands, and why."""
    if batch.control in (NEW, PAUSED, CANCELLED):
        return {NEW: "ready"}.get(batch.control, batch.control), batch.control_reason
    found = step(connection, batch, (), now)
    match found.act:
        case "done":
            return ("paused", batch.control_reason) if batch.control == RETRY else ("finished", "")
        case "wait" | "hold":
            return "waiting", found.reason
        case "apply" if found.plan_id and plan_store.header(connection, found.plan_id).state == "planned":
            return "running", f"the plan of wave {found.wave} is to be applied: {found.plan_id}"
    return "running", f"wave {found.wave} is at work" if found.act == "apply" else f"wave {found.wave} is next"


def begin(connection: Connection, batch: Batch, now: datetime) -> None:
    """Start a batch, or go on with it; one that is paused or cancelled is not. Raises InputRefused."""
    batch = batch_rows.locked(connection, batch.id)
    if standing(connection, batch, now)[0] == "paused":
        why = f": {batch.control_reason}" if batch.control_reason else ""
        raise InputRefused(f"batch {batch.name!r} is paused{why}", remedy=f"./callwright batch resume '{batch.name}'")
    batch_rows.refuse_cancelled(batch)
    batch_rows.forget_discarded(connection, batch.id)
    if batch.control == NEW:
        batch_rows.set_control(connection, batch.id, GO, "", now)


def pause(connection: Connection, batch: Batch, reason: str, now: datetime) -> None:
    """Let nothing of a batch begin any more; what has begun is finished. Raises InputRefused."""
    batch = batch_rows.locked(connection, batch.id)
    if batch.control not in (NEW, GO, RETRY):
        raise InputRefused(f"batch {batch.name!r} is {batch.control}", remedy="only a batch that goes on can be paused")
    _refuse_finished(connection, batch, now)
    batch_rows.set_control(connection, batch.id, PAUSED, reason or "by hand", now)


def _refuse_finished(connection: Connection, batch: Batch, now: datetime) -> None:
    if standing(connection, batch, now)[0] == "finished":
        raise InputRefused(
            f"batch {batch.name!r} is finished",
            remedy=f"./callwright batch undo '{batch.name}' --wave N takes one back",
        )


def resume(
    connection: Connection, batch: Batch, now: datetime, start: datetime | None = None, end: datetime | None = None
) -> None:
    """Let a paused batch go on, perhaps in another window; failures so far no longer count against its error budget.

    One that was not started may be given another window, and stays as it is. Raises InputRefused.
    """
    batch = batch_rows.locked(connection, batch.id)
    batch_rows.refuse_cancelled(batch)
    if start or end:
        change_window(connection, batch, start, end)
    elif batch.control == NEW:
        raise _not_started(batch)
    if batch.control == NEW:
        return
    _forgive(connection, batch)
    batch_rows.forget_discarded(connection, batch.id)
    batch_rows.set_control(connection, batch.id, GO, "", now)
    batch_alerts.clear(connection, batch.name, now)


def _not_started(batch: Batch) -> InputRefused:
    return InputRefused(f"batch {batch.name!r} was not started", remedy=f"./callwright batch run '{batch.name}'")


def _forgive(connection: Connection, batch: Batch) -> None:
    """Have failures so far count no longer against the error budget."""
    for plan_id in batch_rows.plans_of(connection, batch.id):
        c = plan_lines.c
        failed = select(c.line).where(c.plan_id == plan_id, c.object.like("user:%"), c.state == LineState.FAILED)
        count = len(connection.execute(failed).all())
        connection.execute(update(batch_plans).where(batch_plans.c.plan_id == plan_id).values(forgiven=count))


def change_window(connection: Connection, batch: Batch, start: datetime | None, end: datetime | None) -> None:
    """Give a batch another window; None leaves that side as it is. Raises InputRefused."""
    values = {name: value for name, value in (("window_start", start), ("window_end", end)) if value is not None}
    try:
        options = BatchOptions.model_validate(batch.options.model_dump() | values)
    except ValueError as error:
        raise InputRefused("the window ends before it starts", remedy="give both sides") from error
    row = {"options": options.model_dump(mode="json"), **values}
    connection.execute(update(batches).where(batches.c.id == batch.id).values(row))


def cancel(runtime: Runtime, batch: Batch, reason: str) -> Counter[str]:
    """End a batch: what has begun is finished, the rest is given up with its numbers. Counts both.

    It may be repeated while something is left; whoever visits a line that has not begun gives it up as well.
    Raises InputRefused.
    """
    with runtime.database.write() as connection:
        batch = batch_rows.locked(connection, batch.id)
        if batch.control == CANCELLED and not any(each.open for each in waves(connection, batch, runtime.now())):
            raise InputRefused(f"batch {batch.name!r} was cancelled before")
        _refuse_finished(connection, batch, runtime.now())
        if batch.control != CANCELLED:
            batch_rows.set_control(connection, batch.id, CANCELLED, reason or "by hand", runtime.now())
        batch_alerts.clear(connection, batch.name, runtime.now())
        plan_ids = batch_rows.plans_of(connection, batch.id)
    for plan_id in plan_ids:
        give_up_plan(runtime, plan_id, apply.BATCH_CANCELLED)
    with runtime.database.read() as connection:
        counts = batch_rows.counts(connection, batch.id)
    return Counter(given_up=counts["discarded"] + counts["ready"], in_flight=sum(counts[state] for state in OPEN))


def retry(connection: Connection, batch: Batch, wave: int | None, now: datetime, *, dry_run: bool = False) -> int:
    """Put who failed or was refused into waves of their own; gives how many they are. Raises InputRefused.

    In a paused batch these waves may begin, and stay the only ones that do; a dry run lets nothing begin.
    """
    batch = batch_rows.locked(connection, batch.id)
    batch_rows.refuse_cancelled(batch)
    if batch.control == NEW:
        raise _not_started(batch)
    users = batch_rows.new_waves(connection, batch, RETRIED, wave)
    batch_rows.forget_discarded(connection, batch.id)
    if not users and not any(each.is_retry and _is_left(each) for each in waves(connection, batch, now)):
        raise InputRefused(f"nobody of batch {batch.name!r} failed or was refused", remedy="there is nothing to retry")
    if batch.control == PAUSED and not dry_run:
        _forgive(connection, batch)
        batch_rows.set_control(connection, batch.id, RETRY, batch.control_reason, now)
    return users


def _is_left(wave: Wave) -> bool:
    """Tell whether something of a wave is still to be done."""
    return wave.plan_id is None or wave.open > 0


def discard(database: Database, batch: Batch, now: datetime) -> int:
    """Forget a batch of which nothing was applied; gives how many numbers are free again. Raises InputRefused."""
    with database.read() as connection:
        ids = batch_rows.plans_of(connection, batch.id)
        states = {plan_id: plan_store.header(connection, plan_id).state for plan_id in ids}
    if any(state not in ("planned", "discarded") for state in states.values()):
        raise InputRefused(f"batch {batch.name!r} was begun", remedy=f"./callwright batch cancel '{batch.name}'")
    numbers = sum(apply.discard(database, plan_id, now) for plan_id, state in states.items() if state == "planned")
    with database.write() as connection:
        batch_alerts.clear(connection, batch.name, now)
        for table in (batch_plans, batch_users):
            connection.execute(delete(table).where(table.c.batch_id == batch.id))
        connection.execute(delete(batches).where(batches.c.id == batch.id))
    return numbers
