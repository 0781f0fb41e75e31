"""Shares the session quota of a PowerShell endpoint between processes: a place is a lease in our database.

A lease lasts as long as the endpoint keeps a session whose process died, and a thread renews those of a living one. A
process that waits says so in the queue; whoever has several places, or one for long, then gives one back after its
current pipeline, so that a long migration does not shut everybody else out.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from sqlalchemy import Connection

from connectors.database import Database
from connectors.errors import ConnectorError
from connectors.shell_endpoint import IDLE_TIMEOUT_S
from connectors.shell_errors import SYSTEM, NoPlace
from connectors.throttle import Clock
from engine import leases
from engine.leases import Lease, LeaseLost
from engine.runtime import utc_now

PLACE, QUEUE = "session", "session-queue"
LEASE = timedelta(seconds=IDLE_TIMEOUT_S)
QUEUED = timedelta(seconds=15)
TICK_S = 2.0
_LOOK_AGAIN_S = 0.5
_FAIR_S = 30.0


@dataclass
class HeldPlace:
    """One place of this process."""

    quota: SessionQuota = field(repr=False)
    lease: Lease
    since: float
    expires: datetime
    wanted: bool = False

    def is_ours(self) -> bool:
        """Tell whether the lease cannot have been taken over."""
        return self.quota.now() < self.expires

    def is_wanted(self) -> bool:
        """Tell whether another process waits for a place and it is our turn to give one."""
        return self.wanted

    def give_back(self) -> None:
        """End the lease."""
        self.quota.give_back(self)


class SessionQuota:
    """The places of one endpoint and account; safe to share between threads. Close it to stop its thread."""

    def __init__(
        self,
        database: Database,
        key: str,
        limit: int,
        *,
        now: Callable[[], datetime] = utc_now,
        clock: Clock | None = None,
        ticks: bool = True,
    ) -> None:
        self.now, self._database, self._key, self._limit = now, database, key, limit
        self._clock, self._ticks = clock or Clock(), ticks
        self._name = f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._lock = threading.Lock()
        self._held: list[HeldPlace] = []
        self._watchers: list[Callable[[], bool]] = []
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Give itself; the thread starts with the first place."""
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        """Stop the thread and give back what is left."""
        self.close()

    def take(self, within_s: float) -> HeldPlace:
        """Wait for a place. Raises NoPlace when there is none in time."""
        give_up_at = self._clock.now() + within_s
        while True:
            place = self._try()
            if place is not None:
                self._start()
                return place
            if self._released_one():
                continue  # another connector of this process had one that it did not use
            pause_s = _LOOK_AGAIN_S * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not cryptography
            if self._clock.now() + pause_s > give_up_at:
                message = f"all {self._limit} sessions of {self._key} are in use by other processes ; it is tried again"
                raise NoPlace(message, retry_after_s=pause_s, system=SYSTEM)
            self._clock.sleep(pause_s)

    def watch(self, release_one: Callable[[], bool]) -> None:
        """Remember how an unused session of this process is closed."""
        self._watchers.append(release_one)

    def give_back(self, place: HeldPlace) -> None:
        """End a lease; if the database does not answer, it ends by itself."""
        with self._lock:
            if place not in self._held:
                return
            self._held.remove(place)
        with suppress(ConnectorError), self._database.write() as connection:
            leases.release(connection, [place.lease], now=self.now())

    def tick(self) -> None:
        """Renew what is held when it is time, and make room when another process waits."""
        with self._lock:
            held = list(self._held)
        if not held:
            return
        for place in held:
            if place.expires - self.now() < LEASE * 2 / 3:
                self._renew(place)
        with self._database.read() as connection:
            waiting = leases.holder_of(connection, QUEUE, self._key, now=self.now())
        if waiting is not None and waiting[0] != self._name and not any(place.wanted for place in held):
            self._make_room(held)

    def close(self) -> None:
        """Stop the thread and end every lease."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        for place in list(self._held):
            self.give_back(place)

    def _try(self) -> HeldPlace | None:
        """Take the first free place, or stand in the queue, in one transaction."""
        now = self.now()
        with self._database.write() as connection:
            lease = self._acquired(connection, now)
            if lease is None:
                leases.acquire(connection, QUEUE, self._key, self._name, now=now, ttl=QUEUED)
                return None
            self._leave_queue(connection, now)
        place = HeldPlace(self, lease, self._clock.now(), now + LEASE)
        with self._lock:
            self._held.append(place)
        return place

    def _acquired(self, connection: Connection, now: datetime) -> Lease | None:
        for number in range(1, self._limit + 1):
            key = f"{self._key} {number}"
            self._free_of_the_dead(connection, key, now)
            lease = leases.acquire(connection, PLACE, key, self._name, now=now, ttl=LEASE)
            if lease is not None:
                return lease
        return None

    def _free_of_the_dead(self, connection: Connection, key: str, now: datetime) -> None:
        """End the lease of a process of this machine that is gone; the endpoint itself says whether there is room."""
        found = leases.lease_of(connection, PLACE, key, now=now)
        if found is not None and _is_dead(found.holder):
            leases.release(connection, [found], now=now)

    def _leave_queue(self, connection: Connection, now: datetime) -> None:
        queued = leases.lease_of(connection, QUEUE, self._key, now=now)
        if queued is not None and queued.holder == self._name:
            leases.release(connection, [queued], now=now)

    def _renew(self, place: HeldPlace) -> None:
        """Lengthen a lease; one that was lost stays expired, so that its session is closed after its work."""
        now = self.now()
        try:
            with self._database.write() as connection:
                leases.renew(connection, [place.lease], now=now, ttl=LEASE)
        except LeaseLost:
            place.expires = now
        else:
            place.expires = now + LEASE

    def _make_room(self, held: list[HeldPlace]) -> None:
        """Close an unused session, or mark the place held longest; the only place is kept for a fair time."""
        if self._released_one():
            return
        oldest = min(held, key=lambda place: place.since)
        if len(held) > 1 or self._clock.now() - oldest.since >= _FAIR_S:
            oldest.wanted = True

    def _released_one(self) -> bool:
        return any(release_one() for release_one in self._watchers)

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None or not self._ticks:
                return
            self._thread = threading.Thread(target=self._run, name="session-quota", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(TICK_S):
            # The database may be away for a while: leases outlast many ticks.
            with suppress(ConnectorError):
                self.tick()


def _is_dead(holder: str) -> bool:
    """Tell whether a holder was a process of this machine that no longer runs."""
    host, _, rest = holder.partition(":")
    pid = rest.partition(":")[0]
    if host != socket.gethostname()[:40] or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
