"""Hard times: replies are lost under replication lag, the journal's disk is full, its database locked."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import event, select, text

from connectors.database import Database
from connectors.errors import Ambiguous, ConnectorError
from datasets.tables.journal import journal
from datasets.tables.plans import plan_lines
from engine.apply import Chunk, apply_chunk, start
from engine.proof import verify
from tests.fakes.databases import in_memory, sqlite_database
from tests.fakes.plans import continue_until_settled, define_pool, fresh, runtime_on, store_plan

SEED = 20260307
WRITES = ("set_usage_location", "assign_licence", "assign_number", "grant_policies", "write_directory")


def ambiguous_outcomes(seed: int, users: int, on: Database | None = None) -> int:
    """Onboard users while every third reply is lost, before or after the effect, and reads lag; count lost replies."""
    rng, tenant, database = random.Random(seed), fresh(users, licence_delay_s=0, lag_s=20), on or in_memory()
    runtime = runtime_on(database, tenant)
    define_pool(runtime)
    store_plan(runtime, tenant, tenant.users)
    lost = Counter[str]()

    def lose(name: str, target: str) -> None:
        if name in WRITES and rng.random() < 0.2:
            lost[name] += 1
            raise Ambiguous("the connection was closed")

    tenant.before = tenant.after = lose
    start(runtime, "p-1")
    assert continue_until_settled(runtime, tenant, visits=2000) == "settled"
    doubled = [key for key, times in Counter(tenant.writes()).items() if key[0] == "assign_number" and times > 1]
    assert (doubled, tenant.double_owners) == ([], 0)
    assert all(len(owners) == 1 for owners in tenant.owners().values())
    with database.read() as connection:
        assert verify(connection).faults == []
        failed = connection.execute(select(plan_lines.c.state).where(plan_lines.c.state == "failed")).all()
    assert len(tenant.owners()) >= users - len(failed)
    database.close()
    return lost.total()


@pytest.mark.slow
def test_lost_replies_under_lag_double_nothing() -> None:
    """Dozens of ambiguous outcomes under replication lag: no write that is not idempotent is repeated."""
    assert sum(ambiguous_outcomes(SEED + n, users=10) for n in range(3)) >= 50


def test_lost_replies_double_nothing_on_either_database(database: Database) -> None:
    """A file and a server keep the same promise."""
    assert ambiguous_outcomes(SEED, users=5, on=database) >= 5


@pytest.mark.nightly
def test_a_thousand_lost_replies_double_nothing() -> None:
    """A thousand ambiguous outcomes: 0 doubled."""
    lost, seed = 0, SEED + 1000
    while lost < 1000:
        lost += ambiguous_outcomes(seed, users=20)
        seed += 1


def fill(database: Database) -> None:
    """Leave no free page, and let no connection add one: for SQLite this is a full disk."""
    with database.read() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
    database.engine.dispose()
    event.listen(database.engine, "connect", lambda raw, _: raw.execute(f"PRAGMA max_page_count={pages}"))
    for size in (4000, 400, 40):
        with contextlib.suppress(ConnectorError):
            while True:
                with database.write() as connection:
                    connection.execute(text(f"INSERT INTO filler VALUES (zeroblob({size}))"))


def test_a_full_disk_lets_no_remote_write_pass_without_its_intent(tmp_path: Path) -> None:
    """What still fits into half-full pages is written and sent; where an intent cannot be written, nothing is sent."""
    tenant, database = fresh(licence_delay_s=0), sqlite_database(tmp_path)
    runtime = runtime_on(database, tenant)
    define_pool(runtime)
    store_plan(runtime, tenant, ["id-1", "id-2"])
    start(runtime, "p-1")
    with database.write() as connection:
        connection.execute(text("CREATE TABLE filler (x)"))
    fill(database)
    with pytest.raises(ConnectorError, match="full"):
        apply_chunk(runtime, Chunk("p-1", 1, 2))
    with database.read() as connection:
        query = select(journal.c.target, journal.c.change).where(journal.c.phase == "intent")
        intents = connection.execute(query).all()
    assert len(tenant.writes()) <= len(intents) < 10
    database.close()


def test_a_locked_database_stops_before_the_first_remote_write(tmp_path: Path) -> None:
    """Another process that holds the database for longer than we wait: nothing remote is written."""
    tenant, made = fresh(licence_delay_s=0), sqlite_database(tmp_path)
    database = Database(made.url.render_as_string(), wait_for_writer_s=0.05)
    runtime = runtime_on(database, tenant)
    define_pool(runtime)
    store_plan(runtime, tenant, ["id-1"])
    start(runtime, "p-1")
    other = sqlite3.connect(str(made.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ConnectorError, match="locked"):
        apply_chunk(runtime, Chunk("p-1", 1, 1))
    other.execute("ROLLBACK")
    other.close()
    assert tenant.writes() == []
    apply_chunk(runtime, Chunk("p-1", 1, 1))
    assert tenant.users["id-1"].number
    database.close()
    made.close()
