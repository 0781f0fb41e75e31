"""When a site wants a person to approve a plan before it is applied: `approvals.toml` in the site policy, optional."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, PositiveInt

from config.site_pools import SitePart


class ApprovalRules(SitePart):
    """What needs an approval, and what counts as one; without the file nothing needs any."""

    destructive: bool = Field(False, description="plans that take something away: numbers, licences, Enterprise Voice")
    users_over: PositiveInt | None = Field(None, description="plans that change more users than this")
    vips: tuple[str, ...] = Field((), description="UPNs or object ids of people whose plans always need one")
    kinds: tuple[str, ...] = Field((), description="kinds of change that always need one, such as assign_number")
    second_person: bool = Field(False, description="whoever asked for a plan cannot approve it")
    allow_unverified: bool = Field(False, description="accept a typed name in place of a sign-in")
    expires_hours: PositiveFloat = Field(24, description="hours for which an approval of a plan holds")
    batch_expires_hours: PositiveFloat = Field(72, description="hours for which an approval of a whole batch holds")
