"""batches of users who move to Teams."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from datasets.tables import metadata as tables

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("created_at", tables.Moment(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("source", tables.Json, nullable=False),
        sa.Column("options", tables.Json, nullable=False),
        sa.Column("control", sa.String(length=20), nullable=False),
        sa.Column("control_reason", sa.Text(), nullable=False),
        sa.Column("control_at", tables.Moment(), nullable=False),
        sa.Column("window_start", tables.Moment(), nullable=True),
        sa.Column("window_end", tables.Moment(), nullable=True),
        sa.Column("error_budget_percent", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
        sa.UniqueConstraint("name", name=op.f("uq_batches_name")),
    )
    op.create_table(
        "batch_users",
        sa.Column("batch_id", sa.String(length=40), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("given", sa.Text(), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=True),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("problem", sa.String(length=20), nullable=False),
        sa.Column("remark", sa.Text(), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=True),
        sa.Column("plan_id", sa.String(length=40), nullable=True),
        sa.Column("undo_plan_id", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_batch_users_batch_id_batches")),
        sa.PrimaryKeyConstraint("batch_id", "row", name=op.f("pk_batch_users")),
    )
    op.create_index("ix_batch_users_wave", "batch_users", ["batch_id", "wave"])
    op.create_index("ix_batch_users_plan_id", "batch_users", ["plan_id"])
    op.create_table(
        "batch_plans",
        sa.Column("plan_id", sa.String(length=40), nullable=False),
        sa.Column("batch_id", sa.String(length=40), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("forgiven", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("fk_batch_plans_plan_id_plans")),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_batch_plans_batch_id_batches")),
        sa.PrimaryKeyConstraint("plan_id", name=op.f("pk_batch_plans")),
    )
    op.create_index("ix_batch_plans_batch_id", "batch_plans", ["batch_id", "wave"])


def downgrade() -> None:
    raise NotImplementedError("a schema is never taken back; restore the backup instead")
