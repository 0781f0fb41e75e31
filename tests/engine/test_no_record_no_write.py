"""What cannot be recorded is not done: on a full disk, or with a locked database, the tenant sees no write.

The judge is the lab's own call log, not our record.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, select

from datasets.tables.journal import journal
from lab.server import Lab
from tests.fakes.databases import PrivatePostgres
from tests.fakes.kill_site import Server, Site

pytestmark = pytest.mark.slow
STEP_S = 120.0  # each worker's clock is ahead of the one before: leases and lag windows are over by then
WAL_INDEX = 32 * 1024  # bytes that SQLite needs to open a database at all


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Give a lab with a plan for six of its people, on each database."""
    url = f"sqlite:///{tmp_path / 'callwright.db'}"
    if request.param == "postgres":
        postgres: PrivatePostgres = request.getfixturevalue("postgres")
        url = postgres.new_empty()
    with Lab(folder=tmp_path / "lab", users=40, seed=7) as lab:
        made = Site(lab, tmp_path, url)
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made
        made.database.close()


def writes(site: Site) -> int:
    """Count the writes that the tenant has seen."""
    return sum(bool(call["write"]) for call in site.lab.calls.since())


def intents(site: Site) -> int:
    """Count the intents on record."""
    with site.database.read() as connection:
        query = select(func.count()).select_from(journal).where(journal.c.phase == "intent")
        found = connection.execute(query).scalar_one()
    site.database.engine.dispose()
    return int(found)


def work(site: Site, server: Server) -> int:
    """Let one worker do what it can; gives its exit code."""
    site.ahead_s += STEP_S
    server.start(site.ahead_s)
    return server.ended()


def finish(site: Site) -> None:
    """Let workers without hindrance finish the plan, and compare the tenant's log with our record."""
    server = Server(site.environment)
    for _ in range(20):
        if not site.is_settled():
            assert work(site, server) == 0
    server.stop()
    assert site.is_settled()
    assert site.contradictions() == []


@contextmanager
def locked(site: Site) -> Iterator[None]:
    """Hold what every intent needs, from another connection."""
    if site.database.is_sqlite:
        other = sqlite3.connect(str(site.database.url.database), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
        other.close()
        return
    with psycopg.connect(site.url.replace("+psycopg", "")) as session:
        session.execute("LOCK TABLE journal IN ACCESS EXCLUSIVE MODE")
        yield


FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION full_disk();
"""


@contextmanager
def full(site: Site) -> Iterator[None]:
    """Have PostgreSQL find no room for an entry of the journal."""
    with psycopg.connect(site.url.replace("+psycopg", ""), autocommit=True) as session:
        session.execute(FULL.encode())
        yield
        session.execute("DROP FUNCTION full_disk CASCADE")


def test_a_locked_database_holds_every_write_back(site: Site) -> None:
    """While another session holds the journal the tenant sees no write; afterwards the work is done."""
    server = Server(site.environment)
    with locked(site):
        site.ahead_s += STEP_S
        pid = server.start(site.ahead_s)
        give_up_at = time.monotonic() + 2  # a worker that may write has written long before
        while time.monotonic() < give_up_at:
            assert (writes(site), server.is_alive(pid)) == (0, True)
            time.sleep(0.05)
    assert server.ended() == 0
    server.stop()
    assert writes(site) > 0
    finish(site)


@pytest.mark.parametrize("site", ["sqlite"], indirect=True)
def test_on_a_full_disk_nothing_is_written_to_the_tenant(site: Site) -> None:
    """With no room for an intent there are 0 remote writes; with room for a few, no more than those."""
    seen = []
    for largest in (WAL_INDEX, 96 * 1024, 192 * 1024):
        site.database.engine.dispose()
        server = Server(site.environment, largest_file=largest)
        assert work(site, server) == 1 or site.is_settled()
        server.stop()
        assert writes(site) <= intents(site), largest
        seen.append((writes(site), intents(site)))
    assert seen[0] == (0, 0)
    assert seen[-1][0] > 0
    finish(site)


@pytest.mark.parametrize("site", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_on_a_full_disk_of_postgresql_nothing_is_written_to_the_tenant(site: Site) -> None:
    """A server without room for an intent refuses it: the worker ends, and the tenant has seen nothing."""
    server = Server(site.environment)
    with full(site):
        assert work(site, server) == 1
        assert (writes(site), intents(site)) == (0, 0)
    server.stop()
    finish(site)
