"""Sizes of the cache's transactions: as many rows as take a moment on this machine now, never more than a bound.

Whoever writes the journal beside a sync waits for one transaction at the longest. How many rows a moment allows differs
tenfold between machines, and between a quiet hour and a busy one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from sqlalchemy import Connection

from connectors.database import Database

LONG_S, SHORT_S = 0.05, 0.025
_FEWEST = 50  # fewer save no time: what is left is the commit
Item = TypeVar("Item")


class Slices:
    """Slices of one kind of row: smaller after a long transaction, growing again after short ones."""

    def __init__(self, most: int) -> None:
        self._most = self.rows = most

    def took(self, seconds: float) -> None:
        """Learn from how long a transaction took, its commit included."""
        if seconds > LONG_S:
            self.rows = max(_FEWEST, self.rows // 2)
        elif seconds < SHORT_S:
            self.rows = min(self._most, self.rows + self.rows // 2)

    @contextmanager
    def write(self, database: Database) -> Iterator[Connection]:
        """Open a write transaction for a slice; other writers come between two of them."""
        with database.write_aside() as connection:
            begun = time.monotonic()
            yield connection
        self.took(time.monotonic() - begun)

    def parts(self, items: Iterable[Item]) -> Iterator[list[Item]]:
        """Cut items into slices, each as large as is right by then."""
        left = iter(items)
        while some := list(islice(left, self.rows)):
            yield some
