"""Requests: who asked for what, when, and what came of it. A run's first act is its row here."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, String, Table, Text

from datasets.tables.metadata import Json, Moment, metadata

requests = Table(
    "requests",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("actor_kind", String(20), nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("actor_verified", Boolean, nullable=False),
    Column("idempotency_key", String(200), nullable=True),
    Column("parameters", Json, nullable=False),
    Column("flow_run_id", String(40), nullable=True),
    Column("state", String(20), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("finished_at", Moment, nullable=True),
    Column("summary", Json, nullable=True),
    Index("ix_requests_created_at", "created_at"),
    Index("ix_requests_idempotency_key", "idempotency_key"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("cause", String(200), nullable=False),
    Column("message", Text, nullable=False),
    Column("request_id", String(40), nullable=True),
    Column("raised_at", Moment, nullable=False),
    Column("cleared_at", Moment, nullable=True),
    Index("ix_alerts_cause", "cause", "cleared_at"),
)
