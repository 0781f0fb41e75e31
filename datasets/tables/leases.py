"""Leases: one mechanism by which exactly one process at a time works on a chunk, an object or a remote session."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table

from datasets.tables.metadata import Moment, metadata

leases = Table(
    "leases",
    metadata,
    Column("kind", String(20), primary_key=True),
    Column("key", String(300), primary_key=True),
    Column("holder", String(80), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("expires", Moment, nullable=False),
)
