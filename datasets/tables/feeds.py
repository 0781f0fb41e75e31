"""Tables of feeds: what arrived, what became of every row, which rows wait for a person, which events were seen."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from datasets.tables.metadata import BigId, Json, Moment, metadata

feeds = Table(
    "feeds",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("rows", Integer, nullable=False),
    Column("request_id", String(40), ForeignKey("requests.id"), nullable=False),
    Column("accepted", Boolean, nullable=False),
    Column("at", Moment, nullable=False),
    Column("quality", Json, nullable=True),  # what the suite of rules said, without values
    Index("ix_feeds_name", "name", "at"),
    Index("ix_feeds_request_id", "request_id"),
)

# Every data row of the file, the quarantined ones too; those have no person.
feed_rows = Table(
    "feed_rows",
    metadata,
    Column("feed_id", String(40), ForeignKey("feeds.id"), primary_key=True),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("employee_id", Text, nullable=True),
    Column("person", Json, nullable=True),
    Column("outcome", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_feed_rows_employee_id", "employee_id"),
    Index("ix_feed_rows_outcome", "feed_id", "outcome", "line"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("feed_id", String(40), ForeignKey("feeds.id"), nullable=False),
    Column("feed_name", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("column", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("row", Json, nullable=False),
    Column("state", String(12), nullable=False),
    Column("at", Moment, nullable=False),
    Index("ix_quarantine_feed_id", "feed_id", "line"),
    Index("ix_quarantine_state", "state", "feed_name"),
)

# An event takes effect once: its id, what it said, and the row that said it.
feed_events = Table(
    "feed_events",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("feed_id", String(40), ForeignKey("feeds.id"), nullable=False),
    Column("line", Integer, nullable=False),
    Column("at", Moment, nullable=False),
)
