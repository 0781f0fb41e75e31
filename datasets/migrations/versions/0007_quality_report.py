"""the quality report of a feed, kept with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from datasets.tables import metadata as tables

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("feeds", sa.Column("quality", tables.Json, nullable=True))


def downgrade() -> None:
    raise NotImplementedError("a schema is never taken back; restore the backup instead")
