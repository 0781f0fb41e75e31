"""Our own database: the only module that opens a connection to it. Table definitions live in `datasets/tables`.

SQLite: WAL with `synchronous=FULL` (the write-ahead promise must survive power loss), BEGIN IMMEDIATE, and a jittered
wait of our own, because SQLite's busy handler starves some writers (docs/decisions). PostgreSQL: plain transactions.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool, StaticPool

from config.errors import InputRefused
from connectors.errors import Busy, Unreachable

WAIT_FOR_WRITER_S = 30.0
LONGEST_NAP_S = 0.02
"""How long a waiting writer sleeps at most before it tries again."""
_SHORT_NAP_S = 0.001
_CHECKPOINT_PAGES, _ASIDE_CHECKPOINT_PAGES = 1000, 500
_LOCKED = ("database is locked", "database table is locked", "database schema is locked")
_TRY_AGAIN = (*_LOCKED, "deadlock detected", "could not serialize access")


class Database:
    """Short write transactions and consistent reads on one database; safe to share between threads."""

    def __init__(
        self,
        url: str,
        *,
        wait_for_writer_s: float = WAIT_FOR_WRITER_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = _address(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.in_memory = self.is_sqlite and self.url.database in (None, "", ":memory:")
        self._writer, self._sleep, self._aside_from = _Turn(), sleep, 0.0
        if self.is_sqlite and not self.in_memory:
            _make_folder(self)
        self.engine = (
            _sqlite_engine(str(url), wait_for_writer_s)
            if self.is_sqlite
            else create_engine(self.url, pool_pre_ping=True)
        )

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a write transaction; commits at the end, rolls back on any error. Raises Unreachable or Busy."""
        with self._write(_CHECKPOINT_PAGES) as connection:
            yield connection

    @contextmanager
    def _write(self, checkpoint_pages: int) -> Iterator[Connection]:
        if not self.is_sqlite:
            with _reachable(self), self.engine.begin() as connection:
                yield connection
            return
        with self._writer, _reachable(self), self.engine.connect() as connection:
            connection.info["begin"] = ("BEGIN IMMEDIATE", checkpoint_pages, LONGEST_NAP_S)
            with connection.begin():
                yield connection

    @contextmanager
    def write_aside(self) -> Iterator[Connection]:
        """Open a write transaction of work that comes in slices and can wait. Raises Unreachable or Busy.

        SQLite has no queue: who writes slice after slice would shut out those who try now and then. So a slice begins
        only when as much time has passed as the last one took, or as lets everybody who waits try once. It also moves
        the write-ahead log into the file before others have to.
        """
        if self.is_sqlite:
            self._sleep(max(0.0, self._aside_from - time.monotonic()))
        with self._write(_ASIDE_CHECKPOINT_PAGES) as connection:
            begun = time.monotonic()
            yield connection
        ended = time.monotonic()
        self._aside_from = ended + min(ended - begun, LONGEST_NAP_S)

    @contextmanager
    def write_first(self) -> Iterator[Connection]:
        """Open a write transaction of a row that others must learn of within moments. Raises Unreachable or Busy.

        On SQLite it goes before the writers of this process, tries every millisecond, and does not wait for the disk:
        what it writes is lost if the power fails, and only then.
        """
        if not self.is_sqlite or self.in_memory:
            with self.write() as connection:
                yield connection
            return
        with _reachable(self), self.engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            raw.execute("PRAGMA synchronous=NORMAL")
            try:
                connection.info["begin"] = ("BEGIN IMMEDIATE", _CHECKPOINT_PAGES, _SHORT_NAP_S)
                with connection.begin():
                    yield connection
            finally:
                raw.execute("PRAGMA synchronous=FULL")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read transaction: one snapshot; nothing written in it is kept. Raises Unreachable or Busy."""
        with self._reader(), _reachable(self), self.engine.connect() as connection:
            if not self.is_sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection

    def _reader(self) -> AbstractContextManager[object]:
        # An in-memory database has one connection: readers wait for the writer there.
        return self._writer if self.in_memory else nullcontext()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


class _Turn:
    """A lock for one writer at a time, which refuses at once what would wait for itself for ever."""

    def __init__(self) -> None:
        self._lock, self._holder = threading.Lock(), 0

    def __enter__(self) -> None:
        if self._holder == threading.get_ident():
            raise RuntimeError("a transaction of this thread is open on this database: pass its connection on")
        self._lock.acquire()
        self._holder = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._holder = 0
        self._lock.release()


@contextmanager
def _reachable(database: Database) -> Iterator[None]:
    try:
        yield
    except (PoolTimeout, OperationalError, InterfaceError) as error:
        raise _translated(database, error) from error
    except DatabaseError as error:
        if (
            type(error) is not DatabaseError
        ):  # a broken statement or constraint is our mistake, not the database's state
            raise
        raise _translated(database, error) from error


def _translated(database: Database, error: SQLAlchemyError | OSError) -> Busy | Unreachable:
    where, why = database.url.render_as_string(hide_password=True), _first_line(error)
    if isinstance(error, PoolTimeout) or any(sign in why for sign in _TRY_AGAIN):
        return Busy(f"database {where} is busy: {why} ; try again", system="database")
    is_there = "the file and its folder" if database.is_sqlite else "that it runs"
    remedy = f"check {is_there}, and that CALLWRIGHT_DATABASE_URL is right"
    return Unreachable(f"database {where} cannot be used: {why} ; {remedy}", system="database")


def _first_line(error: SQLAlchemyError | OSError) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


def _address(url: str) -> URL:
    """Read a database address. Raises InputRefused, which does not repeat it: it may hold a password."""
    try:
        address = make_url(url)
        is_known = address.get_backend_name() in ("sqlite", "postgresql")
    except ArgumentError:
        is_known = False
    if not is_known:
        remedy = "write sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"
        raise InputRefused(
            "this is no address of a database we can use", where="CALLWRIGHT_DATABASE_URL", remedy=remedy
        )
    return address


def _make_folder(database: Database) -> None:
    try:
        Path(str(database.url.database)).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _translated(database, error) from error


def _sqlite_engine(url: str, wait_s: float) -> Engine:
    in_memory = make_url(url).database in (None, "", ":memory:")
    engine = create_engine(
        url,
        poolclass=StaticPool if in_memory else QueuePool,
        connect_args={"timeout": 0, "check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", partial(_begin, wait_s))
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by us, not by the driver
    # A new file is locked for a moment while another process turns it to WAL; our own wait begins after that.
    for pragma in (
        f"busy_timeout={int(WAIT_FOR_WRITER_S * 1000)}",
        "journal_mode=WAL",
        "busy_timeout=0",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(wait_s: float, connection: Connection) -> None:
    statement, pages, longest_nap_s = connection.info.pop("begin", ("BEGIN", None, LONGEST_NAP_S))
    if pages is not None:
        connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint={pages}")
    give_up_at = time.monotonic() + wait_s
    while True:
        try:
            connection.exec_driver_sql(statement)
        except OperationalError as error:
            if not any(text in str(error) for text in _LOCKED) or time.monotonic() > give_up_at:
                raise
            time.sleep(random.uniform(_SHORT_NAP_S, longest_nap_s))  # noqa: S311 - jitter, not cryptography
        else:
            return
