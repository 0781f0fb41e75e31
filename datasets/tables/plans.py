"""Plans, their lines (one user each) and the ordered changes of a line. Plans are rows before they are actions."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from datasets.tables.metadata import Json, Moment, metadata

plans = Table(
    "plans",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("request_id", String(40), ForeignKey("requests.id"), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("state", String(20), nullable=False),
    Index("ix_plans_request_id", "request_id"),
)

plan_lines = Table(
    "plan_lines",
    metadata,
    Column("plan_id", String(40), ForeignKey("plans.id"), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("object", String(300), nullable=False),
    Column("label", Text, nullable=False),
    Column("success", String(20), nullable=False),  # what the line is called once verified: onboarded, planned_ahead
    Column("source", Json, nullable=False),  # what the line answers: feed, feed line, employee id
    Column("fingerprint", String(64), nullable=False),
    Column("state", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("condition", String(60), nullable=True),
    Column("not_before", Moment, nullable=True),
    Column("give_up_at", Moment, nullable=True),
    Column("attempts", Integer, nullable=False, default=0),
    Index("ix_plan_lines_object", "object"),
    Index("ix_plan_lines_state", "state", "not_before"),
)

plan_changes = Table(
    "plan_changes",
    metadata,
    Column("plan_id", String(40), ForeignKey("plans.id"), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("target", String(300), nullable=False),
    Column("parameters", Json, nullable=False),
    Column("effects", Json, nullable=False),
    Column("reason", Text, nullable=False),
    Column("waits_for", String(60), nullable=True),
    Column("state", String(20), nullable=False),
    Column("absent_reads", Integer, nullable=False, default=0),  # reads that showed no effect after the lag window
    Column("sent_at", Moment, nullable=True),
)
