"""What a site does when people leave or are on leave: `lifecycle.toml` in the site policy; without it, the defaults."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt, model_validator

from config.site_pools import SitePart
from config.site_templates import policies_known


def _target(text: str) -> str:
    if text in ("none", "voicemail", "manager") or text.startswith(("+", "sip:")) or "@" in text:
        return text
    raise ValueError(f"{text!r} is nobody to forward to: write none, voicemail, manager, a number or an address")


ForwardTo = Annotated[str, AfterValidator(_target)]


class Announce(SitePart):
    """What callers of a leaver's number hear, or whom they reach, while it rests."""

    type: Literal["Announcement", "User", "ResourceAccount"] = Field(
        description="an audio file, somebody's account, or that of an auto attendant or a call queue"
    )
    target: str = Field(min_length=1, description="id of the audio file; user principal name or object id otherwise")
    first_priority: PositiveInt = Field(
        1, description="lowest priority that our treatments take; those with smaller ones go before"
    )


class LeaverRules(SitePart):
    """The steps of a leaver, in days after the last day of work; a step without days is left out."""

    forward_to: ForwardTo = Field("voicemail", description="none, voicemail, manager, a number or an address")
    forward_after_days: NonNegativeInt | None = Field(1, description="calls are forwarded")
    unassign_after_days: NonNegativeInt | None = Field(15, description="the number is taken and rests")
    licences_after_days: NonNegativeInt | None = Field(16, description="licences are taken")
    disable_after_days: NonNegativeInt | None = Field(16, description="the account is disabled")
    delete_after_days: NonNegativeInt | None = Field(None, description="the account is deleted; default: never")
    announce: Announce | None = Field(None, description="what callers hear while the number rests; default: nothing")
    licences: Literal["given", "template"] = Field(
        "given", description="those that Callwright gave, or those of the template as well"
    )

    @model_validator(mode="after")
    def _keeps_the_order(self) -> Self:
        named = [
            ("forward", self.forward_after_days),
            ("unassign", self.unassign_after_days),
            ("licences", self.licences_after_days),
            ("disable", self.disable_after_days),
            ("delete", self.delete_after_days),
        ]
        taken = [(name, days) for name, days in named if days is not None]
        for (first, before), (second, after) in pairwise(taken):
            if after < before:
                raise ValueError(f"{second} comes after {before} days with {first}: {after} is too early")
        steps = {name for name, _ in taken}
        if self.announce is not None and "unassign" not in steps:
            raise ValueError("announce without unassign does nothing: add unassign_after_days")
        for step, needs in (("licences", "unassign"), ("delete", "unassign"), ("delete", "disable")):
            if step in steps and needs not in steps:
                raise ValueError(f"{step} without {needs} is out of order: add {needs}_after_days")
        return self


class LeaveRules(SitePart):
    """What a leave of absence changes; by default it is only recorded."""

    forward_to: ForwardTo = Field("none", description="none, voicemail, manager, a number or an address")
    policies: Annotated[dict[str, str], AfterValidator(policies_known)] = Field(
        {}, description="policies for the time of the leave, such as one that allows no outgoing calls"
    )


class LifecycleRules(SitePart):
    """The whole file; `version` is that of its form."""

    version: Literal[1] = 1
    leaver: LeaverRules = LeaverRules()
    leave: LeaveRules = LeaveRules()
