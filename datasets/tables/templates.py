"""The versions of lifecycle templates that were ever used: what each said, and when it was first seen."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table, Text

from datasets.tables.metadata import Json, Moment, metadata

template_versions = Table(
    "template_versions",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("version", String(12), primary_key=True),
    Column("body", Json, nullable=False),
    Column("origin", Text, nullable=False),  # the file it was read from
    Column("first_seen", Moment, nullable=False),
    Index("ix_template_versions_first_seen", "name", "first_seen"),
)
