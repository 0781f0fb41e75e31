"""Leases: one holder at a time, on both databases; and what a process does whose lease is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connectors.database import Database
from connectors.errors import Unreachable
from engine import leases, plan_store
from engine.apply import Chunk, apply_chunk, start
from engine.leases import LeaseLost
from tests.fakes.plans import apply_all, continue_until_settled, define_pool, fresh, runtime_on, store_plan
from tests.fakes.waiting import until

NOW, TTL = datetime(2026, 3, 2, 8, tzinfo=UTC), timedelta(seconds=60)


def acquire(database: Database, holder: str, *, now: datetime = NOW) -> leases.Lease | None:
    """Try to take the one lease of these tests."""
    with database.write() as connection:
        return leases.acquire(connection, "object", "user:1", holder, now=now, ttl=TTL)


def renew(database: Database, lease: leases.Lease, *, now: datetime = NOW) -> None:
    """Renew a lease."""
    with database.write() as connection:
        leases.renew(connection, [lease], now=now, ttl=TTL)


def test_a_held_lease_is_not_given_twice(database: Database) -> None:
    """Whoever comes second gets nothing, and learns who has it."""
    assert acquire(database, "ada")
    assert acquire(database, "bob") is None
    with database.read() as connection:
        assert leases.holder_of(connection, "object", "user:1", now=NOW) == ("ada", NOW + TTL)


def test_an_expired_lease_is_taken_over_with_a_new_epoch(database: Database) -> None:
    """At the very second a lease ends it is free; its old holder finds out before it writes."""
    old = acquire(database, "ada")
    assert old
    assert acquire(database, "bob", now=NOW + TTL - timedelta(seconds=1)) is None
    new = acquire(database, "bob", now=NOW + TTL)
    assert new
    assert new.epoch == old.epoch + 1
    with pytest.raises(LeaseLost, match="taken over"):
        renew(database, old, now=NOW + TTL)
    renew(database, new, now=NOW + TTL)


def test_a_released_lease_may_be_taken_at_once(database: Database) -> None:
    """Letting go frees the lease; letting go of one that was lost changes nothing."""
    lease = acquire(database, "ada")
    assert lease
    with database.write() as connection:
        leases.release(connection, [lease], now=NOW)
    assert acquire(database, "bob")
    with database.write() as connection:
        leases.release(connection, [lease], now=NOW)
    assert acquire(database, "eve") is None


@pytest.mark.parametrize("slow", ["assign_number", "teams.voice_user"], ids=["while writing", "while reading"])
def test_a_process_that_lost_its_lease_changes_no_state(database: Database, slow: str) -> None:
    """While one process is stuck in a call, another takes over and finishes; then the first can spoil nothing."""
    tenant = fresh()
    tenant.licence_delay_s = 0
    runtime = runtime_on(database, tenant)
    define_pool(runtime)
    store_plan(runtime, tenant, ["id-1"])

    def stuck(name: str, _target: str) -> None:
        if name == slow:
            tenant.before = lambda *_: None
            tenant.clock.sleep(2 * runtime.limits.lease_s)
            assert continue_until_settled(runtime, tenant) == "settled"
            raise Unreachable("the line went dead")

    tenant.before = stuck
    with pytest.raises(LeaseLost, match="taken over"):
        apply_all(runtime)
    with database.read() as connection:
        assert [line.state for line in plan_store.load_lines(connection, "p-1")] == ["verified"]
        assert plan_store.header(connection, "p-1").state == "settled"


def test_lines_that_wait_inside_a_chunk_are_not_taken_over(sqlite: Database) -> None:
    """One line takes three times as long as a lease lasts: another process gets none of those that wait behind it."""
    tenant = fresh(3)
    tenant.licence_delay_s = 0
    runtime = runtime_on(sqlite, tenant)
    runtime = replace(runtime, limits=replace(runtime.limits, lease_s=0.3, workers=1))
    define_pool(runtime)
    store_plan(runtime, tenant, ["id-1", "id-2", "id-3"])
    start(runtime, "p-1")
    others = []

    def slow(name: str, _target: str) -> None:
        if name == "assign_number":
            tenant.before = lambda *_: None
            for _ in range(3):
                tenant.clock.sleep(0.25)
                until(lambda: _is_kept(sqlite, "user:id-3", tenant.clock.now() + timedelta(seconds=0.2)))
            others.append(apply_chunk(runtime, Chunk("p-1", 2, 3)))

    tenant.before = slow
    assert apply_chunk(runtime, Chunk("p-1", 1, 3)) == {"verified": 3}
    assert others == [{}]


def _is_kept(database: Database, key: str, until: datetime) -> bool:
    """Tell whether a lease lasts until a moment."""
    with database.read() as connection:
        return leases.holder_of(connection, "object", key, now=until) is not None
