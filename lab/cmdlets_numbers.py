"""Phone number assignment: reading the inventory, giving, changing and taking numbers, assignment blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice

from lab import rules
from lab.clock import stamp
from lab.cmdlets import Call, Cmdlet, Parameter, allowed, needed, words
from lab.cmdlets_filter import FilterRefused, Predicate, parse_filter
from lab.cmdlets_host import Host, teams_host
from lab.cmdlets_number_settings import check_days
from lab.posh_values import PsObject, Value
from lab.records import CALLING_PLAN, DIRECT_ROUTING, OPERATOR_CONNECT, ZERO_GUID, Effect, Number
from lab.rules import SPOKEN_TYPE, bad_request
from lab.tenant import View

MODULE = "MicrosoftTeams"
_TYPE = (
    "Microsoft.Teams.ConfigAPI.Cmdlets.Generated.Models.SkypeTelephoneNumberMgmtCmdletAcquiredTelephoneNumber",
    "System.Object",
)
_KINDS = ("DirectRouting", "CallingPlan", "OperatorConnect")
_STATES = ("Activated", "AssignmentPending", "AssignmentFailed", "UpdatePending", "UpdateFailed")
_STATUSES = (
    *words("Unassigned UserAssigned ConferenceAssigned VoiceApplicationAssigned ThirdPartyAppAssigned PolicyAssigned"),
)
_STATUS = {"user": "UserAssigned", "resourceAccount": "VoiceApplicationAssigned", "policy": "PolicyAssigned"}
_OPERATORS = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "like", "contains", "notlike"})
_ALIASES = {"assignmentstatus": "PstnAssignmentStatus", "targetid": "AssignedPstnTargetId", "tags": "Tag"}
_ALIASES |= {"acquiredcapabilities": "Capability", "partnername": "PstnPartnerName"}


def numbers(call: Call) -> Iterable[Value]:
    """List the inventory: sorted, 500 rows unless -Top says otherwise, 1,000 at most."""
    host = teams_host(call)
    target = call.text("AssignedPstnTargetId")
    return host.read(call, lambda view: _rows(call, view), [call.text("TelephoneNumber"), *host.names_of(target)])


def _rows(call: Call, view: View) -> Iterable[Value]:
    top, skip = call.number("Top", 500), call.number("Skip", 0)
    if not 0 < top <= 1000 or skip < 0:
        raise bad_request("The value of Top must be between 1 and 1000, Skip must not be negative.")
    keeps, rows = _filter(call), _candidates(call, view)
    if any(call.has(name) for name in _NARROWING):
        shown = ((number, _shown(view, number)) for number in rows)
        rows_kept = (row for number, row in shown if _fits(call, row) and keeps(_lookup(number, row)))
        return list(islice(rows_kept, skip, skip + top))
    return [_shown(view, number) for number in islice(rows, skip, skip + top)]


def _candidates(call: Call, view: View) -> Iterable[Number]:
    """Use an index where a parameter allows it; the tenant may have a hundred thousand numbers."""
    if call.has("TelephoneNumber"):
        found = view.number(rules.telephone_number(call.text("TelephoneNumber")))
        return [found] if found else []
    if call.has("AssignedPstnTargetId"):
        user = view.user(call.text("AssignedPstnTargetId"))
        held = view.numbers_held_by(user.id if user else call.text("AssignedPstnTargetId").lower())
        return sorted(held, key=lambda number: number.telephone_number)
    return view.numbers()


def _shown(view: View, number: Number) -> PsObject:
    direct = number.number_type == DIRECT_ROUTING
    pending = number.telephone_number in view.tenant.pending
    held = number.target_id is not None
    props: list[tuple[str, Value]] = [
        ("TelephoneNumber", number.telephone_number),
        ("OperatorId", number.operator_id),
        ("NumberType", SPOKEN_TYPE[number.number_type]),
        ("ActivationState", "AssignmentPending" if pending else "Activated"),
        ("AssignedPstnTargetId", number.target_id),
        ("AssignmentCategory", number.category.capitalize() if held else ""),
        ("Capability", [name[:1].upper() + name[1:] for name in number.capabilities]),
        ("City", "" if direct else number.city),
        ("CivicAddressId", _civic(view, number)),
        ("IsoCountryCode", "" if direct else number.country),
        ("IsoSubdivision", ""),
        ("LocationId", number.location_id or ZERO_GUID),
        ("LocationUpdateSupported", True),
        ("NetworkSiteId", number.network_site_id),
        ("PortInOrderStatus", ""),
        ("PstnAssignmentStatus", _STATUS.get(number.target_type, "UserAssigned") if held else "Unassigned"),
        ("PstnPartnerId", None),
        ("PstnPartnerName", None),
        ("NumberSource", "OnPremises" if number.source == "onPremises" else "Online"),
        ("ReverseNumberLookup", list(number.reverse_lookup)),
        ("Tag", list(number.tags)),
        *_block(view, number),
        ("SmsActivationState", None),
    ]
    return PsObject(props, types=_TYPE, adapted=True)


def _civic(view: View, number: Number) -> str:
    location = view.tenant.locations.get(number.location_id or "")
    return location.civic_address_id if location else ZERO_GUID


def _block(view: View, number: Number) -> list[tuple[str, Value]]:
    until: datetime | None = number.blocked_until
    if number.blocked_forever:
        return [("AssignmentBlockedState", "BlockedForever"), ("AssignmentBlockedUntil", None)]
    if view.tenant.is_blocked(number) and until is not None:
        return [("AssignmentBlockedState", "BlockedUntil"), ("AssignmentBlockedUntil", stamp(until))]
    return [("AssignmentBlockedState", "NotBlocked"), ("AssignmentBlockedUntil", None)]


def _lookup(number: Number, row: PsObject) -> Callable[[str], Value]:
    def find(name: str) -> Value:
        hidden = _HIDDEN.get(name.lower())
        return hidden(number) if hidden else row.props.get(_ALIASES.get(name.lower(), name))

    return find


def customer_actions(number: Number) -> list[Value]:
    """Give what a customer may do with a number without the carrier."""
    return ["LocationUpdate"] if number.number_type == CALLING_PLAN else ["LocationUpdate", "Release"]


_TARGETS = {"user": "User", "resourceAccount": "ResourceAccount"}
# Filtered by, but shown by no column.
_HIDDEN: dict[str, Callable[[Number], Value]] = {
    "isoperatorconnect": lambda number: number.number_type == OPERATOR_CONNECT,
    "targettype": lambda number: _TARGETS.get(number.target_type, "User") if number.target_id else None,
    "resourceaccountsharedcallingpolicysupported": lambda number: number.number_type != OPERATOR_CONNECT,
    "supportedcustomeractions": customer_actions,
    "routingoptions": lambda _number: None,
}


def _filter(call: Call) -> Predicate:
    if not call.has("Filter"):
        return lambda _lookup: True
    known = {name.lower() for name in _FILTERED} | set(_ALIASES) | set(_HIDDEN)
    try:
        return parse_filter(call.text("Filter"), _OPERATORS, lambda name: name.lower() in known)
    except FilterRefused as error:
        raise bad_request(str(error)) from error


_FILTERED = (
    *words("TelephoneNumber OperatorId PstnAssignmentStatus ActivationState IsoCountryCode Capability PstnPartnerName"),
    *words("LocationId CivicAddressId NetworkSiteId NumberType AssignedPstnTargetId AssignmentCategory"),
    *words("ReverseNumberLookup SmsActivationState Tag"),
)
_EQUAL = (
    *words("ActivationState AssignmentCategory CivicAddressId IsoCountryCode LocationId NetworkSiteId"),
    *words("NumberType PstnAssignmentStatus"),
)


_NARROWING = (
    *_EQUAL,
    *words("Filter CapabilitiesContain TelephoneNumberContain TelephoneNumberStartsWith"),
    *words("TelephoneNumberGreaterThan TelephoneNumberLessThan"),
)


def _fits(call: Call, row: PsObject) -> bool:
    get = row.props.get
    number = str(get("TelephoneNumber"))
    tests: dict[str, Callable[[str], bool]] = {
        "TelephoneNumberContain": lambda text: text in number,
        "TelephoneNumberStartsWith": lambda text: number.startswith(_plus(text)),
        "TelephoneNumberGreaterThan": lambda text: number > _plus(text),
        "TelephoneNumberLessThan": lambda text: number < _plus(text),
        "CapabilitiesContain": lambda text: _has_all(get("Capability"), text),
    }
    for name in _EQUAL:
        if call.has(name) and str(get(name) or "").lower() != call.text(name).lower():
            return False
    return all(test(call.text(name)) for name, test in tests.items() if call.has(name))


def _plus(text: str) -> str:
    return text if text.startswith("+") else f"+{text}"


def _has_all(found: Value, text: str) -> bool:
    known = {str(item).lower() for item in found} if isinstance(found, list) else set()
    return {part.strip().lower() for part in text.split(",")} <= known


# Writing


def assign(call: Call) -> Iterable[Value]:
    """Set-CsPhoneNumberAssignment in the set its parameters name."""
    host = teams_host(call)
    act = {"Assignment": _give, "Attribute": _enterprise_voice}.get(call.set_name, _update)
    return host.write(
        call, lambda: act(call, host), [*host.names_of(call.text("Identity")), call.text("TelephoneNumber")]
    )


def _give(call: Call, host: Host) -> list[Effect]:
    effects = host.parts.tenant.assign_number(
        call.text("Identity"),
        call.text("TelephoneNumber"),
        _kind(call),
        location_id=call.text("LocationId") or None,
        category=call.text("AssignmentCategory").lower() or "primary",
        network_site_id=call.text("NetworkSiteId") or None,
    )
    if call.has("ReverseNumberLookup"):
        lookup = [call.text("ReverseNumberLookup")]
        effects += host.parts.tenant.update_number(call.text("TelephoneNumber"), reverse_lookup=lookup)
    return effects


def _kind(call: Call) -> str:
    spoken = call.text("NumberType")
    return next(kind for kind, name in SPOKEN_TYPE.items() if name == spoken)


def _enterprise_voice(call: Call, host: Host) -> list[Effect]:
    return host.parts.tenant.set_enterprise_voice(call.text("Identity"), enabled=call.flag("EnterpriseVoiceEnabled"))


def _update(call: Call, host: Host) -> list[Effect]:
    lookup = [call.text("ReverseNumberLookup")] if call.has("ReverseNumberLookup") else None
    return host.parts.tenant.update_number(
        call.text("TelephoneNumber"),
        location_id=_clearable(call, "LocationId"),
        network_site_id=_clearable(call, "NetworkSiteId"),
        reverse_lookup=lookup,
    )


def _clearable(call: Call, name: str) -> str | None:
    """Read a value whose literal text `null` clears."""
    text = call.text(name)
    return None if not call.has(name) else "" if text.lower() == "null" else text


def unassign(call: Call) -> Iterable[Value]:
    """Remove-CsPhoneNumberAssignment: one number, or all of a user."""
    host = teams_host(call)
    tenant, identity, number = host.parts.tenant, call.text("Identity"), call.text("TelephoneNumber")

    def act() -> list[Effect]:
        if call.set_name == "RemoveAll":
            return tenant.unassign_all(identity)
        days = 0 if call.flag("AssignmentBlockedForever") else call.bound.get("AssignmentBlockedDays")
        blocked = days if isinstance(days, int) else None
        if blocked is not None and not call.flag("AssignmentBlockedForever"):
            check_days(blocked)
        return tenant.unassign_number(number, _kind(call), identity=identity, block_days=blocked)

    return host.write(call, act, [*host.names_of(identity), number])


_NUMBER = ("PhoneNumber",)
_UPDATES = ("LocationUpdate", "NetworkSiteUpdate", "ReverseNumberLookupUpdate")
_SINCE_BLOCKS = (7, 5, 0)
NUMBERS = (
    Cmdlet(
        "Get-CsPhoneNumberAssignment",
        numbers,
        (
            Parameter("ActivationState", choices=_STATES),
            Parameter("PstnAssignmentStatus", choices=_STATUSES),
            Parameter(
                "AssignmentCategory",
                choices=("Primary", "Alternate", "Private"),
                choices_since={"Alternate": (7, 6, 0)},
            ),
            Parameter("NumberType", choices=_KINDS),
            *(
                Parameter(name)
                for name in (
                    *words("AssignedPstnTargetId CapabilitiesContain CivicAddressId Filter IsoCountryCode LocationId"),
                    *words("NetworkSiteId TelephoneNumberContain TelephoneNumberStartsWith"),
                    *words("TelephoneNumberGreaterThan TelephoneNumberLessThan"),
                )
            ),
            Parameter("TelephoneNumber", from_value=True),
            Parameter("Skip", "int"),
            Parameter("Top", "int"),
        ),
        module=MODULE,
        since=(4, 0, 0),
    ),
    Cmdlet(
        "Set-CsPhoneNumberAssignment",
        assign,
        (
            Parameter("Identity", sets=needed("Assignment", "Attribute"), from_property=True),
            Parameter("TelephoneNumber", aliases=_NUMBER, sets=needed("Assignment", *_UPDATES), from_property=True),
            Parameter(
                "NumberType",
                aliases=("PhoneNumberType",),
                sets=needed("Assignment"),
                choices=_KINDS,
                from_property=True,
            ),
            Parameter("EnterpriseVoiceEnabled", "bool", sets=needed("Attribute"), from_property=True),
            Parameter("LocationId", sets=needed("LocationUpdate") | allowed("Assignment"), from_property=True),
            Parameter("NetworkSiteId", sets=needed("NetworkSiteUpdate") | allowed("Assignment"), since=(5, 5, 0)),
            Parameter(
                "ReverseNumberLookup",
                sets=needed("ReverseNumberLookupUpdate") | allowed("Assignment"),
                choices=("SkipInternalVoip",),
            ),
            Parameter(
                "AssignmentCategory",
                sets=allowed("Assignment"),
                choices=("Private", "Alternate", "Primary"),
                choices_since={"Alternate": (7, 6, 0)},
            ),
            Parameter("Notify", "switch", sets=allowed("Assignment"), since=(7, 3, 0)),
        ),
        default_set="LocationUpdate",
        module=MODULE,
        changes=True,
        since=(3, 0, 0),
        sets_since={"LocationUpdate": (5, 3, 1), "NetworkSiteUpdate": (5, 5, 1)},
    ),
    Cmdlet(
        "Remove-CsPhoneNumberAssignment",
        unassign,
        (
            Parameter("Identity", sets=needed(), from_property=True),
            Parameter("TelephoneNumber", aliases=_NUMBER, sets=needed("RemoveSome"), from_property=True),
            Parameter(
                "NumberType",
                aliases=("PhoneNumberType",),
                sets=needed("RemoveSome"),
                choices=_KINDS,
                from_property=True,
            ),
            Parameter("RemoveAll", "switch", sets=needed("RemoveAll")),
            Parameter("Notify", "switch", since=(7, 3, 0)),
            Parameter("AssignmentBlockedForever", "switch", sets=allowed("RemoveSome"), since=_SINCE_BLOCKS),
            Parameter("AssignmentBlockedDays", "int", sets=allowed("RemoveSome"), since=_SINCE_BLOCKS),
        ),
        default_set="RemoveSome",
        module=MODULE,
        changes=True,
    ),
)
