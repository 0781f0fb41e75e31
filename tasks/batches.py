"""The stages of a batch: make it, examine it, plan and apply its waves, control it, tell how it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Connection

from datasets.batch_steps import Act, Step, remedied
from datasets.batches import BatchOptions
from engine import (
    approvals,
    batch_alerts,
    batch_control,
    batch_gates,
    batch_sources,
    cache,
    checklists,
    journal,
    leases,
    plan_store,
    requests,
)
from engine import batches as rows
from engine.apply import Chunk, apply_chunk, discard, start
from engine.approvals import ApprovalMissing
from engine.batch_names import refuse_unknown
from engine.batch_sources import Source, SourceKind
from engine.batch_undo import plan_undo
from engine.giving_up import give_up_half_made
from engine.lease_keeper import LeaseKeeper
from engine.leases import Lease, LeaseHeld
from engine.migration_plan import plan_wave
from engine.migration_terms import WaveTerms
from engine.outages import unreachable
from engine.runtime import Runtime, utc_now
from tasks.plans import terms_of
from tasks.policy_waves import Part, with_policies
from tasks.presets import CHUNK, READ
from tasks.stage import stage
from tasks.work import Work, open_work

MOST_SHOWN = 200
# While the cloud gives numbers to the users of one chunk, the sessions move those of the other.
_FOR_EACH_SESSION = 2
TROUBLED = ("failed", "unknown", "refused", "waiting", "discarded", rows.NOT_FOUND, rows.DUPLICATE)


@stage(READ)
def create(request_id: str, name: str, source: Source, options: Mapping[str, JsonValue], by: str) -> str:
    """Read who is meant and store the batch; gives its id."""
    wanted = BatchOptions.model_validate(dict(options))
    with open_work() as work, work.runtime() as runtime:
        with work.database.read() as connection:
            refuse_unknown(connection, work.site, wanted)
        members = batch_sources.members(work.database, runtime.systems.graph, source)
        told: dict[str, JsonValue] = {"kind": source.kind.value, "text": source.text}
        with work.database.write() as connection:
            if source.kind in (SourceKind.FILTER, SourceKind.SAVED_FILTER):
                requests.note(connection, request_id, chosen_as_of=cache.as_of(connection))
            return rows.create(connection, name, told, wanted, members, by=by, now=utc_now(), request_id=request_id)


@stage(READ)
def begin(batch: str) -> str:
    """Start a batch, or go on with it; gives its id."""
    with open_work() as work, work.database.write() as connection:
        found = rows.find(connection, batch)
        batch_control.begin(connection, found, utc_now())
    return found.id


@stage(READ)
def known(batch: str) -> str:
    """Give the id of a batch. Raises InputRefused for one that nobody knows."""
    with open_work() as work, work.database.read() as connection:
        return rows.find(connection, batch).id


@stage(READ)
def name_of(batch_id: str) -> str:
    """Give the name of a batch."""
    with open_work() as work, work.database.read() as connection:
        return rows.find(connection, batch_id).name


@stage(READ)
def in_progress() -> list[str]:
    """List the batches that were started and have something to do now."""
    with open_work() as work, work.database.read() as connection:
        found = [(each, batch_control.step(connection, each, (), utc_now())) for each in rows.in_progress(connection)]
        return [batch.id for batch, step in found if _may_go_on(connection, work, step)]


def _may_go_on(connection: Connection, work: Work, step: Step) -> bool:
    """Tell whether there is something to do that nobody has to approve first."""
    if step.act is Act.APPLY and step.plan_id and plan_store.header(connection, step.plan_id).state == "planned":
        try:
            approvals.require(connection, step.plan_id, work.site.approvals, utc_now())
        except ApprovalMissing:
            return False
    return step.act in (Act.PLAN, Act.APPLY)


@stage(READ)
def approval_missing(plan_id: str) -> str:
    """Say which approval a plan waits for; nothing when none is missing."""
    with open_work() as work, work.database.read() as connection:
        try:
            approvals.require(connection, plan_id, work.site.approvals, utc_now())
        except ApprovalMissing as missing:
            return str(missing)
    return ""


@stage(READ)
def next_step(batch_id: str, tried: list[str], *, retried_only: bool) -> Step:
    """Decide what to do next, from the plans and the journal."""
    with open_work() as work, work.database.read() as connection:
        batch = rows.find(connection, batch_id)
        return batch_control.step(connection, batch, tried, utc_now(), retried_only=retried_only)


@stage(READ, "plan wave {wave}")
def plan(request_id: str, batch_id: str, wave: int) -> str:
    """Plan a wave; gives the plan's id. Two runs never make two plans of a wave. Raises LeaseHeld."""
    with open_work() as work, work.runtime() as runtime:
        key, plan_id, now = f"{batch_id}:{wave}", requests.new_id("p"), utc_now()
        with work.database.write() as connection:
            known_plan = _plan_of(connection, batch_id, wave)
            if known_plan is not None:
                return known_plan
            before = leases.last_holder(connection, "batch", key)
            lease = leases.acquire(connection, "batch", key, f"{request_id}:{plan_id}", now=now, ttl=runtime.lease)
            if lease is None:
                held, until = leases.holder_of(connection, "batch", key, now=now) or ("", now)
                who, name = requests.spoken(connection, held.partition(":")[0]), rows.find(connection, batch_id).name
                raise LeaseHeld(f"{who} is planning wave {wave} of batch {name!r} right now", until)
            give_up_half_made(connection, before.partition(":")[2], now)
        try:
            with LeaseKeeper(runtime, [lease]):
                return _planned(work, runtime, lease, batch_id, wave)
        finally:
            with work.database.write() as connection:
                leases.release(connection, [lease], now=utc_now())


