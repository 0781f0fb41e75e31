"""The schema of our database: which revision it has, which one this program needs, and the way to get there.

Nothing here runs by itself: `./callwright database upgrade` and the demo call it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from config.errors import InputRefused
from connectors.database import Database

MIGRATIONS = Path(__file__).resolve().parent.parent / "datasets" / "migrations"
_ADVISORY_LOCK = 4_711_001


@dataclass(frozen=True)
class Revision:
    """What the database has, what this program needs, and whether the database has no tables at all."""

    found: str | None
    needed: str
    is_empty: bool

    @property
    def is_current(self) -> bool:
        """Tell whether the program can work with the database."""
        return self.found == self.needed


def revision(database: Database) -> Revision:
    """Read which revision the database has. Raises Unreachable."""
    with database.read() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
        return Revision(found, _needed(), is_empty=not inspect(connection).get_table_names())


def upgrade(database: Database) -> Revision:
    """Bring the schema to the needed revision in one transaction; gives what was there before."""
    before = revision(database)
    _refuse_unknown(before)
    if not before.is_current:
        with _alone(database) as connection:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return before


def require(database: Database) -> None:
    """Raise InputRefused unless the schema is the one this program needs."""
    found = revision(database)
    _refuse_unknown(found)
    if not found.is_current:
        what = f"schema is {found.found or 'missing'}, this program needs {found.needed}"
        raise InputRefused(what, where="database", remedy="back it up, then run: ./callwright database upgrade")


def _refuse_unknown(found: Revision) -> None:
    if found.is_current:
        return
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found.found is not None and found.found not in known:
        what = f"schema {found.found} is not known to this program, which needs {found.needed}"
        raise InputRefused(what, where="database", remedy="use the version of Callwright that wrote it, or a newer one")


@contextmanager
def _alone(database: Database) -> Iterator[Connection]:
    """Open the one transaction; a second process that upgrades waits, then finds nothing to do."""
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        yield connection


@cache
def _needed() -> str:
    """Give the newest revision; read once, because every stage of a run asks."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config
