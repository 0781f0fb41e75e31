"""the versions of lifecycle templates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from datasets.tables import metadata as tables

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "template_versions",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=12), nullable=False),
        sa.Column("body", tables.Json, nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("first_seen", tables.Moment(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_template_versions")),
    )
    op.create_index("ix_template_versions_first_seen", "template_versions", ["name", "first_seen"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("a schema is never taken back; restore the backup instead")
