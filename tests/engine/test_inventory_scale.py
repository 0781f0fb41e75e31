"""What the inventory costs: statements and query plans do not depend on how large a pool is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, insert, select, text

from connectors.database import Database
from datasets.inventory import Pool, Span
from datasets.numbering import PhoneNumber
from datasets.tables.inventory import intervals, pools, ranges, taken
from engine import inventory

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
SMALL = Pool(name="small", spans=(Span.read("+431000000000", "+431000009999"),))
HUGE = Pool(name="huge", spans=(Span.read("+8880000000000", "+8889999999999"),))


@contextmanager
def statements(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    """Note every statement while the block runs, with its parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        seen.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    yield seen
    event.remove(connection, "before_cursor_execute", note)


def acts(connection: Connection, pool: Pool) -> list[tuple[str, Any]]:
    """Do one of everything in a pool and give the statements."""
    first = pool.spans[0].start.base
    with statements(connection) as seen:
        inventory.next_free(connection, pool.name)
        inventory.free_page(connection, pool.name, PhoneNumber(first + 7000), 50)
        inventory.counts(connection, pool.name)
        claimed = inventory.claim(
            connection, pool.name, 3, plan_id=pool.name, owner_ids=["a", "b", "c"], until=LATER, now=NOW
        )
        inventory.confirm(connection, claimed[0], owner="a", plan_id=pool.name, now=NOW)
        inventory.release(connection, claimed[0], NOW, LATER)
        inventory.give_back(connection, claimed[1], plan_id=pool.name, now=NOW)
        inventory.claim_named(connection, PhoneNumber(first + 5001), plan_id=pool.name, owner="d", until=LATER, now=NOW)
        inventory.give_back_plan(connection, pool.name, NOW)
        inventory.expire(connection, LATER)
        inventory.state_of(connection, PhoneNumber(first + 5001))
    return seen


def fragment(connection: Connection, pool: Pool, pieces: int) -> None:
    """Leave every second number free in the lower part of a pool, as rows written directly."""
    pool_id = connection.execute(select(pools.c.id).where(pools.c.name == pool.name)).scalar_one()
    run = pool.spans[0].run
    key = {"pool_id": pool_id, "space": 0, "width": 0}
    held = {"state": "assigned", "owner": "x", "reason": "", "since": NOW, "kept_reason": ""}
    connection.execute(
        insert(taken),
        [{"space": 0, "width": 0, "n": run.first + 2 * i, "pool_id": pool_id, **held} for i in range(pieces)],
    )
    connection.execute(intervals.delete().where(intervals.c.pool_id == pool_id))
    single = [
        {**key, "is_free": True, "first": run.first + 2 * i + 1, "last": run.first + 2 * i + 1} for i in range(pieces)
    ]
    single[-1]["last"] = run.last
    connection.execute(insert(intervals), single)
    counted = pools.update().where(pools.c.id == pool_id)
    connection.execute(counted.values(free=run.size - pieces, assigned=pieces))


def test_huge_pool_costs_the_same_statements_as_a_small_one(database: Database) -> None:
    """M95: 10^10 numbers are handled with the very statements of 10^4, and stored in as many rows."""
    with database.write() as connection:
        assert HUGE.spans[0].run.size == 10**10
        for pool in (SMALL, HUGE):
            inventory.define_pool(connection, pool)
        assert connection.execute(select(func.count()).select_from(intervals)).scalar_one() == 2
        assert connection.execute(select(func.count()).select_from(ranges)).scalar_one() == 2
        small, huge = acts(connection, SMALL), acts(connection, HUGE)
        assert inventory.violations(connection) == []
    assert [statement for statement, _ in huge] == [statement for statement, _ in small]
    assert len(huge) < 105


def test_fragmented_pool_is_searched_by_key(database: Database) -> None:
    """M95: with 3,000 fragments every statement still goes to its rows by an index; nothing reads a whole table."""
    with database.write() as connection:
        for pool in (SMALL, HUGE):
            inventory.define_pool(connection, pool)
            fragment(connection, pool, 3000)
        connection.execute(text("ANALYZE"))
        assert inventory.violations(connection) == []
        seen = acts(connection, HUGE)
        assert inventory.violations(connection) == []
        scans = {
            plan for statement, parameters in seen for plan in whole_table_reads(connection, statement, parameters)
        }
    assert scans == set()


def whole_table_reads(connection: Connection, statement: str, parameters: Any) -> list[str]:
    """Name what a statement would read whole, as the database plans it; the handful of pools does not count."""
    if not statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
        return []
    sqlite = connection.dialect.name == "sqlite"
    if not sqlite:  # a page or two are read whole however they are indexed: ask whether it could do without
        connection.execute(text("SET LOCAL enable_seqscan = off"))
    one = parameters[0] if isinstance(parameters, list) else parameters
    rows = connection.exec_driver_sql(f"EXPLAIN {'QUERY PLAN ' if sqlite else ''}{statement}", one)
    word, lines = "SCAN" if sqlite else "Seq Scan on", [str(row[-1]) for row in rows]
    big = ("taken", "intervals", "ranges")
    return [f"{line}: {statement}" for line in lines if any(f"{word} {table}" in line for table in big)]


@pytest.mark.parametrize("pool", [SMALL, HUGE], ids=["10^4", "10^10"])
def test_next_free_is_one_statement(database: Database, pool: Pool) -> None:
    """The lowest free number is one round trip, whatever the pool."""
    with database.write() as connection:
        inventory.define_pool(connection, pool)
        with statements(connection) as seen:
            assert inventory.next_free(connection, pool.name) == pool.spans[0].start
    assert len(seen) == 1


def test_block_of_claims_takes_a_constant_number_of_statements(database: Database) -> None:
    """A wave claims its whole block at once: 500 numbers cost as many statements as two."""
    amounts = {}
    with database.write() as connection:
        inventory.define_pool(connection, HUGE)
        for count in (2, 500):
            with statements(connection) as seen:
                owners = [f"u{i}" for i in range(count)]
                inventory.claim(connection, "huge", count, plan_id="p", owner_ids=owners, until=LATER, now=NOW)
            amounts[count] = len(seen)
    assert amounts[2] == amounts[500] <= 7
