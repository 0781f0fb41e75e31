"""The number inventory: who may have which number, until when, exactly once.

Every function takes a connection whose transaction the caller owns, so that a number changes hands together with the
journal's outcome, and the moment it is. Numbers change state here and nowhere else; intervals and counters follow.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime

from sqlalchemy import Connection

from datasets.inventory import (
    NumberState,
    NumberUnavailable,
    Position,
    Taken,
)
from datasets.numbering import PhoneNumber
from datasets.tables.inventory import taken
from engine import inventory_intervals as gaps
from engine import inventory_taken as numbers
from engine.inventory_blocks import claim, claim_up_to, reserve_next
from engine.inventory_history import acting_as, history, holder_at
from engine.inventory_pools import counts, define_pool, free_page, next_free, pool_names, pool_of, read_pool, violations
from engine.inventory_taken import Move, Spot

__all__ = [
    "acting_as",
    "block",
    "claim",
    "claim_grace",
    "claim_held",
    "claim_named",
    "claim_reserved",
    "claim_up_to",
    "claimed_by",
    "confirm",
    "counts",
    "define_pool",
    "end_grace",
    "expire",
    "find",
    "free_page",
    "give_back",
    "give_back_plan",
    "grace_of",
    "history",
    "holder_at",
    "next_free",
    "owned_by",
    "pool_names",
    "pool_of",
    "read_pool",
    "record_assigned",
    "release",
    "reservation_of",
    "reserve",
    "reserve_next",
    "state_of",
    "unblock",
    "unreserve",
    "violations",
]

_CLAIMED = taken.c.state == NumberState.CLAIMED
_WITH_AN_END = (NumberState.CLAIMED, NumberState.RESERVED, NumberState.GRACE)
Protected = Collection[PhoneNumber] | Callable[[Taken], bool]
"""Claims that expiry must leave alone: their numbers, or a question asked of each."""


def claim_named(
    connection: Connection, number: PhoneNumber, *, plan_id: str, owner: str, until: datetime, now: datetime
) -> Taken:
    """Claim this very number, in a pool or not; its reservation or grace period is kept. Raises NumberUnavailable."""
    spot = numbers.hold(connection, Position.of(number))
    claimed = Taken(
        number=number, state=NumberState.CLAIMED, owner=owner, plan_id=plan_id, until=until, since=now, pool=_name(spot)
    )
    return _claim(connection, spot, claimed, now)


def claim_reserved(connection: Connection, owner: str, *, plan_id: str, until: datetime, now: datetime) -> Taken | None:
    """Claim the number reserved for this owner, or None; giving the claim back restores the reservation."""
    return _claim_own(connection, reservation_of(connection, owner, now), plan_id, until, now)


def claim_grace(connection: Connection, owner: str, *, plan_id: str, until: datetime, now: datetime) -> Taken | None:
    """Claim the number this owner had, while its grace period lasts, or None; giving it back restores the period."""
    return _claim_own(connection, grace_of(connection, owner, now), plan_id, until, now)


def claim_held(
    connection: Connection, number: PhoneNumber, *, plan_id: str, owner: str, until: datetime, now: datetime
) -> Taken:
    """Claim a number that its owner keeps while it changes systems; giving the claim back leaves it assigned.

    Raises NumberUnavailable when it is somebody else's.
    """
    spot = numbers.hold(connection, Position.of(number))
    row = spot.row
    if row is None or row.state != NumberState.ASSIGNED or row.owner != owner:
        return claim_named(connection, number, plan_id=plan_id, owner=owner, until=until, now=now)
    kept = {"kept_state": NumberState.ASSIGNED, "kept_reason": row.reason}
    claimed = {"state": NumberState.CLAIMED, "plan_id": plan_id, "until": until, "since": now}
    return _put(connection, spot, row.model_copy(update=claimed | kept), now)


def confirm(connection: Connection, number: PhoneNumber, *, owner: str, plan_id: str, now: datetime) -> Taken:
    """Turn a claim into an assignment, as reading the tenant proved. Raises NumberUnavailable when it is another's.

    Safe to repeat. A claim that expired meanwhile does not undo what the tenant shows, unless somebody else has it now.
    """
    spot = numbers.hold(connection, Position.of(number))
    row = spot.row
    if row is not None and row.state == NumberState.ASSIGNED and row.owner == owner:
        return row
    is_ours = row is not None and (row.plan_id == plan_id or row.owner == owner)
    if row is not None and not is_ours:
        raise _unavailable(row)
    return _put(connection, spot, _assigned(spot, number, owner, now), now)


def record_assigned(connection: Connection, number: PhoneNumber, *, owner: str, now: datetime) -> Taken | None:
    """Record who has a number in the tenant, whatever we believed; gives what we believed, None if nothing."""
    position = Position.of(number)
    row = numbers.find_row(connection, position)
    if row is not None and row.state == NumberState.ASSIGNED and row.owner == owner:
        return row  # the nightly sync finds nearly every number so: no lock, no write
    spot = numbers.hold(connection, position)
    _put(connection, spot, _assigned(spot, number, owner, now), now)
    return spot.row


def reserve(
    connection: Connection,
    number: PhoneNumber,
    *,
    owner: str,
    reason: str,
    until: datetime | None,
    now: datetime,
    plan_id: str | None = None,
) -> Taken:
    """Reserve a free number, or one that this plan claimed, for an owner. Raises NumberUnavailable."""
    spot = numbers.hold(connection, Position.of(number))
    row = spot.row
    is_ours = row is not None and (
        (row.state == NumberState.CLAIMED and plan_id is not None and row.plan_id == plan_id)
        or (row.state in (NumberState.RESERVED, NumberState.GRACE) and (row.owner == owner or row.expired_at(now)))
    )
    if not is_ours:
        _refuse_unless_free(connection, spot)
    reserved = Taken(
        number=number, state=NumberState.RESERVED, owner=owner, reason=reason, until=until, since=now, pool=_name(spot)
    )
    return _put(connection, spot, reserved, now)


def unreserve(connection: Connection, number: PhoneNumber, *, owner: str, now: datetime, reason: str = "") -> bool:
    """Cancel a reservation; tells whether there was one of this owner."""
    spot = numbers.hold(connection, Position.of(number))
    is_theirs = spot.row is not None and spot.row.state == NumberState.RESERVED and spot.row.owner == owner
    if is_theirs:
        numbers.move(connection, [Move(spot, None)], now, reason or "reservation cancelled")
    return is_theirs


def give_back(connection: Connection, number: PhoneNumber, *, plan_id: str, now: datetime) -> bool:
    """Give up a plan's claim; tells whether it had one. A reservation or grace period before it comes back."""
    spot = numbers.hold(connection, Position.of(number))
    if spot.row is None or spot.row.state != NumberState.CLAIMED or spot.row.plan_id != plan_id:
        return False
    numbers.move(connection, [Move(spot, spot.row.given_back(now))], now)
    return True


