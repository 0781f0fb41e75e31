"""What a batch does next, from how its waves stand (pure).

The next wave begins when the one before is settled enough: nothing of it is left to begin, so its users are done, or
wait only for replication. A canary wave has to be settled whole, because the others shall learn from it; a canary that
is tried again comes before the others, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from datasets.batches import BatchOptions

_REMEDIES = {
    "failed": "look at the user, then try again with ./callwright batch retry",
    "refused": "put it right, then try again with ./callwright batch retry",
    "discarded": "plan again, or make another batch of those who are left",
    "duplicate": "leave one of the two rows out",
}
OPEN = ("planned", "waiting", "unknown")


class Act(StrEnum):
    """What to do with a wave, or why there is nothing to do now."""

    PLAN = "plan"
    APPLY = "apply"
    WAIT = "wait"
    HOLD = "hold"
    DONE = "done"


@dataclass(frozen=True)
class Wave:
    """How a wave stands: its users by state, its plan and the plan's state, and whether any line is due now.

    `is_canary`: the others learn from it; `is_retry`: its users failed or were refused before.
    """

    wave: int
    counts: Mapping[str, int]
    plan_id: str | None = None
    plan_state: str | None = None
    is_due: bool = False
    is_canary: bool = False
    is_retry: bool = False

    @property
    def open(self) -> int:
        """Count the users whose line is not at its end."""
        return sum(self.counts.get(state, 0) for state in OPEN)


@dataclass(frozen=True)
class Step:
    """What to do next."""

    act: Act
    wave: int | None = None
    plan_id: str | None = None
    reason: str = ""


def next_step(
    control: str, reason: str, options: BatchOptions, waves: Sequence[Wave], tried: Collection[str], now: datetime
) -> Step:
    """Decide the next step of a batch; plans in `tried` were applied in this run already."""
    if control not in ("go", "retry"):
        return Step(Act.HOLD, reason=f"{control}{f': {reason}' if reason else ''}")
    for wave in sorted(waves, key=lambda each: (not each.is_canary, each.wave)):
        if wave.plan_state == "discarded":
            return Step(Act.HOLD, wave.wave, wave.plan_id, f"the plan of wave {wave.wave} was discarded")
        if wave.plan_id is not None and wave.plan_id not in tried and (wave.plan_state == "planned" or wave.is_due):
            return _if_in_window(Step(Act.APPLY, wave.wave, wave.plan_id), wave, options, now)
        if wave.plan_id is None:
            return _if_in_window(Step(Act.PLAN, wave.wave), wave, options, now)
        blocks = wave.open if wave.is_canary else wave.counts.get("planned", 0)
        if blocks:
            why = outside(options, now) if wave.counts.get("planned") else ""
            if why:
                return Step(Act.HOLD, wave.wave, wave.plan_id, why)
            return Step(Act.WAIT, wave.wave, wave.plan_id, f"{blocks} users of wave {wave.wave} come first")
    open_users = sum(wave.open for wave in waves)
    return Step(Act.WAIT, reason=f"{open_users} users wait") if open_users else Step(Act.DONE)


def _if_in_window(step: Step, wave: Wave, options: BatchOptions, now: datetime) -> Step:
    """Hold back what is outside of the window; lines that have begun are finished, whenever it is."""
    why = outside(options, now)
    has_begun = step.act is Act.APPLY and wave.plan_state == "applying"
    return step if not why or has_begun else Step(Act.HOLD, wave.wave, wave.plan_id, why)


def outside(options: BatchOptions, now: datetime) -> str:
    """Say why a moment is outside of the window; nothing when it is inside."""
    if options.window_start and now < options.window_start:
        return f"the window opens at {options.window_start:%Y-%m-%d %H:%M %Z}"
    if options.window_end and now >= options.window_end:
        return f"the window ended at {options.window_end:%Y-%m-%d %H:%M %Z} ; give the batch another one"
    return ""


def eta_s(done_before: int, done_now: int, left: int, elapsed_s: float) -> float | None:
    """Estimate the seconds that are left from what was done since a run began; None before anything was."""
    done = done_now - done_before
    return None if done <= 0 or elapsed_s <= 0 else left * elapsed_s / done


def spoken(seconds: float) -> str:
    """Say a duration as people do."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def remedied(state: str, reason: str) -> str:
    """Give the reason of a user who is not done with what to do about it, where the reason does not say so itself."""
    remedy = _REMEDIES.get(state)
    return reason if remedy is None or " ; " in reason else f"{reason or state} ; {remedy}"


def outages_told(outages: Mapping[str, Any]) -> str:
    """Say how long users of a batch could not be called; nothing while there is nothing to say."""
    told = []
    if outages["users"]:
        median, longest = spoken(outages["median_s"]), spoken(outages["longest_s"])
        told.append(f"{outages['users']} users could not be called: {median} (median), {longest} at most")
    if outages["still"]:
        told.append(f"{outages['still']} users cannot be called at this moment")
    return "; ".join(told)
