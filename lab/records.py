"""The things of the stand-in tenant as frozen values; a change replaces a value, so readers never see half of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"

DIRECT_ROUTING = "directRouting"
CALLING_PLAN = "callingPlan"
OPERATOR_CONNECT = "operatorConnect"
NUMBER_TYPES = (DIRECT_ROUTING, CALLING_PLAN, OPERATOR_CONNECT)

PRIMARY = "primary"
POLICY_TARGET = "policy"  # the target type of a number that a policy holds
ZERO_GUID = "00000000-0000-0000-0000-000000000000"


def opaque_id(*parts: str) -> str:
    """Derive a stable identifier in GUID form from some words."""
    digest = hashlib.sha256("|".join(parts).encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"


@dataclass(frozen=True, slots=True)
class Effect:
    """One attribute of `user:<id>`, `number:<E.164>` or `ad:<sam>`, before and after."""

    object: str
    attribute: str
    before: Json = None
    after: Json = None

    def as_json(self) -> dict[str, Json]:
        """Give the form of the call log."""
        return {"object": self.object, "attribute": self.attribute, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """One service inside a licence product and the Teams feature type it brings, if any."""

    plan_id: str
    name: str
    feature: str | None = None


@dataclass(frozen=True, slots=True)
class Sku:
    """A licence product the tenant bought."""

    sku_id: str
    part_number: str
    plans: tuple[ServicePlan, ...]
    enabled: int


@dataclass(frozen=True, slots=True)
class Licence:
    """One product given to one user; its features appear only some time after `assigned_at`."""

    sku_id: str
    assigned_at: datetime
    disabled_plans: tuple[str, ...] = ()
    by_group: str = ""  # id of the group that gives it; empty: given to the user


@dataclass(frozen=True, slots=True)
class User:
    """A directory account; `fields` holds the Graph properties under their Graph names."""

    id: str
    fields: Mapping[str, Json]
    licences: tuple[Licence, ...] = ()
    account_type: str = "user"  # user, resourceAccount or guest
    deleted_at: datetime | None = None

    @property
    def upn(self) -> str:
        """Give the user principal name."""
        return str(self.fields["userPrincipalName"])

    def text(self, name: str) -> str | None:
        """Give a property as text, None when it is empty."""
        value = self.fields.get(name)
        return None if value in (None, "") else str(value)


@dataclass(frozen=True, slots=True)
class Voice:
    """What the telephony service keeps about a user; policies are the direct grants."""

    user_id: str
    enterprise_voice: bool = False
    policies: Mapping[str, str] = field(default_factory=dict)
    on_prem_line_uri: str | None = None
    sip_address: str | None = None
    homed_on_premises: bool = False
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """A row of the inventory; `target_id` may name an id that resolves to nobody."""

    telephone_number: str
    number_type: str
    uploaded: bool = True  # Direct Routing rows that were never uploaded vanish when nobody holds them
    target_id: str | None = None
    target_type: str = "user"
    category: str = PRIMARY
    location_id: str | None = None
    network_site_id: str | None = None
    country: str | None = None
    city: str | None = None
    source: str = "online"  # online or onPremises
    capabilities: tuple[str, ...] = ("userAssignment",)
    reverse_lookup: tuple[str, ...] = ()
    blocked_until: datetime | None = None
    blocked_forever: bool = False
    tags: tuple[str, ...] = ()
    operator_id: str = ZERO_GUID
    policies: Mapping[str, str] | None = None  # granted to the number itself, by type

    @property
    def base(self) -> str:
        """Give the number without its extension."""
        return self.telephone_number.partition(";")[0]


@dataclass(frozen=True, slots=True)
class Policy:
    """A grantable policy instance; `details` are what its Get cmdlet shows."""

    policy_type: str
    name: str
    policy_id: str
    description: str = ""
    details: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GroupPolicy:
    """A policy granted to a group: rank 1 wins, only direct members get it."""

    group_id: str
    policy_type: str
    name: str
    rank: int
    created_at: datetime | None = None
    created_by: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A security group; members are ids of users and of other groups, cycles included."""

    id: str
    display_name: str
    members: tuple[str, ...] = ()
    description: str = ""
    mail: str = ""


@dataclass(frozen=True, slots=True)
class CivicAddress:
    """A building of the location service; `details` are its parts under the names of the cmdlet."""

    civic_address_id: str
    default_location_id: str
    details: Mapping[str, Json] = field(default_factory=dict)
    status: str = "Validated"


@dataclass(frozen=True, slots=True)
class Location:
    """An emergency location (LIS): a place in a building, or the building itself."""

    location_id: str
    civic_address_id: str
    description: str
    city: str
    country: str
    company: str = ""
    street: str = ""
    postal_code: str = ""
    elin: str = ""


@dataclass(frozen=True, slots=True)
class AdUser:
    """An Active Directory account; `attributes` holds LDAP names, absent when not set."""

    sam_account_name: str
    distinguished_name: str
    object_guid: str
    upn: str
    enabled: bool = True
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """A number operation that finishes later; `status` is its result once `done`."""

    id: str
    created_at: datetime
    due_at: datetime
    telephone_number: str
    done: bool = False
    status: str = "notStarted"
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PhoneConfiguration:
    """What holds for every number of the tenant unless a call says otherwise."""

    assignment_email: bool = False
    unassignment_email: bool = False
    blocked_forever: bool = False
    blocked_days: int = 0
    migrates_from_on_premises: bool = False

    @property
    def block_days(self) -> int | None:
        """Give the block that a released number gets: days, 0 for ever, None for none."""
        return 0 if self.blocked_forever else self.blocked_days or None


@dataclass(frozen=True, slots=True)
class Order:
    """A bulk order of numbers, carried out at `due_at`; `failed` pairs numbers with reasons."""

    id: str
    kind: str
    created_at: datetime
    due_at: datetime
    total: int
    done: bool = False
    succeeded: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class UserResult:
    """How one user of a batch fared: `result` is `Success` or the reason."""

    user: str
    result: str
    state: str


@dataclass(frozen=True, slots=True)
class PolicyBatch:
    """A batch policy assignment; an empty policy name takes direct grants away."""

    id: str
    name: str
    policy_type: str
    policy_name: str
    users: tuple[str, ...]
    created_by: str
    created_at: datetime
    due_at: datetime
    done: bool = False
    completed_at: datetime | None = None
    results: tuple[UserResult, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfigObject:
    """An object of the configuration that is no policy, such as a gateway; `details` are its properties."""

    kind: str
    name: str
    details: Mapping[str, Json] = field(default_factory=dict)
