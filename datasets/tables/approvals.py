"""Approvals: who let which plan, as it read then, be applied; rows are only ever added."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, String, Table, Text

from datasets.tables.metadata import Moment, metadata

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
