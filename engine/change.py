"""A change: one intended remote call and its effects, each with the value before and after (design §2)."""

from __future__ import annotations

import hashlib
from typing import ClassVar

from pydantic import Field, JsonValue

from datasets.record import Record
from engine.digests import canonical


class Effect(Record):
    """One attribute of one object, before and after; documented side effects are effects too.

    `object` is `user:<object id>`, `number:<E.164>`, `ad:<sAMAccountName>`; values are JSON.
    """

    identity: ClassVar[tuple[str, ...]] = ("object", "attribute")

    object: str
    attribute: str
    before: JsonValue = None
    after: JsonValue = None

    @property
    def key_pair(self) -> tuple[str, str]:
        """Give (object, attribute)."""
        return self.object, self.attribute

    def fits(self, value: JsonValue) -> bool:
        """Tell whether a value is the one before or the one after; a number that is not listed is not blocked."""
        ends = (self.before, self.after)
        return value in ends or (self.attribute == "block" and value is None and "NotBlocked" in ends)

    def inverted(self) -> Effect:
        """Swap before and after."""
        return self.model_copy(update={"before": self.after, "after": self.before})


class Change(Record):
    """One intended remote call.

    `kind` names an entry of `engine.kinds.KINDS`; `parameters` are what its writer sends, never a secret;
    `target` is the object whose lease the writer must hold; `reason` is shown to people; `waits_for` names a condition
    of `engine.conditions` that must hold before the call is worth sending.
    """

    kind: str
    target: str
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    effects: tuple[Effect, ...] = ()
    reason: str = ""
    waits_for: str | None = None


def fingerprint(values: object) -> str:
    """Give the SHA-256 (hex) of a JSON value in canonical form."""
    return hashlib.sha256(canonical(values).encode()).hexdigest()
