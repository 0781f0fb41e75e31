"""The Teams administration API's JSON as records."""

from __future__ import annotations

import re

from connectors.graph_calls import Answer, Json
from datasets.users import NumberAssignment, NumberOperation, VoiceUser

# Direct Routing numbers show this where they have no location.
_NO_LOCATION = "00000000-0000-0000-0000-000000000000"
_OPERATION_LINK = re.compile(r"operations(?:\('([^']+)'\)|/([^/?()]+))")


def number_assignment(raw: Json) -> NumberAssignment:
    """Read a `numberAssignment`."""
    return NumberAssignment(
        telephone_number=raw["telephoneNumber"],
        number_type=raw["numberType"],
        assignment_status=raw.get("assignmentStatus") or "unassigned",
        activation_state=raw.get("activationState") or "activated",
        assignment_target_id=_given(raw.get("assignmentTargetId")),
        assignment_category=raw.get("assignmentCategory") or None,
        location_id=_given(raw.get("locationId")),
        civic_address_id=_given(raw.get("civicAddressId")),
        iso_country_code=raw.get("isoCountryCode") or None,
        city=raw.get("city") or None,
        number_source=raw.get("numberSource") or "online",
        capabilities=tuple(raw.get("capabilities") or ()),
    )


def _given(identifier: str | None) -> str | None:
    return None if identifier in (None, "", _NO_LOCATION) else identifier


def voice_user(raw: Json) -> VoiceUser:
    """Read a `teamsUserConfiguration`; its primary number comes first, and only direct policies count."""
    return VoiceUser(
        id=raw["id"],
        user_principal_name=raw.get("userPrincipalName") or "",
        account_type=raw.get("accountType") or "user",
        is_enterprise_voice_enabled=bool(raw.get("isEnterpriseVoiceEnabled")),
        feature_types=tuple(raw.get("featureTypes") or ()),
        telephone_numbers=_numbers(raw.get("telephoneNumbers") or []),
        policies=_policies(raw.get("effectivePolicyAssignments") or [], "direct"),
        inherited=_policies(raw.get("effectivePolicyAssignments") or [], "group"),
    )


def _numbers(entries: list[Json]) -> tuple[str, ...]:
    in_order = sorted(entries, key=lambda entry: (entry.get("assignmentCategory") or "primary") != "primary")
    return tuple(entry["telephoneNumber"] for entry in in_order)


def _policies(entries: list[Json], given: str) -> dict[str, str]:
    pairs = ((entry["policyType"], entry.get("policyAssignment") or {}) for entry in entries)
    return {kind: policy["displayName"] for kind, policy in pairs if policy.get("assignmentType") == given}


def number_operation(raw: Json) -> NumberOperation:
    """Read an operation, bare as its type says or wrapped in `value` as the documented example shows."""
    wrapped = raw.get("value")
    operation: Json = wrapped if isinstance(wrapped, dict) else raw
    details = (number.get("statusDetail") or "" for number in operation.get("numbers") or ())
    return NumberOperation(
        id=operation["id"], status=operation["status"], detail=" ".join(detail for detail in details if detail)
    )


def operation_id(answer: Answer) -> str | None:
    """Find the id of an accepted operation in the Location header, which has two forms, or in the body."""
    found = _OPERATION_LINK.search(answer.headers.get("Location", ""))
    if found:
        return found.group(1) or found.group(2)
    identifier = answer.body.get("id")
    return str(identifier) if identifier else None


def policy_ids(raw: Json) -> dict[str, str]:
    """Read the answer of `getPolicyId`: policy id by name."""
    return {entry["name"]: entry["policyId"] for entry in raw.get("value", ())}
