"""What objects were before each change: the source of lagging reads and of delta queries."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from datetime import datetime

Key = tuple[str, Hashable]

KEPT = 400_000


@dataclass(frozen=True, slots=True)
class Version:
    """A value that was replaced: `before` is None when the object did not exist."""

    seq: int
    at: datetime
    key: Key
    before: object


class History:
    """An ordered list of replaced values, the oldest forgotten in slices."""

    def __init__(self) -> None:
        self._versions: list[Version] = []
        self._first = 1
        self.sleeping = False  # while a sample is made: what was before is nobody's business

    @property
    def last(self) -> int:
        """Give the sequence number of the newest version, 0 before the first."""
        return self._first + len(self._versions) - 1

    def add(self, at: datetime, key: Key, before: object) -> None:
        """Remember a value that was replaced just now."""
        if self.sleeping:
            return
        self._versions.append(Version(self.last + 1, at, key, before))
        if len(self._versions) > KEPT:
            dropped = KEPT // 4
            del self._versions[:dropped]
            self._first += dropped

    def reaches(self, seq: int) -> bool:
        """Tell whether every version after that one is still known."""
        return self._first - 1 <= seq <= self.last

    def since(self, seq: int) -> Iterator[Version]:
        """Give the versions after that one, oldest first."""
        yield from self._versions[max(0, seq + 1 - self._first) :]

    def replaced_after(self, moment: datetime) -> dict[Key, object]:
        """Give what every object that changed after the moment was at the moment."""
        found: dict[Key, object] = {}
        for version in reversed(self._versions):
            if version.at <= moment:
                break
            found[version.key] = version.before
        return found
