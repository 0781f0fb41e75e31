"""Conditions a change may wait for: what has to be true in the tenant before the call is worth sending."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.change import Change
from engine.readers import Reader
from engine.runtime import Limits

PHONE_SYSTEM = "phone_system"
TEAMS_SERVICE = "teams_service"
TEAMS_ONLY = "teams_only"
LINE_RELEASED = "line_released"
VOICE_CARRIED = "voice_carried"
ON_PREMISES = "on_premises"


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


def _has_teams(reader: Reader, change: Change) -> bool:
    user = reader.voice_user(str(change.parameters["user_id"]))
    return user is not None and "Teams" in user.feature_types


def _shows(reader: Reader, change: Change) -> bool:
    """Tell whether everything that the change waits for shows."""
    observed = reader.observe(change.effects)
    return all(observed[effect.key_pair] == effect.after for effect in change.effects)


CONDITIONS: dict[str, Condition] = {
    PHONE_SYSTEM: Condition(
        _has_phone_system,
        "the Teams Phone licence has not replicated yet",
        lambda limits: limits.licence_give_up_s,
        "check the user's licences in the admin centre, then run the feed again",
    ),
    TEAMS_SERVICE: Condition(
        _has_teams,
        "the Teams licence has not replicated yet",
        lambda limits: limits.licence_give_up_s,
        "check the user's licences in the admin centre, then plan the user again",
    ),
    TEAMS_ONLY: Condition(
        _shows,
        "Teams does not show the user as moved yet",
        lambda limits: limits.move_give_up_s,
        "look at the user's upgrade mode in the Teams admin centre, then plan the user again",
    ),
    LINE_RELEASED: Condition(
        _shows,
        "the directory synchronisation has not brought the cleared line to Teams yet",
        lambda limits: limits.sync_give_up_s,
        "start a synchronisation (Start-ADSyncSyncCycle) and look at its errors, then plan the user again",
    ),
    VOICE_CARRIED: Condition(
        _shows,
        "Teams does not show Enterprise Voice and the number of the moved user yet",
        lambda limits: limits.sync_give_up_s,
        "look at the user's licences and number in the Teams admin centre, then plan the user again",
    ),
    ON_PREMISES: Condition(
        _shows,
        "Teams does not show yet that the user is homed on the Skype for Business Server again",
        lambda limits: limits.sync_give_up_s,
        "start a synchronisation (Start-ADSyncSyncCycle) and look at its errors, then take the wave back again",
    ),
}
