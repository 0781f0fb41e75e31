"""The clock of the stand-in tenant: the machine's, or one that stands still until it is set."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

START = datetime(2026, 9, 1, 6, 0, tzinfo=UTC)


class Clock:
    """Tells the lab's time; a running clock can be moved too, it then runs on from there."""

    def __init__(self, *, runs: bool = True, start: datetime = START) -> None:
        self.runs = runs
        self._lock = threading.Lock()
        self._offset = timedelta()
        self._standing = start

    def now(self) -> datetime:
        """Give the current moment, timezone-aware UTC."""
        with self._lock:
            return datetime.now(UTC) + self._offset if self.runs else self._standing

    def set(self, moment: datetime) -> None:
        """Move the clock to a moment."""
        with self._lock:
            self._offset = moment - datetime.now(UTC)
            self._standing = moment.astimezone(UTC)

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.set(self.now() + timedelta(seconds=seconds))

    async def wait(self, seconds: float) -> None:
        """Let real seconds pass before an answer, whatever the lab's time is; what latency waits by."""
        await asyncio.sleep(seconds)


def stamp(moment: datetime) -> str:
    """Write a moment as the services do: ISO 8601 with milliseconds and Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
