"""User types and which online policies apply to each: one without effect on somebody is never planned for them.

Microsoft says of each policy what it governs, not to which kind of account it applies; the table follows from that and
from who is homed where, and is our own reading (docs/templates.md).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from enum import StrEnum


class UserType(StrEnum):
    """What kind of account a person or device has."""

    ENTERPRISE = "enterprise"
    COMMON_AREA_PHONE = "common_area_phone"
    HYBRID_ON_PREMISES = "hybrid_on_premises"
    CLOUDBOND = "cloudbond"
    ANALOG_DEVICE = "analog_device"
    LOCAL = "local"


# Types with a Grant cmdlet or a batch operation in Teams PowerShell (reference: microsoft-apis, 1.4), by purpose.
_CALLS = (
    "CallingLineIdentity",
    "OnlineVoiceRoutingPolicy",
    "OnlineVoicemailPolicy",
    "TeamsCallHoldPolicy",
    "TeamsCallParkPolicy",
    "TeamsCallingPolicy",
    "TeamsEmergencyCallRoutingPolicy",
    "TeamsEmergencyCallingPolicy",
    "TeamsIPPhonePolicy",
    "TeamsSharedCallingRoutingPolicy",
    "TeamsSurvivableBranchAppliancePolicy",
    "TenantDialPlan",
)
_CALLS_OF_PEOPLE = (
    "ApplicationAccessPolicy",
    "DialoutPolicy",
    "OnlineAudioConferencingRoutingPolicy",
    "TeamsMobilityPolicy",
    "TeamsVoiceApplicationsPolicy",
)
_TOGETHER = (
    "TeamsAppPermissionPolicy",
    "TeamsAppSetupPolicy",
    "TeamsChannelsPolicy",
    "TeamsEducationAssignmentsAppPolicy",
    "TeamsMeetingBroadcastPolicy",
    "TeamsMeetingPolicy",
    "TeamsMessagingPolicy",
    "TeamsTemplatePermissionPolicy",
    "TeamsVerticalPackagePolicy",
    "TeamsVideoInteropServicePolicy",
)
_COEXISTENCE = ("ExternalAccessPolicy", "TeamsUpgradePolicy")
_CLIENT = ("TeamsUpdateManagementPolicy",)

POLICY_TYPES = frozenset([*_CALLS, *_CALLS_OF_PEOPLE, *_TOGETHER, *_COEXISTENCE, *_CLIENT])

APPLICABLE: Mapping[UserType, frozenset[str]] = {
    UserType.ENTERPRISE: POLICY_TYPES,
    # A phone in a lobby: it calls, it is looked after, nobody signs in to chat or meet.
    UserType.COMMON_AREA_PHONE: frozenset([*_CALLS, *_COEXISTENCE, *_CLIENT]),
    # Calls go through the Skype for Business Server until the move; Teams serves chat and meetings beside it.
    UserType.HYBRID_ON_PREMISES: frozenset([*_TOGETHER, *_COEXISTENCE, *_CLIENT]),
    # Homed on the CloudBond appliance, with the tenant for federation and coexistence only.
    UserType.CLOUDBOND: frozenset(_COEXISTENCE),
    # A contact object of the Skype for Business Server, without an account in the tenant.
    UserType.ANALOG_DEVICE: frozenset(),
    # Known to Active Directory alone.
    UserType.LOCAL: frozenset(),
}
"""The matrix: every user type, and the policy types that have an effect on it."""

_ON_PREMISES = frozenset(["sfbOnPremUser"])


def observed_type(planned: UserType, account_type: str | None) -> UserType:
    """Give the type that counts: a user whom Teams shows as homed on premises is no cloud user."""
    if account_type in _ON_PREMISES and planned in (UserType.ENTERPRISE, UserType.COMMON_AREA_PHONE):
        return UserType.HYBRID_ON_PREMISES
    return planned


def inapplicable(user_type: UserType, policies: Iterable[str]) -> str:
    """Say which of these policy types have no effect on a user type, and what to do; empty when all apply."""
    wrong = sorted(set(policies) - APPLICABLE[user_type])
    if not wrong:
        return ""
    named = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
    return f"{named} does not apply to user type {user_type}"


def unknown_policy(kind: str) -> str:
    """Say that there is no such policy type, with the nearest there is; empty for one that exists."""
    if kind in POLICY_TYPES:
        return ""
    close = difflib.get_close_matches(kind, POLICY_TYPES, n=1)
    return f"there is no policy type {kind}{f', did you mean {close[0]}?' if close else ''}"


def matrix_table() -> str:
    """Give the matrix as a table for documents."""
    types = list(UserType)
    lines = [f"| policy type | {' | '.join(types)} |", f"|---{'|---' * len(types)}|"]
    for policy in sorted(POLICY_TYPES):
        marks = ("yes" if policy in APPLICABLE[kind] else "–" for kind in types)
        lines.append(f"| {policy} | {' | '.join(marks)} |")
    return "\n".join(lines)
