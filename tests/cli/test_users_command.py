"""Finding users from the command line, against a lab over the real protocols."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors import xlsx
from lab.records import Json
from lab.server import Lab
from tests.fakes.checkout import ROOT
from tests.fakes.command_line import Run
from tests.fakes.lab_environment import environment_of, skype_environment_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Give a lab of forty people."""
    with Lab(folder=tmp_path_factory.mktemp("lab"), users=40, seed=7) as running:
        yield running


@pytest.fixture
def site(lab: Lab, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Point the settings at the lab; its faults and changes are taken back."""
    for name, value in environment_of(lab.endpoints, folder).items():
        monkeypatch.setenv(name, value)
    yield folder
    lab.control("DELETE", "/faults")


def sources(summary: Any, value: str) -> dict[str, Any]:
    """Give one fact of every source."""
    return {name: facts[value] for name, facts in summary["sources"].items()}


def test_a_sync_shows_who_is_there_and_a_second_one_writes_nothing(site: Path, run: Run) -> None:
    """M84: everybody of the lab is found afterwards; the next sync reads by delta and writes nothing."""
    first = run("users", "sync", "--json")
    assert first.code == 0, first.err
    assert first.json["users_changed"] >= 40
    found = run("users", "search", "--json").json
    assert found["count"] == first.json["users_changed"]
    assert found["as_of"]["generation"] == first.json["generation"]
    assert f"generation {first.json['generation']} · " in run("users", "search").out
    second = run("users", "sync", "--json").json
    # Calling settings are kept with the moment they were read, so they alone are written again.
    assert {name for name, rows in sources(second, "written").items() if rows} <= {"teams_calls"}
    assert second["users_changed"] == 0
    assert sources(second, "read")["users"] == 0


def test_any_part_of_any_column_finds_a_user(site: Path, lab: Lab, run: Run) -> None:
    """M62: a number that was changed behind our back is found after the next sync, and its owner shown."""
    run("users", "sync")
    user = run("users", "search", "--json").json["users"][0]
    lab.control("PATCH", f"/state/users/{user['id']}", {"department": "Sales & Örebro"})
    run("users", "sync")
    found = run("users", "search", "ÖREBRO", "--json").json
    assert [each["id"] for each in found["users"]] == [user["id"]]
    assert run("users", "search", "örebro", "--columns", "name,number", "--json").json["count"] == 0
    shown = run("users", "show", str(user["address"]).upper(), "--json").json
    assert shown["department"] == "Sales & Örebro"
    assert "as of" in run("users", "show", str(user["id"])).out


def test_a_tenant_that_cannot_be_asked_leaves_the_directory_synced(
    site: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M100: with a wrong or a missing secret the on-premises part is synced, and one line names the rest."""
    monkeypatch.setenv("WRONG", "nonsense")
    for secret in ("env:WRONG", "env:NOWHERE_AT_ALL"):
        monkeypatch.setenv("CALLWRIGHT_TENANT__CLIENT_SECRET", secret)
        ran = run("users", "sync", "--json")
        assert ran.code == 1
        assert len(ran.err.splitlines()) == 1
        assert ran.json["degraded"] == ["licences", "users", "voice", "numbers", "teams_calls"]
        assert sources(ran.json, "read")["directory"] >= 40
    states = {each["source"]: each["state"] for each in run("users", "freshness", "--json").json}
    assert (states["users"], states["directory"]) == ("absent", "fresh")


def test_groups_of_templates_are_degraded_without_the_tenant(
    site: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M100: who is in a group that a template names is as old as the last answer, and freshness says so."""
    shutil.copytree(ROOT / "config" / "sample", site / "site")
    with (site / "site" / "templates.toml").open("a", encoding="utf-8") as templates:
        templates.write('\n[[templates]]\nname = "members"\nnumber_source = "none"\nmatch = { groups = ["Nowhere"] }\n')
    monkeypatch.setenv("CALLWRIGHT_SITE", str(site / "site"))
    monkeypatch.setenv("CALLWRIGHT_TENANT__CLIENT_SECRET", "env:NOWHERE_AT_ALL")
    ran = run("users", "sync", "--json")
    assert "groups" in ran.json["degraded"], ran.err
    assert "NOWHERE_AT_ALL" in ran.json["sources"]["groups"]["trouble"]


def test_the_servers_are_read_without_the_tenant(
    site: Path, lab: Lab, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M100: a missing secret leaves directory and Skype for Business Server synced, and says what is degraded."""
    for name, value in skype_environment_of(lab.endpoints).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CALLWRIGHT_TENANT__CLIENT_SECRET", "env:NOWHERE_AT_ALL")
    ran = run("users", "sync", "--json")
    assert (ran.code, ran.json["degraded"]) == (1, ["licences", "users", "voice", "numbers", "teams_calls"])
    states = {each["source"]: each["state"] for each in run("users", "freshness", "--json").json}
    assert (states["directory"], states["skype"]) == ("fresh", "fresh")
    assert ran.json["sources"]["skype"]["trouble"] == ""


def test_a_source_that_is_down_is_degraded_and_well_again_later(site: Path, lab: Lab, run: Run) -> None:
    """A source that refuses keeps what was known; the next good sync says so."""
    run("users", "sync")
    before = run("users", "search", "--json").json["count"]
    refusal: dict[str, Json] = {"status": 403, "code": "Forbidden", "message": "not for you"}
    lab.control("POST", "/faults", {"name": "error", "match": {"operation": "userConfigurations.list"}, **refusal})
    ran = run("users", "sync", "--json")
    assert (ran.code, ran.json["degraded"]) == (1, ["voice"])
    found = run("users", "search", "--json").json
    assert found["count"] == before
    assert found["as_of"]["voice"].startswith("20")
    assert "not for you" in found["as_of"]["voice"]
    assert run("users", "edit", "--text", "a", "--set", "usage_location=AT", "--dry-run").err.count("not for you") == 1
    lab.control("DELETE", "/faults")
    assert run("users", "sync").code == 0


def test_saved_filters_stay(site: Path, run: Run) -> None:
    """M101: a saved filter is there in the next command, and is deleted only after a yes (M105)."""
    run("users", "sync")
    assert run("users", "save-filter", "mine", "a", "--columns", "name,address").code == 0
    assert run("users", "filters", "--json").json[0]["columns"] == ["name", "address"]
    asked, direct = run("users", "search", "--filter", "mine", "--json"), run("users", "search", "a", "--json")
    assert 0 < asked.json["count"] <= direct.json["count"]
    refused = run("users", "delete-filter", "mine")
    assert "delete filter 'mine' ('a')" in refused.err
    assert run("users", "filters", "--json").json
    run("users", "delete-filter", "mine", "--yes")
    assert run("users", "filters", "--json").json == []
    assert run("users", "search", "--filter", "mine").code == 2


def test_an_export_has_no_formulas(site: Path, lab: Lab, run: Run) -> None:
    """Cells that a spreadsheet would evaluate are text in the CSV file, numbers stay; JSON is as it is."""
    run("users", "sync")
    user = run("users", "search", "--json").json["users"][1]
    lab.control("PATCH", f"/state/users/{user['id']}", {"department": "=1+1"})
    run("users", "sync")
    assert run("users", "export", "all.csv", "--columns", "department,address").code == 0
    with Path("all.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert rows[user["id"]]["department"] == "'=1+1"
    assert run("users", "export", "all.xlsx", "--columns", "department,address").code == 0
    sheet = [cells for _, cells in xlsx.read(Path("all.xlsx"))]  # the reader refuses a file with a formula
    assert sheet[0] == ["id", "address", "department"]
    assert {cells[0]: cells[2] for cells in sheet}[user["id"]] == "=1+1"
    assert run("users", "export", "one.json", "--text", "=1+1").code == 0
    (line,) = Path("one.json").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["department"] == "=1+1"
    assert run("users", "export", "all.doc").code == 2


def test_whom_we_changed_is_read_again(site: Path, run: Run) -> None:
    """With nobody changed by us there is nobody to read, and that is said."""
    run("users", "sync")
    ran = run("users", "sync", "--only-touched")
    assert ran.code == 0
    assert "nobody to read" in ran.out


def test_an_unknown_user_is_one_line(site: Path, run: Run) -> None:
    """Nobody of that name is an error with what to do."""
    ran = run("users", "show", "nobody@nowhere")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
