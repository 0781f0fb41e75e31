"""The search benchmark on a small tenant: our counts are ripgrep's and LIKE's, or it would not have reported."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import search
from benchmarks.search_sample import QUERIES
from tests.fakes.databases import require


def test_search_agrees_with_ripgrep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sample query finds as many users as ripgrep finds lines and LIKE finds rows."""
    program = shutil.which("rg")
    if program is None:
        require("ripgrep", "no rg on the path")
    monkeypatch.setattr(search, "USERS", 500)
    times, _ = search._compare(tmp_path, program)
    assert len(times["rg"]) == search.ROUNDS * len(QUERIES)
