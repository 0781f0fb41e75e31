"""Our own database: transactions, snapshots, moments, and what happens when it is gone or busy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Column, MetaData, Table, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from config.errors import InputRefused
from connectors.database import LONGEST_NAP_S, Database
from connectors.errors import Busy, Unreachable
from datasets.tables.metadata import Moment
from tests.fakes.databases import PrivatePostgres, sqlite_database, unhurried


@pytest.fixture(autouse=True)
def as_it_is() -> Iterator[None]:
    """Leave every database as the product sets it up."""
    with unhurried():
        yield


@pytest.fixture
def counter(database: Database) -> Database:
    """Give a database with a table of two counters."""
    with database.write() as connection:
        connection.execute(text("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)"))
        connection.execute(text("INSERT INTO t VALUES (1, 0), (2, 0)"))
    return database


def read_counter(database: Database) -> int:
    """Read the first counter."""
    with database.read() as connection:
        return int(connection.execute(text("SELECT n FROM t WHERE id = 1")).scalar_one())


def test_write_is_seen_by_the_next_read(counter: Database) -> None:
    """A committed write is visible to everybody."""
    with counter.write() as connection:
        connection.execute(text("UPDATE t SET n = 7"))
    assert read_counter(counter) == 7


def test_failed_write_leaves_nothing(counter: Database) -> None:
    """Any error inside the transaction undoes all of it and reaches the caller as it is."""
    with pytest.raises(KeyError), counter.write() as connection:  # noqa: PT012 - the error after the write is the case
        connection.execute(text("UPDATE t SET n = 7"))
        raise KeyError
    assert read_counter(counter) == 0


def test_read_sees_one_snapshot(counter: Database) -> None:
    """What others commit while a read is open is not seen by its later statements."""
    with counter.read() as connection:
        before = connection.execute(text("SELECT n FROM t WHERE id = 1")).scalar_one()
        with counter.write() as other:
            other.execute(text("UPDATE t SET n = 7"))
        after = connection.execute(text("SELECT n FROM t WHERE id = 1")).scalar_one()
    assert (before, after) == (0, 0)
    assert read_counter(counter) == 7


def test_nothing_written_in_a_read_is_kept(counter: Database) -> None:
    """A read that writes by mistake changes nothing: SQLite forgets it, PostgreSQL refuses it."""
    try:
        with counter.read() as connection:
            connection.execute(text("UPDATE t SET n = 7"))
    except DBAPIError as error:
        assert "read-only" in str(error)  # noqa: PT017 - one of the two databases refuses
    assert read_counter(counter) == 0


def test_threads_take_turns(counter: Database) -> None:
    """Sixteen threads that count lose no count."""

    def add(_: int) -> None:
        with counter.write() as connection:
            n = connection.execute(
                text("SELECT n FROM t WHERE id = 1 FOR UPDATE" if is_pg else "SELECT n FROM t")
            ).scalar()
            connection.execute(text("UPDATE t SET n = :n WHERE id = 1"), {"n": (n or 0) + 1})

    is_pg = not counter.is_sqlite
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(add, range(160)))
    assert read_counter(counter) == 160


def test_threads_share_a_database_in_memory() -> None:
    """An in-memory database is one for every thread, readers and writers alike."""
    database = Database("sqlite://")
    with database.write() as connection:
        connection.execute(text("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)"))

    def add(n: int) -> None:
        with database.write() as connection:
            connection.execute(text("INSERT INTO t VALUES (:id, 1)"), {"id": n})
        with database.read() as connection:
            connection.execute(text("SELECT count(*) FROM t")).scalar_one()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(80)))
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM t")).scalar_one() == 80
    database.close()


def test_transaction_inside_a_transaction_is_refused(sqlite: Database) -> None:
    """A thread that would wait for itself for ever is told so at once; afterwards the database works."""
    with sqlite.write(), pytest.raises(RuntimeError, match="pass its connection on"), sqlite.write():
        pass
    with sqlite.write() as connection:
        connection.execute(text("SELECT 1"))


def test_broken_statement_is_not_a_broken_database(counter: Database) -> None:
    """Our own mistakes stay what they are: they are not worth trying again."""
    with pytest.raises(IntegrityError), counter.write() as connection:
        connection.execute(text("INSERT INTO t VALUES (1, 1)"))


@pytest.mark.postgres
def test_missing_column_is_our_mistake(postgres: PrivatePostgres) -> None:
    """PostgreSQL's refusal of a statement is no reason to try again."""
    database = postgres.new_database()
    with pytest.raises(ProgrammingError), database.read() as connection:
        connection.execute(text("SELECT nonsense"))
    database.close()


