"""lifecycle: people as HR last described them, and departures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from datasets.tables import metadata as tables

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "known_people",
        sa.Column("employee_id", sa.String(length=200), nullable=False),
        sa.Column("person", tables.Json, nullable=False),
        sa.Column("effective_at", tables.Moment(), nullable=True),
        sa.Column("feed_id", sa.String(length=40), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("changed_country", sa.Boolean(), nullable=False),
        sa.Column("changed_site", sa.Boolean(), nullable=False),
        sa.Column("at", tables.Moment(), nullable=False),
        sa.PrimaryKeyConstraint("employee_id", name=op.f("pk_known_people")),
    )
    op.create_table(
        "departures",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("targets", tables.Json, nullable=True),
        sa.Column("delete_after_days", sa.Integer(), nullable=True),
        sa.Column("request_id", sa.String(length=40), nullable=False),
        sa.Column("created_at", tables.Moment(), nullable=False),
        sa.Column("closed_at", tables.Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_departures")),
    )
    op.create_index("ix_departures_subject", "departures", ["subject"], unique=False)
    op.create_index("ix_departures_state", "departures", ["state"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("a schema is never taken back; restore the backup instead")
