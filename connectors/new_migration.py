"""Writes the next migration from the table definitions: `python -m connectors.new_migration "what it does"`.

Read what it wrote before you commit it; it compares with a database of the present head, made for the purpose.
"""

from __future__ import annotations

import sys
import tempfile

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from connectors.database import Database
from connectors.schema import MIGRATIONS


def write(message: str) -> None:
    """Write the next migration; the numbers of migrations count up."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    head = ScriptDirectory.from_config(config).get_current_head()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/empty.db")
        with database.write() as connection:
            config.attributes["connection"] = connection
            if head is not None:
                command.upgrade(config, "head")
            command.revision(config, message, autogenerate=True, rev_id=f"{int(head or 0) + 1:04d}")
        database.close()


if __name__ == "__main__":
    write(" ".join(sys.argv[1:]) or "change")
