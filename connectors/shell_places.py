"""Places in the session quota of a PowerShell endpoint: what a connector needs of whoever shares them out.

An account may have few sessions at once, whichever process opens them, so the engine hands in a `Quota` that all
processes share. Alone, a connector only keeps to its own limit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Place(Protocol):
    """The right to have one session open."""

    def is_ours(self) -> bool:
        """Tell whether the right still holds; a process that stood still for long has lost it."""

    def is_wanted(self) -> bool:
        """Tell whether another process waits for it: the session is closed after the work it does now."""

    def give_back(self) -> None:
        """Let somebody else have it; never raises."""


class Quota(Protocol):
    """Shares out places between processes."""

    def take(self, within_s: float) -> Place:
        """Wait for a place; raises Throttled when there is none in time."""

    def watch(self, release_one: Callable[[], bool]) -> None:
        """Have `release_one` called when another process waits: it closes a session that is not in use, if any."""


class _OwnPlace:
    """A place that nobody else wants."""

    def is_ours(self) -> bool:
        return True

    def is_wanted(self) -> bool:
        return False

    def give_back(self) -> None:
        return None


class OwnQuota:
    """The quota of a connector that has the endpoint to itself."""

    def take(self, within_s: float) -> Place:  # noqa: ARG002 - nobody waits here
        """Give a place at once."""
        return _OwnPlace()

    def watch(self, release_one: Callable[[], bool]) -> None:
        """Nobody else waits."""
