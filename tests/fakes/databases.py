"""Databases for tests: SQLite files and a private PostgreSQL, both with every table in place.

The server runs without a network port, in a folder of its own, as an unprivileged account when the tests run as root.
"""

from __future__ import annotations

import importlib
import itertools
import os
import pkgutil
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import psycopg
import pytest
from sqlalchemy import Connection, Engine, create_engine, event

import datasets.tables
from connectors import schema
from connectors.database import Database
from datasets.tables.metadata import metadata

START_WITHIN_S = 60.0
_UNPRIVILEGED = "nobody"
_TEMPLATE = "with_tables"


def import_tables() -> None:
    """Import every module of table definitions, so that the one MetaData knows them all."""
    for module in pkgutil.iter_modules(datasets.tables.__path__, "datasets.tables."):
        importlib.import_module(module.name)


def sqlite_database(folder: Path) -> Database:
    """Make an SQLite database with every table in the folder; close it yourself."""
    import_tables()
    path = folder / "callwright.db"
    path.write_bytes(_sqlite_made_by(_create_all))
    return Database(f"sqlite:///{path}")


def upgraded_sqlite(path: Path) -> str:
    """Write an SQLite file as the migrations leave a new one, and give its address."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_sqlite_made_by(schema.upgrade))
    return f"sqlite:///{path}"


D = TypeVar("D", bound=Database)


def with_tables(database: D) -> D:
    """Put every table into an empty database in memory, and give it: where a file and a disk have no part."""
    with database.engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        import_tables()
        made = bytearray(_sqlite_made_by(_create_all))
        made[18:20] = b"\1\1"  # the mark of the journal: there is no write-ahead log in memory
        raw.deserialize(bytes(made))
    return database


def in_memory() -> Database:
    """Make an SQLite database with every table in memory."""
    return with_tables(Database("sqlite://"))


def _create_all(database: Database) -> None:
    metadata.create_all(database.engine)


@cache
def _sqlite_made_by(fill: Callable[[Database], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/made.db")
        fill(database)
        database.close()
        return Path(folder, "made.db").read_bytes()


class _Compiled(dict[Any, Any]):
    """Compiled statements of every database of a kind: each test has a database of its own, and asks the same."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(self._of_kind(key), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__(self._of_kind(key), compiled)

    def _of_kind(self, key: Any) -> Any:
        dialect, *others = key
        return (dialect.name, *others)


_COMPILED = _Compiled()


def _hurry(connection: Connection) -> None:
    connection.execution_options(compiled_cache=_COMPILED)
    if connection.dialect.name == "sqlite":
        raw: Any = connection.connection.driver_connection
        raw.execute("PRAGMA synchronous=OFF")


def hurry() -> None:
    """Compile each statement once for all databases of this process, and do not wait for the disk.

    What is lost without the disk is lost when the power fails: no test can see it, and the death of a process is none.
    """
    event.listen(Engine, "engine_connect", _hurry)


@contextmanager
def unhurried() -> Iterator[None]:
    """Leave databases as the product sets them up."""
    event.remove(Engine, "engine_connect", _hurry)
    try:
        yield
    finally:
        hurry()


def require(name: str, reason: str) -> NoReturn:
    """Skip the test, or fail it when CALLWRIGHT_REQUIRE names what is missing."""
    if name in os.environ.get("CALLWRIGHT_REQUIRE", "").split():
        pytest.fail(f"{name} is required: {reason}")
    pytest.skip(reason)


