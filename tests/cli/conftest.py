"""A folder to work in, settings of its own, and the command line as a function."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from zlib import crc32

import pytest

from cli.main import main
from connectors.database import Database
from lab.records import User
from lab.server import Lab
from tests.fakes.command_line import Ran, Run
from tests.fakes.databases import sqlite_database, upgraded_sqlite
from tests.fakes.hybrid_lab import HybridLab, hybrid_lab, point_shortly_at
from tests.fakes.lab_environment import environment_of
from tests.fakes.onboarding_site import Site, untouched


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty working folder with no settings around it."""
    for name in [name for name in os.environ if name.startswith(("CALLWRIGHT_", "PREFECT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Give the command line as a function of its words."""

    def _run(*words: str) -> Ran:
        code = main(list(words))
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    return _run


@pytest.fixture
def own_database(folder: Path) -> Iterator[Database]:
    """Give the database that the commands will open, with its tables."""
    opened = Database(upgraded_sqlite(folder / ".callwright" / "callwright.db"))
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def either_database(
    request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """Give the database that the commands will open, once of each kind, with its tables."""
    address = upgraded_sqlite(folder / "either.db")
    if request.param == "postgres":
        address = request.getfixturevalue("postgres").new_upgraded()
    monkeypatch.setenv("CALLWRIGHT_DATABASE_URL", address)
    opened = Database(address)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def tenant(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Lab, Iterator[User]]]:
    """Run one lab for the tests of a module, and give its people one after the other: no test meets another's.

    Each module has a tenant of its own, because what is learned about throttling is kept by tenant.
    """
    seed = crc32(request.module.__name__.encode()) % 1000
    with Lab(folder=tmp_path_factory.mktemp("lab"), users=150, seed=seed) as running:
        yield running, untouched(running)


@pytest.fixture
def site(tenant: tuple[Lab, Iterator[User]], folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Point the settings at the module's lab with a database of its own; times are short, faults end with the test."""
    lab, people = tenant
    for name, value in environment_of(lab.endpoints, folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CALLWRIGHT_WAIT__POLL_S", "0.05")
    monkeypatch.setenv("CALLWRIGHT_WAIT__LAG_WINDOW_S", "0.1")
    upgraded_sqlite(folder / "callwright.db")
    yield Site(lab, folder, run, people, len(lab.calls.since()))
    lab.faults.clear()


@pytest.fixture(scope="module")
def running_hybrid(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HybridLab]:
    """Run one hybrid lab for the tests of a module, as its `HYBRID` says: the keywords of `hybrid_lab`."""
    folder, wanted = tmp_path_factory.mktemp("hybrid"), getattr(request.module, "HYBRID", {})
    with (
        closing(sqlite_database(folder)) as database,
        pytest.MonkeyPatch.context() as patch,
        hybrid_lab(folder, database, patch, **wanted) as made,
    ):
        yield made


@pytest.fixture
def hybrid(running_hybrid: HybridLab, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HybridLab]:
    """Point the settings at the hybrid lab, with a database of its own and short times; faults end with the test."""
    point_shortly_at(running_hybrid.lab, folder, monkeypatch)
    upgraded_sqlite(folder / "callwright.db")
    yield running_hybrid
    running_hybrid.lab.faults.clear()
