"""Plan lines about single numbers (pure): the end of a reservation or a grace period, and Teams' own block lifted."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from datasets.inventory import NumberState, Taken
from engine.change import Change, Effect
from engine.plan import Line

NOT_BLOCKED, BLOCKED = "NotBlocked", "BlockedUntil"
_ENDINGS = {
    NumberState.RESERVED: ("end_reservation", "reserved_for", "the reservation ended"),
    NumberState.GRACE: ("end_grace", "grace_of", "the grace period ended"),
}


def endings(over: Iterable[Taken], still_blocked: Collection[str] = ()) -> tuple[Line, ...]:
    """Give a line for each number whose time is over; one that Teams still blocks is unblocked there first."""
    return tuple(_ending(row, is_blocked=row.number.e164 in still_blocked) for row in over)


def _ending(row: Taken, *, is_blocked: bool) -> Line:
    kind, attribute, reason = _ENDINGS[row.state]
    obj, number = f"number:{row.number.e164}", row.number.e164
    ended = Change(
        kind=kind,
        target=obj,
        parameters={"number": number},
        effects=(Effect(object=obj, attribute=attribute, before=row.owner),),
        reason=f"{reason} at {row.until:%Y-%m-%d %H:%M:%S} UTC" if row.until else reason,
    )
    lifted = (lifting(number, reason),) if is_blocked else ()
    return Line(object=obj, label=number, success="released", source={"named": True}, changes=(*lifted, ended))


def lifting(number: str, reason: str) -> Change:
    """Give the change that lifts Teams' assignment block of a number."""
    obj = f"number:{number}"
    effect = Effect(object=obj, attribute="block", before=BLOCKED, after=NOT_BLOCKED)
    return Change(kind="lift_block", target=obj, parameters={"number": number}, effects=(effect,), reason=reason)


def blocking(number: str, days: int, reason: str, *, before: str | None = NOT_BLOCKED) -> Change:
    """Give the change that has Teams itself refuse a number for some days."""
    obj = f"number:{number}"
    effect = Effect(object=obj, attribute="block", before=before, after=BLOCKED)
    parameters = {"number": number, "days": days}
    return Change(kind="block_number", target=obj, parameters=dict(parameters), effects=(effect,), reason=reason)
