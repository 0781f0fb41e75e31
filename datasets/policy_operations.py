"""Operations of Teams that give one policy to many users: what they may hold and how they end. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from datasets.record import Record

LARGEST = 5_000
# Types that Teams gives to many users in one operation; others are given user by user.
TYPES = frozenset(
    (
        "CallingLineIdentity",
        "ExternalAccessPolicy",
        "OnlineVoiceRoutingPolicy",
        "TeamsAppPermissionPolicy",
        "TeamsAppSetupPolicy",
        "TeamsCallParkPolicy",
        "TeamsCallingPolicy",
        "TeamsChannelsPolicy",
        "TeamsEducationAssignmentsAppPolicy",
        "TeamsEmergencyCallRoutingPolicy",
        "TeamsEmergencyCallingPolicy",
        "TeamsMeetingBroadcastPolicy",
        "TeamsMeetingPolicy",
        "TeamsMessagingPolicy",
        "TeamsTemplatePermissionPolicy",
        "TeamsUpdateManagementPolicy",
        "TeamsUpgradePolicy",
        "TeamsVerticalPackagePolicy",
        "TeamsVideoInteropServicePolicy",
        "TenantDialPlan",
    )
)
# One page of Microsoft's says Complete, the others Completed.
_OVER = frozenset(("complete", "completed"))


class PolicyOperation(Record):
    """An operation as Teams reports it; `failed` says per user id, in small letters, why it did not work."""

    identity: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    name: str = ""
    status: str = ""
    failed: Mapping[str, str] = Field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more will happen to it."""
        return self.status.casefold() in _OVER
