"""Emergency locations: civic addresses and the places in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from lab import locations
from lab.cmdlets import Call, Cmdlet, Parameter, allowed, needed, words
from lab.cmdlets_host import teams_host
from lab.posh_values import PsObject, Value
from lab.records import CivicAddress, Effect, Json, Location
from lab.tenant import Tenant, View

T = TypeVar("T")
MODULE = "MicrosoftTeams"
_MODELS = "Microsoft.Teams.ConfigAPI.Cmdlets.Generated.Models."
UNCOUNTED = -1  # shown instead of a count nobody asked for
_PARTS = (
    *words("CompanyName CompanyTaxId Description HouseNumber HouseNumberSuffix PreDirectional StreetName"),
    *words("StreetSuffix PostDirectional City CityAlias PostalCode StateOrProvince CountryOrRegion"),
    *words("Latitude Longitude Elin Confidence"),
)


# Places


def places(call: Call) -> Iterable[Value]:
    """Get-CsOnlineLisLocation."""

    def look(view: View) -> Iterable[Value]:
        found = [row for row in view.tenant.locations.values() if _is_wanted(call, row)]
        return [_place(call, view.tenant, row) for row in _sliced(call, found)]

    return teams_host(call).read(call, look, [call.text("LocationId")])


def _sliced(call: Call, found: list[T]) -> list[T]:
    start = call.number("NumberOfResultsToSkip", 0)
    return found[start : start + call.number("ResultSize", len(found))]


def _is_wanted(call: Call, row: Location) -> bool:
    wanted = {
        "LocationId": row.location_id,
        "CivicAddressId": row.civic_address_id,
        "Location": row.description,
        "City": row.city,
        "CountryOrRegion": row.country,
        "Description": row.description,
        "ValidationStatus": "Validated",
    }
    return all(call.text(name).lower() == value.lower() for name, value in wanted.items() if call.has(name))


def _place(call: Call, tenant: Tenant, row: Location) -> PsObject:
    props: list[tuple[str, Value]] = [
        ("LocationId", row.location_id),
        ("CivicAddressId", row.civic_address_id),
        ("Location", row.description),
        ("Description", row.description),
        ("CompanyName", row.company),
        ("StreetName", row.street),
        ("City", row.city),
        ("PostalCode", row.postal_code),
        ("CountryOrRegion", row.country),
        ("Elin", row.elin),
        ("ValidationStatus", "Validated"),
        *_counts(call, tenant, [row.location_id]),
    ]
    return PsObject(props, types=(_MODELS + "LocationSchema", "System.Object"), adapted=True)


def _counts(call: Call, tenant: Tenant, ids: list[str]) -> list[tuple[str, Value]]:
    """Count users and numbers at some places, where the call asks for it."""
    people = sum(locations.voice_users_at(tenant, one) for one in ids if call.flag("PopulateNumberOfVoiceUsers"))
    numbers = sum(
        len(locations.numbers_at(tenant, one)) for one in ids if call.flag("PopulateNumberOfTelephoneNumbers")
    )
    return [
        ("NumberOfVoiceUsers", people if call.flag("PopulateNumberOfVoiceUsers") else UNCOUNTED),
        ("NumberOfTelephoneNumbers", numbers if call.flag("PopulateNumberOfTelephoneNumbers") else UNCOUNTED),
    ]


def new_place(call: Call) -> Iterable[Value]:
    """New-CsOnlineLisLocation: gives the place."""
    host = teams_host(call)
    made: list[Location] = []

    def act() -> list[Effect]:
        address, text = call.text("CivicAddressId"), call.text("Location")
        place, effects = locations.add_place(host.parts.tenant, address, text, call.text("Elin"))
        made.append(place)
        return effects

    answer = list(host.write(call, act, [call.text("CivicAddressId")]))
    return [*answer, *(_place(call, host.parts.tenant, place) for place in made)]


def set_place(call: Call) -> Iterable[Value]:
    """Set-CsOnlineLisLocation."""
    host, known = teams_host(call), call.text("LocationId")
    text = call.text("Location") if call.has("Location") else None
    elin = call.text("Elin") if call.has("Elin") else None
    return host.write(call, lambda: locations.change_place(host.parts.tenant, known, text=text, elin=elin), [known])


def remove_place(call: Call) -> Iterable[Value]:
    """Remove-CsOnlineLisLocation."""
    host, known = teams_host(call), call.text("LocationId")
    return host.write(call, lambda: locations.drop_place(host.parts.tenant, known), [known])


# Civic addresses


def addresses(call: Call) -> Iterable[Value]:
    """Get-CsOnlineLisCivicAddress."""

    def look(view: View) -> Iterable[Value]:
        found = [row for row in locations.addresses(view.tenant) if _is_wanted_address(call, row)]
        return [_address(call, view.tenant, row) for row in _sliced(call, found)]

    return teams_host(call).read(call, look, [call.text("CivicAddressId")])


def _is_wanted_address(call: Call, row: CivicAddress) -> bool:
    wanted = {name: str(row.details.get(name) or "") for name in ("City", "CountryOrRegion", "Description")}
    wanted |= {"CivicAddressId": row.civic_address_id, "ValidationStatus": row.status}
    return all(call.text(name).lower() == value.lower() for name, value in wanted.items() if call.has(name))


def _address(call: Call, tenant: Tenant, row: CivicAddress) -> PsObject:
    ids = [place.location_id for place in locations.places(tenant, row.civic_address_id)]
    props: list[tuple[str, Value]] = [
        ("CivicAddressId", row.civic_address_id),
        *((name, row.details.get(name, "")) for name in _PARTS),
        ("DefaultLocationId", row.default_location_id),
        ("ValidationStatus", row.status),
        *_counts(call, tenant, ids),
        ("TenantId", tenant.tenant_id),
    ]
    return PsObject(props, types=(_MODELS + "CivicAddress", "System.Object"), adapted=True)


def new_address(call: Call) -> Iterable[Value]:
    """New-CsOnlineLisCivicAddress: gives the address, with a default place in it."""
    host = teams_host(call)
    made: list[CivicAddress] = []

    def act() -> list[Effect]:
        address, effects = locations.add_address(host.parts.tenant, _details(call))
        made.append(address)
        return effects

    answer = list(host.write(call, act))
    return [*answer, *(_address(call, host.parts.tenant, address) for address in made)]


def _details(call: Call) -> dict[str, Json]:
    return {name: call.text(name) for name in _PARTS if call.has(name)}


def set_address(call: Call) -> Iterable[Value]:
    """Set-CsOnlineLisCivicAddress."""
    host, known = teams_host(call), call.text("CivicAddressId")
    return host.write(call, lambda: locations.change_address(host.parts.tenant, known, _details(call)), [known])


def remove_address(call: Call) -> Iterable[Value]:
    """Remove-CsOnlineLisCivicAddress."""
    host, known = teams_host(call), call.text("CivicAddressId")
    return host.write(call, lambda: locations.drop_address(host.parts.tenant, known), [known])


_SEARCH = (
    *(Parameter(name) for name in ("City", "CountryOrRegion", "Description")),
    Parameter("ValidationStatus", choices=("Validated", "Invalid", "Notvalidated")),
    Parameter("ResultSize", "int"),
    Parameter("NumberOfResultsToSkip", "int"),
    Parameter("PopulateNumberOfVoiceUsers", "switch"),
    Parameter("PopulateNumberOfTelephoneNumbers", "switch"),
)
_ADDRESS = Parameter("CivicAddressId", sets=needed(), from_property=True)
_PLACE = Parameter("LocationId", sets=needed(), from_property=True)
_FORCE = Parameter("Force", "switch")
_OPTIONAL = tuple(name for name in _PARTS if name not in ("CompanyName", "CountryOrRegion"))

LOCATIONS = (
    Cmdlet(
        "Get-CsOnlineLisLocation",
        places,
        (
            Parameter("LocationId", sets=allowed("LocationId")),
            Parameter("CivicAddressId", sets=allowed("CivicAddressId")),
            Parameter("Location", sets=allowed("Location")),
            *_SEARCH,
        ),
        default_set="LocationId",
        module=MODULE,
    ),
    Cmdlet(
        "New-CsOnlineLisLocation",
        new_place,
        (_ADDRESS, Parameter("Location", sets=needed(), from_property=True), Parameter("Elin"), _FORCE),
        module=MODULE,
        changes=True,
    ),
    Cmdlet(
        "Set-CsOnlineLisLocation",
        set_place,
        (_PLACE, Parameter("Location"), Parameter("Elin"), _FORCE),
        module=MODULE,
        changes=True,
    ),
    Cmdlet("Remove-CsOnlineLisLocation", remove_place, (_PLACE, _FORCE), module=MODULE, changes=True),
    Cmdlet("Get-CsOnlineLisCivicAddress", addresses, (Parameter("CivicAddressId"), *_SEARCH), module=MODULE),
    Cmdlet(
        "New-CsOnlineLisCivicAddress",
        new_address,
        (
            Parameter("CompanyName", sets=needed()),
            Parameter("CountryOrRegion", sets=needed()),
            *(Parameter(name) for name in _OPTIONAL),
            Parameter("IsAzureMapValidationRequired"),
            Parameter("ValidationStatus"),
            _FORCE,
        ),
        module=MODULE,
        changes=True,
    ),
    Cmdlet(
        "Set-CsOnlineLisCivicAddress",
        set_address,
        (_ADDRESS, *(Parameter(name) for name in _PARTS), _FORCE),
        module=MODULE,
        changes=True,
    ),
    Cmdlet("Remove-CsOnlineLisCivicAddress", remove_address, (_ADDRESS, _FORCE), module=MODULE, changes=True),
)
