"""Take a wave of a batch back: whatever the batch did for those who are in the wave now, as one plan.

Whoever was moved by one wave and finished by another, after a retry, is taken back whole.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import JsonValue
from sqlalchemy import Connection

from config.errors import InputRefused
from engine import batches, history, plan_store, requests
from engine.apply import discard_in
from engine.batches import Batch
from engine.change import Change
from engine.history import Done
from engine.rollback import PlanBuilder, Terms, observe_done, take_back, warnings_of
from engine.runtime import Runtime

_SLICE = 500


def plan_undo(runtime: Runtime, request_id: str, batch: Batch, wave: int, terms: Terms) -> str:
    """Plan to take a wave back; gives the plan's id. One that was read before and still says the same is that plan.

    One that says something else is discarded with its claims. Raises InputRefused for a wave that nothing was done for,
    and where a plan waits to go on with its users.
    """
    with runtime.database.read() as connection:
        chosen = _done_for(connection, batch, wave)
        _refuse_pending(connection, batch, {done.object for done in chosen})
    live = observe_done(runtime, chosen)
    with runtime.database.write() as connection:
        read = {plan_id: _said_by(connection, plan_id) for plan_id in _not_begun(connection, batch, wave)}
        trial = connection.begin_nested()
        for plan_id in read:
            discard_in(connection, plan_id, runtime.now())
        builder = PlanBuilder(connection, runtime, request_id, terms)
        take_back(builder, chosen, live)
        new = [_said(line.object, line.state, line.reason, line.changes) for line in builder.lines]
        same = next((plan_id for plan_id, said in read.items() if said == new), None)
        if same is not None:
            trial.rollback()
            requests.warn(connection, request_id, warnings_of(builder.lines))
            return same
        trial.commit()
        builder.save()
        if builder.lines:
            batches.note_undo(connection, batch.id, wave, builder.plan_id)
        return builder.plan_id


def _done_for(connection: Connection, batch: Batch, wave: int) -> list[Done]:
    """Read what all waves of a batch did for the present members of one."""
    members = [f"user:{user_id}" for user_id, _ in batches.users_of(connection, batch.id, wave)]
    plan_ids = batches.plans_of(connection, batch.id)
    parts = (members[start : start + _SLICE] for start in range(0, len(members), _SLICE))
    chosen = [done for part in parts for done in history.done_to(connection, part, plan_ids)]
    if not chosen:
        what = f"nothing was done for the users of wave {wave} of batch {batch.name!r}"
        raise InputRefused(what, remedy=f"see ./callwright batch show '{batch.name}'")
    return chosen


def _refuse_pending(connection: Connection, batch: Batch, users: set[str]) -> None:
    """Raise InputRefused where a plan of the batch waits to go on with one of these users, moving them again."""
    ours = {*batches.plans_of(connection, batch.id)}
    for line in plan_store.open_lines(connection, users):
        if line.plan_id in ours and not plan_store.has_sent(line):
            is_planned = plan_store.header(connection, line.plan_id).state == "planned"
            first = f"plan discard {line.plan_id}" if is_planned else f"batch cancel '{batch.name}'"
            what = f"plan {line.plan_id} of batch {batch.name!r} is to go on with {line.label}"
            raise InputRefused(what, remedy=f"first: ./callwright {first}")


def _not_begun(connection: Connection, batch: Batch, wave: int) -> list[str]:
    """List the plans to take the wave back that nobody has started."""
    ids = batches.plans_of(connection, batch.id, wave, kind="undo")
    return [plan_id for plan_id in ids if plan_store.header(connection, plan_id).state == "planned"]


def _said_by(connection: Connection, plan_id: str) -> list[JsonValue]:
    """Say what a stored plan would do."""
    return [
        _said(line.object, line.state, line.reason, [stored.change for stored in line.changes])
        for line in plan_store.load_lines(connection, plan_id)
    ]


def _said(obj: str, state: str, reason: str, changes: Iterable[Change]) -> JsonValue:
    """Say what a line would do, without what differs from one planning to the next: names of plans, ends of rests."""
    done: list[JsonValue] = [
        change.model_dump(mode="json", exclude={"reason": True, "parameters": {"grace_until"}}) for change in changes
    ]
    return [obj, state, reason, done]