@pytest.fixture(params=["no server", "not a database", "no folder"])
def gone(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the address of a database that cannot be used."""
    broken = tmp_path / "broken"
    broken.write_bytes(b"this is no database " * 100)
    addresses = {
        "no server": f"postgresql+psycopg://ada:s3cret@/calls?host={tmp_path}",
        "not a database": f"sqlite:///{broken}",
        "no folder": f"sqlite:///{broken / 'below' / 'a.db'}",
    }
    return addresses[str(request.param)]


@pytest.mark.parametrize("url", ["", "nonsense s3cret", "mysql://ada:s3cret@host/db"])
def test_address_that_is_none_is_refused(url: str) -> None:
    """An address we cannot use is refused as input, without repeating what may hold a password."""
    with pytest.raises(InputRefused, match="CALLWRIGHT_DATABASE_URL") as error:
        Database(url)
    assert "s3cret" not in str(error.value)


def test_database_that_is_gone_says_so_in_one_line(gone: str) -> None:
    """Whatever is wrong with it, the error is Unreachable, one line, with a remedy and without the password."""
    with pytest.raises(Unreachable) as error, Database(gone).write() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
    message = str(error.value)
    assert "CALLWRIGHT_DATABASE_URL" in message
    assert "\n" not in message
    assert "s3cret" not in message


@pytest.mark.postgres
def test_connections_lost_between_transactions_are_replaced(postgres: PrivatePostgres) -> None:
    """A server that was restarted in between is noticed before the transaction, not in it."""
    database, other = postgres.new_database(), Database(postgres.url("postgres"))
    with database.read() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with other.write() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    with database.write() as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() != pid
    database.close()
    other.close()


@pytest.mark.postgres
def test_session_ended_by_the_server_is_unreachable(postgres: PrivatePostgres) -> None:
    """A transaction whose session is ended from outside fails as a whole and may be tried again."""
    database, other = postgres.new_database(), Database(postgres.url("postgres"))
    with pytest.raises(Unreachable), database.write() as connection:  # noqa: PT012 - it is lost between two statements
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with other.write() as killer:
            killer.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        connection.execute(text("SELECT 1"))
    database.close()
    other.close()


@pytest.mark.postgres
def test_deadlock_is_busy(postgres: PrivatePostgres) -> None:
    """Of two transactions that wait for each other one is told to try again; the other goes on."""
    database, both_hold_one = postgres.new_database(), threading.Barrier(2)
    with database.write() as connection:
        connection.execute(text("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)"))
        connection.execute(text("INSERT INTO t VALUES (1, 0), (2, 0)"))

    def cross(first: int) -> str:
        try:
            with database.write() as connection:
                connection.execute(text("SET LOCAL deadlock_timeout = '50ms'"))
                connection.execute(text("UPDATE t SET n = n + 1 WHERE id = :id"), {"id": first})
                both_hold_one.wait()
                connection.execute(text("UPDATE t SET n = n + 1 WHERE id = :id"), {"id": 3 - first})
        except Busy:
            return "busy"
        return "done"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(cross, (1, 2))) == ["busy", "done"]
    database.close()


def test_moment_comes_back_as_utc(database: Database) -> None:
    """A moment is stored as UTC to the microsecond, sorts by time, and a naive one is refused."""
    table = Table("moments", MetaData(), Column("at", Moment))
    vienna = datetime(2026, 10, 25, 2, 30, 0, 1, tzinfo=timezone(timedelta(hours=2)))
    moments = [vienna, vienna + timedelta(hours=1, microseconds=-2), datetime(2026, 1, 1, tzinfo=UTC)]
    with database.write() as connection:
        table.create(connection)
        connection.execute(insert(table), [{"at": moment} for moment in moments])
    with database.read() as connection:
        stored = list(connection.execute(select(table.c.at).order_by(table.c.at)).scalars())
    assert stored == sorted(moments)
    assert all(moment.tzinfo == UTC for moment in stored)
    with pytest.raises(Exception, match="naive moment"), database.write() as connection:
        connection.execute(insert(table), {"at": datetime(2026, 1, 1)})  # noqa: DTZ001 - the mistake under test


def test_two_processes_worth_of_connections_wait_for_each_other(tmp_path: Path) -> None:
    """A second writer on the same file waits its turn instead of failing with "database is locked"."""
    first, second = sqlite_database(tmp_path), Database(f"sqlite:///{tmp_path / 'callwright.db'}")
    started, order = threading.Event(), []

    def late() -> None:
        started.set()
        with second.write():
            order.append("second")

    with first.write():
        thread = threading.Thread(target=late)
        thread.start()
        started.wait()
        order.append("first")
    thread.join(timeout=60)
    assert order == ["first", "second"]
    first.close()
    second.close()


def test_work_that_can_wait_leaves_a_gap_after_each_slice(tmp_path: Path) -> None:
    """SQLite has no queue: who writes slice after slice rests in between, as nobody else has to."""
    naps: list[float] = []
    database = Database(f"sqlite:///{tmp_path / 'x.db'}", sleep=naps.append)
    for _ in range(2):
        with database.write_aside() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS t (n INTEGER)"))
    with database.write():
        pass
    assert naps[0] == 0
    assert 0 < naps[1] <= LONGEST_NAP_S
    assert len(naps) == 2
    database.close()


def test_work_that_can_wait_moves_the_log_before_others_must(tmp_path: Path) -> None:
    """Whoever commits when the write-ahead log is long moves it into the file: the background does so earlier."""
    database = sqlite_database(tmp_path)
    with database.write_aside() as connection:
        aside = connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar_one()
    with database.write() as connection:
        others = connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar_one()
    assert aside < others
    database.close()


def test_a_write_that_others_must_learn_of_goes_before_the_queue(tmp_path: Path) -> None:
    """It is committed while other writers of this process stand in line; who comes next waits for the disk again."""
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with database.write() as connection:
        connection.execute(text("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)"))
        connection.execute(text("INSERT INTO t VALUES (1, 0)"))
    with ThreadPoolExecutor(1) as pool:
        with database._writer:
            queued = pool.submit(set_counter, database, 9)
            with database.write_first() as connection:
                connection.execute(text("UPDATE t SET n = 7"))
            assert (read_counter(database), queued.done()) == (7, False)
        queued.result(timeout=60)
    assert read_counter(database) == 9
    with database.write() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2
    database.close()


def test_a_failed_write_of_that_kind_leaves_nothing_either(counter: Database) -> None:
    """Any error inside undoes it, on both databases."""
    with pytest.raises(KeyError), counter.write_first() as connection:  # noqa: PT012 - the error is the case
        connection.execute(text("UPDATE t SET n = 7"))
        raise KeyError
    assert read_counter(counter) == 0


def set_counter(database: Database, value: int) -> None:
    """Write the counters in a transaction like any other."""
    with database.write() as connection:
        connection.execute(text("UPDATE t SET n = :n"), {"n": value})
