"""Keep the leases of lines that wait inside a chunk: those at work renew their own, and the others may wait for long.

A chunk has up to fifty lines; few are worked on at once, and each waits for its turn before it comes to the servers.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Self

from connectors.errors import Retryable
from engine import leases
from engine.leases import Lease
from engine.runtime import Runtime

_OFTEN = 3  # times within the life of a lease


class LeaseKeeper:
    """Renews leases in a thread of its own, until each is left to who works under it; a context manager."""

    def __init__(self, runtime: Runtime, held: Iterable[Lease]) -> None:
        self._runtime, self._lock, self._over = runtime, Lock(), Event()
        self._kept = {(lease.kind, lease.key): lease for lease in held}
        self._thread = Thread(target=self._keep, name="leases", daemon=True)

    def __enter__(self) -> Self:
        """Begin to renew."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; afterwards nothing is renewed any more."""
        self._over.set()
        self._thread.join()

    def leave(self, lease: Lease) -> None:
        """Renew a lease no more: its line begins, and does that itself."""
        with self._lock:
            self._kept.pop((lease.kind, lease.key), None)

    def _keep(self) -> None:
        while not self._over.wait(self._runtime.limits.lease_s / _OFTEN):
            with suppress(Retryable):  # the lines find out themselves that our database is away
                self._renew()

    def _renew(self) -> None:
        with self._lock:
            kept = list(self._kept.values())
        with self._runtime.database.write() as connection:
            leases.prolong(connection, kept, now=self._runtime.now(), ttl=self._runtime.lease)
