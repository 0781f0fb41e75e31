"""The lines of a snapshot that only Skype for Business Server knows; their form is `docs/snapshot.schema.json`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from datasets.snapshot_line import SnapshotLine

POLICY_TYPES = (
    "VoicePolicy",
    "DialPlan",
    "ConferencingPolicy",
    "ClientPolicy",
    "ClientVersionPolicy",
    "LocationPolicy",
    "MobilityPolicy",
    "PinPolicy",
    "PresencePolicy",
    "HostedVoicemailPolicy",
    "ArchivingPolicy",
    "UserServicesPolicy",
    "VoiceRoutingPolicy",
    "IPPhonePolicy",
    "CallViaWorkPolicy",
    "PersistentChatPolicy",
    "ThirdPartyVideoSystemPolicy",
)
"""Types whose cmdlets the servers alone have; `ExternalAccessPolicy` and the like are Teams' where both are there."""
USER_POLICY_TYPES = (*POLICY_TYPES, "ExternalAccessPolicy", "TeamsUpgradePolicy")

DeviceKind = Literal["CommonAreaPhone", "AnalogDevice"]


class SkypePool(SnapshotLine):
    """A registrar pool, and the build of the server that was asked."""

    identity: ClassVar[tuple[str, ...]] = ("fqdn",)

    kind: Literal["skype_pool"] = "skype_pool"
    fqdn: str
    build: str | None = None


class SkypePolicy(SnapshotLine):
    """A policy that users of the servers are granted."""

    identity: ClassVar[tuple[str, ...]] = ("policy_type", "name")

    kind: Literal["skype_policy"] = "skype_policy"
    policy_type: str
    name: str


class SkypeUser(SnapshotLine):
    """What the servers know of a user; lines are in the directory account."""

    identity: ClassVar[tuple[str, ...]] = ("sam_account_name",)

    kind: Literal["skype_user"] = "skype_user"
    sam_account_name: str
    sip_address: str
    pool: str | None = None
    hosting_provider: str | None = None
    is_enabled: bool = True
    has_enterprise_voice: bool = False
    policies: dict[str, str] = Field(default_factory=dict)
    pickup_orbit: str | None = None


class UnassignedRange(SnapshotLine):
    """Numbers nobody has, and who answers for them."""

    identity: ClassVar[tuple[str, ...]] = ("name",)

    kind: Literal["unassigned_range"] = "unassigned_range"
    name: str
    first: str
    last: str
    announcement_service: str | None = None
    announcement_name: str | None = None
    auto_attendant: str | None = None
    priority: int | None = None


class OrbitRange(SnapshotLine):
    """Orbits at which calls are parked or picked up."""

    identity: ClassVar[tuple[str, ...]] = ("name",)

    kind: Literal["orbit_range"] = "orbit_range"
    name: str
    first: str
    last: str
    service: str | None = None
    orbit_type: str | None = None


class SkypeDevice(SnapshotLine):
    """A common area phone or an analog device."""

    identity: ClassVar[tuple[str, ...]] = ("distinguished_name",)

    kind: Literal["skype_device"] = "skype_device"
    device_kind: DeviceKind
    distinguished_name: str
    line_uri: str
    pool: str
    display_name: str | None = None
    display_number: str | None = None
    description: str | None = None
    sip_address: str | None = None
    is_enabled: bool = True
    has_enterprise_voice: bool = True
    gateway: str | None = None
    is_fax: bool = False
