"""Pauses: nobody sends inside one, nobody rushes back after it, and the allowed rate is nearly used."""

from __future__ import annotations

import heapq
import random
import threading
from typing import Protocol

import pytest

from connectors.errors import Throttled
from connectors.pace import Pace
from connectors.throttle import Clock, Pause, Pauses
from tests.fakes.set_clock import SetClock


class Bucket:
    """A service that allows a rate with some burst and asks to wait a second otherwise."""

    def __init__(self, rate: float, burst: float, *, falls: tuple[float, float] = (float("inf"), 0)) -> None:
        self.rate, self.burst, self.level, self.at = rate, burst, burst, 0.0
        self.falls_at, self.falls_to = falls
        self.accepted: list[float] = []
        self.refused: list[float] = []

    def ask(self, now: float) -> bool:
        """Accept or refuse one request."""
        rate = self.rate if now < self.falls_at else self.falls_to
        self.level, self.at = min(self.burst, self.level + (now - self.at) * rate), now
        if self.level < 1:
            self.refused.append(now)
            return False
        self.level -= 1
        self.accepted.append(now)
        return True


class Dice:
    """A service that asks to wait a second at random, however slowly it is called."""

    def __init__(self, share: float, seed: int) -> None:
        self.share, self.random = share, random.Random(seed)
        self.accepted: list[float] = []

    def ask(self, now: float) -> bool:
        """Accept or refuse one request."""
        if self.random.random() < self.share:
            return False
        self.accepted.append(now)
        return True


class Service(Protocol):
    """What is asked."""

    def ask(self, now: float) -> bool:
        """Accept or refuse one request."""


def _run(service: Service, seconds: float, workers: int = 8, latency_s: float = 0.02) -> list[float]:
    """Let workers ask as fast as the pause lets them; the events are played in order of time."""
    clock = SetClock(0.0)
    pause, sent = Pause(Clock(lambda: clock.now, clock.sleep)), []
    answers: list[tuple[float, int]] = [(0.0, worker) for worker in range(workers)]
    while answers[0][0] < seconds:
        at, worker = heapq.heappop(answers)
        clock.now = max(clock.now, at)
        pause.wait(1000)
        sent.append(clock.now)
        if not service.ask(clock.now):
            pause.hold(1.0)
        heapq.heappush(answers, (clock.now + latency_s, worker))
    return sent


@pytest.mark.parametrize(
    ("rate", "burst", "share"),
    [(50, 50, 0.9), (30, 30, 0.9), (200, 400, 0.9), (10, 10, 0.9), (50, 5, 0.85), (50, 1, 0.85)],
)
def test_allowed_rate_is_nearly_used(rate: float, burst: float, share: float) -> None:
    """After half a minute most of the allowed rate is used, and one request in a hundred is refused at most."""
    bucket = Bucket(rate, burst)
    _run(bucket, 150)
    used = len([moment for moment in bucket.accepted if 30 <= moment < 150]) / 120 / rate
    assert used >= share
    assert len(bucket.refused) <= 0.01 * len(bucket.accepted)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("workers", [2, 8, 30])
def test_refusals_that_rate_does_not_explain_slow_nobody_down(workers: int, seed: int) -> None:
    """One request in a hundred is refused whatever the rate: most of what the pauses alone allow is used."""
    dice = Dice(0.01, seed)
    _run(dice, 300, workers, latency_s=0.25)
    a_hundred_take_s = 100 / (workers / 0.25) + 1
    assert len(dice.accepted) / 300 >= 0.75 * 100 / a_hundred_take_s


@pytest.mark.parametrize("burst", [5, 100])
def test_a_rate_that_falls_is_learned_again(burst: float) -> None:
    """Where a fifth is allowed from some moment, it is nearly used before long, and pauses become rare again."""
    bucket = Bucket(100, burst, falls=(150, 20))
    _run(bucket, 350)
    used = len([moment for moment in bucket.accepted if 200 <= moment < 350]) / 150 / 20
    assert used >= 0.85
    assert len([moment for moment in bucket.refused if moment >= 250]) <= 15


@pytest.mark.parametrize("before", [0, 2])
def test_few_calls_that_are_refused_say_nothing_about_many(before: int) -> None:
    """While there is little to ask, being refused again does not make us slow for when there is much."""
    pace, now = Pace(), 0.0
    for calls, every_s in [(60, 0.02)] * before + [(5, 0.5)] * 3:
        for _ in range(calls):
            now = pace.slot(now + every_s)
        pace.refused(now, 1.0, is_first=True)
        now += 1
    assert pace.rate is None


@pytest.mark.parametrize("is_own", [True, False])
def test_what_another_process_was_told_proves_nothing_against_our_rate(is_own: bool) -> None:
    """Refused again at the proven rate, we go on without one; when it was another process, we do not."""
    pace, now = Pace(), 0.0
    for _ in range(2):
        for _ in range(60):
            now = pace.slot(now + 0.01)
        pace.refused(now, 1.0, is_first=True)
        now += 1
    now = pace.slot(now)
    pace.refused(now, 1.0, is_first=True, is_own=is_own)
    assert (pace.rate is None) == is_own


def test_nothing_is_sent_inside_a_pause() -> None:
    """Between a refusal and the end of its pause no request leaves."""
    bucket = Bucket(50, 50)
    sent = _run(bucket, 60)
    assert bucket.refused
    assert not [at for told in bucket.refused for at in sent if told < at < told + 1]


def test_single_refusal_after_idleness_sets_no_pace() -> None:
    """A refusal among few requests delays by its pause only."""
    clock = SetClock()
    pause = Pause(clock.clock)
    pause.wait(10)
    pause.hold(3)
    for _ in range(10):
        pause.wait(10)
    assert sum(clock.slept) == pytest.approx(3)


def test_longer_pause_stays_when_a_shorter_one_is_asked() -> None:
    """Two refusals make one pause, as long as the longer one."""
    clock = SetClock()
    pause = Pause(clock.clock)
    pause.hold(30)
    pause.hold(2)
    assert pause.remaining_s() == 30


def test_pause_beyond_the_deadline_is_told_at_once() -> None:
    """Who may not wait that long is told how long it is."""
    clock = SetClock()
    pause = Pause(clock.clock, name="teams")
    pause.hold(30)
    with pytest.raises(Throttled, match="teams asked to wait 30 s") as caught:
        pause.wait(10)
    assert caught.value.retry_after_s == 30
    assert clock.slept == []


def test_tenants_and_endpoint_classes_have_their_own_pause() -> None:
    """The same tenant and class is the same pause, also when threads ask for it at once."""
    pauses = Pauses()
    found = []
    threads = [threading.Thread(target=lambda: found.append(pauses("t", "teams"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
    assert pauses("t", "directory") is not pauses("t", "teams")
    assert pauses("u", "teams") is not pauses("t", "teams")


def test_last_look_waits_out_a_pause_that_just_began() -> None:
    """Between the place in the queue and the first byte another thread may have been told to wait."""
    clock = SetClock(0.0)
    pause = Pause(Clock(lambda: clock.now, clock.sleep))
    pause.wait(10.0)
    pause.hold(3.0)
    pause.last_look(10.0)
    assert clock.now == 3.0
    pause.hold(30.0)
    with pytest.raises(Throttled):
        pause.last_look(10.0)
