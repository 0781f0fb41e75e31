"""Pauses that a throttling system asked for, shared by everybody who talks to the same endpoint of the same tenant.

One `Pause` serves all threads of a process; the engine may hand in another `Hold` that shares it between processes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from connectors.errors import Throttled
from connectors.pace import Pace

# Sleeping in slices lets a longer pause, learned by another thread meanwhile, be noticed.
_SLICE_S = 5.0


@dataclass(frozen=True)
class Clock:
    """Seconds that only grow, and a way to let them pass; tests hand in their own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Hold(Protocol):
    """What a connector needs of a pause."""

    def wait(self, within_s: float) -> None:
        """Return when a request may be sent; raises Throttled when that takes longer than `within_s`."""

    def last_look(self, within_s: float) -> None:
        """Wait out a pause that began since `wait` returned; raises Throttled like it."""

    def hold(self, seconds: float) -> None:
        """Let nobody send for so many seconds."""


HoldSource = Callable[[str, str], Hold]


class Pause:
    """The pause of one endpoint class of one tenant; safe to share between threads."""

    def __init__(self, clock: Clock | None = None, *, name: str = "") -> None:
        self.name = name
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._until = float("-inf")
        self._pace = Pace()

    def remaining_s(self) -> float:
        """Give the seconds until sending is allowed again; 0 when it is."""
        with self._lock:
            return max(0.0, self._until - self._clock.now())

    def hold(self, seconds: float, *, is_own: bool = True) -> None:
        """Let nobody send for so many seconds, whoever was told; a longer pause that already runs stays."""
        with self._lock:
            now = self._clock.now()
            self._pace.refused(now, seconds, is_first=now >= self._until, is_own=is_own)
            self._until = max(self._until, now + seconds)

    def wait(self, within_s: float) -> None:
        """Return when a request may be sent; raises Throttled at once when that is later than `within_s`."""
        give_up_at = self._clock.now() + within_s
        while True:
            self._wait_for_pause(give_up_at)
            with self._lock:
                now = self._clock.now()
                at = self._pace.slot(now)
                if at > max(give_up_at, now):
                    self._pace.unsent()
                    raise _too_long(self.name, at - now)
            if at <= now:
                return
            self._clock.sleep(at - now)
            if self.remaining_s() <= 0:
                return
            with self._lock:
                self._pace.unsent()  # a pause began meanwhile: queue again after it

    def last_look(self, within_s: float) -> None:
        """Wait out a pause that began since `wait` returned: opening a connection takes time. Raises Throttled."""
        self._wait_for_pause(self._clock.now() + within_s)

    def _wait_for_pause(self, give_up_at: float) -> None:
        while (remaining_s := self.remaining_s()) > 0:
            if self._clock.now() + remaining_s > give_up_at:
                raise _too_long(self.name, remaining_s)
            self._clock.sleep(min(remaining_s, _SLICE_S))


class Pauses:
    """All pauses of a process: one for each tenant and endpoint class, made when first asked for."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._pauses: dict[tuple[str, str], Pause] = {}

    def __call__(self, tenant: str, endpoint: str) -> Pause:
        """Give the one pause of this endpoint class of this tenant."""
        with self._lock:
            key = (tenant, endpoint)
            return self._pauses.setdefault(key, Pause(self._clock, name=f"{endpoint} of tenant {tenant}"))


SHARED_PAUSES = Pauses()


def _too_long(name: str, remaining_s: float) -> Throttled:
    return Throttled(
        f"{name} asked to wait {remaining_s:.0f} s, longer than this call may take ; it is continued later",
        retry_after_s=remaining_s,
        system=name,
    )
