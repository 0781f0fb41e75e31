"""A clock of the lab that waits until the test says so, instead of for seconds."""

from __future__ import annotations

import asyncio
import threading

from lab.clock import Clock

MOST_S = 30


class SlowClock(Clock):
    """Notes each wait; one that is not zero ends when the test lets it."""

    def __init__(self) -> None:
        super().__init__(runs=False)
        self.waits: list[float] = []
        self.arrived, self.over = threading.Event(), threading.Event()

    async def wait(self, seconds: float) -> None:
        """Hold the answer back until the test says that the time is over."""
        if seconds:
            self.waits.append(seconds)
            self.arrived.set()
            await asyncio.to_thread(self.over.wait, MOST_S)
