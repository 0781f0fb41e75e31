"""Batches of users who move to Teams: who, in which wave, and which plan answers it. How they stand is in the plans."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table, Text

from datasets.tables.metadata import Json, Moment, metadata

batches = Table(
    "batches",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(120), nullable=False, unique=True),
    Column("created_at", Moment, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("source", Json, nullable=False),  # where the users come from: kind and what was written
    Column("options", Json, nullable=False),
    # What a person, or the error budget, decided: new, go, paused, cancelled, or retry (paused
    # for all but those who are tried again). Everything else is read from the plans.
    Column("control", String(20), nullable=False),
    Column("control_reason", Text, nullable=False),
    Column("control_at", Moment, nullable=False),
    Column("window_start", Moment, nullable=True),
    Column("window_end", Moment, nullable=True),
    Column("error_budget_percent", Float, nullable=False),
    Column("request_id", String(40), nullable=True),  # which made it; batches of before have none
)

batch_users = Table(
    "batch_users",
    metadata,
    Column("batch_id", String(40), ForeignKey("batches.id"), primary_key=True),
    Column("row", Integer, primary_key=True),  # the row of the file, or the place in the list
    Column("given", Text, nullable=False),
    Column("user_id", String(40), nullable=True),
    Column("label", Text, nullable=False),
    Column("problem", String(20), nullable=False),  # empty, or why the row is nobody: not_found, duplicate
    Column("remark", Text, nullable=False),
    Column("wave", Integer, nullable=True),
    Column("plan_id", String(40), nullable=True),
    Column("undo_plan_id", String(40), nullable=True),
    Index("ix_batch_users_wave", "batch_id", "wave"),
    Index("ix_batch_users_plan_id", "plan_id"),
)

batch_plans = Table(
    "batch_plans",
    metadata,
    Column("plan_id", String(40), ForeignKey("plans.id"), primary_key=True),
    Column("batch_id", String(40), ForeignKey("batches.id"), nullable=False),
    Column("wave", Integer, nullable=False),
    Column("kind", String(10), nullable=False),  # move, retry, undo
    Column("forgiven", Integer, nullable=False, default=0),  # failures before the batch was last resumed
    Index("ix_batch_plans_batch_id", "batch_id", "wave"),
)
