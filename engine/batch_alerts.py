"""Alerts about batches: a wave that failed or was refused whole, a plan that expired, a wave that was not taken back.

Each is a row with a cause that names the batch, and is told in the summary of the run that came upon it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select
from sqlalchemy.engine import Row

from datasets.tables.batches import batch_plans, batches
from datasets.tables.plans import plan_lines
from engine import batches as batch_rows
from engine import requests
from engine.batches import CANCELLED, PAUSED
from engine.plan import LineState

_STOPPED = (PAUSED, CANCELLED)
# Of these lines nobody tried anything: they are no part of those who may fail.
_NOT_TRIED = (LineState.REFUSED, LineState.UNCHANGED, LineState.DISCARDED, LineState.SUPERSEDED)


def paused(name: str) -> str:
    """Give the cause of the alert about a batch that paused itself."""
    return f"batch paused: {name}"[:200]


def expired(name: str) -> str:
    """Give the cause of the alert about a plan that expired."""
    return f"batch plan expired: {name}"[:200]


def not_undone(name: str, wave: int) -> str:
    """Give the cause of the alert about a wave that could not be taken back whole."""
    return f"batch undo failed: wave {wave} of {name}"[:200]


def _batch_of(connection: Connection, plan_id: str) -> Row[Any] | None:
    """Give the batch of a plan with what the plan is to it; None for plans of no batch."""
    return connection.execute(_of_plan(plan_id)).first()


def _decided(connection: Connection, plan_id: str) -> Row[Any] | None:
    """Do the same, and let nobody decide about the batch until this transaction ends."""
    return connection.execute(_of_plan(plan_id).with_for_update(of=batches)).first()


def _of_plan(plan_id: str) -> Select[Any]:
    query = select(batches.c.id, batches.c.name, batches.c.control, batches.c.error_budget_percent, batch_plans)
    joined = batch_plans.join(batches, batches.c.id == batch_plans.c.batch_id)
    return query.select_from(joined).where(batch_plans.c.plan_id == plan_id)


def _users(connection: Connection, plan_id: str) -> dict[str, int]:
    """Count the users of a plan by state."""
    c = plan_lines.c
    query = select(c.state, func.count()).where(c.plan_id == plan_id, c.object.like("user:%")).group_by(c.state)
    return dict(connection.execute(query).tuples().all())


def count_failure(connection: Connection, plan_id: str, now: datetime) -> None:
    """Pause the batch when more of those tried in a wave have failed than its error budget allows, with an alert.

    A user who could not be taken back raises an alert and pauses nothing.
    """
    row = _decided(connection, plan_id)
    if row is None or (row.control in _STOPPED and row.kind != "undo"):
        return
    users = _users(connection, plan_id)
    failed, tried = users.get(LineState.FAILED, 0), sum(n for state, n in users.items() if state not in _NOT_TRIED)
    if row.kind == "undo":
        said = f"{failed} of {tried} users of wave {row.wave} could not be taken back"
        remedy = f"look at plan {plan_id}, then: ./callwright batch undo '{row.name}' --wave {row.wave}"
        requests.raise_alert(connection, not_undone(row.name, row.wave), f"{said} ; {remedy}", None, now)
        return
    failed -= row.forgiven
    if failed * 100 > row.error_budget_percent * tried:
        budget = f"more than {row.error_budget_percent:g} %"
        _pause(connection, row, f"wave {row.wave}: {failed} of {tried} users failed, {budget}", now)


def plan_started(connection: Connection, plan_id: str, now: datetime) -> None:
    """Clear what the new plan is the answer to; pause the batch, with an alert, when it refuses its wave whole."""
    row = _decided(connection, plan_id)
    if row is None:
        return
    requests.clear_alert(connection, not_undone(row.name, row.wave) if row.kind == "undo" else expired(row.name), now)
    users = _users(connection, plan_id)
    if row.kind == "undo" or row.control in _STOPPED or users.keys() != {LineState.REFUSED}:
        return
    c = plan_lines.c
    first = select(c.reason).where(c.plan_id == plan_id, c.state == LineState.REFUSED).order_by(c.line).limit(1)
    why = connection.execute(first).scalar_one()
    number = users[LineState.REFUSED]
    _pause(connection, row, f"wave {row.wave}: all {number} users were refused, the first: {why}", now)


def _pause(connection: Connection, row: Row[Any], reason: str, now: datetime) -> None:
    batch_rows.set_control(connection, row.id, PAUSED, reason, now)
    remedy = f"look, then: ./callwright batch resume '{row.name}', or batch retry for those alone"
    requests.clear_alert(connection, paused(row.name), now)  # one may stand, of the pause before a retry
    requests.raise_alert(connection, paused(row.name), f"{reason} ; {remedy}", None, now)


def plan_expired(connection: Connection, plan_id: str, request_id: str | None, now: datetime) -> None:
    """Have a wave planned anew whose plan ended with its claims, and raise an alert: an approval of it is gone."""
    row = _batch_of(connection, plan_id)
    if row is None or row.kind == "undo" or row.control == CANCELLED:
        return
    batch_rows.forget_discarded(connection, row.id)
    said = f"wave {row.wave}: its plan {plan_id} was not applied before its claims expired"
    remedy = "it is planned anew, and is to be approved anew where the site wants that"
    requests.raise_alert(connection, expired(row.name), f"{said} ; {remedy}", request_id, now)
    if request_id is not None:
        requests.note(connection, request_id, alert={"cause": expired(row.name), "state": "raised"})


def note(connection: Connection, request_id: str, plan_ids: Iterable[str]) -> None:
    """Keep for the summary of a request which alert its work on these plans raised, if any."""
    causes = set[str]()
    for plan_id in plan_ids:
        if row := _batch_of(connection, plan_id):
            causes |= {paused(row.name), not_undone(row.name, row.wave)}
    opened = requests.load(connection, request_id).created_at
    raised = [each for each in requests.standing_alerts(connection) if each.raised_at >= opened]
    for each in raised:
        if each.cause in causes:
            requests.note(connection, request_id, alert={"cause": each.cause, "state": "raised"})


def clear(connection: Connection, name: str, now: datetime) -> None:
    """Clear the alerts about the moves of a batch that is over or goes on."""
    for cause in (paused(name), expired(name)):
        requests.clear_alert(connection, cause, now)