def _planned(work: Work, runtime: Runtime, lease: Lease, batch_id: str, wave: int) -> str:
    """Plan a wave under its lease, which says for which request and under which id."""
    request_id, _, plan_id = lease.holder.partition(":")
    with work.database.read() as connection:
        batch = rows.find(connection, batch_id)
        users = rows.to_plan(connection, batch_id, wave)
    plan_wave(runtime, work.site, batch.options, users, request_id, WaveTerms.of(work.settings), plan_id)
    is_wanted = False
    try:
        with work.database.write() as connection:
            leases.renew(connection, [lease], now=utc_now(), ttl=runtime.lease)
            is_cancelled = rows.locked(connection, batch_id).control == rows.CANCELLED
            earlier = _plan_of(connection, batch_id, wave)
            if earlier is None:
                rows.note_plan(connection, batch_id, wave, plan_id)
        is_wanted = earlier is None and not is_cancelled
    finally:
        if not is_wanted:  # also where somebody took over, or forgot the batch meanwhile
            discard(work.database, plan_id, utc_now())
    return earlier or plan_id


def _plan_of(connection: Connection, batch_id: str, wave: int) -> str | None:
    return next((each.plan_id for each in rows.standings(connection, batch_id, wave=wave, limit=1)), None)


@stage(READ)
def show_plan(plan_id: str) -> Sequence[Mapping[str, Any]]:
    """Give the first lines of a plan as a page shows them: for whom, what, or why not."""
    with open_work() as work, work.database.read() as connection:
        lines = plan_store.load_lines(connection, plan_id, range(1, MOST_SHOWN + 1))
    return [
        {
            "user": line.label,
            "number": _number_of(line),
            "state": line.state.value,
            "reason": line.reason,
            "does": ", ".join(stored.change.kind.replace("_", " ") for stored in line.changes),
            "worth a look": line.source.get("warnings", ""),
        }
        for line in lines
    ]


def _number_of(line: plan_store.StoredLine) -> str:
    named = (stored.change.parameters.get("number") for stored in line.changes)
    return next((str(number) for number in named if number), "")


