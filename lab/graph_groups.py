"""Groups, licence products and the organisation on the Graph end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lab.graph_messages import Answer, Call
from lab.graph_pages import Collected, check_directory_query, page, page_size, selected
from lab.graph_users import DEFAULT, KNOWN, shape
from lab.odata import parse
from lab.records import Group, Json, Sku
from lab.rules import Refusal, missing

GROUP = ("id", "displayName", "description", "mail", "mailEnabled", "mailNickname", "securityEnabled", "groupTypes")


def list_groups(call: Call) -> Answer:
    """GET /groups."""
    found = parse(call.query.get("$filter"), {"id", "displayName", "description"})
    check_directory_query(call, found)
    groups = call.view.tenant.groups
    source = Collected(list(groups), groups.get, _group_value, found)
    names = selected(call, GROUP, GROUP)
    size = page_size(call, default=100, largest=999)
    return page(call, source, lambda group: _group(group, names), size=size, context="groups")


def get_group(call: Call) -> Answer:
    """GET /groups/{id}."""
    return Answer(body=_group(_the_group(call), selected(call, GROUP, GROUP)))


def list_members(call: Call) -> Answer:
    """GET /groups/{id}/members, users and groups."""
    return _members(call, _the_group(call).members, users_only=False)


def list_member_users(call: Call) -> Answer:
    """GET /groups/{id}/members/microsoft.graph.user."""
    return _members(call, _the_group(call).members, users_only=True)


def list_transitive(call: Call) -> Answer:
    """GET /groups/{id}/transitiveMembers: flat, nested groups expanded once."""
    return _members(call, call.view.tenant.transitive_members(_the_group(call).id), users_only=False)


def list_transitive_users(call: Call) -> Answer:
    """GET /groups/{id}/transitiveMembers/microsoft.graph.user."""
    return _members(call, call.view.tenant.transitive_members(_the_group(call).id), users_only=True)


def list_groups_of_user(call: Call) -> Answer:
    """GET /users/{id}/memberOf, direct groups only."""
    user = call.view.user(call.arguments[0])
    if user is None:
        raise missing(call.arguments[0])
    return _members(call, _holding(call, user.id), users_only=False)


def list_groups_of_group(call: Call) -> Answer:
    """GET /groups/{id}/memberOf, direct groups only."""
    return _members(call, _holding(call, _the_group(call).id), users_only=False)


def _holding(call: Call, member: str) -> list[str]:
    return [group.id for group in call.view.tenant.groups.values() if member in group.members]


def add_member(call: Call) -> Answer:
    """POST /groups/{id}/members/$ref."""
    member = call.text("@odata.id").rstrip("/").rpartition("/")[2]
    call.apply(lambda: call.parts.tenant.change_members(call.arguments[0], add=[member]))
    return Answer(204)


def remove_member(call: Call) -> Answer:
    """DELETE /groups/{id}/members/{id}/$ref."""
    group_id, member = call.arguments
    group = call.parts.tenant.groups.get(group_id.casefold())
    if group is None:
        raise missing(group_id)
    if member not in group.members:
        raise missing(member)
    call.apply(lambda: call.parts.tenant.change_members(group_id, remove=[member]))
    return Answer(204)


def list_skus(call: Call) -> Answer:
    """GET /subscribedSkus."""
    tenant = call.view.tenant
    values: list[Json] = [_sku(sku, tenant.tenant_id, tenant.consumed[sku.sku_id]) for sku in tenant.skus.values()]
    return Answer(body={"@odata.context": f"{call.base}/$metadata#subscribedSkus", "value": values})


def organization(call: Call) -> Answer:
    """GET /organization."""
    tenant = call.parts.tenant
    domain: Json = {"name": tenant.domain, "isDefault": True, "isInitial": True, "type": "Managed"}
    value: Json = {"id": tenant.tenant_id, "displayName": tenant.display_name, "verifiedDomains": [domain]}
    return Answer(body={"@odata.context": f"{call.base}/$metadata#organization", "value": [value]})


def _the_group(call: Call) -> Group:
    group = call.view.tenant.groups.get(call.arguments[0].casefold())
    if group is None:
        raise missing(call.arguments[0])
    return group


def _members(call: Call, ids: Iterable[str], *, users_only: bool) -> Answer:
    if users_only and not call.eventual:
        message = "The type cast needs the header 'ConsistencyLevel: eventual' and '$count=true'."
        raise Refusal("Request_UnsupportedQuery", message)
    names = selected(call, KNOWN | set(GROUP), DEFAULT)
    groups = call.view.tenant.groups

    def load(key: str) -> dict[str, Json] | None:
        if key in groups:
            return None if users_only else {"@odata.type": "#microsoft.graph.group"} | _group(groups[key], GROUP)
        user = call.view.user_by_id(key)
        kind: dict[str, Json] = {"@odata.type": "#microsoft.graph.user"}
        return kind | shape(call.parts.tenant, user, names) if user else None

    source = Collected(list(ids), load, lambda member, name: member.get(name))
    size = page_size(call, default=100, largest=999)
    return page(call, source, lambda member: member, size=size, context="directoryObjects")


def _group_value(group: Group, name: str) -> Json:
    return _group(group, (name,)).get(name)


def _group(group: Group, names: Sequence[str]) -> dict[str, Json]:
    known: dict[str, Json] = {"id": group.id, "displayName": group.display_name, "description": group.description}
    nickname = group.mail.partition("@")[0] or group.id
    known |= {"mail": group.mail or None, "mailEnabled": bool(group.mail), "mailNickname": nickname}
    known |= {"securityEnabled": True, "groupTypes": []}
    return {name: known[name] for name in names if name in known}


def _sku(sku: Sku, tenant_id: str, consumed: int) -> Json:
    plans: list[Json] = [
        {
            "servicePlanId": plan.plan_id,
            "servicePlanName": plan.name,
            "provisioningStatus": "Success",
            "appliesTo": "User",
        }
        for plan in sku.plans
    ]
    return {
        "id": f"{tenant_id}_{sku.sku_id}",
        "skuId": sku.sku_id,
        "skuPartNumber": sku.part_number,
        "capabilityStatus": "Enabled",
        "appliesTo": "User",
        "consumedUnits": consumed,
        "prepaidUnits": {"enabled": sku.enabled, "suspended": 0, "warning": 0},
        "servicePlans": plans,
    }
