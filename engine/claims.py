"""What an outcome means for the number inventory; called in the transaction that records the outcome."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from sqlalchemy import Connection

from datasets.inventory import NumberState
from datasets.numbering import PhoneNumber
from engine import inventory
from engine.change import Change
from engine.readers import Observed


def person(employee_id: str) -> str:
    """Name the owner of a reservation: a person who may not have an account yet."""
    return f"person:{employee_id}"


def user(user_id: str) -> str:
    """Name the owner of an assigned number."""
    return f"user:{user_id}"


def settle_done(connection: Connection, change: Change, plan_id: str, now: datetime) -> None:
    """Turn the claim of a verified change into what it was for."""
    if change.kind == "assign_number":
        owner = user(cast(str, change.parameters["user_id"]))
        inventory.confirm(connection, _number(change), owner=owner, plan_id=plan_id, now=now)
    elif change.kind == "reserve_number":
        owner, reason = cast(str, change.parameters["owner"]), cast(str, change.parameters["reason"])
        until = datetime.fromisoformat(cast(str, change.parameters["until"]))
        inventory.reserve(
            connection, _number(change), owner=owner, reason=reason, until=until, now=now, plan_id=plan_id
        )
    elif change.kind == "unassign_number":
        _let_rest(connection, change, now)


def _let_rest(connection: Connection, change: Change, now: datetime) -> None:
    """Let a number that was taken from its owner rest until its grace period is over; another's is left alone."""
    row = inventory.find(connection, _number(change))
    if row is not None and row.state == NumberState.ASSIGNED and row.owner == user(str(change.parameters["user_id"])):
        until = change.parameters.get("grace_until")
        grace = None if until is None else datetime.fromisoformat(str(until))
        inventory.release(connection, row.number, now, grace)


def settle_undone(connection: Connection, change: Change, plan_id: str, now: datetime, observed: Observed) -> None:
    """Give a claimed number back, or record who holds it when reading showed an owner."""
    if change.kind not in ("assign_number", "reserve_number"):
        return
    number = _number(change)
    holder = observed.get((f"number:{number.e164}", "owner"))
    if holder is None:
        inventory.give_back(connection, number, plan_id=plan_id, now=now)
    else:
        inventory.record_assigned(connection, number, owner=user(str(holder)), now=now)


def _number(change: Change) -> PhoneNumber:
    return PhoneNumber.from_e164(cast(str, change.parameters["number"]))
