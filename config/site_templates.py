"""Lifecycle templates as a site writes them in `templates.toml`; choosing one is left to `datasets/templates.py`."""

from __future__ import annotations

import difflib
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from config.site_pools import PoolType, SitePart

WriteBack = Literal["telephoneNumber", "ipPhone"]


class NumberSource(StrEnum):
    """Where a person's number comes from: a pool, one of four telephone attributes, or nowhere."""

    NUMBER_RANGE = "NumberRange"
    HOME = "Home"
    MOBILE = "Mobile"
    IP_PHONE = "IpPhone"
    PHONE = "Phone"
    NONE = "none"


# Types with a Grant cmdlet or a batch operation in Teams PowerShell (reference: microsoft-apis, 1.4).
POLICY_TYPES = frozenset(
    [
        "ApplicationAccessPolicy",
        "CallingLineIdentity",
        "DialoutPolicy",
        "ExternalAccessPolicy",
        "OnlineAudioConferencingRoutingPolicy",
        "OnlineVoiceRoutingPolicy",
        "OnlineVoicemailPolicy",
        "TeamsAppPermissionPolicy",
        "TeamsAppSetupPolicy",
        "TeamsCallHoldPolicy",
        "TeamsCallParkPolicy",
        "TeamsCallingPolicy",
        "TeamsChannelsPolicy",
        "TeamsEducationAssignmentsAppPolicy",
        "TeamsEmergencyCallingPolicy",
        "TeamsEmergencyCallRoutingPolicy",
        "TeamsIPPhonePolicy",
        "TeamsMeetingBroadcastPolicy",
        "TeamsMeetingPolicy",
        "TeamsMessagingPolicy",
        "TeamsMobilityPolicy",
        "TeamsSharedCallingRoutingPolicy",
        "TeamsSurvivableBranchAppliancePolicy",
        "TeamsTemplatePermissionPolicy",
        "TeamsUpdateManagementPolicy",
        "TeamsUpgradePolicy",
        "TeamsVerticalPackagePolicy",
        "TeamsVideoInteropServicePolicy",
        "TeamsVoiceApplicationsPolicy",
        "TenantDialPlan",
    ]
)


def policies_known(policies: dict[str, str]) -> dict[str, str]:
    """Refuse a policy type that Teams does not have, and a policy without a name."""
    for kind, name in policies.items():
        if kind not in POLICY_TYPES:
            close = difflib.get_close_matches(kind, POLICY_TYPES, n=1)
            raise ValueError(f"there is no policy type {kind}{f', did you mean {close[0]}?' if close else ''}")
        if not name.strip():
            raise ValueError(f"policy {kind} has no name: leave it out to leave it alone")
    return policies


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


Values = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_one_or_many)]


class Match(SitePart):
    """Whom a template is for: every attribute that is named must have one of its values, upper or lower case alike."""

    department: Values = ()
    location: Values = ()
    usage_location: Values = ()
    company: Values = ()
    worker_type: Values = ()
    groups: Values = Field((), description="names or ids of groups; membership in one is enough")


class LifecycleTemplate(SitePart):
    """What a person matched by it gets: a number from somewhere, licences, policies and directory attributes."""

    name: str = Field(min_length=1)
    priority: int = Field(100, ge=1, description="1 is the strongest; of equals the first by name wins")
    match: Match = Match()
    number_source: NumberSource = NumberSource.NUMBER_RANGE
    pool: str | None = Field(None, description="where NumberRange takes from; other sources must lie in it")
    number_type: PoolType = Field("directRouting", description="of numbers that come from no pool")
    licences: Values = Field((), description="SKU part numbers")
    enterprise_voice: bool = True
    policies: Annotated[dict[str, str], AfterValidator(policies_known)] = Field({}, description="policy type = name")
    new_number_on: Literal["never", "country", "site"] = Field(
        "never", description="a move that changes a live number: to another country, or to another site"
    )
    policies_converge: bool = Field(True, description="drift repair grants these policies again")
    emergency_location: str | None = Field(None, description="id or description; default: that of the pool")
    write_back: tuple[WriteBack, ...] = Field((), description="directory attributes that receive the number")

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if self.number_source is NumberSource.NUMBER_RANGE and not self.pool:
            raise ValueError(f"template {self.name} takes numbers from a range but names no pool: add pool")
        if self.number_source is NumberSource.NONE and (self.pool or self.write_back):
            raise ValueError(f"template {self.name} gives no number: remove pool and write_back")
        return self
