"""the biography of numbers, and more about pools."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from datasets.tables import metadata as tables

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "number_history",
        sa.Column("id", tables.BigId, nullable=False),
        sa.Column("space", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.SmallInteger(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("at", tables.Moment(), nullable=False),
        sa.Column("pool", sa.String(length=80), nullable=True),
        sa.Column("state_before", sa.String(length=10), nullable=False),
        sa.Column("owner_before", sa.String(length=300), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("owner", sa.String(length=300), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("until", tables.Moment(), nullable=True),
        sa.Column("plan_id", sa.String(length=40), nullable=True),
        sa.Column("actor", sa.String(length=300), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_number_history")),
    )
    op.create_index("ix_number_history_number", "number_history", ["space", "width", "n", "id"])
    op.create_index("ix_number_history_at", "number_history", ["at"])
    for column in (
        sa.Column("country", sa.String(length=2), nullable=False, server_default=""),
        sa.Column("carrier", sa.String(length=80), nullable=False, server_default=""),
        sa.Column("tags", tables.Json, nullable=False, server_default="[]"),
        sa.Column("is_policy", sa.Boolean(), nullable=False, server_default=sa.true()),
    ):
        op.add_column("pools", column)
    op.add_column("ranges", sa.Column("is_added", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("withheld_spans", sa.Column("is_added", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(sa.text("UPDATE pools SET number_class = 'ordinary' WHERE number_class = 'standard'"))


def downgrade() -> None:
    raise NotImplementedError("a schema is never taken back; restore the backup instead")
