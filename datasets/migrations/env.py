"""Runs the migrations on the connection it is handed; `connectors/schema.py` is what calls it."""

from __future__ import annotations

import importlib
import pkgutil

from alembic import context
from sqlalchemy import JSON, BigInteger

import datasets.tables
from datasets.tables.cache import is_search_index
from datasets.tables.metadata import Moment, metadata

for _module in pkgutil.iter_modules(datasets.tables.__path__, "datasets.tables."):
    importlib.import_module(_module.name)


def render_item(kind: str, item: object, _context: object) -> str | bool:
    """Name our own column types, so that a migration says what the table definitions say."""
    if kind == "type" and isinstance(item, Moment):
        return "tables.Moment()"
    if kind == "type" and isinstance(item, JSON):
        return "tables.Json"
    if kind == "type" and isinstance(item, BigInteger):
        return "tables.BigId"
    return False


def include_name(name: str | None, _kind: str, _parents: object) -> bool:
    """Leave the search index alone: each database has its own, made by the migration."""
    return not is_search_index(name)


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=False,  # SQLite reflects its own names for our types; the tests compare types on PostgreSQL
    render_item=render_item,
    include_name=include_name,
)
context.run_migrations()
