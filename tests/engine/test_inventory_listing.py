"""Pages of taken numbers: a pool's are found through its ranges, however many numbers others have."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, insert, text
from sqlalchemy.dialects import postgresql, sqlite

from connectors.database import Database
from datasets.inventory import Pool, Position, Span
from datasets.numbering import PhoneNumber
from datasets.tables.inventory import taken
from engine import inventory
from engine.inventory_listing import every_taken, page_query, taken_page

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SMALL = Pool(
    name="small",
    spans=(Span.read("+43900", "+43909"), Span.read("+43100"), Span.read("+43500;ext=10", "+43500;ext=19")),
)
MINE = ("+43100", "+43900", "+43905", "+43500;ext=11")


@pytest.fixture
def filled(database: Database) -> Database:
    """Give an inventory where a small pool has four numbers and others have thousands around them."""
    with database.write() as connection:
        inventory.define_pool(connection, Pool(name="large", spans=(Span.read("+4910000", "+4919999"),)))
        inventory.define_pool(connection, SMALL)
        for e164 in (*MINE, "+43800", "+43500;ext=99"):
            inventory.record_assigned(connection, PhoneNumber.from_e164(e164), owner="user:a", now=NOW)
        row = {"pool_id": 1, "state": "assigned", "owner": "user:b", "reason": "", "since": NOW}
        rows = [{**Position.of(PhoneNumber(4910000 + n))._asdict(), **row} for n in range(5000)]
        connection.execute(insert(taken), rows)
    return database


def explained(connection: Connection) -> str:
    """Give the plan of the database for a page of the small pool, with every number written out."""
    pool_id = connection.execute(text("SELECT id FROM pools WHERE name = 'small'")).scalar_one()
    query = page_query(pool_id, PhoneNumber.from_e164("+43100")).limit(50)
    is_sqlite = connection.dialect.name == "sqlite"
    dialect = sqlite.dialect() if is_sqlite else postgresql.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy's
    written = str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    if not is_sqlite:
        connection.execute(text("ANALYZE taken"))
        connection.execute(text("ANALYZE ranges"))
        return "\n".join(connection.execute(text(f"EXPLAIN {written}")).scalars())
    return "\n".join(row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {written}")))


def test_a_pools_page_looks_at_its_ranges_only(filled: Database) -> None:
    """The plan searches numbers by their key inside the pool's ranges; it reads no table of numbers from end to end."""
    with filled.write() as connection:
        plan = explained(connection)
    if filled.is_sqlite:
        assert "SEARCH ranges USING" in plan, plan
        assert "SEARCH taken USING PRIMARY KEY (space=? AND width=? AND n>? AND n<?)" in plan, plan
        assert "SCAN taken" not in plan
    else:
        assert "Seq Scan on taken" not in plan, plan
        assert "Index Scan using pk_taken on taken" in plan, plan


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
