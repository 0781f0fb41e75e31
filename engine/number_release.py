"""Taking a number back by hand: only what the tenant no longer gives may be given to somebody else."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from config.errors import InputRefused
from datasets.inventory import NumberState
from datasets.numbering import PhoneNumber
from engine import inventory


def release(
    connection: Connection, number: PhoneNumber, *, now: datetime, grace_days: int, is_gone: bool, reason: str = ""
) -> None:
    """End a grace period, or start one for a number that is gone from the tenant. Raises InputRefused otherwise."""
    state = inventory.state_of(connection, number)
    if state == NumberState.GRACE:
        inventory.end_grace(connection, number, now=now, reason=reason)
    elif state != NumberState.ASSIGNED:
        raise InputRefused(f"number {number} is {state.value}", remedy=_remedy(state))
    elif not is_gone:
        remedy = "take it from its user in the tenant first, then repeat with --gone-from-tenant"
        raise InputRefused(f"number {number} is assigned: the tenant would still ring its user", remedy=remedy)
    else:
        inventory.release(connection, number, now, now + timedelta(days=grace_days), reason=reason)


def _remedy(state: NumberState) -> str:
    match state:
        case NumberState.RESERVED:
            return "cancel the reservation: ./callwright numbers unreserve"
        case NumberState.BLOCKED:
            return "./callwright numbers unblock"
        case NumberState.CLAIMED:
            return "discard the plan that claims it: ./callwright plan discard"
        case _:
            return "there is nothing to release"
