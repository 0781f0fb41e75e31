"""What a stage opens to do its work: settings, our database, the outside systems and the site policy, for one stage.

Connectors are opened late and closed at the end of the stage; a run of many chunks keeps them open for all of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from config.settings import Settings, read_settings
from config.site_policy import SitePolicy, read_site
from connectors import schema
from connectors.database import Database
from engine.apply import Chunk, chunks
from engine.opening import open_systems
from engine.resolve import Waits
from engine.runtime import Limits, Runtime
from engine.systems import Systems

_AT_HAND: ContextVar[Systems | None] = ContextVar("systems_at_hand", default=None)


@dataclass(frozen=True)
class Work:
    """Settings and database of one stage, and the rest on demand."""

    settings: Settings
    database: Database

    @cached_property
    def site(self) -> SitePolicy:
        """Read the site policy; raises InputRefused."""
        return read_site(self.settings.site)

    @property
    def limits(self) -> Limits:
        """Give the engine's limits as the settings want them."""
        wait = self.settings.wait
        return Limits(
            lag_window_s=wait.lag_window_s,
            poll_s=wait.poll_s,
            licence_give_up_s=wait.licence_give_up_h * 3600,
            account_give_up_s=wait.account_give_up_days * 86400,
            move_give_up_s=wait.move_give_up_h * 3600,
            sync_give_up_s=wait.sync_give_up_h * 3600,
        )

    @property
    def waits(self) -> Waits:
        """Give how long claims, reservations and missing accounts last."""
        wait = self.settings.wait
        return Waits(
            claim=timedelta(hours=wait.claim_hours),
            account=timedelta(days=wait.account_give_up_days),
            reservation_after_start=timedelta(days=wait.reservation_days_after_start),
        )

    def chunks(self, runtime: Runtime, plan_id: str, at_once: int) -> list[Chunk]:
        """Cut the due lines of a plan into chunks of guided size, within the sizes of the settings."""
        size = self.settings.chunk
        return chunks(runtime, plan_id, at_once, smallest=size.smallest, largest=size.largest)

    @contextmanager
    def runtime(self) -> Iterator[Runtime]:
        """Open the outside systems for the engine; raises InputRefused for missing settings."""
        at_hand = _AT_HAND.get()
        if at_hand is not None:
            yield Runtime(self.database, at_hand, self.limits)
            return
        with open_systems(self.settings, self.database) as systems:
            yield Runtime(self.database, systems.for_engine(), self.limits)


@contextmanager
def working_on(systems: Systems) -> Iterator[None]:
    """Let the stages inside work on systems that are open already, in place of those of the settings."""
    before = _AT_HAND.set(systems)
    try:
        yield
    finally:
        _AT_HAND.reset(before)


@contextmanager
def systems_open() -> Iterator[None]:
    """Keep the outside systems open for all stages inside, those in other threads included.

    Chunks of one run then share sessions, tokens and connections instead of opening and waiting for their own.
    Raises InputRefused for missing settings.
    """
    with ExitStack() as stack:
        if _AT_HAND.get() is None:
            work = stack.enter_context(open_work())
            systems = stack.enter_context(open_systems(work.settings, work.database))
            stack.enter_context(working_on(systems.for_engine()))
        yield


@contextmanager
def open_work() -> Iterator[Work]:
    """Open settings and database; a new database gets its tables, one of another schema is refused."""
    settings = read_settings()
    database = Database(settings.database_address(), wait_for_writer_s=settings.database_wait_s)
    try:
        if schema.revision(database).is_empty:
            schema.upgrade(database)
        schema.require(database)
        yield Work(settings, database)
    finally:
        database.close()
