"""What one process needs to work on plans: database, systems, time, and the limits it keeps to."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from connectors.database import Database
from engine.kinds import Kind
from engine.systems import Systems


@dataclass(frozen=True)
class Limits:
    """Times and counts the engine keeps to; a site sets them in its settings.

    `lag_window_s` replaces the lag window of every kind when set. Look-agains are the short reads right after a write,
    polls are later visits by the `continue` step.
    """

    lag_window_s: float | None = None
    look_again_s: tuple[float, ...] = (0.5, 1.0)
    retry_after_s: tuple[float, ...] = (0.5, 2.0)
    poll_s: float = 30.0
    busy_give_up_s: float = 2 * 3600.0
    licence_give_up_s: float = 24 * 3600.0
    account_give_up_s: float = 30 * 86400.0
    move_give_up_s: float = 24 * 3600.0
    sync_give_up_s: float = 24 * 3600.0
    policy_give_up_s: float = 3600.0
    unreachable_give_up_s: float = 7 * 86400.0
    write_deadline_s: float = 60.0
    lease_s: float = 180.0
    repeats: int = 3
    workers: int = 8

    def lag(self, kind: Kind) -> timedelta:
        """Give the time after which a read without the effect counts as absence."""
        return timedelta(seconds=kind.lag_s if self.lag_window_s is None else self.lag_window_s)


def utc_now() -> datetime:
    """Give the current moment."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Runtime:
    """The hands of one process: everything that a step of the engine may touch."""

    database: Database
    systems: Systems
    limits: Limits = field(default_factory=Limits)
    now: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] = time.sleep

    def new_holder(self) -> str:
        """Give a name under which leases are held: one per piece of work, never used twice."""
        return uuid.uuid4().hex

    @property
    def lease(self) -> timedelta:
        """Give how long a lease lasts without renewal; longer than any single remote call."""
        return timedelta(seconds=self.limits.lease_s)
