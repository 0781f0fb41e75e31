"""The cache of what the outside systems showed at the last sync, and the table that searches look at.

A row is visible from the generation in which it was `born` until the one in which it `died`. A sync writes rows of the
next generation in slices while readers see the current one; raising `cache_state.generation` shows all of it at once.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    event,
)

from datasets.tables.metadata import BigId, Json, Moment, metadata

cache_state = Table(
    "cache_state",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("generation", BigInteger, nullable=False),
    Column("is_clean", Boolean, nullable=False),  # every row is visible: searches need not ask
)

cache_sources = Table(
    "cache_sources",
    metadata,
    Column("source", String(20), primary_key=True),
    Column("state", String(20), nullable=False),  # fresh, degraded, absent
    Column("message", Text, nullable=False),
    Column("documents", Integer, nullable=False),
    Column("synced_at", Moment, nullable=True),
    Column("tried_at", Moment, nullable=False),
    Column("link", Text, nullable=False),  # where a delta read goes on
)

cache_documents = Table(
    "cache_documents",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("source", String(20), nullable=False),
    Column("key", String(300), nullable=False),
    Column("link", String(300), nullable=False),  # the other system's name for it: an account name, a holder
    Column("born", BigInteger, nullable=False),
    Column("died", BigInteger, nullable=True),
    Column("digest", LargeBinary(16), nullable=False),
    Column("body", Text, nullable=False),
    # Everything a comparison needs, so that it reads a tenth of the pages.
    Index("ix_cache_documents_source", "source", "key", "born", "died", "digest"),
    Index("ix_cache_documents_link", "source", "link"),
    Index("ix_cache_documents_born", "born"),
)

# `text` is every shown column, folded, with a separator that nobody can type.
user_views = Table(
    "user_views",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("key", String(300), nullable=False),
    Column("born", BigInteger, nullable=False),
    Column("died", BigInteger, nullable=True),
    Column("text", Text, nullable=False),
    Column("columns", Json, nullable=False),
    Index("ix_user_views_key", "key"),
    Index("ix_user_views_born", "born"),
)

# Few rows have an end at any time.
for _table in (cache_documents, user_views):
    _has_ended = _table.c.died.is_not(None)
    Index(f"ix_{_table.name}_died", _table.c.died, sqlite_where=_has_ended, postgresql_where=_has_ended)

saved_filters = Table(
    "saved_filters",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("query", Text, nullable=False),
    Column("columns", Json, nullable=False),
    Column("saved_by", String(200), nullable=False),
    Column("saved_at", Moment, nullable=False),
)

SQLITE_SEARCH = (
    "CREATE VIRTUAL TABLE user_search USING fts5(text, content='user_views', content_rowid='id',"
    " tokenize='trigram case_sensitive 1')",
    "CREATE TRIGGER user_search_added AFTER INSERT ON user_views BEGIN"
    " INSERT INTO user_search(rowid, text) VALUES (new.id, new.text); END",
    "CREATE TRIGGER user_search_removed AFTER DELETE ON user_views BEGIN"
    " INSERT INTO user_search(user_search, rowid, text) VALUES ('delete', old.id, old.text); END",
)
"""The trigram index of SQLite and what keeps it up to date, in the transaction of the row."""

# Without the extension (in PostgreSQL's contrib package, or not for this role) the same queries scan; they stay right.
POSTGRES_SEARCH = (
    "DO $$ BEGIN CREATE EXTENSION IF NOT EXISTS pg_trgm;"
    " CREATE INDEX ix_user_search ON user_views USING gin (text gin_trgm_ops);"
    " EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported"
    " THEN RAISE NOTICE USING MESSAGE = 'searching without an index: ' || SQLERRM; END $$",
)
"""The trigram index of PostgreSQL, where the extension may be had."""


def is_search_index(name: str | None) -> bool:
    """Tell whether a table or index belongs to the search index, which each database makes its own way."""
    return bool(name) and str(name).removeprefix("ix_").startswith("user_search")


def search_statements(dialect: str) -> tuple[str, ...]:
    """Give the statements that make the search index once its table is there."""
    return SQLITE_SEARCH if dialect == "sqlite" else POSTGRES_SEARCH


@event.listens_for(user_views, "after_create")
def _make_search_index(_table: object, connection: Connection, **_: object) -> None:
    for statement in search_statements(connection.dialect.name):
        connection.exec_driver_sql(statement)
