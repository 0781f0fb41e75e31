"""Many at once: threads and processes that want the same numbers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from connectors.database import Database
from datasets.inventory import NumberUnavailable, Pool, PoolExhausted, Span
from datasets.numbering import PhoneNumber
from datasets.tables.inventory import taken
from engine import inventory
from tests.fakes.claimers import run_claimers

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def test_fifty_claims_on_forty_numbers(database: Database) -> None:
    """M44: of fifty parallel claims on forty free numbers, forty get one each and ten are told why not."""
    with database.write() as connection:
        inventory.define_pool(connection, Pool(name="p", spans=(Span.read("+43100", "+43139"),)))

    def claim(i: int) -> str | None:
        try:
            with database.write() as connection:
                [number] = inventory.claim(
                    connection, "p", 1, plan_id=f"plan{i}", owner_ids=[f"user{i}"], until=LATER, now=NOW
                )
        except PoolExhausted as refusal:
            assert (refusal.asked, refusal.left) == (1, 0)  # noqa: PT017 - some succeed and some do not
            return None
        return number.e164

    with ThreadPoolExecutor(50) as pool:
        given = list(pool.map(claim, range(50)))
    assert given.count(None) == 10
    assert sorted(n for n in given if n) == [f"+431{i:02}" for i in range(40)]
    with database.read() as connection:
        assert inventory.violations(connection) == []
        assert inventory.counts(connection, "p").claimed == 40


@pytest.mark.parametrize("e164", ["+43105", "+4999"], ids=["in a pool", "in no pool"])
def test_one_number_wanted_by_twelve(database: Database, e164: str) -> None:
    """M56: of twelve who choose the same number at once, one gets it and eleven are refused."""
    with database.write() as connection:
        inventory.define_pool(connection, Pool(name="p", spans=(Span.read("+43100", "+43139"),)))

    def claim(i: int) -> bool:
        try:
            with database.write() as connection:
                inventory.claim_named(
                    connection, PhoneNumber.from_e164(e164), plan_id=f"plan{i}", owner=f"u{i}", until=LATER, now=NOW
                )
        except NumberUnavailable:
            return False
        return True

    with ThreadPoolExecutor(12) as pool:
        assert sorted(pool.map(claim, range(12))) == [False] * 11 + [True]
    with database.read() as connection:
        assert inventory.violations(connection) == []


@pytest.mark.slow
def test_eight_processes_never_share_a_number(database: Database) -> None:
    """What eight processes were told they hold is exactly what the database says, each number once."""
    race(database, rounds=60, numbers=200)


@pytest.mark.nightly
def test_eight_processes_never_share_a_number_for_long(database: Database) -> None:
    """The same with 500 claims of each process, and as many other acts again."""
    race(database, rounds=1500, numbers=9000)


def race(database: Database, rounds: int, numbers: int) -> None:
    """Let eight processes work in one pool and compare what they believe with what is stored."""
    with database.write() as connection:
        span = Span.read("+43100000", f"+{43100000 + numbers - 1}")
        inventory.define_pool(connection, Pool(name="p", spans=(span,)))
    url = database.url.render_as_string(hide_password=False)
    believed = run_claimers(url, [f"w{i}" for i in range(8)], rounds, within_s=rounds)
    held = {(n, f"w{i}", state) for i, worker in enumerate(believed) for state, ns in worker.items() for n in ns}
    with database.read() as connection:
        assert inventory.violations(connection) == []
        rows = connection.execute(select(taken.c.n, taken.c.owner, taken.c.state)).all()
    assert {(f"+{row.n}", row.owner, row.state) for row in rows} == held
    assert len(rows) == len(held) == sum(len(ns) for worker in believed for ns in worker.values())
    assert all(worker["claimed"] or worker["assigned"] for worker in believed)


def test_pool_that_is_defined_while_numbers_are_found(database: Database) -> None:
    """A number found in the tenant at the moment its range is defined belongs to the pool, and is not offered."""

    def find(i: int) -> None:
        with database.write() as connection:
            inventory.record_assigned(connection, PhoneNumber(43100 + i), owner=f"u{i}", now=NOW)

    def define(upto: int) -> None:
        with database.write() as connection:
            pool = Pool(name="p", spans=(Span.read("+43100", f"+431{upto:02}"),))
            inventory.define_pool(connection, pool)

    with ThreadPoolExecutor(8) as threads:
        for future in [threads.submit(act, i) for i in range(40) for act in (find, define)]:
            future.result()
    with database.read() as connection:
        assert inventory.violations(connection) == []
