"""Inserts that meet rows which are there already: both databases have them, under names of their dialects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_into(connection: Connection, table: Table) -> Any:
    """Give the insert of the connection's dialect, which knows `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return (sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert)(table)


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row, and tell whether it is there by us; one that takes its place at the same moment is waited for."""
    # Not `rowcount`: PostgreSQL's driver says -1 for this statement, whether it inserted or not.
    added = insert_into(connection, table).values(row).on_conflict_do_nothing().returning(*table.primary_key)
    return connection.execute(added).first() is not None
