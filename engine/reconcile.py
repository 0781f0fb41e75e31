"""Reconcile: what dead processes left behind is brought to a truthful state, from the record and from the tenant.

Unknown intents are settled by continuing their plans (`flows/continue_waiting.py`); here go the rest: claims of plans
that ended, leases nobody holds, streams nobody sealed, requests nobody closed. Safe to repeat, anywhere, at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import JsonValue
from sqlalchemy import Connection, or_, select

from datasets.inventory import Taken
from datasets.tables.batches import batch_plans, batches
from datasets.tables.inventory import taken
from datasets.tables.journal import journal_streams
from datasets.tables.plans import plans
from datasets.tables.requests import requests as requests_table
from engine import inventory, leases, outcomes, plan_store, requests
from engine.claims import user as user_owner
from engine.journal import write_manifest
from engine.runtime import Runtime

_ENDED = ("settled", "discarded")
_LEASES_KEPT = timedelta(days=2)
_REQUESTS_KEPT = timedelta(days=1)
_MADE_WITHIN = timedelta(hours=1)
"""A plan is stored after its last claim: until then claims of a plan that nobody knows are of one in the making."""


def reconcile(runtime: Runtime, request_id: str | None = None) -> dict[str, int]:
    """Bring everything to a truthful state, for a request if it is named; gives how much of each was found."""
    return {
        "expired": _end_expired(runtime, request_id),
        "claims": _settle_claims(runtime),
        "leases": _forget_leases(runtime),
        "plans": _settle_plans(runtime),
        "streams": _seal_streams(runtime),
        "requests": _close_requests(runtime),
    }


def _end_expired(runtime: Runtime, request_id: str | None) -> int:
    with runtime.database.write() as connection:
        return len(outcomes.end_what_expired(connection, runtime.now(), request_id))


def _settle_claims(runtime: Runtime) -> int:
    """End claims of plans that are over, or that nobody knows: the tenant says who has the number."""
    with runtime.database.read() as connection:
        claimed = _orphaned_claims(connection, runtime.now())
    for row in claimed:
        seen = runtime.systems.teams.number(row.number.e164)
        holder = None if seen is None else seen.assignment_target_id
        with runtime.database.write() as connection:
            _settle_claim(connection, runtime, row, holder)
    return len(claimed)


def _orphaned_claims(connection: Connection, now: datetime) -> list[Taken]:
    claiming = set(connection.execute(select(taken.c.plan_id).where(taken.c.plan_id.is_not(None))).scalars())
    states = dict(connection.execute(select(plans.c.id, plans.c.state).where(plans.c.id.in_(claiming))).tuples().all())
    claims = [
        row
        for plan_id in sorted(claiming)
        if states.get(plan_id, _ENDED[0]) in _ENDED
        for row in inventory.claimed_by(connection, str(plan_id))
    ]
    return [row for row in claims if row.plan_id in states or row.since <= now - _MADE_WITHIN]


def _settle_claim(connection: Connection, runtime: Runtime, row: Taken, holder: str | None) -> None:
    if inventory.find(connection, row.number) != row:
        return  # somebody settled it meanwhile
    if holder is None:
        inventory.give_back(connection, row.number, plan_id=str(row.plan_id), now=runtime.now())
    else:
        inventory.record_assigned(connection, row.number, owner=user_owner(holder), now=runtime.now())


def _forget_leases(runtime: Runtime) -> int:
    with runtime.database.write() as connection:
        return leases.forget_expired(connection, before=runtime.now() - _LEASES_KEPT)


def _settle_plans(runtime: Runtime) -> int:
    """Mark plans as settled whose last line was finished by a process that died before it could say so."""
    with runtime.database.write() as connection:
        applying = connection.execute(select(plans.c.id).where(plans.c.state == "applying")).scalars().all()
        return sum(plan_store.settle_plan_if_done(connection, plan_id) for plan_id in applying)


def _seal_streams(runtime: Runtime) -> int:
    """Chain streams of plans that are over into the manifests."""
    c = journal_streams.c
    query = (
        select(plans.c.id, plans.c.request_id)
        .join(journal_streams, c.plan_id == plans.c.id)
        .where(c.manifest_id.is_(None), plans.c.state.in_(_ENDED))
        .distinct()
    )
    with runtime.database.read() as connection:
        open_plans = connection.execute(query).all()
    for plan_id, request_id in open_plans:
        with runtime.database.write() as connection:
            write_manifest(connection, request_id, [plan_id], runtime.now())
    return len(open_plans)


def _close_requests(runtime: Runtime) -> int:
    """Close requests of runs that died: with what their plans came to, or as failed when there is none."""
    old = runtime.now() - _REQUESTS_KEPT
    with runtime.database.read() as connection:
        c = requests_table.c
        rows = connection.execute(select(c.id, c.created_at, c.parameters).where(c.state == "open")).all()
        mine = {row.id: _plans_of(connection, row.id, row.parameters) for row in rows}
    found = 0
    for row in rows:
        states = [state for _, state in mine[row.id]]
        is_over = bool(states) and all(state in _ENDED for state in states)
        if is_over or (not states and row.created_at <= old):
            with runtime.database.write() as connection:
                _close_request(connection, runtime, row.id, [plan_id for plan_id, _ in mine[row.id]])
            found += 1
    return found


def _plans_of(
    connection: Connection, request_id: str, parameters: Mapping[str, JsonValue] | None
) -> list[tuple[str, str]]:
    """Give the plans that a request made, the stored one that it was to apply, or its batch's, with their states."""
    named, batch = ((parameters or {}).get(name) for name in ("plan_id", "batch"))
    of_batch = select(batch_plans.c.plan_id).join(batches, batches.c.id == batch_plans.c.batch_id)
    of_batch = of_batch.where(or_(batches.c.id == batch, batches.c.name == batch))
    mine = or_(plans.c.request_id == request_id, plans.c.id == named, plans.c.id.in_(of_batch))
    query = select(plans.c.id, plans.c.state).where(mine)
    return [(row.id, row.state) for row in connection.execute(query)]


def _close_request(connection: Connection, runtime: Runtime, request_id: str, plan_ids: Sequence[str]) -> None:
    if plan_ids:
        outcomes.record(connection, request_id, feed_id=None, plan_ids=plan_ids, now=runtime.now())
    else:
        message = "the run ended before it had planned anything ; start it again"
        requests.close_request(connection, request_id, "failed", {"message": message}, runtime.now())
