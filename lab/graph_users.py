"""Users on the Graph end: list, one, change, licences, sign-out, deletion.

$filter takes the grammar of `lab.odata` over the properties in `FILTERABLE`; any other property answers 501.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lab.clock import stamp
from lab.graph_messages import Answer, Call, bad_body
from lab.graph_pages import Collected, check_directory_query, page, page_size, selected
from lab.odata import Filter, parse
from lab.records import Json, User
from lab.rules import Refusal, missing
from lab.tenant import Tenant

DEFAULT = (
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
)
FILTERABLE = frozenset(
    {
        "id",
        "userPrincipalName",
        "displayName",
        "givenName",
        "surname",
        "mail",
        "mailNickname",
        "accountEnabled",
        "userType",
        "usageLocation",
        "country",
        "city",
        "department",
        "jobTitle",
        "companyName",
        "officeLocation",
        "employeeId",
        "employeeType",
        "businessPhones",
        "imAddresses",
        "proxyAddresses",
        "assignedLicenses",
        "onPremisesSyncEnabled",
        "onPremisesSamAccountName",
        "createdDateTime",
    }
)
KNOWN = (
    FILTERABLE
    | set(DEFAULT)
    | {
        "employeeHireDate",
        "employeeLeaveDateTime",
        "employeeOrgData",
        "faxNumber",
        "onPremisesDistinguishedName",
        "assignedPlans",
        "licenseAssignmentStates",
        "deletedDateTime",
    }
)


def value(tenant: Tenant, user: User, name: str) -> Json:
    """Give one property of a user."""
    match name:
        case "id":
            return user.id
        case "assignedLicenses":
            return [{"skuId": held.sku_id, "disabledPlans": list(held.disabled_plans)} for held in user.licences]
        case "licenseAssignmentStates":
            return [
                {"skuId": held.sku_id, "assignedByGroup": held.by_group or None, "state": "Active", "error": "None"}
                for held in user.licences
            ]
        case "assignedPlans":
            return _plans(tenant, user)
        case "imAddresses":
            return [address.removeprefix("sip:")] if (address := tenant.voice(user.id).sip_address) else []
        case "deletedDateTime":
            return stamp(user.deleted_at) if user.deleted_at else None
        case "onPremisesDistinguishedName":
            account = tenant.find_ad_user(user.text("onPremisesSamAccountName") or "")
            return account.distinguished_name if account else None
        case _:
            return user.fields.get(name)


def shape(tenant: Tenant, user: User, names: Sequence[str]) -> dict[str, Json]:
    """Give the selected properties of a user."""
    return {name: value(tenant, user, name) for name in names}


def list_users(call: Call) -> Answer:
    """GET /users."""
    tenant, view = call.parts.tenant, call.view
    found = parse(call.query.get("$filter"), FILTERABLE)
    check_directory_query(call, found)
    names = selected(call, KNOWN, DEFAULT)
    keys = _ordered(call, _candidates(call, found))
    source = Collected(keys, view.user_by_id, lambda user, name: value(tenant, user, name), found)
    size = page_size(call, default=100, largest=999)
    return page(call, source, lambda user: shape(tenant, user, names), size=size, context="users")


def get_user(call: Call) -> Answer:
    """GET /users/{id or UPN}."""
    user = call.view.user(call.arguments[0])
    if user is None:
        raise missing(call.arguments[0])
    context: dict[str, Json] = {"@odata.context": f"{call.base}/$metadata#users/$entity"}
    return Answer(body=context | shape(call.parts.tenant, user, selected(call, KNOWN, DEFAULT)))


def update_user(call: Call) -> Answer:
    """PATCH /users/{id}."""
    changes = dict(call.fields)
    call.apply(lambda: call.parts.tenant.patch_user(call.arguments[0], changes))
    return Answer(204)


def delete_user(call: Call) -> Answer:
    """DELETE /users/{id}: restorable for 30 days."""
    call.apply(lambda: call.parts.tenant.delete_user(call.arguments[0]))
    return Answer(204)


def assign_license(call: Call) -> Answer:
    """POST /users/{id}/assignLicense; both lists are required."""
    additions, removals = call.fields.get("addLicenses"), call.fields.get("removeLicenses")
    if not isinstance(additions, list) or not isinstance(removals, list):
        raise bad_body("Both 'addLicenses' and 'removeLicenses' are required.")
    if not all(isinstance(item, dict) for item in additions):
        raise bad_body("'addLicenses' must be a list of objects.")
    add = {str(item.get("skuId")): [str(plan) for plan in item.get("disabledPlans") or []] for item in additions}
    remove = [str(item) for item in removals]
    call.apply(lambda: call.parts.tenant.change_licences(call.arguments[0], add=add, remove=remove))
    user = call.parts.tenant.user(call.arguments[0])
    return Answer(200, shape(call.parts.tenant, user, [*DEFAULT, "assignedLicenses"]))


def revoke_sessions(call: Call) -> Answer:
    """POST /users/{id}/revokeSignInSessions."""
    call.parts.tenant.user(call.arguments[0])
    return Answer(200, {"@odata.context": f"{call.base}/$metadata#Edm.Boolean", "value": True})


def list_deleted(call: Call) -> Answer:
    """GET /directory/deletedItems/microsoft.graph.user."""
    tenant = call.view.tenant
    names = selected(call, KNOWN, (*DEFAULT, "deletedDateTime"))
    source = Collected(list(tenant.deleted), tenant.deleted.get, lambda user, name: value(tenant, user, name))
    size = page_size(call, default=100, largest=999)
    return page(call, source, lambda user: shape(tenant, user, names), size=size, context="directoryObjects")


def get_deleted(call: Call) -> Answer:
    """GET /directory/deletedItems/{id}."""
    user = call.view.tenant.deleted.get(call.arguments[0].lower())
    if user is None:
        raise missing(call.arguments[0])
    return Answer(body=shape(call.parts.tenant, user, selected(call, KNOWN, (*DEFAULT, "deletedDateTime"))))


def purge_user(call: Call) -> Answer:
    """DELETE /directory/deletedItems/{id}: for good."""
    if call.arguments[0].lower() not in call.parts.tenant.deleted:
        raise missing(call.arguments[0])
    call.apply(lambda: call.parts.tenant.purge_user(call.arguments[0].lower()))
    return Answer(204)


def restore_user(call: Call) -> Answer:
    """POST /directory/deletedItems/{id}/restore."""
    call.apply(lambda: call.parts.tenant.restore_user(call.arguments[0]))
    user = call.parts.tenant.find_holder(call.arguments[0])
    return Answer(200, shape(call.parts.tenant, user, DEFAULT) if user else {})


def _candidates(call: Call, found: Filter) -> Sequence[str]:
    """Let an index answer where the filter pins a property down."""
    tenant, pins = call.parts.tenant, found.pins
    if "id" in pins:
        return pins["id"]
    if "userPrincipalName" in pins:
        users = [call.view.user(upn) for upn in pins["userPrincipalName"]]
        return [user.id for user in users if user]
    if "employeeId" in pins:
        return list(dict.fromkeys(u.id for e in pins["employeeId"] for u in call.view.users_by_employee(e)))
    if "onPremisesSamAccountName" in pins:
        return [tenant.by_sam[sam] for sam in pins["onPremisesSamAccountName"] if sam in tenant.by_sam]
    return tenant.order


def _ordered(call: Call, keys: Sequence[str]) -> Sequence[str]:
    text = call.query.get("$orderby", "").split()
    if not text:
        return keys
    if text[0] not in ("displayName", "userPrincipalName") or (call.query.get("$filter") and not call.eventual):
        raise Refusal("Request_UnsupportedQuery", "Sorting not supported for current query.")
    users = [user for key in keys if (user := call.view.user_by_id(key))]
    users.sort(key=lambda user: (user.text(text[0]) or "").casefold(), reverse=text[1:] == ["desc"])
    return [user.id for user in users]


def _plans(tenant: Tenant, user: User) -> list[Mapping[str, Json]]:
    """Give the service plans a user has, as `assignedPlans`."""
    return [
        {"servicePlanId": plan.plan_id, "service": plan.name, "capabilityStatus": "Enabled"}
        for held in user.licences
        for plan in tenant.skus[held.sku_id].plans
        if plan.plan_id not in held.disabled_plans
    ]
