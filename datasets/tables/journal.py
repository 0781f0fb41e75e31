"""The write-ahead journal: hash-chained streams, their entries, the verified effects and the chain of manifests.

The chain covers salted digests of payloads: a payload can be erased on its retention date without breaking the proof.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from datasets.tables.metadata import BigId, Json, Moment, metadata

journal_streams = Table(
    "journal_streams",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("plan_id", String(40), nullable=False),
    Column("chunk", String(40), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("holder", String(80), nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("closed_at", Moment, nullable=True),
    Column("entries", Integer, nullable=False, default=0),
    Column("head", String(64), nullable=False),
    Column("manifest_id", Integer, nullable=True),
    Index("ix_journal_streams_plan_id", "plan_id"),
)

journal = Table(
    "journal",
    metadata,
    Column("stream_id", String(40), ForeignKey("journal_streams.id"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("plan_id", String(40), nullable=False),
    Column("line", Integer, nullable=False),
    Column("change", Integer, nullable=False),
    Column("target", String(300), nullable=False),
    Column("phase", String(10), nullable=False),
    Column("result", String(20), nullable=False),
    Column("payload", Json, nullable=True),
    Column("salt", String(32), nullable=False),
    Column("payload_digest", String(64), nullable=False),
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Index("ix_journal_change", "plan_id", "line", "change"),
    Index("ix_journal_target", "target", "at"),
)

journal_effects = Table(
    "journal_effects",
    metadata,
    Column("stream_id", String(40), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("object", String(300), primary_key=True),
    Column("attribute", String(100), primary_key=True),
    Column("at", Moment, nullable=False),
    Column("before", Json, nullable=True),
    Column("after", Json, nullable=True),
    Index("ix_journal_effects_object", "object", "at"),
)

journal_manifests = Table(
    "journal_manifests",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("request_id", String(40), nullable=False),
    Column("at", Moment, nullable=False),
    Column("streams", Json, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("note", Text, nullable=False, default=""),
)

# That payloads were erased, up to when and why: the only reason for which the journal's guards let one be emptied.
erasures = Table(
    "erasures",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("until", Moment, nullable=False),
    Column("at", Moment, nullable=False),
    Column("request_id", String(40), nullable=False),
    Column("reason", Text, nullable=False),
    Column("manifest_id", Integer, nullable=False),
)
