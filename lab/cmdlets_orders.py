"""Bulk orders of telephone numbers: upload, release, bulk updates, export, and how far an order is."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable

from lab import exports, inventory, orders
from lab.clock import stamp
from lab.cmdlets import Call, Cmdlet, Parameter, allowed, words
from lab.cmdlets_host import Host, teams_host
from lab.inventory import Attributes
from lab.posh_values import Hashtable, PsObject, Value
from lab.records import Effect, Order
from lab.rules import bad_request, is_e164
from lab.tenant import View

MODULE = "MicrosoftTeams"
_MODELS = "Microsoft.Teams.ConfigAPI.Cmdlets.Generated.Models."
UPLOAD_LIMIT, RELEASE_LIMIT, UPDATE_LIMIT, TAG_LIMIT = 10_000, 1_000, 1_000, 10
_ORDER_TYPES = (orders.SEARCH, orders.RELEASE, orders.CREATION, orders.UPDATE, "SmsActivation", "NumberUsageUpdate")


def upload(call: Call) -> Iterable[Value]:
    """New-CsOnlineDirectRoutingTelephoneNumberUploadOrder: gives the id of the order."""
    host = teams_host(call)

    def order() -> tuple[str, list[str], orders.Work]:
        given = _attributes(call)
        numbers = _numbers(call, UPLOAD_LIMIT)
        return orders.CREATION, numbers, lambda number: inventory.upload(host.parts.tenant, number, given)

    return _ordered(call, host, order, lambda placed: placed.id)


def release(call: Call) -> Iterable[Value]:
    """New-CsOnlineTelephoneNumberReleaseOrder: gives the id of the order."""
    host = teams_host(call)

    def order() -> tuple[str, list[str], orders.Work]:
        numbers = _numbers(call, RELEASE_LIMIT)
        return orders.RELEASE, numbers, lambda number: inventory.release(host.parts.tenant, number)

    return _ordered(call, host, order, lambda placed: placed.id)


Update = Callable[[Call, Host], orders.Work]


def _bulk(update: Update) -> Callable[[Call], Iterable[Value]]:
    def run(call: Call) -> Iterable[Value]:
        """New-CsPhoneNumberBulkUpdate…Order: gives id and type of the order."""
        host = teams_host(call)

        def order() -> tuple[str, list[str], orders.Work]:
            numbers = _listed(call.text("PhoneNumbers"))
            orders.check_limit(len(numbers), UPDATE_LIMIT)
            return orders.UPDATE, numbers, update(call, host)

        return _ordered(call, host, order, _placed)

    return run


def _ordered(
    call: Call,
    host: Host,
    order: Callable[[], tuple[str, list[str], orders.Work]],
    show: Callable[[Order], Value],
) -> Iterable[Value]:
    """Place an order through the fault plan; it is logged when it has been carried out."""

    def place(finish: orders.Finish, pretend: bool) -> Iterable[Value]:
        kind, numbers, work = order()
        done = (lambda _number: []) if pretend else work
        return [show(orders.place(host.parts.tenant, kind, numbers, done, finish))]

    return host.later(call, place, _listed(call.text("TelephoneNumber") or call.text("PhoneNumbers"))[:20])


def _placed(order: Order) -> PsObject:
    props: list[tuple[str, Value]] = [("Id", order.id), ("OrderType", order.kind)]
    return PsObject(props, types=(_MODELS + "SkypeTelephoneNumberMgmtOrder", "System.Object"), adapted=True)


def _listed(text: str) -> list[str]:
    """Read a comma list; each number gets its plus sign, twice the same is one."""
    parts = [part.strip() for part in text.split(",")]
    return list(dict.fromkeys(_plus(part) for part in parts if part))


def _plus(text: str) -> str:
    return text if text.startswith("+") or not text[:1].isdigit() else f"+{text}"


def _numbers(call: Call, limit: int) -> list[str]:
    """Read the numbers of an order from its list, its range or its file."""
    if call.has("FileContent"):
        found = _from_file(call.bound.get("FileContent"))
    elif call.has("StartingNumber") or call.has("EndingNumber"):
        return orders.spelled_out(call.text("StartingNumber"), call.text("EndingNumber"), limit)
    else:
        found = _listed(call.text("TelephoneNumber"))
    orders.check_limit(len(found), limit)
    return found


def _from_file(content: Value) -> list[str]:
    """Read a CSV file of numbers; a first line that is none is its header."""
    assert isinstance(content, bytes)
    rows = [row[0].strip() for row in csv.reader(io.StringIO(content.decode("utf-8-sig", "replace"))) if row]
    found = [_plus(row) for row in rows if row]
    return found[1:] if found and not is_e164(found[0]) else found


def _attributes(call: Call) -> Attributes:
    capabilities = _capabilities(call.text("AcquiredCapability")) or inventory.CAPABILITIES
    return Attributes(
        location_id=call.text("LocationId") or None,
        network_site_id=call.text("NetworkSiteId") or None,
        capabilities=capabilities,
        reverse_lookup=_plain_list(call.text("ReverseNumberLookup")),
        tags=_plain_list(call.text("Tag")),
    )


def _plain_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _capabilities(text: str) -> list[str]:
    known = {name.casefold(): name for name in inventory.KNOWN_CAPABILITIES}
    found = _plain_list(text)
    for name in found:
        if name.casefold() not in known:
            raise bad_request(f"'{name}' is not a valid acquired capability.")
    return [known[name.casefold()] for name in found]


# What the bulk updates do to one number


def _location(call: Call, host: Host) -> orders.Work:
    text = call.text("LocationId")
    wanted = "" if text.lower() == "null" else text
    return lambda number: host.parts.tenant.update_number(number, location_id=wanted)


def _site(call: Call, host: Host) -> orders.Work:
    text = call.text("NetworkSiteId")
    wanted = "" if text.lower() == "null" else text
    return lambda number: host.parts.tenant.update_number(number, network_site_id=wanted)


def _lookup(call: Call, host: Host) -> orders.Work:
    add, remove = call.text("ReverseNumberLookupToAdd"), call.text("ReverseNumberLookupToRemove")
    if {text.casefold() for text in (add, remove)} - {"", "skipinternalvoip"} or not (add or remove):
        raise bad_request("ReverseNumberLookup must be SkipInternalVoip.")
    wanted = ["SkipInternalVoip"] if add else []
    return lambda number: host.parts.tenant.update_number(number, reverse_lookup=wanted)


def _tags(call: Call, host: Host) -> orders.Work:
    add, remove = _plain_list(call.text("TagsToAdd")), _plain_list(call.text("TagsToRemove"))
    if not 1 <= len(add) + len(remove) <= TAG_LIMIT:
        raise bad_request(f"An order holds 1 to {TAG_LIMIT} tags.")
    return lambda number: inventory.change_tags(host.parts.tenant, number, add=add, remove=remove)


def _acquired(call: Call, host: Host) -> orders.Work:
    add = _capabilities(call.text("AcquiredCapabilitiesToAdd"))
    remove = _capabilities(call.text("AcquiredCapabilitiesToRemove"))
    return lambda number: inventory.change_capabilities(host.parts.tenant, number, add=add, remove=remove)


# How far an order is


def order_status(call: Call) -> Iterable[Value]:
    """Get-CsOnlineTelephoneNumberOrder: a table of names and values."""
    kind = call.text("OrderType") or orders.SEARCH

    def look(view: View) -> Iterable[Value]:
        order = orders.find(view.tenant, call.text("OrderId"), kind)
        return [_report(order, orders.status(order, view.tenant.clock.now()))]

    return teams_host(call).read(call, look, [call.text("OrderId")])


def _report(order: Order, status: str) -> Hashtable:
    succeeded: list[Value] = list(order.succeeded)
    failed: list[Value] = [number for number, _ in order.failed]
    rows: list[tuple[Value, Value]] = [
        ("OrderId", order.id),
        ("CreatedAt", order.created_at.isoformat()),
        ("Status", status),
        ("TotalCount", order.total),
        ("SuccessCount", len(succeeded)),
        ("FailureCount", len(failed)),
    ]
    if order.kind != orders.RELEASE:
        rows += [("WarningCount", 0), ("WarningPhoneNumbers", [])]
    rows += [("SuccessPhoneNumbers", succeeded), ("FailedPhoneNumbers", failed)]
    if order.kind == orders.UPDATE:
        rows.append(("AdditionalDetails", [_detail(number, why) for number, why in order.failed]))
    return Hashtable(rows, ordered=True)


def _detail(number: str, why: str) -> Hashtable:
    return Hashtable([("TelephoneNumber", number), ("Status", "Error"), ("Message", why)], ordered=True)


def export(call: Call) -> Iterable[Value]:
    """Export-CsAcquiredPhoneNumber: an order that ends with a link to a file."""
    host = teams_host(call)
    tenant, made = host.parts.tenant, list[str]()

    def place(finish: orders.Finish, pretend: bool) -> Iterable[Value]:
        names = exports.chosen(call.text("Property"))

        def work(_everything: str) -> list[Effect]:
            made.append("" if pretend else exports.table(tenant.view(), names))
            return []

        order = orders.place(tenant, orders.EXPORT, ("",), work, finish)
        tenant.exports[order.id] = made
        return [order.id]

    return host.later(call, place)


def export_status(call: Call) -> Iterable[Value]:
    """Get-CsExportAcquiredPhoneNumberStatus: the link lasts an hour."""
    parts = teams_host(call).parts

    def look(view: View) -> Iterable[Value]:
        order = orders.find(view.tenant, call.text("OrderId"), orders.EXPORT)
        props: list[tuple[str, Value]] = [
            ("Id", order.id),
            ("CreatedAt", stamp(order.created_at)),
            ("Status", orders.status(order, view.tenant.clock.now())),
            ("DownloadLinkExpiry", stamp(order.due_at + exports.LASTS) if order.done else None),
            ("DownloadLink", exports.link(parts, order)),
        ]
        type_ = _MODELS + "SkypeTelephoneNumberMgmtGetExportAcquiredTelephoneNumbersResponse"
        return [PsObject(props, types=(type_, "System.Object"), adapted=True)]

    return teams_host(call).read(call, look, [call.text("OrderId")])


_SINCE, _SINCE_ATTRIBUTES, _SINCE_BULK = (6, 7, 1), (7, 9, 0), (7, 6, 0)
_LISTS = allowed("InputByList", "InputByRange")
_INPUTS = (
    Parameter("TelephoneNumber", sets=allowed("InputByList")),
    Parameter("StartingNumber", sets=allowed("InputByRange")),
    Parameter("EndingNumber", sets=allowed("InputByRange")),
    Parameter("FileContent", "bytes", sets=allowed("InputByFile")),
)
_BULK: dict[str, tuple[Update, list[str]]] = {
    "LocationId": (_location, ["LocationId"]),
    "NetworkSiteId": (_site, ["NetworkSiteId"]),
    "ReverseNumberLookup": (_lookup, words("ReverseNumberLookupToAdd ReverseNumberLookupToRemove")),
    "Tags": (_tags, words("TagsToAdd TagsToRemove")),
    "DrNumberAcquiredCapabilities": (_acquired, words("AcquiredCapabilitiesToAdd AcquiredCapabilitiesToRemove")),
}

ORDERS = (
    Cmdlet(
        "New-CsOnlineDirectRoutingTelephoneNumberUploadOrder",
        upload,
        (
            *_INPUTS,
            *(
                Parameter(name, sets=_LISTS, since=_SINCE_ATTRIBUTES)
                for name in words("LocationId AcquiredCapability NetworkSiteId ReverseNumberLookup Tag")
            ),
        ),
        default_set="InputByList",
        module=MODULE,
        since=_SINCE,
    ),
    Cmdlet(
        "New-CsOnlineTelephoneNumberReleaseOrder",
        release,
        _INPUTS,
        default_set="InputByList",
        module=MODULE,
        since=_SINCE,
    ),
    *(
        Cmdlet(
            f"New-CsPhoneNumberBulkUpdate{subject}Order",
            _bulk(update),
            (Parameter("PhoneNumbers"), *(Parameter(name) for name in names)),
            module=MODULE,
            since=_SINCE_BULK,
        )
        for subject, (update, names) in _BULK.items()
    ),
    Cmdlet(
        "Get-CsOnlineTelephoneNumberOrder",
        order_status,
        (Parameter("OrderId", sets={"*": True}), Parameter("OrderType", choices=_ORDER_TYPES, since=_SINCE)),
        module=MODULE,
    ),
    Cmdlet("Export-CsAcquiredPhoneNumber", export, (Parameter("Property"),), module=MODULE, since=(6, 1, 0)),
    Cmdlet(
        "Get-CsExportAcquiredPhoneNumberStatus",
        export_status,
        (Parameter("OrderId", sets={"*": True}),),
        module=MODULE,
        since=(6, 1, 0),
    ),
)
