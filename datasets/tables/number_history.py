"""The biography of numbers: one row for each change of hands, written in the transaction that makes it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, SmallInteger, String, Table, Text

from datasets.tables.metadata import BigId, Moment, metadata

number_history = Table(
    "number_history",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("space", BigInteger, nullable=False),
    Column("width", SmallInteger, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("at", Moment, nullable=False),
    Column("pool", String(80), nullable=True),
    Column("state_before", String(10), nullable=False),
    Column("owner_before", String(300), nullable=False),
    Column("state", String(10), nullable=False),
    Column("owner", String(300), nullable=False),
    Column("reason", Text, nullable=False),
    Column("until", Moment, nullable=True),
    Column("plan_id", String(40), nullable=True),
    Column("actor", String(300), nullable=False),
    Index("ix_number_history_number", "space", "width", "n", "id"),
    Index("ix_number_history_at", "at"),
)