def give_back_plan(
    connection: Connection, plan_id: str, now: datetime, except_numbers: Collection[PhoneNumber] = ()
) -> list[PhoneNumber]:
    """Give up every claim of a plan but those of lines that may have been written; gives what was given back."""
    spots = numbers.hold_many(connection, numbers.rows().where(_CLAIMED, taken.c.plan_id == plan_id))
    moves = [Move(s, s.row.given_back(now)) for s in spots if s.row and s.row.number not in except_numbers]
    numbers.move(connection, moves, now)
    return sorted(m.spot.position.number for m in moves)


def release(
    connection: Connection, number: PhoneNumber, now: datetime, grace_until: datetime | None = None, *, reason: str = ""
) -> Taken | None:
    """Take an assigned number from its owner, into a grace period or straight back; gives who had it.

    The reason stays with the resting number and in its history. Safe to repeat. Raises NumberUnavailable when the
    number is claimed, reserved or blocked.
    """
    spot = numbers.hold(connection, Position.of(number))
    if spot.row is None or spot.row.state == NumberState.GRACE:
        return spot.row
    if spot.row.state != NumberState.ASSIGNED:
        raise _unavailable(spot.row)
    after = None
    if grace_until is not None and grace_until > now:
        changed = {"state": NumberState.GRACE, "until": grace_until, "since": now, "reason": reason or spot.row.reason}
        after = spot.row.model_copy(update=changed)
    numbers.move(connection, [Move(spot, after)], now, reason)
    return spot.row


