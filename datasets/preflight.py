"""What was found out about users before they are moved to Teams: concerns with remedies, and what a wave will take."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Literal

from datasets.record import Record

Home = Literal["onPremises", "teams", "unknown"]
Readiness = Literal["location", "policy", "operator", "neither", ""]
"""What stands behind an emergency call: a location of the number, a routing policy, the operator, nothing known."""


class Check(StrEnum):
    """What a concern is about."""

    NO_ACCOUNT = "no_account"
    SOFT_DELETED = "soft_deleted"
    UNREADABLE = "unreadable"
    OTHER_PLAN = "other_plan"
    NO_SKYPE_ENDPOINT = "no_skype_endpoint"
    NOT_ON_SERVER = "not_on_server"
    NOT_ENABLED = "not_enabled"
    NOT_SYNCHRONISED = "not_synchronised"
    SIP_MISSING = "sip_missing"
    SIP_MISMATCH = "sip_mismatch"
    SERVER_BUILD = "server_build"
    TEAMS_MODULE = "teams_module"
    LICENCE_SUPPLY = "licence_supply"
    LICENCE_TEAMS = "licence_teams"
    LICENCE_SKYPE = "licence_skype"
    LICENCE_PHONE = "licence_phone"
    USAGE_LOCATION = "usage_location"
    ENTERPRISE_VOICE = "enterprise_voice"
    NO_LINE = "no_line"
    LINE_CLASH = "line_clash"
    MAILBOX = "mailbox"
    EMERGENCY_LOCATION = "emergency_location"
    NUMBER_MISSING = "number_missing"
    NUMBER_INVALID = "number_invalid"
    NUMBER_OUTSIDE = "number_outside"
    NUMBER_TAKEN = "number_taken"
    POOL_EXHAUSTED = "pool_exhausted"
    POLICY_MISSING = "policy_missing"
    USAGE_MISSING = "usage_missing"


class Concern(Record):
    """A reason against a user's move, with what to do about it; one that does not block is a warning."""

    identity: ClassVar[tuple[str, ...]] = ("check",)

    check: Check
    reason: str
    remedy: str
    blocks: bool = True

    def __str__(self) -> str:
        """Say reason and remedy in one line."""
        return f"{self.reason} ; {self.remedy}"


class Examined(Record):
    """What was found out about one user; `number` is the one that would be assigned, where it is known already.

    `pool` is the one that it is in, and `emergency` what stands behind an emergency call with it.
    """

    identity: ClassVar[tuple[str, ...]] = ("user_id",)

    user_id: str
    label: str
    home: Home = "unknown"
    concerns: tuple[Concern, ...] = ()
    number: str | None = None
    pool: str | None = None
    emergency: Readiness = ""

    @property
    def blocked(self) -> bool:
        """Tell whether the user cannot be moved as things are."""
        return any(concern.blocks for concern in self.concerns)

    @property
    def reason(self) -> str:
        """Say everything that blocks the user."""
        return "; ".join(str(concern) for concern in self.concerns if concern.blocks)

    @property
    def warnings(self) -> str:
        """Say everything that is worth a look and blocks nothing."""
        return "; ".join(str(concern) for concern in self.concerns if not concern.blocks)


class Estimate(Record):
    """What a wave will take: calls by kind of change, and the time; waits for replication come on top."""

    calls: dict[str, int]
    busy_s: float
    sessions: int
    eta_s: float


class Preflight(Record):
    """What was found out about the users of a wave, in the order asked for, and what nobody could check."""

    users: tuple[Examined, ...]
    estimate: Estimate
    unchecked: tuple[str, ...] = ()


class Unreachable(Record):
    """How long nobody could call a user: from the acceptance of the move until the number was seen in Teams."""

    identity: ClassVar[tuple[str, ...]] = ("plan_id", "user_id")

    user_id: str
    label: str
    plan_id: str
    since: datetime
    until: datetime | None = None

    @property
    def seconds(self) -> float | None:
        """Give how long it took; None while it lasts."""
        return None if self.until is None else (self.until - self.since).total_seconds()
