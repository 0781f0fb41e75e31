"""The lines of a tenant snapshot as records; the form on disk is `docs/snapshot.schema.json`.

What is not known or not set is left out of a line. Who reads a tenant is left to `engine/snapshot.py`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from datasets.record import Record
from datasets.skype_snapshot import OrbitRange, SkypeDevice, SkypePolicy, SkypePool, SkypeUser, UnassignedRange
from datasets.snapshot_line import SnapshotLine

MEMBERS_IN_A_LINE = 500


class Header(SnapshotLine):
    """The first line: whose tenant, when, and whether names were replaced."""

    kind: Literal["snapshot"] = "snapshot"
    version: int
    taken_at: str
    tenant_id: str
    tenant_name: str | None = None
    pseudonymised: bool


class ServicePlan(Record):
    """A service inside a product."""

    plan_id: str
    name: str


class Product(SnapshotLine):
    """A licence product that the tenant bought."""

    identity: ClassVar[tuple[str, ...]] = ("sku_id",)

    kind: Literal["product"] = "product"
    sku_id: str
    part_number: str
    enabled_units: int
    plans: tuple[ServicePlan, ...] = ()


class Rule(Record):
    """A normalization rule of a dial plan."""

    name: str
    description: str | None = None
    pattern: str
    translation: str
    is_internal_extension: bool = False


class Policy(SnapshotLine):
    """A policy that can be granted, with the usages of a routing policy or the rules of a dial plan."""

    identity: ClassVar[tuple[str, ...]] = ("policy_type", "name")

    kind: Literal["policy"] = "policy"
    policy_type: str
    name: str
    description: str | None = None
    usages: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()


class Usages(SnapshotLine):
    """The PSTN usages of the tenant, in their order."""

    kind: Literal["usages"] = "usages"
    names: tuple[str, ...]


class TranslationRule(SnapshotLine):
    """A rule that gateways translate numbers by."""

    identity: ClassVar[tuple[str, ...]] = ("name",)

    kind: Literal["translation_rule"] = "translation_rule"
    name: str
    description: str | None = None
    pattern: str
    translation: str


class Gateway(SnapshotLine):
    """A PSTN gateway."""

    identity: ClassVar[tuple[str, ...]] = ("fqdn",)

    kind: Literal["gateway"] = "gateway"
    fqdn: str
    sip_port: int | None = None
    is_enabled: bool = False
    inbound_pstn_rules: tuple[str, ...] = ()
    inbound_teams_rules: tuple[str, ...] = ()
    outbound_pstn_rules: tuple[str, ...] = ()
    outbound_teams_rules: tuple[str, ...] = ()


class Route(SnapshotLine):
    """A voice route: which numbers of which usages go to which gateways."""

    identity: ClassVar[tuple[str, ...]] = ("name",)

    kind: Literal["route"] = "route"
    name: str
    description: str | None = None
    priority: int | None = None
    number_pattern: str
    usages: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()


class Location(SnapshotLine):
    """An emergency location."""

    identity: ClassVar[tuple[str, ...]] = ("location_id",)

    kind: Literal["location"] = "location"
    location_id: str
    civic_address_id: str
    description: str | None = None
    company: str | None = None
    street: str | None = None
    city: str | None = None
    postal_code: str | None = None
    country: str | None = None


class Licence(Record):
    """A product that an account has, and which of its services are off."""

    sku_id: str
    disabled_plans: tuple[str, ...] = ()


class Account(SnapshotLine):
    """An account of the directory with its licences."""

    identity: ClassVar[tuple[str, ...]] = ("id",)

    kind: Literal["user"] = "user"
    id: str
    user_principal_name: str
    display_name: str | None = None
    given_name: str | None = None
    surname: str | None = None
    mail: str | None = None
    is_enabled: bool = True
    user_type: str | None = None
    usage_location: str | None = None
    country: str | None = None
    city: str | None = None
    office: str | None = None
    department: str | None = None
    company: str | None = None
    job_title: str | None = None
    employee_id: str | None = None
    employee_type: str | None = None
    sam_account_name: str | None = None
    is_synchronised: bool = False
    business_phones: tuple[str, ...] = ()
    mobile_phone: str | None = None
    is_deleted: bool = False
    licences: tuple[Licence, ...] = ()


class Voice(SnapshotLine):
    """What Teams Phone knows about a user; policies are direct grants, type → name."""

    identity: ClassVar[tuple[str, ...]] = ("user_id",)

    kind: Literal["voice"] = "voice"
    user_id: str
    account_type: str | None = None
    has_enterprise_voice: bool = False
    policies: dict[str, str] = Field(default_factory=dict)


class Number(SnapshotLine):
    """A number of the tenant and who holds it; a holder that is no account is a ghost."""

    identity: ClassVar[tuple[str, ...]] = ("telephone_number",)

    kind: Literal["number"] = "number"
    telephone_number: str
    number_type: str
    holder_id: str | None = None
    category: str | None = None
    location_id: str | None = None
    country: str | None = None
    city: str | None = None
    source: str | None = None
    capabilities: tuple[str, ...] = ()


class NumberBlock(SnapshotLine):
    """A number that Teams assigns to nobody, until a moment or for ever."""

    identity: ClassVar[tuple[str, ...]] = ("telephone_number",)

    kind: Literal["number_block"] = "number_block"
    telephone_number: str
    until: str | None = None


class Group(SnapshotLine):
    """A group of the directory; its members are lines of their own."""

    identity: ClassVar[tuple[str, ...]] = ("id",)

    kind: Literal["group"] = "group"
    id: str
    display_name: str
    description: str | None = None


class Members(SnapshotLine):
    """Some direct members of a group: users and groups."""

    identity: ClassVar[tuple[str, ...]] = ("group_id", "member_ids")

    kind: Literal["members"] = "members"
    group_id: str
    member_ids: tuple[str, ...]


class GroupPolicy(SnapshotLine):
    """A policy granted to a group."""

    identity: ClassVar[tuple[str, ...]] = ("group_id", "policy_type")

    kind: Literal["group_policy"] = "group_policy"
    group_id: str
    policy_type: str
    name: str
    rank: int | None = None


class AdAccount(SnapshotLine):
    """Telephone attributes of an Active Directory account."""

    identity: ClassVar[tuple[str, ...]] = ("sam_account_name",)

    kind: Literal["ad_account"] = "ad_account"
    sam_account_name: str
    user_principal_name: str | None = None
    is_enabled: bool = True
    telephone_number: str | None = None
    ip_phone: str | None = None
    mobile: str | None = None
    home_phone: str | None = None
    msrtcsip_line: str | None = None
    employee_id: str | None = None


# In the order of the file.
LINES: tuple[type[SnapshotLine], ...] = (
    Header,
    Product,
    Policy,
    Usages,
    TranslationRule,
    Gateway,
    Route,
    Location,
    Account,
    Voice,
    Number,
    NumberBlock,
    Group,
    Members,
    GroupPolicy,
    AdAccount,
    SkypePool,
    SkypePolicy,
    OrbitRange,
    SkypeUser,
    UnassignedRange,
    SkypeDevice,
)
