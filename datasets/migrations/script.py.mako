"""${message}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from datasets.tables import metadata as tables
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    raise NotImplementedError("a schema is never taken back; restore the backup instead")
