"""A sync keeps nobody from writing: slices are small, follow how long they take, and leave room for others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from connectors.database import Database
from connectors.errors import Unreachable
from datasets.cached import Document
from engine import leases, user_search
from engine.cache_slices import LONG_S, SHORT_S, Slices
from engine.cache_sources import Whole, everything
from engine.cache_sync import Reading, Removals, sync
from engine.journal import open_stream
from engine.runtime import utc_now
from tests.fakes.journals import entries_of
from tests.fakes.plans import fresh, runtime_on

USERS, BOUND = 1_100, 1_000
ANY = Removals(count=10_000)


class Counting:
    """Counts the rows that each write transaction of a database touches, from any of its connections."""

    def __init__(self, database: Database) -> None:
        self.transactions: list[int] = []
        self._open = 0
        for name, listener in (("begin", self._begun), ("commit", self._ended), ("after_cursor_execute", self._ran)):
            event.listen(database.engine, name, listener)

    def _begun(self, *_: object) -> None:
        self._open = 0

    def _ended(self, *_: object) -> None:
        self.transactions.append(self._open)

    def _ran(self, _connection: object, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        if statement.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")):
            many = isinstance(parameters, list)
            self._open += max(cursor.rowcount, len(parameters) if many else 0, 0)


class Journal:
    """Another process that writes the journal under a lease, as a migration does, and is kept from it by nobody.

    On SQLite it does not wait at all. On PostgreSQL it would wait for ever for a lock of a transaction that cannot go
    on meanwhile, so it gives up.
    """

    def __init__(self, address: str) -> None:
        self._database, self.entries, now = Database(address, wait_for_writer_s=0), 0, utc_now()
        with self._database.write() as connection:
            self._lease = leases.acquire(connection, "chunk", "p-1:1-1", "other", now=now, ttl=timedelta(hours=1))
            self._stream = open_stream(connection, "p-1", "1-1", epoch=1, holder="other", now=now)

    def write(self, *_: object) -> None:
        """Write an intent, the lease renewed with it. Raises Busy or Unreachable."""
        assert self._lease is not None
        self.entries += 1
        with self._stream.transaction(self._database) as appender:
            if not self._database.is_sqlite:
                appender.connection.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
            leases.renew(appender.connection, [self._lease], now=utc_now(), ttl=timedelta(hours=1))
            appender.append(entries_of(self.entries, utc_now())[0])

    def close(self) -> None:
        """Close the connections."""
        self._database.close()


def breaking_off(reading: Reading) -> Whole:
    """Give a source that breaks off after its last object."""

    def read() -> Iterator[Document]:
        yield from (each for each in reading if isinstance(each, Document))
        raise Unreachable("the source went away", system="test")

    return Whole(reading.source, read)


@pytest.mark.slow
def test_no_transaction_of_a_sync_is_large(database: Database) -> None:
    """The journal never waits for more than a thousand rows, whatever a sync does.

    A first sync, everybody changed, sources taken back, nearly everybody gone: documents, views, flip and clean-up.
    """
    tenant = fresh(USERS)
    runtime = runtime_on(database, tenant)
    counting = Counting(database)
    sync(runtime, everything(runtime))
    for user in tenant.users.values():
        user.usage_location, user.policies, user.ip_phone = "AT", {"TenantDialPlan": "AT"}, "4711"
    assert sync(runtime, [breaking_off(each) for each in everything(runtime)]).is_degraded
    assert sync(runtime, everything(runtime)).views == USERS
    for key in list(tenant.users)[10:]:
        del tenant.users[key]
    assert not sync(runtime, everything(runtime), ANY).is_degraded
    assert sum(counting.transactions) > 20 * USERS
    assert max(counting.transactions) <= BOUND
    with database.read() as connection:
        assert user_search.count(connection, "") == 10


@pytest.mark.slow
def test_the_journal_is_written_beside_every_slice(database: Database) -> None:
    """On PostgreSQL while a transaction of a sync is open, which locks nothing of it; on SQLite before each slice.

    There nobody holds the file between two slices, so whoever waits for one is next.
    """
    address = database.url.render_as_string(hide_password=False)
    with closing(Journal(address)) as journal, closing(Database(address, sleep=journal.write)) as shared:
        if not shared.is_sqlite:
            event.listen(shared.engine, "commit", journal.write)
        tenant = fresh(USERS)
        runtime = runtime_on(shared, tenant)
        for town in ("Vienna", "Graz"):
            for user in tenant.users.values():
                user.policies = {"TenantDialPlan": town}
            before = journal.entries
            assert sync(runtime, everything(runtime)).views == USERS
            assert journal.entries - before > USERS / BOUND * 5


def test_slices_follow_how_long_they_take() -> None:
    """A long transaction halves the next slice, short ones let it grow to the bound, and a few rows always go."""
    slices = Slices(500)
    slices.took(LONG_S * 2)
    assert slices.rows == 250
    slices.took((LONG_S + SHORT_S) / 2)
    assert slices.rows == 250
    for _ in range(20):
        slices.took(LONG_S * 2)
    assert slices.rows == 50
    for _ in range(20):
        slices.took(0)
    assert slices.rows == 500


def test_parts_are_as_large_as_the_slices_are_by_then() -> None:
    """Cutting goes on with the size that was learned in between."""
    slices, found = Slices(4), list[list[int]]()
    for part in slices.parts(range(9)):
        found.append(part)
        slices.rows = 2
    assert found == [[0, 1, 2, 3], [4, 5], [6, 7], [8]]