def end_grace(connection: Connection, number: PhoneNumber, *, now: datetime, reason: str = "") -> bool:
    """End a grace period before its time; tells whether there was one."""
    spot = numbers.hold(connection, Position.of(number))
    is_resting = spot.row is not None and spot.row.state == NumberState.GRACE
    if is_resting:
        numbers.move(connection, [Move(spot, None)], now, reason or "grace period ended early")
    return is_resting


def expire(
    connection: Connection,
    now: datetime,
    protected: Protected = (),
    limit: int = gaps.SLICE,
    states: Collection[NumberState] = _WITH_AN_END,
) -> list[Taken]:
    """End claims, reservations and grace periods (or those in `states`) whose time is over; gives what they were.

    Protected claims stay: their plan is not settled and the number may be in use. Repeat until it gives nothing.
    """
    ended: list[Position] = []
    for row in numbers.expired(connection, now):
        is_kept = row.number in protected if isinstance(protected, Collection) else protected(row)
        if row.state in states and (row.state != NumberState.CLAIMED or not is_kept):
            ended.append(Position.of(row.number))
        if len(ended) == limit:
            break
    spots = numbers.hold_many(connection, numbers.among(ended).where(taken.c.until <= now)) if ended else []
    numbers.move(connection, [Move(s, s.row.given_back(now)) for s in spots if s.row], now, "its time was over")
    return [s.row for s in spots if s.row]


def block(connection: Connection, number: PhoneNumber, *, reason: str, now: datetime) -> Taken:
    """Keep a number nobody has from being offered, until it is unblocked. Raises NumberUnavailable."""
    spot = numbers.hold(connection, Position.of(number))
    if spot.row is not None and spot.row.state not in (NumberState.BLOCKED, NumberState.GRACE):
        raise _unavailable(spot.row)
    blocked = Taken(number=number, state=NumberState.BLOCKED, owner="", reason=reason, since=now, pool=_name(spot))
    return _put(connection, spot, blocked, now)


def unblock(connection: Connection, number: PhoneNumber, *, now: datetime, reason: str = "") -> bool:
    """Offer a blocked number again; tells whether it was blocked."""
    spot = numbers.hold(connection, Position.of(number))
    is_blocked = spot.row is not None and spot.row.state == NumberState.BLOCKED
    if is_blocked:
        numbers.move(connection, [Move(spot, None)], now, reason or "unblocked")
    return is_blocked


def find(connection: Connection, number: PhoneNumber) -> Taken | None:
    """Read who has a number and since when; None when nobody is known to."""
    return numbers.find_row(connection, Position.of(number))


def owners(connection: Connection, known: Iterable[PhoneNumber]) -> dict[PhoneNumber, str]:
    """Name the owners of those numbers that are assigned to somebody."""
    places = {Position.of(number): number for number in known}
    if not places:
        return {}
    found = connection.execute(numbers.among(list(places)).where(taken.c.state == NumberState.ASSIGNED))
    return {places[Position(row.space, row.width, row.n)]: row.owner for row in found}


def state_of(connection: Connection, number: PhoneNumber) -> NumberState:
    """Say what state a number is in, in a pool or not."""
    position = Position.of(number)
    row = numbers.find_row(connection, position)
    if row is not None:
        return row.state
    key = numbers.pool_at(connection, position)
    if key is None:
        return NumberState.OUTSIDE
    is_free = gaps.holds(connection, key.id, position, is_free=True)
    return NumberState.FREE if is_free else NumberState.WITHHELD


