"""A folder to work in, settings of its own, and the command line as a function."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import main
from connectors import schema
from connectors.database import Database
from tests.fakes.command_line import Ran, Run


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
    opened = Database(f"sqlite:///{folder / '.callwright' / 'callwright.db'}")
    schema.upgrade(opened)
    yield opened
    opened.close()
