"""Plan lines and changes about single numbers (pure): endings, Teams' own block, what the directory shows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from pydantic import JsonValue

from datasets.inventory import NumberState, Taken
from datasets.number_types import DIRECT_ROUTING
from datasets.treatments import Treatment
from datasets.users import AdUser, NumberAssignment, VoiceUser
from engine.announcements import ending
from engine.change import Change, Effect
from engine.compare import compare
from engine.conditions import PHONE_SYSTEM
from engine.plan import Line
from engine.readers import Observed

LONGEST_BLOCK = 365  # days, Teams' own limit
NOT_BLOCKED, BLOCKED = "NotBlocked", "BlockedUntil"
SHOWN = ("telephoneNumber", "ipPhone")  # what the directory shows of a number
_ENDINGS = {
    NumberState.RESERVED: ("end_reservation", "reserved_for", "the reservation ended"),
    NumberState.GRACE: ("end_grace", "grace_of", "the grace period ended"),
}


def endings(
    over: Iterable[Taken],
    still_blocked: Collection[str] = (),
    announced: Mapping[str, Treatment] = MappingProxyType({}),
) -> tuple[Line, ...]:
    """Give a line for each number whose time is over; what Teams still blocks or announces ends there first."""
    return tuple(
        _ending(row, is_blocked=row.number.e164 in still_blocked, announced=announced.get(row.number.e164))
        for row in over
    )


def silences(announced: Mapping[str, Treatment]) -> tuple[Line, ...]:
    """Give a line for each number that rests no more and whose callers are still told so."""
    return tuple(
        Line(
            object=f"number:{number}",
            label=number,
            success="released",
            source={"named": True},
            changes=(ending(treatment, f"number:{number}", "the number does not rest any more"),),
        )
        for number, treatment in announced.items()
    )


def _ending(row: Taken, *, is_blocked: bool, announced: Treatment | None) -> Line:
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
    if announced is not None:
        lifted = (*lifted, ending(announced, obj, reason))
    return Line(object=obj, label=number, success="released", source={"named": True}, changes=(*lifted, ended))


def lifting(number: str, reason: str) -> Change:
    """Give the change that lifts Teams' assignment block of a number."""
    obj = f"number:{number}"
    effect = Effect(object=obj, attribute="block", before=BLOCKED, after=NOT_BLOCKED)
    return Change(kind="lift_block", target=obj, parameters={"number": number}, effects=(effect,), reason=reason)


def writing_back(
    user_id: str,
    ad: AdUser,
    wanted: Mapping[str, str | None],
    recent: Observed | None = None,
    *,
    reason: str = "number write-back",
) -> list[Change]:
    """Give the change that makes telephone attributes of the directory what they shall be; nothing if they are so."""
    obj = f"ad:{ad.sam_account_name}"
    desired: dict[str, JsonValue] = dict(wanted)
    effects = compare(obj, desired, shown_in(ad, recent or {}))
    if not effects:
        return []
    attributes: dict[str, JsonValue] = {effect.attribute: effect.after for effect in effects}
    parameters: dict[str, JsonValue] = {"sam_account_name": ad.sam_account_name, "attributes": attributes}
    target = f"user:{user_id}"
    return [Change(kind="write_directory", target=target, parameters=parameters, effects=effects, reason=reason)]


def shown_in(ad: AdUser, recent: Observed) -> dict[str, JsonValue]:
    """Give what the directory shows; what we verified a moment ago outweighs a lagging read."""
    found: dict[str, JsonValue] = dict(zip(SHOWN, (ad.telephone_number, ad.ip_phone), strict=True))
    obj = f"ad:{ad.sam_account_name}"
    return found | {name: value for (seen, name), value in recent.items() if seen == obj}


def blocking(number: str, days: int, reason: str, *, before: str | None = NOT_BLOCKED) -> Change:
    """Give the change that has Teams itself refuse a number for some days."""
    obj = f"number:{number}"
    effect = Effect(object=obj, attribute="block", before=before, after=BLOCKED)
    parameters = {"number": number, "days": days}
    return Change(kind="block_number", target=obj, parameters=dict(parameters), effects=(effect,), reason=reason)


def placing(target: str, number: str, before: JsonValue, after: JsonValue, reason: str) -> Change:
    """Give the change that sets the emergency location of a number; None clears it."""
    effect = Effect(object=f"number:{number}", attribute="location", before=before, after=after)
    parameters: dict[str, JsonValue] = {"number": number, "location_id": after}
    return Change(kind="set_number_location", target=target, parameters=parameters, effects=(effect,), reason=reason)


def assigning(
    user_id: str, number: str, number_type: str, location_id: str | None, *, has_voice: bool, reason: str
) -> Change:
    """Give the change that gives a number to a user; it switches Enterprise Voice on for those who have it off."""
    obj = f"user:{user_id}"
    effects = [
        Effect(object=f"number:{number}", attribute="owner", after=user_id),
        Effect(object=obj, attribute="number", after=number),
    ]
    if not has_voice:
        effects.append(Effect(object=obj, attribute="enterprise_voice", before=False, after=True))
    parameters: dict[str, JsonValue] = {
        "user_id": user_id,
        "number": number,
        "number_type": number_type,
        "location_id": location_id,
    }
    return Change(
        kind="assign_number",
        target=obj,
        parameters=parameters,
        effects=tuple(effects),
        reason=reason,
        waits_for=PHONE_SYSTEM,
    )


def unassigning(user_id: str, voice: VoiceUser, number: str, row: NumberAssignment | None, grace_days: int) -> Change:
    """Give the change that takes a number from a user and lets it rest."""
    obj = f"user:{user_id}"
    effects = [Effect(object=f"number:{number}", attribute="owner", before=user_id)]
    if voice.telephone_numbers in ((number,), ()):
        effects.append(Effect(object=obj, attribute="number", before=number))
        if voice.is_enterprise_voice_enabled:
            effects.append(Effect(object=obj, attribute="enterprise_voice", before=True, after=False))
    parameters: dict[str, JsonValue] = {
        "user_id": user_id,
        "number": number,
        "number_type": row.number_type if row else DIRECT_ROUTING,
        "location_id": row.location_id if row else None,
        "grace_days": grace_days,
    }
    reason = f"rests for {grace_days} days" if grace_days else "free at once"
    return Change(kind="unassign_number", target=obj, parameters=parameters, effects=tuple(effects), reason=reason)
