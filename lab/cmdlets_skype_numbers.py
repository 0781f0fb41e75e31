"""Numbers of the on-premises servers: unassigned ranges, call park orbits and who picks up at which orbit."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from lab import objects, skype
from lab.cmdlets import Call, Cmdlet, Parameter, needed
from lab.cmdlets_host import host_of
from lab.cmdlets_objects import Draft, Noun, Property
from lab.cmdlets_skype import MODULE, skype_error
from lab.posh_values import PsObject, Value
from lab.records import ConfigObject, Effect
from lab.rules import bad_request
from lab.skype_records import SkypeUser
from lab.tenant import Tenant, View

UNASSIGNED, ORBIT = "UnassignedNumber", "CallParkOrbit"
PICKUP = "GroupPickup"
_NUMBER = re.compile(r"(tel:)?(\+)?[1-9]\d{0,17}(;ext=[1-9]\d{0,9})?")
_ORBIT = re.compile(r"([*#]?[1-9]\d{0,7})|([1-9]\d{0,8})")
_SMALLEST_AFTER_SIGN = 100


def _digits(text: str) -> int:
    return int(re.sub(r"\D", "", text) or 0)


# Unassigned numbers


def _check_unassigned(draft: Draft) -> None:
    start, end = draft.text("NumberRangeStart"), draft.text("NumberRangeEnd")
    for text in (start, end):
        if not _NUMBER.fullmatch(text):
            raise bad_request(f'"{text}" is not a valid number of a range.')
    if _digits(start) > _digits(end):
        raise bad_request("NumberRangeStart must not be greater than NumberRangeEnd.")
    announced = bool(draft.text("AnnouncementService") and draft.text("AnnouncementName"))
    if announced == bool(draft.text("ExUmAutoAttendantPhoneNumber")):
        text = "Either AnnouncementService with AnnouncementName, or ExUmAutoAttendantPhoneNumber is required."
        raise bad_request(text)
    if draft.after.get("Priority") is None:
        draft.after["Priority"] = len(objects.every(draft.tenant, UNASSIGNED))


# Orbits


def _check_orbit(draft: Draft) -> None:
    start, end = draft.text("NumberRangeStart"), draft.text("NumberRangeEnd")
    for text in (start, end):
        if not _ORBIT.fullmatch(text):
            raise bad_request(f'"{text}" is not a valid orbit.')
        if text[0] in "*#" and _digits(text) <= _SMALLEST_AFTER_SIGN:
            raise bad_request(f'"{text}" is not a valid orbit: after {text[0]} the number must exceed 100.')
    if len(start) != len(end) or ((start[0] in "*#" or end[0] in "*#") and start[0] != end[0]):
        raise bad_request("Start and end of an orbit range have the same length and the same leading character.")
    if _digits(start) > _digits(end):
        raise bad_request("NumberRangeStart must not be greater than NumberRangeEnd.")
    _check_overlap(draft)


def _check_overlap(draft: Draft) -> None:
    start, end = draft.text("NumberRangeStart"), draft.text("NumberRangeEnd")
    for other in objects.every(draft.tenant, ORBIT):
        if other.name != draft.name and (_holds(other, start) or _holds(other, end) or _within(other, start, end)):
            raise bad_request(f'The range overlaps with the orbit range "{other.name}".')


def _holds(row: ConfigObject, orbit: str) -> bool:
    """Tell whether an orbit lies in a range."""
    start, end = str(row.details["NumberRangeStart"]), str(row.details["NumberRangeEnd"])
    same_form = len(orbit) == len(start) and (orbit[0] in "*#" or start[0] in "*#") <= (orbit[0] == start[0])
    return same_form and _digits(start) <= _digits(orbit) <= _digits(end)


def _within(row: ConfigObject, start: str, end: str) -> bool:
    inner = str(row.details["NumberRangeStart"])
    same_form = len(inner) == len(start) and (inner[0] in "*#" or start[0] in "*#") <= (inner[0] == start[0])
    return same_form and _digits(start) <= _digits(inner) <= _digits(end)


def _user_of_orbit(tenant: Tenant, name: str) -> str:
    row = objects.get(tenant, ORBIT, name)
    found = next((user for user in tenant.skype.values() if user.orbit and _holds(row, user.orbit)), None)
    return f"user {found.sip_address}" if found else ""


# Pickup


def change_orbit(call: Call) -> Iterable[Value]:
    """New-, Set- and Remove-CsGroupPickupUserOrbit."""
    host = host_of(call)
    tenant, verb = host.parts.tenant, call.cmdlet.name.partition("-")[0]

    def act() -> list[Effect]:
        with tenant.lock:
            user = skype.user(tenant, call.text("User"))
            _check_membership(user, verb)
            orbit = None if verb == "Remove" else call.text("Orbit")
            if orbit is not None:
                _check_pickup(tenant, orbit)
            return skype.put(tenant, user, replace(user, orbit=orbit))

    answer = host.write(call, act, [call.text("User")], tell=skype_error)
    return [*answer, *([] if verb == "Remove" else _shown(tenant, call))]


def _check_membership(user: SkypeUser, verb: str) -> None:
    if verb == "New" and user.orbit:
        raise bad_request(f'User "{user.sip_address}" already has a group pickup orbit: {user.orbit}.')
    if verb != "New" and not user.orbit:
        raise bad_request(f'User "{user.sip_address}" has no group pickup orbit.')


def _check_pickup(tenant: Tenant, orbit: str) -> None:
    rows = [row for row in objects.every(tenant, ORBIT) if row.details.get("Type") == PICKUP]
    if not _ORBIT.fullmatch(orbit) or not any(_holds(row, orbit) for row in rows):
        raise bad_request(f'Orbit "{orbit}" is not in a range of type {PICKUP}.')


def _shown(tenant: Tenant, call: Call) -> list[Value]:
    return [_row(skype.user(tenant, call.text("User")))]


def _row(user: SkypeUser) -> PsObject:
    props: list[tuple[str, Value]] = [("User", user.sip_address), ("Orbit", user.orbit)]
    type_ = "Microsoft.Rtc.Management.GroupPickup.DisplayGroupPickupUserOrbit"
    return PsObject(props, types=(type_, "System.Object"), adapted=True)


def orbits(call: Call) -> Iterable[Value]:
    """Get-CsGroupPickupUserOrbit: of one user, at one orbit, or all."""

    def look(view: View) -> Iterable[Value]:
        if call.text("User"):
            user = skype.user(view.tenant, call.text("User"))
            return [_row(user)] if user.orbit else []
        wanted = call.text("Orbit")
        return [_row(user) for user in view.tenant.skype.values() if user.orbit and wanted in ("", user.orbit)]

    return host_of(call).read(call, look, [call.text("User")], tell=skype_error)


_RANGE = (Property("NumberRangeStart", required=True), Property("NumberRangeEnd", required=True))
NUMBER_NOUNS = (
    Noun(
        UNASSIGNED,
        (
            *_RANGE,
            *(Property(name) for name in ("AnnouncementService", "AnnouncementName", "ExUmAutoAttendantPhoneNumber")),
            Property("Priority", "int"),
        ),
        check=_check_unassigned,
        module=MODULE,
        enter=host_of,
        switches=("InMemory", "LocalStore"),
    ),
    Noun(
        ORBIT,
        (
            *_RANGE,
            Property("CallParkService", required=True),
            Property("Type", default="CallPark", choices=("CallPark", PICKUP)),
        ),
        check=_check_orbit,
        user=_user_of_orbit,
        module=MODULE,
        enter=host_of,
        switches=("InMemory", "LocalStore"),
    ),
)
_NAMES = ("DisplayName", "SipAddress", "Identity")
_USER = Parameter("User", position=0, aliases=_NAMES, sets=needed(), from_value=True, from_property=True)

SKYPE_NUMBERS = (
    *(cmdlet for noun in NUMBER_NOUNS for cmdlet in noun.cmdlets()),
    *(
        Cmdlet(
            f"{verb}-CsGroupPickupUserOrbit",
            change_orbit,
            (_USER, Parameter("Orbit", position=1, sets=needed())),
            module=MODULE,
            changes=True,
        )
        for verb in ("New", "Set")
    ),
    Cmdlet("Remove-CsGroupPickupUserOrbit", change_orbit, (_USER,), module=MODULE, changes=True),
    Cmdlet(
        "Get-CsGroupPickupUserOrbit",
        orbits,
        (
            Parameter("User", position=0, aliases=_NAMES, from_value=True),
            Parameter("Orbit"),
        ),
        module=MODULE,
    ),
)
