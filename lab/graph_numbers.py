"""Telephone numbers on the Graph end: inventory, assignment and release as operations, attribute updates."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence

from lab import operations, rules
from lab.graph_messages import Answer, Call, bad_body
from lab.graph_pages import Collected, page, page_size, selected
from lab.odata import Filter, parse
from lab.records import CALLING_PLAN, POLICY_TARGET, PRIMARY, ZERO_GUID, Effect, Json, Number
from lab.rules import Refusal
from lab.tenant import Tenant

CATEGORIES = (PRIMARY, "private", "alternate")
PROPERTIES = (
    "id",
    "telephoneNumber",
    "operatorId",
    "numberType",
    "activationState",
    "capabilities",
    "locationId",
    "civicAddressId",
    "networkSiteId",
    "assignmentTargetId",
    "assignmentCategory",
    "portInStatus",
    "assignmentStatus",
    "isoCountryCode",
    "city",
    "numberSource",
    "supportedCustomerActions",
    "reverseNumberLookupOptions",
)
FILTERABLE = frozenset(PROPERTIES) - {"id", "city"}


def number_id(telephone_number: str) -> str:
    """Give the resource id of a number."""
    return base64.urlsafe_b64encode(telephone_number.encode()).decode().rstrip("=")


def value(tenant: Tenant, number: Number, name: str) -> Json:
    """Give one property of a number."""
    match name:
        case "id":
            return number_id(number.telephone_number)
        case "activationState":
            return "assignmentPending" if number.telephone_number in tenant.pending else "activated"
        case "assignmentStatus":
            return _assignment_status(number)
        case "locationId":
            return number.location_id or ZERO_GUID
        case "civicAddressId":
            location = tenant.locations.get(number.location_id or "")
            return location.civic_address_id if location else ZERO_GUID
        case "supportedCustomerActions":
            return ["locationUpdate", "release"] if number.number_type != CALLING_PLAN else ["locationUpdate"]
        case _:
            return _PLAIN[name](number)


_PLAIN: dict[str, Callable[[Number], Json]] = {
    "telephoneNumber": lambda n: n.telephone_number,
    "operatorId": lambda n: n.operator_id,
    "numberType": lambda n: n.number_type,
    "capabilities": lambda n: list(n.capabilities),
    "networkSiteId": lambda n: n.network_site_id,
    "assignmentTargetId": lambda n: n.target_id,
    "assignmentCategory": lambda n: n.category if n.target_id else None,
    "portInStatus": lambda _: None,
    "isoCountryCode": lambda n: n.country,
    "city": lambda n: n.city,
    "numberSource": lambda n: n.source,
    "reverseNumberLookupOptions": lambda n: list(n.reverse_lookup),
}


def list_numbers(call: Call) -> Answer:
    """GET …/numberAssignments, ascending."""
    tenant = call.parts.tenant
    found = parse(call.query.get("$filter"), FILTERABLE)
    names = selected(call, PROPERTIES, PROPERTIES)
    source = Collected(_candidates(call, found), call.view.number, lambda n, name: value(tenant, n, name), found)
    size = page_size(call, default=500, largest=1000)
    return page(call, source, lambda n: _shape(tenant, n, names), size=size, context="numberAssignments")


def get_number(call: Call) -> Answer:
    """GET …/numberAssignments/{id}; the number itself is taken for an id, too."""
    wanted = call.arguments[0]
    padded = wanted + "=" * (-len(wanted) % 4)
    key = wanted if wanted.startswith("+") else base64.urlsafe_b64decode(padded).decode(errors="replace")
    number = call.view.number(key)
    if number is None:
        raise rules.not_found(f"Telephone Number '{key}' is not found from tenant '{call.parts.tenant.tenant_id}'")
    return Answer(body=_shape(call.parts.tenant, number, selected(call, PROPERTIES, PROPERTIES)))


def assign(call: Call) -> Answer:
    """POST …/assignNumber: accepted now, done later."""
    key, kind = rules.telephone_number(call.text("telephoneNumber")), rules.number_type(call.text("numberType"))
    target, location = call.text("assignmentTargetId"), call.optional("locationId")
    category = call.optional("assignmentCategory") or PRIMARY
    if category not in CATEGORIES:
        raise bad_body(f"The value '{category}' is not valid for 'assignmentCategory'.")
    assign_number = call.parts.tenant.assign_number
    return _later(call, key, lambda: assign_number(target, key, kind, location_id=location, category=category))


def unassign(call: Call) -> Answer:
    """POST …/unassignNumber: accepted now, done later."""
    key, kind = rules.telephone_number(call.text("telephoneNumber")), rules.number_type(call.text("numberType"))
    return _later(call, key, lambda: call.parts.tenant.unassign_number(key, kind))


def update(call: Call) -> Answer:
    """POST …/updateNumber, at once."""
    key = rules.telephone_number(call.text("telephoneNumber"))
    lookup = call.fields.get("reverseNumberLookupOptions")
    options = [str(item) for item in lookup] if isinstance(lookup, list) else None
    location, site = call.optional("locationId"), call.optional("networkSiteId")
    tenant = call.parts.tenant
    call.apply(lambda: tenant.update_number(key, location_id=location, network_site_id=site, reverse_lookup=options))
    return Answer(200, {})


def get_operation(call: Call) -> Answer:
    """GET …/operations/{id}."""
    call.parts.tenant.settle()
    operation = call.parts.tenant.operations.get(call.arguments[0])
    if operation is None:
        raise rules.not_found(f"Operation '{call.arguments[0]}' is not found")
    shown = operations.shape(operation, call.parts.clock.now(), call.base)
    return Answer(body={"value": shown} if call.parts.settings.wrapped_operations else shown)


def _later(call: Call, key: str, mutation: Callable[[], list[Effect]]) -> Answer:
    """Begin an operation; the call is logged when its effect is done."""
    call.deferred = True

    def work() -> None:
        try:
            call.apply(mutation)
        except Refusal as refusal:
            call.log(202, refusal.message)
            raise
        call.log(202)

    operation = operations.begin(call.parts.tenant, key, work)
    where = f"{call.base}/admin/teams/telephoneNumberManagement/operations('{operation.id}')"
    return Answer(202, None, {"Location": where})


def _candidates(call: Call, found: Filter) -> Sequence[str]:
    """Let an index answer where the filter pins a property down."""
    pins = found.pins
    if "telephoneNumber" in pins:
        return sorted(pins["telephoneNumber"])
    if "assignmentTargetId" in pins:
        targets = [target for target in pins["assignmentTargetId"] if target != "none"]
        return sorted(n.telephone_number for target in targets for n in call.view.numbers_held_by(target))
    return call.view.number_keys()


def _shape(tenant: Tenant, number: Number, names: Sequence[str]) -> Json:
    return {name: value(tenant, number, name) for name in names}


def _assignment_status(number: Number) -> str:
    if number.target_id is None:
        return "unassigned"
    return _STATUS.get(number.target_type, "userAssigned")


_STATUS = {"resourceAccount": "voiceApplicationAssigned", POLICY_TARGET: "policyAssigned"}
