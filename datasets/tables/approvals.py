"""Approvals: who let which plan, or which batch, as it read then, be applied; rows are only ever added."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from datasets.tables.metadata import Json, Moment, metadata

approvals = Table(
    "approvals",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("plan_id", String(40), ForeignKey("plans.id"), nullable=False),
    Column("plan_hash", String(64), nullable=False),
    Column("person_id", String(80), nullable=False),
    Column("person_name", Text, nullable=False),
    Column("verified", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("expires", Moment, nullable=False),
    Index("ix_approvals_plan_id", "plan_id"),
)

batch_approvals = Table(
    "batch_approvals",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("batch_id", String(40), nullable=False),  # of a batch that may be gone: it was never begun then
    Column("batch_hash", String(64), nullable=False),  # of its options and its users
    Column("users", Integer, nullable=False),
    Column("plans", Json, nullable=False),  # the waves that were planned by then: plan and its hash
    Column("person_id", String(80), nullable=False),
    Column("person_name", Text, nullable=False),
    Column("verified", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("expires", Moment, nullable=False),
    Index("ix_batch_approvals_batch_id", "batch_id"),
)
