"""What waits to be received: fragments of a command or of the pool, bounded so that slow clients slow the producer."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable

from lab.posh_errors import PipelineStopped

BOUND = 1 << 20
WORTHWHILE = 64 * 1024
LINGER_S = 0.015


class Outbox:
    """A queue between the thread of a pipeline and the Receive calls of the client."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._room = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._wanted = 0  # bytes a waiting Receive is content with, 0 when none waits
        self._event = asyncio.Event()
        self.done = False
        self.closed = False
        self.cut = False
        self.interrupted = False
        self._refuses = False

    def put(self, parts: Iterable[bytes]) -> None:
        """Add fragments; waits for room, leaves when nobody will ever receive them."""
        with self._room:
            while self._size > BOUND and not self._refuses:
                self._room.wait()
            if self._refuses:
                raise PipelineStopped
            for part in parts:
                self._waiting.append(part)
                self._size += len(part)
            if 0 < self._wanted <= self._size:
                self._wake()

    def finish(self, parts: Iterable[bytes]) -> None:
        """Add the last fragments, whatever the bound says."""
        with self._room:
            if not self.closed:
                self._waiting.extend(parts)
            self.done = True
            self._wake()

    def cut_next(self) -> None:
        """Have the next Receive end without an answer."""
        with self._room:
            self.cut = True
            self._wake()

    def interrupt(self, *, now: bool) -> None:
        """Have a waiting Receive give up because its shell was disconnected, or let it wait again."""
        with self._room:
            self.interrupted = now
            self._wake()

    def refuse(self) -> None:
        """Take nothing more but the last word; a producer that waits for room leaves."""
        with self._room:
            self._refuses = True
            self._room.notify_all()

    def close(self) -> None:
        """Forget everything; producers leave, receivers find nothing."""
        with self._room:
            self.closed = self.done = self._refuses = True
            self._waiting.clear()
            self._size = 0
            self._room.notify_all()
            self._wake()

    def _wake(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._event.set)

    @property
    def drained(self) -> bool:
        """Tell whether everything was received."""
        return self.done and not self._waiting

    async def ready(self, timeout_s: float) -> bool:
        """Wait until there is something to say; a little longer when more is about to come."""
        if not await self._until(1, timeout_s):
            return False
        if not (self.done or self.cut or self.interrupted):
            await self._until(WORTHWHILE, min(LINGER_S, timeout_s))
        return True

    async def _until(self, wanted: int, timeout_s: float) -> bool:
        with self._room:
            if self._settled(wanted):
                return True
            self._event.clear()
            self._wanted = wanted
        try:
            await asyncio.wait_for(self._event.wait(), timeout_s)
        except TimeoutError:
            return self._settled(wanted)
        finally:
            self._wanted = 0
        return True

    def _settled(self, wanted: int) -> bool:
        return self.done or self.cut or self.interrupted or self._size >= wanted

    def take(self, budget: int) -> bytes:
        """Take whole fragments up to a number of bytes, at least one."""
        taken: list[bytes] = []
        with self._room:
            while self._waiting and (not taken or budget >= len(self._waiting[0])):
                part = self._waiting.popleft()
                budget -= len(part)
                self._size = max(0, self._size - len(part))
                taken.append(part)
            self._room.notify_all()
        return b"".join(taken)
