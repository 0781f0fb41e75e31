"""who a SCIM user is to HR, as a column."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from datasets.tables import metadata as tables

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None
_ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def upgrade() -> None:
    op.add_column("scim_users", sa.Column("employee_id", sa.String(length=300), nullable=False, server_default=""))
    users = sa.table("scim_users", sa.column("id"), sa.column("employee_id"), sa.column("resource", tables.Json))
    connection = op.get_bind()
    for row in connection.execute(sa.select(users.c.id, users.c.resource)).all():
        known = (row.resource.get(_ENTERPRISE) or {}).get("employeeNumber") or row.resource.get("externalId") or ""
        connection.execute(sa.update(users).where(users.c.id == row.id).values(employee_id=known[:300]))
    op.create_index("ix_scim_users_employee_id", "scim_users", ["employee_id"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("a schema is never taken back; restore the backup instead")
