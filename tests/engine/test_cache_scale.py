"""A whole site in the cache: 100,000 users that did not change are no row, and half of them missing is no news."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from connectors.database import Database
from datasets.cached import Document
from datasets.tables.cache import user_views
from datasets.users import DirectoryUser, VoiceUser
from engine import cache, user_search
from engine.cache_sources import Whole, of_user, of_voice
from engine.cache_sync import SyncResult, sync
from engine.runtime import Runtime
from tests.fakes.plans import fresh, runtime_on

USERS = 100_000


def users(count: int) -> Iterator[Document]:
    """Give so many users of Graph."""
    for n in range(count):
        name = f"user{n}@lab.test"
        yield of_user(DirectoryUser(id=f"id-{n}", user_principal_name=name, display_name=name, sku_ids=("b", "a")))


def voices(count: int) -> Iterator[Document]:
    """Give so many users of Teams."""
    for n in range(count):
        yield of_voice(VoiceUser(id=f"id-{n}", user_principal_name=f"user{n}@lab.test"))


def read(runtime: Runtime, count: int) -> SyncResult:
    """Sync what the sources say of so many users."""
    return sync(runtime, [Whole("users", lambda: users(count)), Whole("voice", lambda: voices(count))])


@pytest.mark.nightly
def test_a_hundred_thousand_users(database: Database) -> None:
    """Identical: not one row is written. Truncated: both sources are degraded, and everybody is still found."""
    runtime = runtime_on(database, fresh(1))
    assert read(runtime, USERS).views == USERS
    before = rows_of(database)
    same = read(runtime, USERS)
    assert ([each.written for each in same.sources], same.views) == ([0, 0], 0)
    assert rows_of(database) == before
    truncated = read(runtime, USERS // 2)
    assert [each.trouble.split(",")[0] for each in truncated.sources] == [
        f"{name} no longer names {USERS // 2} of {USERS}" for name in ("users", "voice")
    ]
    assert (truncated.views, rows_of(database)) == (0, before)
    with database.read() as connection:
        assert user_search.count(connection, "") == USERS
        states = {each.source: (each.state, each.documents) for each in cache.freshness(connection)}
    assert states == {"users": ("degraded", USERS), "voice": ("degraded", USERS)}


def rows_of(database: Database) -> tuple[int, int]:
    """Give how many rows of users there are, and the newest one's number: a row that was written anew has another."""
    with database.read() as connection:
        query = select(func.count(), func.max(user_views.c.id))
        count, newest = connection.execute(query).one()
    return int(count), int(newest)
