"""Commands that read our database: plans, audit, numbers, schema, settings."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from connectors.database import Database
from datasets.tables.journal import journal
from datasets.tables.requests import requests
from engine.change import Change, Effect
from engine.journal import Entry, close_stream, open_stream, write_manifest
from engine.plan import Line, Plan
from engine.plan_store import save
from lab.server import Lab
from tests.fakes.command_line import Run
from tests.fakes.journals import without_guards

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
EFFECT = Effect(object="user:a1", attribute="usage_location", before=None, after="AT")
CHANGE = Change(kind="set_usage_location", target="user:a1", parameters={"country": "AT"}, effects=(EFFECT,))


@pytest.fixture
def planned(own_database: Database) -> Database:
    """Give our database with one stored plan for one person."""
    with own_database.write() as connection:
        actor = {"actor_kind": "os_user", "actor_name": "tess", "actor_verified": False}
        values = {"id": "r1", "kind": "onboarding", "parameters": {}, "state": "open", "created_at": NOW}
        connection.execute(insert(requests).values(**values, **actor))
        line = Line(object="user:a1", label="ada@example.com", changes=(CHANGE,))
        save(connection, Plan(id="p1", request_id="r1", lines=(line,)), NOW)
    return own_database


@pytest.fixture
def journalled(planned: Database) -> Database:
    """Give the same with an applied, sealed change."""
    with planned.write() as connection:
        stream = open_stream(connection, "p1", "1", epoch=1, holder="h", now=NOW)
    with stream.transaction(planned) as appender:
        appender.append(Entry(NOW, 1, 1, "user:a1", "outcome", "verified", None, CHANGE.effects))
    with planned.write() as connection:
        close_stream(connection, stream, NOW)
        write_manifest(connection, "r1", ["p1"], NOW)
    return planned


def test_plans_are_listed(planned: Database, run: Run) -> None:
    """A plan is listed with its state and what came of its lines."""
    (row,) = run("plan", "list", "--json").json
    assert (row["id"], row["state"], row["lines"], row["counts"]) == ("p1", "planned", 1, {"planned": 1})
    assert "p1" in run("plan", "list").out


def test_plan_shows_values_before_and_after(planned: Database, run: Run) -> None:
    """A plan is shown line by line, with the value before and after of each change."""
    shown = run("plan", "show", "p1")
    assert "ada@example.com" in shown.out
    assert "set_usage_location: usage_location – → AT" in shown.out
    (line,) = run("plan", "show", "p1", "--json").json["lines"]
    assert line["changes"][0]["effects"] == [EFFECT.model_dump()]


def test_unknown_plan_is_refused(own_database: Database, run: Run) -> None:
    """A plan that nobody knows is refused in one line with a remedy."""
    ran = run("plan", "show", "nope")
    assert (ran.code, ran.err) == (2, "callwright: no plan nope ; see ./callwright plan list\n")


def test_discarding_asks_first(planned: Database, run: Run) -> None:
    """Without a terminal and without --yes nothing is discarded; the line counts what would be."""
    ran = run("plan", "discard", "p1")
    assert ran.code == 1
    assert "1 lines" in ran.err
    assert run("plan", "list", "--json").json[0]["state"] == "planned"


def test_discarding_twice_is_refused(planned: Database, run: Run) -> None:
    """A discarded plan stays discarded, and discarding it again is refused."""
    assert run("plan", "discard", "p1", "--yes", "--json").json["state"] == "discarded"
    assert run("plan", "list", "--json").json[0]["state"] == "discarded"
    assert run("plan", "discard", "p1", "--yes").code == 2


def test_audit_log_is_for_people_and_programs(journalled: Database, run: Run) -> None:
    """The audit says who, what, before and after; --json gives every field (M23, M26)."""
    (entry,) = run("audit", "log", "--user", "ada", "--json").json
    assert (entry["actor"]["name"], entry["kind"], entry["result"]) == ("tess", "set_usage_location", "verified")
    shown = run("audit", "log", "--run", "p1").out
    assert "set usage location" in shown
    assert "tess (unverified)" in shown
    assert "usage_location: – → AT" in shown
    assert run("audit", "log", "--user", "nobody").out == "no entry matches\n"


def test_the_limit_of_the_audit_counts_what_is_shown(journalled: Database, run: Run) -> None:
    """For people an intent and its outcome are one line, and the limit counts lines; a program gets entries."""
    with journalled.write() as connection:
        stream = open_stream(connection, "p1", "2", epoch=1, holder="h", now=NOW)
    with stream.transaction(journalled) as appender:
        appender.append(Entry(NOW, 1, 2, "user:a1", "intent", "", None))
        appender.append(Entry(NOW, 1, 2, "user:a1", "outcome", "verified", None))
    assert run("audit", "log", "--limit", "2").out.count("tess (unverified)") == 2
    assert len(run("audit", "log", "--limit", "2", "--json").json) == 2


def test_audit_verify_proves_and_accuses(journalled: Database, run: Run) -> None:
    """An untouched journal ends with 0; an altered one with 1 and a line that names the entry."""
    assert run("audit", "verify", "--json").json["faults"] == []
    with journalled.write() as connection:
        without_guards(connection)
        connection.execute(update(journal).values(result="failed"))
    ran = run("audit", "verify")
    assert ran.code == 1
    assert "was altered" in ran.out


def test_audit_is_read_by_user_by_number_and_by_run(journalled: Database, run: Run, folder: Path) -> None:
    """The history of a user, of a number and of a run is one command each; a wrong run is refused."""
    run_id = run("audit", "log", "--json").json[0]["request_id"]
    asked = run("audit", "run", run_id, "--json").json
    assert asked["entries"]
    target = asked["entries"][0]["target"]
    assert run("audit", "user", target, "--json").json == asked["entries"]
    assert run("audit", "number", "+4312345", "--json").json == []
    assert run("audit", "run", run_id).code == 0
    assert run("audit", "run", "r-nowhere").code == 2


def test_audit_is_exported_without_formulas(journalled: Database, run: Run, folder: Path) -> None:
    """Entries go into a file of either form; another form is refused."""
    for name in ("out.jsonl", "out.csv"):
        assert run("audit", "export", name).code == 0
        assert (folder / name).stat().st_size > 100
    assert run("audit", "export", "out.xml").code == 2


def test_evidence_is_packed(journalled: Database, run: Run, folder: Path) -> None:
    """The evidence of a run is one file; of a run that never was there is none."""
    run_id = run("audit", "log", "--json").json[0]["plan_id"]
    told = run("audit", "pack", run_id, "evidence.zip", "--json").json
    assert "verify.py" in told["files"]
    assert (folder / "evidence.zip").is_file()
    assert run("audit", "pack", "r-nowhere", "x.zip").code == 2


def test_heads_are_noted_and_compared(journalled: Database, run: Run) -> None:
    """What was noted is compared by the next verification without being told."""
    assert run("audit", "heads", "--json").json["file"].endswith("journal-heads.jsonl")
    proof = run("audit", "verify", "--json").json
    assert (proof["heads"], proof["faults"]) == (1, [])


def test_erasing_asks_first_and_can_only_count(journalled: Database, run: Run) -> None:
    """Without a yes nothing is erased; a dry run counts; both leave the proof intact."""
    assert run("audit", "erase").code == 1
    counts = run("audit", "erase", "--dry-run", "--json").json["counts"]
    assert run("audit", "erase", "--yes", "--json").json["counts"] == counts
    assert run("audit", "verify").code == 0


def test_fresh_database_gets_its_tables(folder: Path, run: Run) -> None:
    """The first command on a new machine works; status tells the schema before and after."""
    assert run("database", "status", "--json").json["schema"] is None
    assert run("plan", "list").code == 0
    status = run("database", "status", "--json")
    assert status.code == 0
    assert status.json["current"]


def test_database_status_fails_until_upgraded(folder: Path, run: Run) -> None:
    """Status ends with 1 while the schema is missing; upgrade makes it current and may be repeated."""
    assert run("database", "status").code == 1
    assert run("database", "upgrade").code == 0
    assert run("database", "upgrade", "--json").json["before"] is not None


def test_settings_are_shown_masked(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password in an address is masked; a reference to a secret is shown as it is."""
    monkeypatch.setenv("CALLWRIGHT_DATABASE_URL", "postgresql+psycopg://app:hunter22@db.example.com/callwright")
    shown = run("settings", "show", "--json")
    assert "hunter22" not in shown.out + run("settings", "show").out
    assert "db.example.com" in shown.json["database_url"]