@stage(READ)
def cut(batch_id: str, plan_id: str) -> list[Part]:
    """Start a wave's plan and cut what is due into chunks of guided size. Raises ApprovalMissing."""
    with open_work() as work, work.runtime() as runtime:
        start(runtime, plan_id, work.site.approvals)
        at_once = _at_once(work, batch_id)
        found = [(batch_id, each.plan_id, each.first, each.last) for each in work.chunks(runtime, plan_id, at_once)]
        with work.database.read() as connection:
            return with_policies(connection, plan_id, found)


@stage(READ)
def at_once(batch_id: str) -> int:
    """Give how many chunks of a batch are worked on at once."""
    with open_work() as work:
        return _at_once(work, batch_id)


def _at_once(work: Work, batch_id: str) -> int:
    with work.database.read() as connection:
        return _FOR_EACH_SESSION * rows.find(connection, batch_id).options.concurrency


@stage(CHUNK, "move lines {first} to {last}")
def move(batch_id: str, plan_id: str, first: int, last: int) -> dict[str, Any]:
    """Apply a chunk of a wave; it continues where the journal ends. Counts its lines and the whole batch by state.

    A chunk that another run has is left to it.
    """
    with open_work() as work, work.runtime() as runtime:
        states: dict[str, int] = {}
        with suppress(LeaseHeld):
            states |= apply_chunk(runtime, Chunk(plan_id, first, last))
        with work.database.read() as connection:
            is_held = not batch_gates.is_open(connection, plan_id, utc_now())
            counts = dict(rows.counts(connection, batch_id))
    return {"states": states, "counts": counts, "held": is_held}


@stage(READ)
def control(
    request_id: str, batch: str, act: str, reason: str, start_at: datetime | None = None, end_at: datetime | None = None
) -> dict[str, Any]:
    """Pause, resume (perhaps in another window) or cancel a batch; gives what came of it."""
    with open_work() as work:
        with work.database.read() as connection:
            found = rows.find(connection, batch)
        if act == "cancel":
            with work.runtime() as runtime:
                ended = dict(batch_control.cancel(runtime, found, reason))
        else:
            ended = {}
            with work.database.write() as connection:
                if act == "pause":
                    batch_control.pause(connection, found, reason, utc_now())
                else:
                    batch_control.resume(connection, found, utc_now(), start_at, end_at)
    return {"request_id": request_id, "batch_id": found.id, **ended}


@stage(READ)
def retry(batch: str, wave: int | None, *, dry_run: bool) -> str:
    """Put who failed or was refused into waves of their own; gives the batch's id."""
    with open_work() as work, work.database.write() as connection:
        found = rows.find(connection, batch)
        batch_control.retry(connection, found, wave, utc_now(), dry_run=dry_run)
    return found.id


@stage(READ)
def undo(request_id: str, batch: str, wave: int) -> str:
    """Plan to take a wave back; gives the plan's id. Raises InputRefused for a wave that nothing was done for."""
    with open_work() as work, work.runtime() as runtime:
        with work.database.read() as connection:
            found = rows.find(connection, batch)
        return plan_undo(runtime, request_id, found, wave, terms_of(work))


@stage(READ)
def record(request_id: str, batch_id: str, plan_ids: list[str], stopped: dict[str, str]) -> dict[str, Any]:
    """Settle what the run came to: plans, the journal's manifest, and the request with how the batch stands.

    `stopped` says what stood in the way: `needs_approval` or `interrupted`.
    """
    with open_work() as work, work.database.write() as connection:
        now = utc_now()
        for plan_id in plan_ids:
            plan_store.settle_plan_if_done(connection, plan_id)
        journal.write_manifest(connection, request_id, [*plan_ids, batch_id], now)  # approvals of the batch, too
        told = describe(connection, batch_id, now)
        alert = _alert(connection, rows.find(connection, batch_id), request_id)
        if alert:
            requests.note(connection, request_id, alert=alert)
        state = "finished" if told["state"] in ("finished", "cancelled") else "waiting"
        return requests.close_request(connection, request_id, state, {"request_id": request_id, **told, **stopped}, now)


