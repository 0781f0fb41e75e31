"""Our own database: the only module that opens a connection to it. Table definitions live in `datasets/tables`.

SQLite: WAL with `synchronous=FULL` (the write-ahead promise must survive power loss), BEGIN IMMEDIATE, and a jittered
wait of our own, because SQLite's busy handler starves some writers (docs/decisions). PostgreSQL: plain transactions.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.pool import QueuePool, StaticPool

from connectors.errors import Unreachable

WAIT_FOR_WRITER_S = 30.0
_LOCKED = ("database is locked", "database table is locked", "database schema is locked")


class Database:
    """Short write transactions and consistent reads on one database; safe to share between threads."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.in_memory = self.is_sqlite and self.url.database in (None, "", ":memory:")
        self.engine = _sqlite_engine(str(url)) if self.is_sqlite else create_engine(self.url, pool_pre_ping=True)
        self._writer = threading.Lock()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a write transaction; commits at the end, rolls back on any error. Raises Unreachable."""
        if not self.is_sqlite:
            with _reachable(self), self.engine.begin() as connection:
                yield connection
            return
        with self._writer, _reachable(self), self.engine.connect() as connection:
            _begin_immediate(connection)
            with connection.begin():
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read transaction (one snapshot). Raises Unreachable."""
        with self._reader(), _reachable(self), self.engine.connect() as connection:
            yield connection

    def _reader(self) -> AbstractContextManager[object]:
        # An in-memory database has one connection: readers wait for the writer there.
        return self._writer if self.in_memory else nullcontext()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


@contextmanager
def _reachable(database: Database) -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        where = database.url.render_as_string(hide_password=True)
        raise Unreachable(
            f"database {where} cannot be used: {_first_line(error)} ; check that it runs and that "
            "CALLWRIGHT_DATABASE_URL is right",
            system="database",
        ) from error


def _first_line(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


def _sqlite_engine(url: str) -> Engine:
    in_memory = make_url(url).database in (None, "", ":memory:")
    engine = create_engine(
        url,
        poolclass=StaticPool if in_memory else QueuePool,
        connect_args={"timeout": 0, "check_same_thread": False},
    )
    if not in_memory:
        Path(str(make_url(url).database)).parent.mkdir(parents=True, exist_ok=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", lambda connection: _begin(connection))
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


def _begin_immediate(connection: Connection) -> None:
    connection.info["begin"] = "BEGIN IMMEDIATE"


def _begin(connection: Connection) -> None:
    statement = connection.info.pop("begin", "BEGIN")
    give_up_at = time.monotonic() + WAIT_FOR_WRITER_S
    while True:
        try:
            connection.exec_driver_sql(statement)
        except OperationalError as error:
            if not any(text in str(error) for text in _LOCKED) or time.monotonic() > give_up_at:
                raise
            time.sleep(random.uniform(0.001, 0.02))  # noqa: S311 - jitter, not cryptography
        else:
            return