def test_settings_keys_are_listed(run: Run) -> None:
    """Every key is listed with its environment name."""
    keys = {key["name"]: key["environment"] for key in run("settings", "keys", "--json").json}
    assert keys["tenant.client_id"] == "CALLWRIGHT_TENANT__CLIENT_ID"


def test_unknown_setting_is_one_line(folder: Path, run: Run) -> None:
    """An unknown key in the settings file is refused in one line that names it (exit code 2)."""
    (folder / "callwright.toml").write_text("colour = 'red'\n", encoding="utf-8")
    ran = run("settings", "show")
    assert ran.code == 2
    assert "colour" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_number_is_read_like_everywhere(own_database: Database, run: Run) -> None:
    """A number nobody knows is outside; a number that is none is refused with the reason."""
    assert run("numbers", "show", "+43 1 234 5678", "--json").json["state"] == "outside"
    ran = run("numbers", "show", "4.31E+10")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)


def test_pools_and_next_of_an_empty_inventory(own_database: Database, run: Run) -> None:
    """Without pools the list says how they come; an unknown pool is refused."""
    assert "no pool" in run("numbers", "pools").out
    assert run("numbers", "pools", "--json").json == []
    assert run("numbers", "next", "nowhere").code == 2


def test_benchmark_that_does_not_exist_lists_those_that_do(run: Run) -> None:
    """An unknown benchmark is refused with the names that exist."""
    ran = run("bench", "nonsense")
    assert ran.code == 2
    assert "choose one of" in ran.err


