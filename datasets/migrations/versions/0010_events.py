"""events that came over HTTP, and the users of SCIM clients."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from datasets.tables import metadata as tables

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("door", sa.String(length=20), nullable=False),
        sa.Column("sender", sa.String(length=200), nullable=False),
        sa.Column("is_verified", sa.Boolean(), nullable=False),
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("rows", tables.Json, nullable=True),
        sa.Column("answer", tables.Json, nullable=False),
        sa.Column("callback", sa.Text(), nullable=False),
        sa.Column("callback_state", sa.String(length=20), nullable=False),
        sa.Column("callback_attempts", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("received_at", tables.Moment(), nullable=False),
        sa.Column("settled_at", tables.Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("door", "sender", "key", name=op.f("uq_events_door_sender_key")),
    )
    op.create_index("ix_events_state", "events", ["state", "received_at"])
    op.create_table(
        "scim_users",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_name", sa.String(length=300), nullable=False),
        sa.Column("external_id", sa.String(length=300), nullable=False),
        sa.Column("resource", tables.Json, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", tables.Moment(), nullable=False),
        sa.Column("changed_at", tables.Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scim_users")),
        sa.UniqueConstraint("user_name", name=op.f("uq_scim_users_user_name")),
    )
    op.create_index("ix_scim_users_external_id", "scim_users", ["external_id"])


def downgrade() -> None:
    raise NotImplementedError("a schema is never taken back; restore the backup instead")
