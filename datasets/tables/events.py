"""Events that came over HTTP, each a row before it is answered, and the users that a SCIM client sent."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text, UniqueConstraint

from datasets.tables.metadata import Json, Moment, metadata

events = Table(
    "events",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("door", String(20), nullable=False),  # events, scim, workflow
    Column("sender", String(200), nullable=False),
    Column("is_verified", Boolean, nullable=False),
    Column("key", String(300), nullable=False),  # what the sender calls it; the same key is the same event
    Column("digest", String(64), nullable=False),
    Column("rows", Json, nullable=True),  # forgotten once they took effect
    Column("answer", Json, nullable=False),
    Column("callback", Text, nullable=False),
    Column("callback_state", String(20), nullable=False),  # none, due, sent, failed
    Column("callback_attempts", Integer, nullable=False),
    Column("state", String(20), nullable=False),  # received, started, finished, refused, failed, retried
    Column("attempts", Integer, nullable=False),
    Column("message", Text, nullable=False),
    Column("run_id", String(40), nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("settled_at", Moment, nullable=True),
    UniqueConstraint("door", "sender", "key"),
    Index("ix_events_state", "state", "received_at"),
)

scim_users = Table(
    "scim_users",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("user_name", String(300), nullable=False, unique=True),  # folded: user names have no case
    Column("external_id", String(300), nullable=False),
    Column("employee_id", String(300), nullable=False, server_default=""),
    Column("resource", Json, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Index("ix_scim_users_external_id", "external_id"),
    Index("ix_scim_users_employee_id", "employee_id"),
)
