"""The turnstile before the sessions of the servers: a line begins when a session will soon come to it.

A move occupies one of few sessions for long. Lines that began all at once would reach their moves together, wait beyond
the deadline of a move, and later leave the sessions idle together while the cloud gives numbers. So a line begins when
fewer wait for a session than there are sessions: these are never without work, a user who is on the way is not kept
waiting for others who have not begun, and nobody has to know how long a move takes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from engine.change import Change

_LOOK_AGAIN_S = 0.02


def uses_sessions(changes: Iterable[Change]) -> bool:
    """Tell whether a line has something to do on the Skype for Business Server."""
    return any(effect.object.startswith("skype:") for change in changes for effect in change.effects)


class Turnstile:
    """Lets lines begin one after the other; safe to share between threads.

    `sessions` is how many work at once, `waiting` tells how many calls wait for one now.
    """

    def __init__(
        self, sessions: int, waiting: Callable[[], int], *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._sessions, self._waiting, self._sleep = sessions, waiting, sleep
        # Who has begun and not yet looked around has not reached the sessions: as many as these may be under way.
        self._under_way = threading.Semaphore(sessions)

    def turn(self) -> Turn:
        """Wait until a line may begin."""
        self._under_way.acquire()
        while self._waiting() >= self._sessions:
            self._sleep(_LOOK_AGAIN_S)
        return Turn(self._under_way)


class Turn:
    """The turn of one line, until it has looked around; a context manager that ends it at the latest."""

    def __init__(self, place: threading.Semaphore | None = None) -> None:
        self._place = place

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        """End the turn."""
        self.end()

    def end(self) -> None:
        """Let the next line begin; ending it twice does nothing."""
        place, self._place = self._place, None
        if place is not None:
            place.release()
