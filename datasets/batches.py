"""What an administrator chooses for a batch of users who move to Teams (pure)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from config.site_pools import PoolType
from config.site_templates import LifecycleTemplate, WriteBack
from datasets.record import Record

Percent = Annotated[float, Field(gt=0, le=100)]


class BatchNumbers(StrEnum):
    """Where the users of a batch have their numbers from."""

    KEEP = "Keep"
    """The number that they have on the Skype for Business Server becomes a number of Teams."""
    ON_PREMISES = "KeepOnPremises"
    """The same, and the on-premises directory stays its master."""
    HOME = "Home"
    MOBILE = "Mobile"
    NUMBER_RANGE = "NumberRange"
    IP_PHONE = "IpPhone"
    PHONE = "Phone"
    NONE = "none"


class PolicyBatches(StrEnum):
    """Whether policies that many users of a wave get alike are given by one operation of Teams."""

    AUTO = "auto"
    """Where it saves calls."""
    NEVER = "never"
    """Each user's by a call of their own, at once."""


class EmergencyGate(StrEnum):
    """What becomes of a user whose emergency calls nobody is known to answer: no location and no routing policy."""

    BLOCK = "block"
    WARN = "warn"
    """For sites whose global policy or network sites provide for it, which is not read."""


class BatchOptions(Record):
    """How a batch is migrated. Policies: type → name; None gives the user back to the group's or the global policy.

    `window_start` and `window_end` are moments with a time zone; nothing is begun outside of them. A canary of 0 users
    means that the first wave is a wave like the others.
    """

    numbers: BatchNumbers = BatchNumbers.KEEP
    pool: str | None = None
    number_type: PoolType = "directRouting"
    licences: tuple[str, ...] = ()
    policies: dict[str, str | None] = Field(default_factory=dict)
    policy_batches: PolicyBatches = PolicyBatches.AUTO
    emergency_location: str | None = None
    emergency_gate: EmergencyGate = EmergencyGate.WARN  # of batches made before there was a choice
    write_back: tuple[WriteBack, ...] = ()
    wave_size: int = Field(500, ge=1, le=5000)
    canary_size: int = Field(0, ge=0, le=5000)
    error_budget_percent: Percent = 5.0
    concurrency: int = Field(3, ge=1, le=20)
    window_start: datetime | None = None
    window_end: datetime | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> BatchOptions:
        if self.numbers is BatchNumbers.NUMBER_RANGE and not self.pool:
            raise ValueError("numbers from a range need a pool: name one")
        if self.window_start and self.window_end and self.window_end <= self.window_start:
            raise ValueError("the window ends before it starts")
        # The same rule for policy types as in a template, told in the same words.
        named = {kind: name or "Global" for kind, name in self.policies.items()}
        LifecycleTemplate(name="batch", pool="-", policies=named)
        return self
