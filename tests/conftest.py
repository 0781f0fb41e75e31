"""Fixtures for every test: a database of each kind we support."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from connectors.database import Database
from tests.fakes.databases import PrivatePostgres, hurry, sqlite_database, start_postgres

# How fast a machine is, is no property of our code.
settings.register_profile("callwright", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("callwright")
hurry()


def pytest_collection_finish() -> None:
    """Keep what was imported for the tests out of each later search for garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PrivatePostgres]:
    """Give a private PostgreSQL server, started when the first test asks for it."""
    server = start_postgres()
    yield server
    server.stop()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """Give an empty SQLite database with every table."""
    database = sqlite_database(tmp_path)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Give an empty database with every table, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        made = sqlite_database(tmp_path)
    else:
        made = request.getfixturevalue("postgres").new_database()
    yield made
    made.close()
