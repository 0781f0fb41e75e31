"""A process that dies at numbered points: around every remote call and every database transaction.

Once dead, every further point raises too, so that no clean-up of the dying process reaches the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from connectors.database import Database
from tests.fakes.tenant import FakeTenant


class Crash(BaseException):
    """The process is gone; nothing catches this but the harness."""


class Points:
    """Counts the points a process passes and dies at the chosen one."""

    def __init__(self) -> None:
        self.passed, self.die_at, self.dead = 0, 0, False

    def arm(self, after: int) -> None:
        """Bring the process back to life; it dies again after so many points."""
        self.die_at, self.dead = self.passed + after, False

    def disarm(self) -> None:
        """Let the process live."""
        self.die_at, self.dead = 0, False

    def pass_by(self, *_: object) -> None:
        """Pass a point. Raises Crash at the chosen one and ever after."""
        self.passed += 1
        if self.dead or self.passed == self.die_at:
            self.dead = True
            raise Crash


class CrashingDatabase(Database):
    """A database whose transactions have a point before they begin, before they commit and after."""

    def __init__(self, url: str, points: Points) -> None:
        super().__init__(url)
        self._points = points

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a write transaction between crash points."""
        self._points.pass_by()
        with super().write() as connection:
            yield connection
            self._points.pass_by()
        self._points.pass_by()


def crash_tenant(tenant: FakeTenant, points: Points) -> None:
    """Put a point before and after every remote call."""
    tenant.before = tenant.after = points.pass_by


def run_until_crash(act: Callable[[], object]) -> bool:
    """Run; tells whether the process died."""
    try:
        act()
    except Crash:
        return True
    return False
