"""Pages of taken numbers: a pool's are found through its ranges, however many numbers others have."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Select, insert, text
from sqlalchemy.dialects import postgresql, sqlite

from connectors.database import Database
from datasets.inventory import Pool, Position, Span
from datasets.numbering import PhoneNumber
from datasets.tables.inventory import taken
from engine import inventory
from engine.inventory_listing import every_taken, page_queries, taken_page

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SMALL = Pool(
    name="small",
    spans=(Span.read("+43900", "+43909"), Span.read("+43100"), Span.read("+43500;ext=10", "+43500;ext=19")),
)
MIXED = Pool(
    name="mixed", spans=(Span.read("+44100"), Span.read("+44200"), Span.read("+44300", "+44399"), Span.read("+44500"))
)
MINE = ("+43100", "+43900", "+43905", "+43500;ext=11")


@pytest.fixture
def filled(database: Database) -> Database:
    """Give an inventory where a small pool has four numbers and others have thousands around them."""
    with database.write() as connection:
        inventory.define_pool(connection, Pool(name="large", spans=(Span.read("+4910000", "+4919999"),)))
        inventory.define_pool(connection, SMALL)
        inventory.define_pool(connection, MIXED)
        for e164 in (*MINE, "+43800", "+43500;ext=99"):
            inventory.record_assigned(connection, PhoneNumber.from_e164(e164), owner="user:a", now=NOW)
        row = {"pool_id": 1, "state": "assigned", "owner": "user:b", "reason": "", "since": NOW}
        rows = [{**Position.of(PhoneNumber(4910000 + n))._asdict(), **row} for n in range(5000)]
        connection.execute(insert(taken), rows)
    return database


def explained(connection: Connection, query: Select[Any]) -> str:
    """Give the database's plan for a page, with every value written out."""
    is_sqlite = connection.dialect.name == "sqlite"
    dialect = sqlite.dialect() if is_sqlite else postgresql.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy's
    asked = query.order_by(taken.c.space, taken.c.width, taken.c.n).limit(50)
    written = str(asked.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    if is_sqlite:
        return "\n".join(row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {written}"))
    connection.execute(text("ANALYZE taken"))
    return "\n".join(connection.exec_driver_sql(f"EXPLAIN {written}").scalars())


@pytest.mark.parametrize(
    ("pool", "after", "asked"), [("small", "+43100", 1), ("large", "+4912000", 1), ("mixed", "+43100", 3)]
)
def test_a_pools_page_looks_at_its_ranges_only(filled: Database, pool: str, after: str, asked: int) -> None:
    """The plans search numbers by their key inside the pool's ranges; none reads the table from end to end."""
    with filled.write() as connection:
        plans = [explained(connection, each) for each in page_queries(connection, pool, PhoneNumber.from_e164(after))]
    assert len(plans) == asked
    for plan in plans:
        is_by_key = "SEARCH taken USING PRIMARY KEY (space=? AND width=? AND n" in plan
        assert is_by_key or "Index Scan using pk_taken on taken" in plan, plan
        assert not re.search("SCAN taken|Seq Scan on taken", plan), plan


def test_a_pools_pages_are_its_numbers_in_order(filled: Database) -> None:
    """Every number of the pool comes once, plain ones before extensions, whatever the size of the page."""
    with filled.read() as connection:
        for size in (1, 2, 3, 50):
            found: list[str] = []
            after = None
            while page := taken_page(connection, pool="small", after=after, limit=size):
                found += [row.number.e164 for row in page]
                after = page[-1].number
            assert found == list(MINE)
        assert [row.number.e164 for row in every_taken(connection, "small")] == list(MINE)
        assert len(list(every_taken(connection))) == 5006
        assert [row.number.e164 for row in taken_page(connection, pool="small", owner="user:b")] == []
