"""The file that an export of numbers makes, and the address where its link leads: the link is all one needs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from aiohttp import web

from lab import orders
from lab.parts import LabParts
from lab.records import ZERO_GUID, Number, Order
from lab.rules import SPOKEN_TYPE, Refusal, bad_request
from lab.tenant import Tenant, View

LASTS = timedelta(hours=1)
_STATUS = {"user": "UserAssigned", "resourceAccount": "VoiceApplicationAssigned", "policy": "PolicyAssigned"}
_TARGETS = {"user": "User", "resourceAccount": "ResourceAccount", "policy": "Policy"}


def _joined(words: Sequence[str]) -> str:
    return ",".join(word[:1].upper() + word[1:] for word in words)


def _held(number: Number, text: str) -> str:
    return text if number.target_id else ""


def _civic(tenant: Tenant, number: Number) -> str:
    location = tenant.locations.get(number.location_id or "")
    return location.civic_address_id if location else ZERO_GUID


# The documented properties in their order; None: the lab knows nothing of it, the column is empty.
COLUMNS: Mapping[str, Callable[[Tenant, Number], str | None] | None] = {
    "TelephoneNumber": lambda _tenant, number: number.telephone_number,
    "OperatorId": lambda _tenant, number: number.operator_id,
    "NumberType": lambda _tenant, number: SPOKEN_TYPE[number.number_type],
    "LocationId": lambda _tenant, number: number.location_id or ZERO_GUID,
    "CivicAddressId": _civic,
    "NetworkSiteId": lambda _tenant, number: number.network_site_id,
    "AvailableCapabilities": lambda _tenant, number: _joined(number.capabilities),
    "AcquiredCapabilities": lambda _tenant, number: _joined(number.capabilities),
    "AssignmentStatus": lambda _tenant, number: _held(number, _STATUS.get(number.target_type, "")) or "Unassigned",
    "PlaceName": lambda _tenant, number: number.city,
    "ActivationState": lambda tenant, number: (
        "AssignmentPending" if number.telephone_number in tenant.pending else "Activated"
    ),
    "PartnerName": None,
    "IsoCountryCode": lambda _tenant, number: number.country,
    "PortInOrderStatus": None,
    "CapabilityUpdateSupported": None,
    "AcquisitionDate": None,
    "TargetId": lambda _tenant, number: number.target_id,
    "TargetType": lambda _tenant, number: _held(number, _TARGETS.get(number.target_type, "")),
    "AssignmentCategory": lambda _tenant, number: _held(number, number.category.capitalize()),
    "CallingProfileId": None,
    "IsoSubdivisionCode": None,
    "NumberSource": lambda _tenant, number: "OnPremises" if number.source == "onPremises" else "Online",
    "SupportedCustomerActions": None,
    "ReverseNumberLookup": lambda _tenant, number: _joined(number.reverse_lookup),
    "RoutingOptions": None,
}


def chosen(text: str) -> list[str]:
    """Give the columns that are asked for, all of them when none is; refuses unknown ones."""
    wanted = [part.strip() for part in text.split(",") if part.strip()]
    known = {name.casefold(): name for name in COLUMNS}
    unknown = [name for name in wanted if name.casefold() not in known]
    if unknown:
        raise bad_request(f"The property '{unknown[0]}' is not a valid property of an acquired telephone number.")
    return [known[name.casefold()] for name in wanted] or list(COLUMNS)


def table(view: View, names: Sequence[str]) -> str:
    """Write the inventory as CSV."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(names)
    readers = [COLUMNS[name] for name in names]
    writer.writerows([read(view.tenant, number) if read else None for read in readers] for number in view.numbers())
    return out.getvalue()


def is_live(order: Order, now: datetime) -> bool:
    """Tell whether the link of an export works."""
    return order.done and now < order.due_at + LASTS


def link(parts: LabParts, order: Order) -> str | None:
    """Give the link of an export, None before it is done and after its hour."""
    place = urlsplit(parts.tokens.issuer)
    live = is_live(order, parts.clock.now())
    return f"{place.scheme}://{place.netloc}/exports/{order.id}.csv" if live else None


@dataclass(frozen=True, slots=True)
class ExportEnd:
    """Hands out exported files to whoever has the link, as storage with a signed address does."""

    parts: LabParts

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the address of the files."""
        router.add_get("/exports/{order}.csv", self.file)

    async def file(self, request: web.Request) -> web.Response:
        """GET /exports/{order}.csv, for an hour."""
        tenant = self.parts.tenant
        tenant.settle()
        try:
            order = orders.find(tenant, request.match_info["order"], orders.EXPORT)
        except Refusal:
            return web.Response(status=404)
        if not is_live(order, self.parts.clock.now()):
            return web.Response(status=403, text="The link has expired.")
        return web.Response(text="".join(tenant.exports[order.id]), content_type="text/csv")