def _alert(connection: Connection, batch: rows.Batch, request_id: str) -> dict[str, JsonValue] | None:
    """Give the alert of a batch that paused itself since the request was opened."""
    cause = batch_alerts.paused(batch.name)
    standing = [each for each in requests.standing_alerts(connection) if each.cause == cause]
    opened = requests.load(connection, request_id).created_at
    return {"cause": cause, "state": "raised" if standing[0].raised_at >= opened else "stands"} if standing else None


def describe(connection: Connection, batch_id: str, now: datetime) -> dict[str, Any]:
    """Say how a batch stands: in a word, by state, by wave, and how long its users could not be called."""
    batch = rows.find(connection, batch_id)
    state, why = batch_control.standing(connection, batch, now)
    found = batch_control.waves(connection, batch, now)
    plans = [each.plan_id for each in found if each.plan_id]
    return {
        "batch": batch.name,
        "batch_id": batch.id,
        "state": state,
        "why": why,
        "counts": dict(rows.counts(connection, batch.id)),
        "plan_id": next((each.plan_id for each in found if each.open and each.plan_id), plans[-1] if plans else None),
        "waves": [
            {"wave": each.wave, "plan": each.plan_id, "plan is": each.plan_state, **each.counts} for each in found
        ],
        "unreachable": _outages(connection, batch.id),
    }


def _outages(connection: Connection, batch_id: str) -> dict[str, JsonValue]:
    plan_ids = [plan_id for kind in ("move", "undo") for plan_id in rows.plans_of(connection, batch_id, kind=kind)]
    found = [each.seconds for each in unreachable(connection, plan_ids)]
    lengths = sorted(seconds for seconds in found if seconds is not None)
    return {
        "users": len(lengths),
        "still": len(found) - len(lengths),
        "median_s": round(lengths[len(lengths) // 2], 1) if lengths else None,
        "longest_s": round(lengths[-1], 1) if lengths else None,
    }


@stage(READ)
def standing(batch: str) -> dict[str, Any]:
    """Say how a batch stands."""
    with open_work() as work, work.database.read() as connection:
        return describe(connection, rows.find(connection, batch).id, utc_now())


@stage(READ)
def counted(batch_id: str) -> Mapping[str, int]:
    """Count the users of a batch by state."""
    with open_work() as work, work.database.read() as connection:
        return dict(rows.counts(connection, batch_id))


@stage(READ)
def troubles(batch_id: str) -> Sequence[tuple[str, str, str]]:
    """List the first users who are not done, with the reasons."""
    with open_work() as work, work.database.read() as connection:
        found = rows.standings(connection, batch_id, states=TROUBLED, limit=MOST_SHOWN)
    return [(each.user, each.state, remedied(each.state, each.reason)) for each in found]


@stage(READ)
def checklist(batch_id: str) -> Sequence[Mapping[str, str]]:
    """Give the checklists of the first users."""
    with open_work() as work, work.database.read() as connection:
        return checklists.of_batch(connection, batch_id, limit=MOST_SHOWN)


@stage(READ)
def wave_to_plan(batch_id: str, *, retried_only: bool) -> int | None:
    """Give the first wave that has no plan, or one that was discarded. Raises InputRefused for a cancelled batch."""
    with open_work() as work, work.database.write() as connection:
        batch = rows.locked(connection, batch_id)
        rows.refuse_cancelled(batch)
        rows.forget_discarded(connection, batch.id)
        found = batch_control.waves(connection, batch, utc_now())
    return next((each.wave for each in found if each.plan_id is None and (each.is_retry or not retried_only)), None)


@stage(READ)
def close(request_id: str, found: dict[str, Any]) -> dict[str, Any]:
    """Close a request with what was found."""
    with open_work() as work, work.database.write() as connection:
        return requests.close_request(
            connection, request_id, "finished", {"request_id": request_id, **found}, utc_now()
        )
