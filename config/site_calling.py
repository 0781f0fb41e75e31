"""Calling settings as a template sets them: what happens to calls that are forwarded or not answered."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, JsonValue, model_validator

from config.site_pools import SitePart

Target = Literal["Voicemail", "SingleTarget", "MyDelegates", "Group"]


class Forwarding(SitePart):
    """Where calls go at once, or ring at the same time; `to = "off"` switches it off."""

    to: Target | Literal["off"]
    kind: Literal["Immediate", "Simultaneous"] = "Immediate"
    target: str | None = Field(None, description="number or address of SingleTarget")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _check_target(self.to, self.target)
        if self.kind == "Simultaneous" and self.to == "Voicemail":
            raise ValueError("voicemail cannot ring at the same time: use kind Immediate")
        return self

    def settings(self) -> dict[str, JsonValue]:
        """Give the settings by the names Teams uses."""
        if self.to == "off":
            return {"IsForwardingEnabled": False}
        found: dict[str, JsonValue] = {"IsForwardingEnabled": True, "ForwardingType": self.kind}
        return found | {"ForwardingTargetType": self.to} | ({"ForwardingTarget": self.target} if self.target else {})


class Unanswered(SitePart):
    """Where calls go that nobody answers; `to = "off"` switches it off."""

    to: Target | Literal["off"]
    delay_s: int = Field(20, ge=5, le=60, multiple_of=5, description="seconds of ringing")
    target: str | None = Field(None, description="number or address of SingleTarget")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _check_target(self.to, self.target)
        if self.to == "MyDelegates":
            raise ValueError("unanswered calls cannot go to the delegates: use forwarding")
        return self

    def settings(self) -> dict[str, JsonValue]:
        """Give the settings by the names Teams uses."""
        if self.to == "off":
            return {"IsUnansweredEnabled": False}
        delay = f"00:{self.delay_s // 60:02}:{self.delay_s % 60:02}"
        found: dict[str, JsonValue] = {"IsUnansweredEnabled": True, "UnansweredTargetType": self.to}
        return found | {"UnansweredDelay": delay} | ({"UnansweredTarget": self.target} if self.target else {})


class Calling(SitePart):
    """The calling settings of a template; what is left out stays as each user has it."""

    forwarding: Forwarding | None = None
    unanswered: Unanswered | None = None

    def groups(self) -> dict[str, dict[str, JsonValue]]:
        """Give the settings by group, each group whole."""
        parts = {"forwarding": self.forwarding, "unanswered": self.unanswered}
        return {name: part.settings() for name, part in parts.items() if part is not None}


def _check_target(to: str, target: str | None) -> None:
    if (to == "SingleTarget") != (target is not None):
        raise ValueError("SingleTarget needs a target, and only SingleTarget has one")
