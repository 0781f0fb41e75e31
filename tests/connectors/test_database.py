"""Our own database: transactions, moments and what happens when it is gone."""

from __future__ import annotations

from sqlalchemy import text

from connectors.database import Database


def test_write_is_seen_by_the_next_read(database: Database) -> None:
    """A committed write is visible to everybody."""
    with database.write() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
        connection.execute(text("INSERT INTO t VALUES (1)"))
    with database.read() as connection:
        assert connection.execute(text("SELECT n FROM t")).scalar_one() == 1
