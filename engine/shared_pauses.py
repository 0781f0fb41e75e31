"""Pauses of throttling that all processes keep to: what one was told is a lease in our database that others read.

Within a process the pause of `connectors/throttle.py` does the waiting and learns the pace; this adds what others were
told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from connectors.database import Database
from connectors.throttle import Clock, Hold, Pauses
from engine import leases
from engine.runtime import utc_now

KIND = "pause"
# Less is the time that reading the database takes, no pause of somebody else.
_NOTICEABLE_S = 0.02


class SharedPauses:
    """One pause for each tenant and endpoint class, shared through the database; safe to share between threads."""

    def __init__(
        self, database: Database, *, clock: Clock | None = None, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._database, self._clock, self._now = database, clock or Clock(), now
        self._local = Pauses(self._clock)
        self._lock = threading.Lock()
        self._shared: dict[tuple[str, str], SharedPause] = {}

    def __call__(self, tenant: str, endpoint: str) -> Hold:
        """Give the one pause of this endpoint class of this tenant."""
        with self._lock:
            key = (tenant, endpoint)
            if key not in self._shared:
                self._shared[key] = SharedPause(self, f"{endpoint} {tenant}", *key)
            return self._shared[key]

    def left_s(self, key: str) -> float:
        """Read how long the pause that anybody was told still lasts."""
        with self._database.read() as connection:
            found = leases.holder_of(connection, KIND, key, now=self._now())
        return 0.0 if found is None else (found[1] - self._now()).total_seconds()

    def tell(self, key: str, seconds: float) -> None:
        """Tell the other processes, before whatever else of this process is to be written."""
        with self._database.write_first() as connection:
            leases.extend(connection, KIND, key, "everybody", until=self._now() + timedelta(seconds=seconds))


class SharedPause:
    """The pause of one endpoint class of one tenant, between processes."""

    def __init__(self, pauses: SharedPauses, key: str, tenant: str, endpoint: str) -> None:
        self._pauses, self._key = pauses, key
        self._clock, self._pause = pauses._clock, pauses._local(tenant, endpoint)

    def hold(self, seconds: float) -> None:
        """Let nobody send for so many seconds, in no process."""
        self._pause.hold(seconds)
        self._pauses.tell(self._key, seconds)

    def wait(self, within_s: float) -> None:
        """Return when a request may be sent; raises Throttled at once when that is later than `within_s`."""
        give_up_at = self._clock.now() + within_s
        while True:
            self._learn()
            before = self._clock.now()
            self._pause.wait(max(0.0, give_up_at - before))
            has_waited = self._clock.now() - before > _NOTICEABLE_S
            if not has_waited or self._pauses.left_s(self._key) <= 0:
                return  # while we waited, another process may have been told to

    def last_look(self, within_s: float) -> None:
        """Wait out a pause that began since `wait` returned, in whatever process. Raises Throttled."""
        give_up_at = self._clock.now() + within_s
        self._learn()
        self._pause.last_look(max(0.0, give_up_at - self._clock.now()))

    def _learn(self) -> None:
        left_s = self._pauses.left_s(self._key)
        if left_s > self._pause.remaining_s() + _NOTICEABLE_S:
            self._pause.hold(left_s, is_own=False)
