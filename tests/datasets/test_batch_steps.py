"""What a batch does next, from how its waves stand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from datasets.batch_steps import Wave, eta_s, next_step, outages_told, spoken
from datasets.batches import BatchOptions

NOW = datetime(2026, 3, 7, 20, 0, tzinfo=UTC)
OPTIONS = BatchOptions()
READY = Wave(2, {"ready": 3})
SETTLED = Wave(1, {"migrated": 3}, "p-1", "settled")
WAITING = Wave(1, {"waiting": 3}, "p-1", "applying")
CANARY = Wave(4, {"waiting": 3}, "p-4", "applying", is_canary=True, is_retry=True)


def step(*waves: Wave, options: BatchOptions = OPTIONS, control: str = "go", tried: tuple[str, ...] = ()) -> str:
    """Give the next act and its wave."""
    found = next_step(control, "", options, waves, tried, NOW)
    return f"{found.act} {found.wave or ''}".strip()


@pytest.mark.parametrize(
    ("waves", "expected"),
    [
        pytest.param((Wave(1, {"ready": 3}), READY), "plan 1", id="first wave"),
        pytest.param((Wave(1, {"planned": 3}, "p-1", "planned"), READY), "apply 1", id="planned"),
        pytest.param((SETTLED, READY), "plan 2", id="settled"),
        pytest.param((WAITING, READY), "plan 2", id="waiting lets the next begin"),
        pytest.param((READY, CANARY), "wait 4", id="a canary does not"),
        pytest.param((READY, replace(CANARY, plan_id=None)), "plan 4", id="a canary that is tried again is first"),
        pytest.param((SETTLED,), "done", id="all settled"),
        pytest.param((WAITING,), "wait", id="last wave waits"),
        pytest.param((Wave(1, {"discarded": 3}, "p-1", "discarded"),), "hold 1", id="plan discarded"),
    ],
)
def test_the_next_step_follows_from_the_waves(waves: tuple[Wave, ...], expected: str) -> None:
    """Waves go in order, a canary first; one that is settled enough lets the next begin."""
    assert step(*waves) == expected


def test_a_plan_is_applied_once_in_a_run() -> None:
    """What was tried and is not done waits for the next run, and so does everything behind it."""
    assert step(Wave(1, {"planned": 3}, "p-1", "applying", is_due=True), READY, tried=("p-1",)) == "wait 1"


@pytest.mark.parametrize("control", ["new", "paused", "cancelled"])
def test_a_batch_that_is_held_does_nothing(control: str) -> None:
    """Nothing is planned or applied unless the batch goes on."""
    assert step(READY, control=control) == "hold"


def test_the_window_holds_what_has_not_begun() -> None:
    """Before and after its window no wave is planned; a plan being applied is visited for the lines in flight."""
    later = BatchOptions(window_start=NOW + timedelta(hours=1))
    over = BatchOptions(window_end=NOW)
    begun = Wave(1, {"waiting": 3}, "p-1", "applying", is_due=True)
    assert [step(READY, options=options) for options in (later, over)] == ["hold 2", "hold 2"]
    assert step(begun, options=over) == "apply 1"


def test_a_window_that_ended_in_the_middle_of_a_wave_is_the_reason() -> None:
    """Users of a wave who have not begun wait for the window, not for each other."""
    some = Wave(1, {"migrated": 2, "planned": 1}, "p-1", "applying")
    found = next_step("go", "", BatchOptions(window_end=NOW), (some, READY), (), NOW)
    assert (found.act, found.wave) == ("hold", 1)
    assert found.reason.startswith("the window ended")


def test_the_time_that_is_left_follows_the_rate_of_the_run() -> None:
    """Thirty users in a minute leave two minutes for sixty more; nothing done says nothing."""
    assert eta_s(10, 40, 60, 60) == 120
    assert eta_s(10, 10, 60, 60) is None


@pytest.mark.parametrize(("seconds", "told"), [(0.6, "1 s"), (29, "29 s"), (89.3, "1 min"), (7500, "2 h 05 min")])
def test_durations_are_told_as_people_do(seconds: float, told: str) -> None:
    """Seconds, minutes, or hours and minutes."""
    assert spoken(seconds) == told


def test_outages_are_told_only_when_there_are_any() -> None:
    """Who could not be called, for how long, and who cannot be called now; nothing for nobody."""
    assert outages_told({"users": 0, "still": 0, "median_s": None, "longest_s": None}) == ""
    told = outages_told({"users": 4, "still": 1, "median_s": 62.0, "longest_s": 3600.0})
    assert (
        told
        == "4 users could not be called: 1 min (median), 1 h 00 min at most; 1 users cannot be called at this moment"
    )
