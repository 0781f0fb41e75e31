"""What an outcome means for the number inventory; called in the transaction that records the outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import Connection

from datasets.inventory import NumberState, Pool, Span, joined
from datasets.number_audit import UNKNOWN_COUNTRY, believed
from datasets.numbering import PhoneNumber
from engine import inventory, inventory_endings
from engine.change import Change
from engine.readers import Observed
from engine.runtime import Runtime

Settle = Callable[[Connection, Change, str, datetime], object]


def person(employee_id: str) -> str:
    """Name the owner of a reservation: a person who may not have an account yet."""
    return f"person:{employee_id}"


def user(user_id: str) -> str:
    """Name the owner of an assigned number."""
    return f"user:{user_id}"


@contextmanager
def kept_by(runtime: Runtime, plan_id: str) -> Iterator[None]:
    """Let a plan claim numbers inside; when it cannot be made, every one of them is given back."""
    try:
        yield
    except BaseException:  # whoever planned may have been interrupted by a person
        with runtime.database.write() as connection:
            inventory.give_back_plan(connection, plan_id, runtime.now())
        raise


def settle_done(connection: Connection, change: Change, plan_id: str, now: datetime) -> None:
    """Turn a verified change into what it means for its number."""
    settle = _DONE.get(change.kind)
    if settle is not None:
        settle(connection, change, plan_id, now)


def settle_undone(connection: Connection, change: Change, plan_id: str, now: datetime, observed: Observed) -> None:
    """Give a claimed number back, or record who holds it when reading showed an owner."""
    if change.kind not in ("assign_number", "reserve_number"):
        return
    number = number_of(change)
    holder = observed.get((f"number:{number.e164}", "owner"))
    if holder is None:
        inventory.give_back(connection, number, plan_id=plan_id, now=now)
    else:
        inventory.record_assigned(connection, number, owner=user(str(holder)), now=now)


def moved(connection: Connection, change: Change, now: datetime) -> str | None:
    """Say how the inventory has moved on since a change of its own was planned; None while the change still fits."""
    if change.kind in _BELIEVED:
        believes = believed(inventory.find(connection, number_of(change)))
        return None if believes == change.effects[0].before else f"{number_of(change)} is now {believes}"
    state = _ENDED.get(change.kind)
    if state is None or inventory_endings.is_over(connection, number_of(change), state, now):
        return None
    found = inventory.find(connection, number_of(change))
    until = f" until {found.until:%Y-%m-%d %H:%M} UTC" if found and found.until else ""
    return f"{number_of(change)} is now {inventory.state_of(connection, number_of(change))}{until}"


def number_of(change: Change) -> PhoneNumber:
    """Give the number that a change is about."""
    return PhoneNumber.from_e164(cast(str, change.parameters["number"]))


def _confirm(connection: Connection, change: Change, plan_id: str, now: datetime) -> None:
    owner = user(cast(str, change.parameters["user_id"]))
    inventory.confirm(connection, number_of(change), owner=owner, plan_id=plan_id, now=now)


def _reserve(connection: Connection, change: Change, plan_id: str, now: datetime) -> None:
    owner, reason = cast(str, change.parameters["owner"]), cast(str, change.parameters["reason"])
    until = datetime.fromisoformat(cast(str, change.parameters["until"]))
    inventory.reserve(connection, number_of(change), owner=owner, reason=reason, until=until, now=now, plan_id=plan_id)


def _release(connection: Connection, change: Change, _plan_id: str, now: datetime) -> None:
    """Let a number that was taken from its owner rest, also one nobody knew of; another's is left alone."""
    number, owner = number_of(change), user(str(change.parameters["user_id"]))
    row = inventory.find(connection, number)
    if row is None:
        row = inventory.record_assigned(connection, number, owner=owner, now=now)
    if row is None or (row.state == NumberState.ASSIGNED and row.owner == owner):
        inventory.release(connection, number, now, _grace(change, now))


def _line_released(connection: Connection, change: Change, plan_id: str, now: datetime) -> None:
    """Let the number of a cleared line rest when its owner gets another one; one that is kept stays claimed."""
    if not change.parameters.get("keeps"):
        _release(connection, change, plan_id, now)


def _back_on_premises(connection: Connection, change: Change, _plan_id: str, now: datetime) -> None:
    """Record that a number is the directory's again, with its user."""
    if change.parameters.get("number"):
        owner = user(str(change.parameters["user_id"]))
        inventory.record_assigned(connection, number_of(change), owner=owner, now=now)


def _grace(change: Change, now: datetime) -> datetime | None:
    """Give when the grace period ends: at a moment, or so many days after the number was seen to be nobody's."""
    until, days = change.parameters.get("grace_until"), cast(int, change.parameters.get("grace_days") or 0)
    if until is not None:
        return datetime.fromisoformat(str(until))
    return now + timedelta(days=days) if days else None


def _end(connection: Connection, change: Change, _plan_id: str, now: datetime) -> None:
    inventory_endings.end(connection, number_of(change), _ENDED[change.kind], now)


def _record_holder(connection: Connection, change: Change, _plan_id: str, now: datetime) -> None:
    inventory.record_assigned(connection, number_of(change), owner=str(change.parameters["owner"]), now=now)


def _give_back(connection: Connection, change: Change, _plan_id: str, now: datetime) -> None:
    inventory.give_back(connection, number_of(change), plan_id=str(change.parameters["plan_id"]), now=now)


def _let_rest(connection: Connection, change: Change, _plan_id: str, now: datetime) -> None:
    inventory.release(connection, number_of(change), now, _grace(change, now))


def _learn(connection: Connection, change: Change, _plan_id: str, now: datetime) -> None:
    """Put numbers that Teams lists into a pool of their kind and country, with who holds them.

    The pool is like one of a command: it may be described, resized and named by a template.
    """
    name, numbers = str(change.parameters["pool"]), cast("list[str]", change.parameters["numbers"])
    pool = inventory.read_pool(connection, name) or _learned_pool(change, name)
    policy = tuple(span for span in pool.spans if not span.is_added)
    added = (*(span for span in pool.spans if span.is_added), *(Span.read(number) for number in numbers))
    runs = joined(sorted(span.run for span in added))
    spans = (*policy, *(Span.of(run).model_copy(update={"is_added": True}) for run in runs))
    inventory.define_pool(connection, pool.model_copy(update={"spans": spans}))
    for number, holder in cast("dict[str, str]", change.parameters["holders"]).items():
        inventory.record_assigned(connection, PhoneNumber.from_e164(number), owner=user(holder), now=now)


def _learned_pool(change: Change, name: str) -> Pool:
    country = str(change.parameters.get("country") or "")
    known = country if country != UNKNOWN_COUNTRY else ""
    return Pool(name=name, kind=str(change.parameters["kind"]), country=known, is_policy=False, spans=())


_BELIEVED = frozenset(("record_holder", "give_back_claim", "let_rest"))
_ENDED = {"end_reservation": NumberState.RESERVED, "end_grace": NumberState.GRACE}
_DONE: dict[str, Settle] = {
    "assign_number": _confirm,
    "reserve_number": _reserve,
    "unassign_number": _release,
    "await_line_release": _line_released,
    "await_on_premises": _back_on_premises,
    "record_holder": _record_holder,
    "give_back_claim": _give_back,
    "let_rest": _let_rest,
    "learn_numbers": _learn,
    "end_reservation": _end,
    "end_grace": _end,
}
