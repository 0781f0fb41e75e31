"""Conditions a change may wait for: what has to be true in the tenant before the call is worth sending."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.change import Change
from engine.readers import Reader
from engine.runtime import Limits

PHONE_SYSTEM = "phone_system"


@dataclass(frozen=True)
class Condition:
    """How a condition is checked, described, and for how long it is worth waiting."""

    holds: Callable[[Reader, Change], bool]
    says: str
    give_up: Callable[[Limits], float]
    remedy: str


def _has_phone_system(reader: Reader, change: Change) -> bool:
    user = reader.voice_user(str(change.parameters["user_id"]))
    return user is not None and "PhoneSystem" in user.feature_types


CONDITIONS: dict[str, Condition] = {
    PHONE_SYSTEM: Condition(
        _has_phone_system,
        "the Teams Phone licence has not replicated yet",
        lambda limits: limits.licence_give_up_s,
        "check the user's licences in the admin centre, then run the feed again",
    ),
}