@pytest.mark.parametrize(
    "words", [("plan", "show"), ("nonsense",), ("plan", "list", "--limit", "0"), ("about", "--nope")]
)
def test_wrong_usage_is_one_line(words: tuple[str, ...], run: Run) -> None:
    """Wrong usage ends with 2 and one line that says where to read."""
    ran = run(*words)
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1
    assert "--help" in ran.err


def test_about_names_versions(run: Run) -> None:
    """The versions of the product, of Python and of the libraries that matter are named (M9)."""
    facts = run("about", "--json").json
    assert {"callwright", "python", "prefect"} <= facts.keys()
    assert json.dumps(facts)


def test_settings_for_a_lab_are_those_a_command_reads(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a lab says about itself becomes a settings file that every command takes; no secret is in it."""
    with Lab(folder=folder / "lab", users=10) as lab:
        assert run("settings", "lab", "lab", "--output", "lab.toml").code == 0
        monkeypatch.setenv("CALLWRIGHT_SETTINGS", "lab.toml")
        shown = run("settings", "show", "--json").json
        assert shown["tenant"]["graph_url"] == lab.endpoints["graph_url"]
        assert shown["powershell"]["server"] == "127.0.0.1"
        found = {finding["name"]: finding["ok"] for finding in run("doctor", "--json").json}
        assert found["graph users"]
        assert found["active directory"]
        assert lab.parts.password not in (folder / "lab.toml").read_text()


def test_settings_for_a_lab_that_never_started_are_refused(run: Run) -> None:
    """The refusal says how to start one."""
    ran = run("settings", "lab", "nowhere", "--output", "lab.toml")
    assert ran.code == 2
    assert "./callwright lab --folder nowhere" in ran.err