def owned_by(connection: Connection, owner: str) -> list[Taken]:
    """Read every number an owner has or waits for, oldest first."""
    query = (
        numbers.rows().where(taken.c.owner == owner).order_by(taken.c.since, taken.c.space, taken.c.width, taken.c.n)
    )
    return [numbers.read(row) for row in connection.execute(query)]


def claimed_by(connection: Connection, plan_id: str) -> list[Taken]:
    """Read every number a plan still claims, lowest first."""
    query = numbers.rows().where(_CLAIMED, taken.c.plan_id == plan_id)
    return sorted((numbers.read(row) for row in connection.execute(query)), key=lambda row: row.number)


def reservation_of(connection: Connection, owner: str, now: datetime | None = None) -> Taken | None:
    """Read the oldest reservation of an owner, if its time is not over."""
    return next(_owned_in(connection, owner, NumberState.RESERVED, now), None)


def grace_of(connection: Connection, owner: str, now: datetime | None = None) -> Taken | None:
    """Read the number an owner had last and may have again, if its grace period is not over."""
    return max(
        _owned_in(connection, owner, NumberState.GRACE, now), key=lambda row: row.until or row.since, default=None
    )


def _owned_in(connection: Connection, owner: str, state: NumberState, now: datetime | None) -> Iterator[Taken]:
    rows = (row for row in owned_by(connection, owner) if row.state == state)
    return (row for row in rows if now is None or not row.expired_at(now))


def _claim_own(
    connection: Connection, found: Taken | None, plan_id: str, until: datetime, now: datetime
) -> Taken | None:
    if found is None:
        return None
    spot = numbers.hold(connection, Position.of(found.number))
    if spot.row != found:  # somebody was faster: it is not this owner's to claim any more
        return None
    claimed = found.model_copy(update={"state": NumberState.CLAIMED, "plan_id": plan_id, "until": until, "since": now})
    return _claim(connection, spot, claimed, now)


def _claim(connection: Connection, spot: Spot, claimed: Taken, now: datetime) -> Taken:
    row = spot.row
    if row is None or (row.state in (NumberState.RESERVED, NumberState.GRACE) and row.expired_at(now)):
        if row is None:
            _refuse_unless_free(connection, spot)
        return _put(connection, spot, claimed, now)
    if row.owner != claimed.owner:
        raise _unavailable(row)
    if row.state == NumberState.CLAIMED and row.plan_id == claimed.plan_id:
        return _put(connection, spot, row.model_copy(update={"until": claimed.until}), now)
    if row.state not in (NumberState.RESERVED, NumberState.GRACE):
        raise _unavailable(row)
    kept = {"kept_state": row.state, "kept_reason": row.reason, "kept_until": row.until}
    return _put(connection, spot, claimed.model_copy(update=kept), now)


def _put(connection: Connection, spot: Spot, after: Taken, now: datetime) -> Taken:
    numbers.move(connection, [Move(spot, after)], now)
    return after


def _assigned(spot: Spot, number: PhoneNumber, owner: str, now: datetime) -> Taken:
    return Taken(number=number, state=NumberState.ASSIGNED, owner=owner, since=now, pool=_name(spot))


def _name(spot: Spot) -> str | None:
    return spot.pool.name if spot.pool else None


def _refuse_unless_free(connection: Connection, spot: Spot) -> None:
    if spot.row is not None:
        raise _unavailable(spot.row)
    if spot.pool is not None:
        if not gaps.holds(connection, spot.pool.id, spot.position, is_free=True):
            raise NumberUnavailable(spot.position.number, f"is withheld in pool {spot.pool.name!r}")
    elif numbers.has_kin(connection, spot.position):
        raise NumberUnavailable(spot.position.number, "cannot stand beside its base or its extensions")


def _unavailable(row: Taken) -> NumberUnavailable:
    until = f" until {row.until:%Y-%m-%d %H:%M} UTC" if row.until else ""
    whose = f"by {row.owner}" if row.owner else f"({row.reason})"
    held = {NumberState.RESERVED: "reserved", NumberState.GRACE: "in the grace period, last held"}
    return NumberUnavailable(row.number, f"is {held.get(row.state, row.state.value)} {whose}{until}", row)
