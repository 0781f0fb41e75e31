"""The location service: civic addresses with their places, and what uses them."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import replace

from lab.records import CivicAddress, Effect, Json, Location
from lab.rules import bad_request, country_code, not_found
from lab.store import diff
from lab.tenant import Tenant


def new_id() -> str:
    """Make an identifier."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


def add_address(tenant: Tenant, details: Mapping[str, Json]) -> tuple[CivicAddress, list[Effect]]:
    """Make a building with its default place."""
    with tenant.lock:
        if not country_code(str(details.get("CountryOrRegion"))):
            raise bad_request(f"'{details.get('CountryOrRegion')}' is not a valid ISO 3166-1 alpha-2 country code.")
        address = CivicAddress(new_id(), new_id(), dict(details), "Validated")
        tenant.addresses[address.civic_address_id] = address
        effects = _store_place(tenant, address, address.default_location_id, "", str(details.get("Elin") or ""))
        return address, [Effect(f"address:{address.civic_address_id}", "exists", before=False, after=True), *effects]


def change_address(tenant: Tenant, address_id: str, changes: Mapping[str, Json]) -> list[Effect]:
    """Change a building; its places follow."""
    with tenant.lock:
        before = find_address(tenant, address_id)
        after = replace(before, details={**before.details, **changes})
        tenant.addresses[before.civic_address_id] = after
        for place in places(tenant, before.civic_address_id):
            _store_place(tenant, after, place.location_id, place.description, place.elin)
        pairs = {name: (before.details.get(name), value) for name, value in changes.items()}
        return diff(f"address:{before.civic_address_id}", dict(pairs))


def drop_address(tenant: Tenant, address_id: str) -> list[Effect]:
    """Forget a building, unless it has other places than its default one, or a number is there."""
    with tenant.lock:
        address = find_address(tenant, address_id)
        held = places(tenant, address.civic_address_id)
        if len(held) > 1:
            raise bad_request(f"Civic address '{address_id}' has locations: remove them first.")
        if any(numbers_at(tenant, place.location_id) for place in held):
            raise bad_request(f"Civic address '{address_id}' is assigned to telephone numbers and can not be removed.")
        for place in held:
            del tenant.locations[place.location_id]
        del tenant.addresses[address.civic_address_id]
        return [Effect(f"address:{address.civic_address_id}", "exists", before=True, after=False)]


def add_place(tenant: Tenant, address_id: str, text: str, elin: str) -> tuple[Location, list[Effect]]:
    """Make a place inside a building; its name must be new there."""
    with tenant.lock:
        address = find_address(tenant, address_id)
        if any(place.description.casefold() == text.casefold() for place in places(tenant, address.civic_address_id)):
            raise bad_request(f"Location '{text}' already exists in civic address '{address_id}'.")
        known = new_id()
        effects = _store_place(tenant, address, known, text, elin)
        return tenant.locations[known], effects


def change_place(tenant: Tenant, location_id: str, *, text: str | None, elin: str | None) -> list[Effect]:
    """Change the name of a place or its emergency number."""
    with tenant.lock:
        before = find_place(tenant, location_id)
        name = before.description if text is None else text
        number = before.elin if elin is None else elin
        tenant.locations[before.location_id] = replace(before, description=name, elin=number)
        pairs: dict[str, tuple[object, object]] = {
            "location": (before.description, name),
            "elin": (before.elin, number),
        }
        return diff(f"location:{before.location_id}", pairs)


def drop_place(tenant: Tenant, location_id: str) -> list[Effect]:
    """Forget a place, unless it is a building's default one or a number is there."""
    with tenant.lock:
        place = find_place(tenant, location_id)
        if any(place.location_id == address.default_location_id for address in addresses(tenant)):
            raise bad_request(f"Location '{location_id}' is the default location of its civic address.")
        if numbers_at(tenant, place.location_id):
            raise bad_request(f"Location '{location_id}' is assigned to telephone numbers and can not be removed.")
        del tenant.locations[place.location_id]
        return [Effect(f"location:{place.location_id}", "exists", before=True, after=False)]


def places(tenant: Tenant, address_id: str) -> list[Location]:
    """Give the places of a building."""
    return [place for place in tenant.locations.values() if place.civic_address_id == address_id]


def numbers_at(tenant: Tenant, location_id: str) -> list[str]:
    """Give the numbers at a place."""
    return [number.telephone_number for number in tenant.numbers.values() if number.location_id == location_id]


def voice_users_at(tenant: Tenant, location_id: str) -> int:
    """Count who holds a number at a place."""
    held = {number.target_id for number in tenant.numbers.values() if number.location_id == location_id}
    return len(held - {None})


def addresses(tenant: Tenant) -> list[CivicAddress]:
    """Give the buildings, also those that only their places tell of."""
    with tenant.lock:
        for place in tenant.locations.values():
            if place.civic_address_id not in tenant.addresses:
                tenant.addresses[place.civic_address_id] = _told_by(place)
        return list(tenant.addresses.values())


def _told_by(place: Location) -> CivicAddress:
    details: dict[str, Json] = {"Description": place.description, "CompanyName": place.company, "City": place.city}
    details |= {"CountryOrRegion": place.country, "StreetName": place.street, "PostalCode": place.postal_code}
    return CivicAddress(place.civic_address_id, place.location_id, details)


def find_address(tenant: Tenant, address_id: str) -> CivicAddress:
    """Find a building or refuse."""
    addresses(tenant)
    found = tenant.addresses.get(address_id.lower())
    if found is None:
        raise not_found(f"Civic address '{address_id}' is not found")
    return found


def find_place(tenant: Tenant, location_id: str) -> Location:
    """Find a place or refuse."""
    found = tenant.locations.get(location_id.lower())
    if found is None:
        raise not_found(f"Location '{location_id}' is not found")
    return found


def _store_place(tenant: Tenant, address: CivicAddress, location_id: str, text: str, elin: str) -> list[Effect]:
    details = address.details
    known = location_id in tenant.locations
    tenant.locations[location_id] = Location(
        location_id,
        address.civic_address_id,
        text,
        str(details.get("City") or ""),
        str(details.get("CountryOrRegion") or ""),
        str(details.get("CompanyName") or ""),
        " ".join(str(details[name]) for name in ("HouseNumber", "StreetName") if details.get(name)),
        str(details.get("PostalCode") or ""),
        elin,
    )
    return [] if known else [Effect(f"location:{location_id}", "exists", before=False, after=True)]
