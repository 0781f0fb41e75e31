"""Number operations that finish later: accepted at once, carried out after the assignment delay, then remembered."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from lab.clock import stamp
from lab.records import Json, Operation
from lab.rules import Refusal
from lab.tenant import Tenant

REMEMBERED = 20_000
STARTS_AFTER = 0.4  # share of the delay during which an operation has not started


def begin(
    tenant: Tenant, telephone_number: str, work: Callable[[], None], *, remembered: int = REMEMBERED
) -> Operation:
    """Accept work on a number; a refusal becomes the operation's failure."""
    with tenant.lock:
        now = tenant.clock.now()
        _forget_oldest(tenant, remembered)
        operation = Operation(secrets.token_urlsafe(18), now, now, telephone_number)
        tenant.operations[operation.id] = operation
        tenant.pending.add(telephone_number)
        due = tenant.schedule(tenant.settings.assignment_delay_s, lambda: _finish(tenant, operation.id, work))
        tenant.operations[operation.id] = replace(tenant.operations[operation.id], due_at=due)
        return tenant.operations[operation.id]


def _forget_oldest(tenant: Tenant, remembered: int) -> None:
    """Forget half of the operations when there are too many; the youngest are still asked for."""
    if len(tenant.operations) > remembered:
        done = [known for known, operation in tenant.operations.items() if operation.done]
        for known in done[: remembered // 2]:
            del tenant.operations[known]


def status(operation: Operation, now: datetime) -> str:
    """Tell how far an operation is."""
    if operation.done:
        return operation.status
    total = (operation.due_at - operation.created_at).total_seconds()
    passed = (now - operation.created_at).total_seconds()
    return "notStarted" if passed < total * STARTS_AFTER else "running"


def shape(operation: Operation, now: datetime, base: str) -> dict[str, Json]:
    """Give an operation as Graph shows it."""
    state = status(operation, now)
    where = f"{base}/admin/teams/telephoneNumberManagement/numberAssignments/{operation.telephone_number}"
    number: Json = {"resourceLocation": where, "status": state, "statusDetail": operation.detail or None}
    created = stamp(operation.created_at)
    return {"id": operation.id, "createdDateTime": created, "status": state, "numbers": [number]}


def _finish(tenant: Tenant, operation_id: str, work: Callable[[], None]) -> None:
    operation = tenant.operations[operation_id]
    try:
        work()
        done = replace(operation, done=True, status="succeeded")
    except Refusal as refusal:
        done = replace(operation, done=True, status="failed", detail=refusal.message)
    tenant.operations[operation_id] = done
    tenant.pending.discard(operation.telephone_number)
