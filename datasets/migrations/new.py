"""Writes the next migration from the table definitions: `python -m datasets.migrations.new "what it does"`.

Read what it wrote before you commit it; it compares with a database of the present head, made for the purpose.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

HERE = Path(__file__).resolve().parent


def write(message: str) -> None:
    """Write the next migration; the numbers of migrations count up."""
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    head = ScriptDirectory.from_config(config).get_current_head()
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/empty.db")
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            if head is not None:
                command.upgrade(config, "head")
            command.revision(config, message, autogenerate=True, rev_id=f"{int(head or 0) + 1:04d}")
        engine.dispose()


if __name__ == "__main__":
    write(" ".join(sys.argv[1:]) or "change")