class PrivatePostgres:
    """A PostgreSQL server that lives as long as the tests; each test gets a database of its own."""

    def __init__(self, programs: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="callwright-pg-"))
        self._programs, self._names = programs, itertools.count(1)
        self._prefix = ["setpriv", "--pdeathsig=INT"] if shutil.which("setpriv") else []  # stops with the tests
        if os.getuid() == 0:
            shutil.chown(self.folder, _UNPRIVILEGED)
            self._prefix += [f"--reuid={_UNPRIVILEGED}", "--clear-groups"]
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the cluster, start the server and prepare the template with every table."""
        data = self.folder / "data"
        made = [
            *self._prefix,
            self._program("initdb"),
            "-D",
            str(data),
            "-U",
            "callwright",
            "--auth=trust",
            "--no-sync",
        ]
        subprocess.run([*made, "--encoding=UTF8", "--locale=C"], check=True, capture_output=True, cwd=self.folder)
        self.start_again()
        self._make_template()

    def start_again(self) -> None:
        """Start the server on the cluster that is there."""
        options = {"listen_addresses": "", "unix_socket_directories": str(self.folder), "fsync": "off"}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        data = str(self.folder / "data")
        with (self.folder / "server.log").open("ab") as output:
            self._server = subprocess.Popen(
                [*self._prefix, self._program("postgres"), "-D", data, "-c", "max_connections=200", *settings],
                stdout=output,
                stderr=output,
                cwd=self.folder,
            )
        self._wait()

    def crash(self) -> None:
        """End the server at once, sessions and all; what was committed is there after `start_again`."""
        assert self._server is not None
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait(timeout=20)

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)  # at once: nothing of it is wanted any more
            try:
                self._server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, name: str) -> str:
        """Give the address of one database of this server."""
        return f"postgresql+psycopg://callwright@/{name}?host={self.folder}"

    def new_database(self) -> Database:
        """Make a database with every table; close it yourself."""
        name = f"test_{next(self._names)}"
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE {_TEMPLATE}')
        return Database(self.url(name))

    def new_empty(self) -> str:
        """Make a database without tables and give its address."""
        name = f"test_{next(self._names)}"
        self._execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def new_upgraded(self) -> str:
        """Make a database as the migrations leave a new one and give its address."""
        name = f"test_{next(self._names)}"
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE {self._upgraded}')
        return self.url(name)

    @cached_property
    def _upgraded(self) -> str:
        self._execute("CREATE DATABASE upgraded")
        with closing(Database(self.url("upgraded"))) as database:
            schema.upgrade(database)
        return "upgraded"

    def new_without_extensions(self) -> Database:
        """Make a database with every table as a role that may create no extension; close it yourself."""
        name, role = f"test_{next(self._names)}", "plain"
        self._execute(f'CREATE DATABASE "{name}"')
        with psycopg.connect(f"host={self.folder} user=callwright dbname={name}", autocommit=True) as connection:
            made = f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN END $$"
            connection.execute(made.encode())
            connection.execute(f"GRANT USAGE, CREATE ON SCHEMA public TO {role}".encode())
        import_tables()
        database = Database(self.url(name).replace("//callwright@", f"//{role}@"))
        metadata.create_all(database.engine)
        return database

    def _program(self, name: str) -> str:
        return str(self._programs / name)

    def _execute(self, statement: str) -> None:
        with psycopg.connect(f"host={self.folder} user=callwright dbname=postgres", autocommit=True) as connection:
            connection.execute(statement.encode())

    def _wait(self) -> None:
        give_up_at = time.monotonic() + START_WITHIN_S
        while True:
            try:
                self._execute("SELECT 1")
            except psycopg.OperationalError:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(0.05)  # a real server starts when it starts
            else:
                return

    def _make_template(self) -> None:
        import_tables()
        self._execute(f"CREATE DATABASE {_TEMPLATE}")
        engine = create_engine(self.url(_TEMPLATE))
        metadata.create_all(engine)
        engine.dispose()


def start_postgres() -> PrivatePostgres:
    """Start a private server; skips (or fails, see `require`) when PostgreSQL is not installed."""
    programs = _postgres_programs()
    if programs is None:
        require("postgres", "PostgreSQL is not installed")
    server = PrivatePostgres(programs)
    try:
        server.start()
    except BaseException:
        server.stop()
        raise
    return server


def _postgres_programs() -> Path | None:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    on_path = shutil.which("postgres")
    if on_path and shutil.which("initdb"):
        return Path(on_path).resolve().parent
    return installed[-1].parent if installed else None
