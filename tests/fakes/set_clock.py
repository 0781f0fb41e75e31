"""A clock for tests: sleeping moves it, nothing waits."""

from __future__ import annotations

import threading

from connectors.throttle import Clock


class SetClock:
    """Time that passes only when somebody sleeps; `slept` lists how long."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        with self._lock:
            self.slept.append(seconds)
            self.now += seconds

    @property
    def clock(self) -> Clock:
        """Give the form that connectors take."""
        return Clock(now=lambda: self.now, sleep=self.sleep)
