"""Sessions with a PowerShell endpoint: how many, who uses which, and when one must be replaced.

A session is lent to one thread at a time and kept for the next; what travels over it is left to its maker.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import JsonValue

from connectors.clixml import Sendable
from connectors.errors import Busy, NotAllowed, Throttled
from connectors.scripts import Script
from connectors.shell_errors import SYSTEM, Failure, NoPlace, sign_in_ended
from connectors.shell_places import OwnQuota, Place, Quota
from connectors.throttle import Clock, Hold


class SessionLostError(Exception):
    """The session is gone; `sent` tells whether the command may have reached the system."""

    def __init__(self, message: str, *, sent: bool) -> None:
        self.sent = sent
        super().__init__(message)


class PipelineLateError(Exception):
    """The deadline passed before the pipeline ended; it was told to stop."""


class PipelineCancelledError(Exception):
    """Somebody wanted the work to end; the pipeline was told to stop."""


class PipelineFailedError(Exception):
    """The pipeline ended with an error."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.message)


@dataclass(frozen=True)
class Call:
    """One pipeline: a cmdlet, or a constant script, with typed parameters."""

    name: str
    # tokens and attributes of people are among them: never shown
    parameters: Mapping[str, Sendable] = field(default_factory=dict, repr=False)
    script: Script | None = None


class Session(Protocol):
    """One connection with one runspace, used by one thread at a time."""

    broken: bool

    def stream(self, call: Call, deadline: float) -> Iterator[JsonValue]:
        """Run a pipeline and give its objects as they come. Raises the errors above, or a connector error."""

    def warnings(self) -> list[str]:
        """Give the warnings of the last pipeline."""

    def is_alive(self) -> bool:
        """Ask the other side whether it still knows the session."""

    def cancel(self) -> None:
        """Have the pipeline that runs stopped within seconds; may be called by another thread."""

    def close(self) -> None:
        """End the session on both sides; never raises."""


OpenSession = Callable[[float], Session]
# Called with every session that is lent: gets what it answered last time for this session, answers the new state.
Prepare = Callable[[object, "Session", float], object]


@dataclass(eq=False)
class _Kept:
    session: Session
    used_at: float
    generation: int
    place: Place
    state: object = None

    def close(self) -> None:
        """Close the session, then let somebody else have its place."""
        self.session.close()
        self.place.give_back()


class Sessions:
    """At most `limit` sessions with one endpoint; safe to share between threads."""

    def __init__(
        self, opener: OpenSession, *, limit: int, idle_s: float, clock: Clock, hold: Hold, quota: Quota | None = None
    ) -> None:
        self.prepare: Prepare | None = None
        self._quota = quota or OwnQuota()
        self._quota.watch(self.release_one)
        self._opener, self._idle_s, self._clock, self._hold = opener, idle_s, clock, hold
        self._slots = threading.BoundedSemaphore(limit)
        self._lock = threading.Lock()
        self._idle: list[_Kept] = []
        self._used: list[_Kept] = []
        self._generation = self._waiting = 0
        self._refusal: str | None = None

    @contextmanager
    def borrowed(self, deadline: float) -> Iterator[Session]:
        """Lend a live session. Raises Busy, Throttled, Unreachable or NotAllowed when there is none in time."""
        kept = self._lent(deadline)
        try:
            with self._lock:
                self._used.append(kept)
            if self.prepare is not None:
                kept.state = self._prepared(self.prepare, kept, deadline)
            yield kept.session
        except PipelineFailedError as error:
            if sign_in_ended(error.failure):
                kept.state = None
            raise
        finally:
            self._take_back(kept)
            self._slots.release()

    def waiting(self) -> int:
        """Tell how many threads wait for a session now."""
        return self._waiting

    def _lent(self, deadline: float) -> _Kept:
        """Wait for one of the sessions, and for its place in the quota."""
        with self._lock:
            self._waiting += 1
        try:
            if not self._slots.acquire(timeout=max(0.0, deadline - self._clock.now())):
                raise Busy("all sessions of the PowerShell endpoint stayed in use ; raise `sessions` if it allows more")
            try:
                return self._reusable() or self._opened(deadline)
            except BaseException:
                self._slots.release()
                raise
        finally:
            with self._lock:
                self._waiting -= 1

    def _prepared(self, prepare: Prepare, kept: _Kept, deadline: float) -> object:
        """Make a session ready; when that is told to wait everybody waits, and the call tries again."""
        self._hold.last_look(max(0.0, deadline - self._clock.now()))
        try:
            return prepare(kept.state, kept.session, deadline)
        except Throttled as asked:
            self._hold.hold(asked.retry_after_s)
            raise

    def close(self) -> None:
        """Close the sessions nobody uses, and those in use as soon as they come back; a later call opens new ones."""
        with self._lock:
            self._generation += 1
            idle, self._idle = self._idle, []
        for kept in idle:
            kept.close()

    def cancel(self) -> None:
        """Have every pipeline stopped that runs now."""
        with self._lock:
            used = list(self._used)
        for kept in used:
            kept.session.cancel()

    def release_one(self) -> bool:
        """Close the session that rested longest; False when all are in use."""
        with self._lock:
            kept = self._idle.pop(0) if self._idle else None
        if kept is None:
            return False
        kept.close()
        return True

    def _reusable(self) -> _Kept | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                kept = self._idle.pop()
            rested_s = self._clock.now() - kept.used_at
            if kept.place.is_ours() and (rested_s <= self._idle_s or kept.session.is_alive()):
                return kept
            kept.close()

    def _opened(self, deadline: float) -> _Kept:
        """Open a session, waiting for a place when the endpoint has none; a refused sign-in is never tried again."""
        generation = self._generation
        if self._refusal is not None:
            raise NotAllowed(
                self._refusal, system=SYSTEM
            )  # every further try brings the account nearer to its lock-out
        while True:
            self._hold.wait(max(0.0, deadline - self._clock.now()))
            place = self._quota.take(max(0.0, deadline - self._clock.now()))
            try:
                return _Kept(self._in(place, deadline), self._clock.now(), generation, place)
            except NoPlace as error:
                if self._clock.now() + error.retry_after_s > deadline:
                    raise
                # spread out, or all that were refused come back in the same moment
                self._clock.sleep(error.retry_after_s * random.uniform(0.7, 1.0))  # noqa: S311 - no cryptography
            except Throttled as error:
                self._hold.hold(error.retry_after_s)
            except NotAllowed as error:
                self._refusal = str(error)
                raise

    def _in(self, place: Place, deadline: float) -> Session:
        """Open a session in a place, which is given back when that fails."""
        try:
            self._hold.last_look(max(0.0, deadline - self._clock.now()))  # waiting for the place took time
            return self._opener(deadline)
        except BaseException:
            place.give_back()
            raise

    def _take_back(self, kept: _Kept) -> None:
        kept.used_at = self._clock.now()
        with self._lock:
            if kept in self._used:
                self._used.remove(kept)
            keep = kept.generation == self._generation and not kept.session.broken and not kept.place.is_wanted()
            if keep:
                self._idle.append(kept)
        if not keep:
            kept.close()
