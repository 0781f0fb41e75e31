"""approvals of whole batches."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from datasets.tables import metadata as tables
from datasets.tables.journal_guards import BATCH_APPROVALS, statements

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("request_id", sa.String(length=40), nullable=True))
    op.create_table(
        "batch_approvals",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("batch_id", sa.String(length=40), nullable=False),
        sa.Column("batch_hash", sa.String(length=64), nullable=False),
        sa.Column("users", sa.Integer(), nullable=False),
        sa.Column("plans", tables.Json, nullable=False),
        sa.Column("person_id", sa.String(length=80), nullable=False),
        sa.Column("person_name", sa.Text(), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", tables.Moment(), nullable=False),
        sa.Column("expires", tables.Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_approvals")),
    )
    op.create_index("ix_batch_approvals_batch_id", "batch_approvals", ["batch_id"], unique=False)
    connection = op.get_bind()
    for statement in statements(connection.dialect.name, BATCH_APPROVALS):
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    raise NotImplementedError("a schema is never taken back; restore the backup instead")
