"""Users, licences and numbers as the tenant shows them (Graph `user`, Teams administration API, AD `user`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from datasets.record import Record

# Identities of service plans are the same in every tenant.
PHONE_SYSTEM_PLAN = "4828c8ec-dc2e-4779-b502-87ac9ce28ab7"
NumberType = Literal["directRouting", "callingPlan", "operatorConnect", "teamsPhoneMobile"]


class DirectoryUser(Record):
    """A Graph `user`, with the fields the voice lifecycle needs."""

    identity: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    user_principal_name: str
    display_name: str = ""
    given_name: str = ""
    surname: str = ""
    mail: str | None = None
    account_enabled: bool = True
    usage_location: str | None = None
    department: str | None = None
    company_name: str | None = None
    employee_id: str | None = None
    on_premises_sam_account_name: str | None = None
    is_synced: bool = False
    sku_ids: tuple[str, ...] = ()


class SubscribedSku(Record):
    """A licence product of the tenant, how many units are left, and the service plans in it."""

    identity: ClassVar[tuple[str, ...]] = ("sku_id",)

    sku_id: str
    sku_part_number: str
    consumed_units: int
    enabled_units: int
    plan_ids: tuple[str, ...] = ()

    @property
    def has_phone_system(self) -> bool:
        """Tell whether a number hangs on this licence: it carries Teams Phone, by its plan or by its name."""
        return PHONE_SYSTEM_PLAN in self.plan_ids or self.sku_part_number.startswith("MCOEV")


class VoiceUser(Record):
    """A `teamsUserConfiguration`: what Teams Phone knows about a user.

    Policies: type → name, direct ones only. `inherited` are those that a group gives; they are no part of the user, so
    that a copy of the user does not hold them.
    """

    identity: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    user_principal_name: str
    account_type: str = "user"
    is_enterprise_voice_enabled: bool = False
    feature_types: tuple[str, ...] = ()
    telephone_numbers: tuple[str, ...] = ()
    policies: dict[str, str] = Field(default_factory=dict)
    inherited: dict[str, str] = Field(default_factory=dict, exclude=True)

    @property
    def number(self) -> str | None:
        """Give the primary number in E.164, or None."""
        return self.telephone_numbers[0] if self.telephone_numbers else None


class NumberAssignment(Record):
    """A `numberAssignment` of the Teams inventory; `assignment_target_id` is None while nobody holds the number."""

    identity: ClassVar[tuple[str, ...]] = ("telephone_number",)

    telephone_number: str
    number_type: str
    assignment_status: str = "unassigned"
    activation_state: str = "activated"
    assignment_target_id: str | None = None
    assignment_category: str | None = None
    location_id: str | None = None
    civic_address_id: str | None = None
    iso_country_code: str | None = None
    city: str | None = None
    number_source: str = "online"
    capabilities: tuple[str, ...] = ()


class NumberOperation(Record):
    """A long-running number operation: `status` is notStarted, running, succeeded, failed or skipped."""

    identity: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    status: str
    detail: str = ""


class EmergencyLocation(Record):
    """A LIS location (`Get-CsOnlineLisLocation`)."""

    identity: ClassVar[tuple[str, ...]] = ("location_id",)

    location_id: str
    civic_address_id: str
    description: str = ""
    city: str = ""
    country: str = ""


class AdUser(Record):
    """An Active Directory user with the telephone attributes; absent attributes are None."""

    identity: ClassVar[tuple[str, ...]] = ("sam_account_name",)

    sam_account_name: str
    user_principal_name: str | None = None
    telephone_number: str | None = None
    ip_phone: str | None = None
    mobile: str | None = None
    home_phone: str | None = None
    msrtcsip_line: str | None = None
    employee_id: str | None = None
    enabled: bool = True
