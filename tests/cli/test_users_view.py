"""What `users` shows, to the letter: chosen columns in their order, as a table, JSON, CSV and JSON lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.server import Lab
from tests.fakes.command_line import Run
from tests.fakes.lab_environment import environment_of

pytestmark = pytest.mark.slow
ASKED = ("--columns", "department,number,name,address")
TABLE = """
 name          address                          number         department
 ──────────────────────────────────────────────────────────────────────────
 Юлія Гончар   yuliia.honchar@contoso.example   +97144560004   Finance
 Иван Гончар   ivan.honchar@contoso.example                    Finance
 Ђорђе Гончар  djordje.honchar@contoso.example                 IT

3 users
"""
ROWS = [
    ("Ђорђе Гончар", "djordje.honchar@contoso.example", "", "IT"),
    ("Иван Гончар", "ivan.honchar@contoso.example", "", "Finance"),
    ("Юлія Гончар", "yuliia.honchar@contoso.example", "+97144560004", "Finance"),
]


def words(text: str) -> list[str]:
    """Give the lines of a table without its spaces; users come in no particular order."""
    return [" ".join(line.split()) for line in text.rstrip().splitlines()]


def facts(line: dict[str, str]) -> tuple[str, ...]:
    """Give the columns of one user; what is empty is left out of JSON."""
    assert list(line) == [name for name in ("id", "name", "address", "number", "department") if name in line]
    return tuple(line.get(name, "") for name in ("name", "address", "number", "department"))


def test_the_view_of_users_is_golden(tmp_path: Path, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """M63: three people of the lab with chosen columns, in every form there is; each view says of when it is."""
    with Lab(folder=tmp_path / "lab", users=40, seed=7) as lab:
        for name, value in environment_of(lab.endpoints, folder).items():
            monkeypatch.setenv(name, value)
        run("users", "sync")
        shown = words(run("users", "search", "honchar", *ASKED).out)
        assert sorted(shown[:-1]) == sorted(words(TABLE))
        assert (shown[1], shown[-2]) == ("name address number department", "3 users")
        assert shown[-1].startswith("as of generation 1 · directory 20")
        answer = run("users", "search", "honchar", *ASKED, "--json").json
        assert sorted(facts(each) for each in answer["users"]) == ROWS
        assert (answer["count"], answer["as_of"]["generation"]) == (3, 1)
        run("users", "export", "view.csv", "--text", "honchar", *ASKED)
        table = [line.partition(",")[2] for line in Path("view.csv").read_text(encoding="utf-8-sig").splitlines()]
        assert table[0] == "name,address,number,department"
        assert sorted(table[1:]) == [",".join(row) for row in ROWS]
        run("users", "export", "view.json", "--text", "honchar", *ASKED)
        lines = Path("view.json").read_text(encoding="utf-8").splitlines()
        assert sorted(facts(json.loads(line)) for line in lines) == ROWS
