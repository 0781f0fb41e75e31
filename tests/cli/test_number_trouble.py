"""A database that is locked, full or gone in the middle of a number command: one line, exit code 3, nothing changed."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select, text

from connectors import schema
from connectors.database import Database
from datasets.inventory import Counts, Pool, Span
from datasets.tables.number_history import number_history
from engine import inventory
from tests.fakes.command_line import Run
from tests.fakes.databases import PrivatePostgres

pytestmark = pytest.mark.slow

POOL = Pool(name="p", country="AT", spans=(Span.read("+43100", "+43199"),))
SHEET = "pool,start,end,state,owner\n" + "".join(f"p,+431{n:02},+431{n:02},reserved,4711\n" for n in range(50))
ONE_PAGE = 6000
ACTS = {
    "reserve": ("reserve", "--pool", "p", "--count", "40", "--owner", "4711"),
    "block": ("block", "+43150", "--reason", "crank calls"),
    "import": ("import", "sheet.csv"),
    "create": ("pool", "create", "q", "--country", "AT", "--range", "+43200-+43299"),
}
END_THIS_SESSION = (
    "CREATE FUNCTION vanish() RETURNS trigger AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid());"
    " PERFORM pg_sleep(5); RETURN NEW; END $$ LANGUAGE plpgsql"
)


def seen(database: Database) -> tuple[Counts, int, list[str]]:
    """Give what is in the pool, how long the history is, and which pools there are; fails when it does not add up."""
    with database.read() as connection:
        assert inventory.violations(connection) == []
        history = len(connection.execute(select(number_history.c.id)).all())
        return inventory.counts(connection, "p"), history, inventory.pool_names(connection)


def ready(database: Database, folder: Path) -> tuple[Counts, int, list[str]]:
    """Make the pool and the sheet; gives what is there."""
    with database.write() as connection:
        inventory.define_pool(connection, POOL)
    (folder / "sheet.csv").write_text(SHEET, encoding="utf-8")
    return seen(database)


@contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """Leave room for one page in the database's log, so that a transaction breaks off while it is written."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ONE_PAGE, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_locked_database_is_busy_and_nothing_changed(
    own_database: Database, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, act: tuple[str, ...]
) -> None:
    """Another program holds the write lock: exit code 3 and one line that says to try again; afterwards it works."""
    before = ready(own_database, folder)
    monkeypatch.setenv("CALLWRIGHT_DATABASE_WAIT_S", "0.05")
    monkeypatch.setenv("CALLWRIGHT_SITE", "nowhere")
    with closing(sqlite3.connect(folder / ".callwright" / "callwright.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ran = run("numbers", *act)
        other.execute("ROLLBACK")
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (3, "", 1)
    assert "database is locked ; try again" in ran.err
    assert seen(own_database) == before
    assert run("numbers", *act).code == 0
    assert seen(own_database) != before


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_full_disk_in_the_middle_changes_nothing(
    own_database: Database, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, act: tuple[str, ...]
) -> None:
    """The file cannot grow while the command writes: exit code 3, one line naming the file, nothing of it kept."""
    before = ready(own_database, folder)
    monkeypatch.setenv("CALLWRIGHT_SITE", "nowhere")
    with full_disk(folder / ".callwright" / "callwright.db"):
        ran = run("numbers", *act)
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (3, "", 1)
    assert "callwright.db cannot be used: " in ran.err
    assert seen(own_database) == before
    assert run("numbers", *act).code == 0


@pytest.mark.postgres
@pytest.mark.parametrize("act", [ACTS["reserve"], ACTS["block"], ACTS["import"]], ids=["reserve", "block", "import"])
def test_a_server_that_goes_away_in_the_middle_changes_nothing(
    postgres: PrivatePostgres, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, act: tuple[str, ...]
) -> None:
    """The server ends the session after some rows were written: exit code 3, one line, nothing of it kept."""
    url = postgres.new_empty()
    monkeypatch.setenv("CALLWRIGHT_DATABASE_URL", url)
    monkeypatch.setenv("CALLWRIGHT_SITE", "nowhere")
    with closing(Database(url)) as database:
        schema.upgrade(database)
        before = ready(database, folder)
        with database.write() as connection:
            connection.execute(text(END_THIS_SESSION))
            trigger = "CREATE TRIGGER vanish BEFORE INSERT ON number_history FOR EACH ROW EXECUTE FUNCTION vanish()"
            connection.execute(text(trigger))
        ran = run("numbers", *act)
        assert (ran.code, ran.out, len(ran.err.splitlines())) == (3, "", 1)
        assert "cannot be used: " in ran.err
        assert seen(database) == before
        with database.write() as connection:
            connection.execute(text("DROP TRIGGER vanish ON number_history"))
        assert run("numbers", *act).code == 0
        assert seen(database) != before
