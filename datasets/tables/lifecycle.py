"""People as HR last described them, and departures: who leaves, when, and what has been decided about it."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Date, Index, Integer, String, Table, Text

from datasets.tables.metadata import Json, Moment, metadata

known_people = Table(
    "known_people",
    metadata,
    Column("employee_id", String(200), primary_key=True),
    Column("person", Json, nullable=False),
    Column("effective_at", Moment, nullable=True),
    Column("feed_id", String(40), nullable=False),
    Column("line", Integer, nullable=False),
    Column("changed_country", Boolean, nullable=False),
    Column("changed_site", Boolean, nullable=False),
    Column("at", Moment, nullable=False),
)

departures = Table(
    "departures",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("subject", String(300), nullable=False),
    Column("label", Text, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("state", String(20), nullable=False),
    Column("targets", Json, nullable=True),
    Column("delete_after_days", Integer, nullable=True),
    Column("request_id", String(40), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("closed_at", Moment, nullable=True),
    Index("ix_departures_subject", "subject"),
    Index("ix_departures_state", "state"),
)
