"""Users as Teams knows them, and direct policy assignment, on the Graph end."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from lab.clock import stamp
from lab.graph_messages import Answer, Call, bad_body
from lab.graph_pages import Collected, page, page_size, selected
from lab.graph_users import DEFAULT, shape
from lab.odata import Filter, parse
from lab.records import Effect, Json, Policy, User
from lab.rules import not_found

PROPERTIES = (
    "id",
    "userPrincipalName",
    "tenantId",
    "accountType",
    "isEnterpriseVoiceEnabled",
    "featureTypes",
    "telephoneNumbers",
    "effectivePolicyAssignments",
    "createdDateTime",
    "modifiedDateTime",
)
FILTERABLE = frozenset(PROPERTIES) - {"tenantId", "effectivePolicyAssignments"}
INCLUDE_UNKNOWN = "include-unknown-enum-members"


def value(call: Call, user: User, name: str) -> Json:
    """Give one property of a `teamsUserConfiguration`."""
    return _VALUES[name](call, user)


def list_configurations(call: Call) -> Answer:
    """GET /admin/teams/userConfigurations."""
    found = parse(call.query.get("$filter"), FILTERABLE)
    names = selected(call, PROPERTIES, PROPERTIES)
    keys = _ordered(call, _candidates(call, found))
    source = Collected(keys, call.view.user_by_id, lambda user, name: value(call, user, name), found)
    size = page_size(call, default=100, largest=999)
    return page(call, source, lambda user: _shape(call, user, names), size=size, context="userConfigurations")


def get_configuration(call: Call) -> Answer:
    """GET /admin/teams/userConfigurations/{user id}."""
    user = call.view.user(call.arguments[0])
    if user is None:
        raise not_found(f"User '{call.arguments[0]}' is not found")
    return Answer(body=_shape(call, user, selected(call, PROPERTIES, PROPERTIES)))


def policy_id(call: Call) -> Answer:
    """GET /admin/teams/policy/getPolicyId(type='…',name='…')."""
    policy_type, name = (text.replace("''", "'") for text in call.arguments)
    known = call.view.tenant.policy_type(policy_type)
    policy = call.view.tenant.find_policy(known, name)
    values: list[Json] = [{"name": policy.name, "policyId": policy.policy_id}] if policy else []
    return Answer(body={"@odata.context": f"{call.base}/$metadata#Collection(policyIdentifierDetail)", "value": values})


def assign_policies(call: Call) -> Answer:
    """POST /admin/teams/policy/userAssignments/assign: all of the list, or none."""
    tenant = call.parts.tenant
    grants = [(_user(call, row), _policy(call, row)) for row in _rows(call)]

    def grant() -> list[Effect]:
        with tenant.lock:
            return [e for user_id, p in grants for e in tenant.grant_policy(user_id, p.policy_type, p.name)]

    call.apply(grant)
    return Answer(204)


def unassign_policies(call: Call) -> Answer:
    """POST /admin/teams/policy/userAssignments/unassign."""
    tenant = call.parts.tenant
    types = [(_user(call, row), tenant.policy_type(str(row.get("policyType")))) for row in _rows(call)]

    def revoke() -> list[Effect]:
        with tenant.lock:
            return [effect for user_id, kind in types for effect in tenant.grant_policy(user_id, kind, None)]

    call.apply(revoke)
    return Answer(204)


def _rows(call: Call) -> Sequence[Mapping[str, Json]]:
    rows = call.fields.get("value")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise bad_body("'value' must be a list of assignments.")
    return rows


def _user(call: Call, row: Mapping[str, Json]) -> str:
    return call.parts.tenant.telephony_user(str(row.get("userId"))).id


def _policy(call: Call, row: Mapping[str, Json]) -> Policy:
    kind = call.parts.tenant.policy_type(str(row.get("policyType")))
    policy = call.parts.tenant.policies_by_id.get(str(row.get("policyId")))
    if policy is None or policy.policy_type != kind:
        raise bad_body(f"Policy '{row.get('policyId')}' of type '{kind}' is not found")
    return policy


def _candidates(call: Call, found: Filter) -> Sequence[str]:
    if "id" in found.pins:
        return found.pins["id"]
    if "userPrincipalName" in found.pins:
        users = [call.view.user(upn) for upn in found.pins["userPrincipalName"]]
        return [user.id for user in users if user]
    return call.parts.tenant.order


def _ordered(call: Call, keys: Sequence[str]) -> Sequence[str]:
    """Sort by one property, in the case OData writes it or not."""
    words = (call.query.get("$orderby") or call.query.get("$orderBy") or "").split()
    if not words:
        return keys
    if words[0] not in FILTERABLE or len(words) > 2:
        raise bad_body(f"The query option '$orderby' with '{' '.join(words)}' is not supported.")
    users = [user for key in keys if (user := call.view.user_by_id(key))]
    users.sort(key=lambda user: str(value(call, user, words[0]) or "").casefold(), reverse=words[1:] == ["desc"])
    return [user.id for user in users]


def _shape(call: Call, user: User, names: Sequence[str]) -> Json:
    found = {name: value(call, user, name) for name in names}
    expand = call.query.get("$expand")
    if expand is None:
        return found
    if expand.partition("(")[0] != "user":
        raise bad_body(f"The navigation property '{expand}' does not exist.")
    chosen = re.fullmatch(r"user\(\$select=([\w,]+)\)", expand)
    return {**found, "user": shape(call.parts.tenant, user, chosen[1].split(",") if chosen else DEFAULT)}


def _account_type(call: Call, user: User) -> str:
    if user.account_type != "user":
        return user.account_type
    if call.view.voice(user.id).homed_on_premises:
        return "sfbOnPremUser"
    if user.licences:
        return "user"
    return "ineligibleUser" if INCLUDE_UNKNOWN in call.header("Prefer") else "unknown"


def _policies(call: Call, user: User) -> list[Json]:
    return [
        {
            "policyType": found.policy.policy_type,
            "policyAssignment": {
                "displayName": found.policy.name,
                "assignmentType": "group" if found.group_id else "direct",
                "policyId": found.policy.policy_id,
                "groupId": found.group_id,
            },
        }
        for found in call.view.tenant.effective_policies(user.id, call.view.voice(user.id))
    ]


def _numbers(call: Call, user: User) -> list[Json]:
    held = call.view.numbers_held_by(user.id)
    return [{"telephoneNumber": number.telephone_number, "assignmentCategory": number.category} for number in held]


def _modified(call: Call, user: User) -> Json:
    modified = call.view.voice(user.id).modified_at
    return stamp(modified) if modified else None


_VALUES: dict[str, Callable[[Call, User], Json]] = {
    "id": lambda _, user: user.id,
    "userPrincipalName": lambda _, user: user.upn,
    "tenantId": lambda call, _: call.parts.tenant.tenant_id,
    "accountType": _account_type,
    "isEnterpriseVoiceEnabled": lambda call, user: call.view.voice(user.id).enterprise_voice,
    "featureTypes": lambda call, user: sorted(call.parts.tenant.features(user)),
    "telephoneNumbers": _numbers,
    "effectivePolicyAssignments": _policies,
    "createdDateTime": lambda _, user: user.fields.get("createdDateTime"),
    "modifiedDateTime": _modified,
}
