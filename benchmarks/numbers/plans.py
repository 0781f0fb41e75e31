"""Number plans to measure on: databases filled with fragments, a private PostgreSQL, processes that claim."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from connectors import schema
from connectors.database import Database
from datasets.inventory import Pool, Run, Span
from datasets.tables.inventory import intervals, pools
from engine import inventory

if TYPE_CHECKING:
    from tests.fakes.databases import PrivatePostgres

ROOT = Path(__file__).resolve().parents[2]
_SLICE = 20_000
# Written past SQLAlchemy, which would take minutes for a million rows.
_TAKEN = (
    "INSERT INTO taken (pool_id, space, width, n, state, owner, reason, since, kept_reason)"
    " VALUES (1, 0, 0, ?, 'assigned', 'user:x', '', ?, '')"
)
_FREE = "INSERT INTO intervals (pool_id, is_free, space, width, first, last) VALUES (1, 1, 0, 0, ?, ?)"
_WORKER = "import sys; from benchmarks.numbers.plans import work; work(*sys.argv[1:])"


def new_database(path: Path) -> Database:
    """Make an SQLite database with every table; close it yourself."""
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database)
    return database


def fill(database: Database, run: Run, fragments: int, now: datetime, *, chosen: Sequence[int] | None = None) -> None:
    """Make pool `p` of a run in which the chosen numbers, or every second one of the lower part, are taken."""
    numbers = [run.first + n for n in (chosen if chosen is not None else range(0, 2 * fragments, 2))]
    with database.write() as connection:
        inventory.define_pool(connection, Pool(name="p", spans=(Span.of(run),)))
    since = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    with database.write() as connection:
        connection.execute(intervals.delete())
        _write(connection, _TAKEN, ((n, since) for n in numbers))
        _write(connection, _FREE, iter(_gaps(run, numbers)))
        connection.execute(pools.update().values(free=run.size - len(numbers), assigned=len(numbers)))
    with database.engine.connect() as connection:  # what was filled shall not be copied while something is measured
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _write(connection: Connection, statement: str, rows: Iterator[tuple[object, ...]]) -> None:
    while part := list(islice(rows, _SLICE)):
        connection.exec_driver_sql(statement, part)


def _gaps(run: Run, numbers: Sequence[int]) -> list[tuple[int, int]]:
    free, low = [], run.first
    for number in numbers:
        if low < number:
            free.append((low, number - 1))
        low = number + 1
    return [*free, (low, run.last)] if low <= run.last else free


@contextmanager
def postgres() -> Iterator[PrivatePostgres]:
    """Start a PostgreSQL server of our own, without a network port, and stop it at the end."""
    from tests.fakes.databases import start_postgres

    server = start_postgres()
    try:
        yield server
    finally:
        server.stop()


def run_workers(url: str, count: int, seconds: float) -> list[list[str]]:
    """Let processes claim numbers at the same time; gives what each was told it has."""
    command = [sys.executable, "-c", _WORKER, url, str(seconds)]
    running = [
        subprocess.Popen([*command, str(i)], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for i in range(count)
    ]
    try:
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [json.loads(process.communicate(timeout=seconds + 120)[0]) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()


def work(url: str, seconds: str, name: str) -> None:
    """Claim one number after another from pool `p`, each in a transaction of its own."""
    database, given, now = Database(url), list[str](), datetime.now(UTC)
    print("ready", flush=True)
    sys.stdin.readline()
    stop_at = time.monotonic() + float(seconds)
    while time.monotonic() < stop_at:
        with database.write() as connection:
            claimed = inventory.claim(
                connection, "p", 1, plan_id=f"b{name}", owner_ids=[name], until=now + timedelta(days=1), now=now
            )
        given += [number.e164 for number in claimed]
    print(json.dumps(given), flush=True)
