"""Onboarding from the command line, in this process, against a lab over the real protocols."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.settings import read_settings
from deployments.demo_feed import Feed, Kind, compose, write_feed
from engine.opening import open_systems
from lab.server import Lab
from tests.fakes.command_line import Run
from tests.fakes.lab_environment import environment_of

pytestmark = pytest.mark.slow


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Give a lab of its own: these tests change it."""
    with Lab(folder=tmp_path_factory.mktemp("lab"), users=40, seed=7) as running:
        yield running


@pytest.fixture
def feed(lab: Lab, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Feed:
    """Point the settings at the lab and write a feed about its people."""
    for name, value in environment_of(lab.endpoints, folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CALLWRIGHT_WAIT__POLL_S", "0.1")
    with open_systems(read_settings()) as systems:
        held = {voice.id for voice in systems.teams.voice_users() if voice.number}
        people = [user for user in systems.graph.users() if user.employee_id]
    rows = compose(
        [user for user in people if user.id not in held],
        [user for user in people if user.id in held],
        datetime.now(UTC).date(),
    )
    return write_feed(folder / "hires.csv", rows)


def writes(lab: Lab) -> int:
    """Count the remote writes that the lab has seen."""
    log = Path(str(lab.endpoints["call_log"]))
    return (
        sum(json.loads(line)["write"] for line in log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0
    )


def test_a_dry_run_plans_and_writes_nothing(lab: Lab, feed: Feed, run: Run) -> None:
    """A dry run stores a plan that names its numbers, and the tenant sees no write."""
    ran = run("onboard", "--feed", str(feed.path), "--mapping", "workday", "--dry-run", "--json")
    assert ran.code in (0, 1), ran.err
    assert ran.json["counts"]["planned"] > 20
    assert ran.json["counts"]["waiting"] == len(feed.lines_of(Kind.WITHOUT_ACCOUNT))
    shown = run("plan", "show", ran.json["plan_id"], "--json").json
    assert shown["state"] == "planned"
    assert any(change["kind"] == "assign_number" for line in shown["lines"] for change in line["changes"])
    assert writes(lab) == 0
    assert run("plan", "discard", ran.json["plan_id"], "--yes", "--json").json["numbers_given_back"] > 0
    assert sum(pool["claimed"] for pool in run("numbers", "pools", "--json").json) == 0


def test_people_are_onboarded_and_the_second_run_changes_nothing(lab: Lab, feed: Feed, run: Run) -> None:
    """Every row is somewhere in the summary; the same feed again writes nothing; the journal is proved."""
    first = run("onboard", "--feed", str(feed.path), "--mapping", "workday", "--json")
    counts = first.json["counts"]
    assert sum(counts.values()) == len(feed.rows)
    assert counts["quarantined"] >= len(feed.lines_of(Kind.BAD))
    while run("continue", "--json").json["counts"].get("onboarded"):
        pass
    before = writes(lab)
    again = run("onboard", "--feed", str(feed.path), "--mapping", "workday", "--json")
    assert sum(again.json["counts"].values()) == len(feed.rows)
    assert writes(lab) == before
    assert run("audit", "verify").code == 0
    assert run("audit", "log", "--run", first.json["request_id"], "--json").json


def test_quarantined_rows_are_named_and_may_be_tried_again(lab: Lab, feed: Feed, run: Run) -> None:
    """Every wrong row is in quarantine by its line; trying one again that is still wrong quarantines it again."""
    run("onboard", "--feed", str(feed.path), "--mapping", "workday", "--dry-run", "--json")
    rows = run("quarantine", "list", "--json").json
    assert {row["line"] for row in rows} >= set(feed.lines_of(Kind.BAD))
    chosen = str(rows[0]["id"])
    again = run("quarantine", "retry", chosen, "--mapping", "workday", "--json")
    assert again.json["counts"] == {"quarantined": 1}, again.err
    assert run("quarantine", "retry", chosen, "--mapping", "workday").code == 2
    assert len(run("quarantine", "list", "--json").json) == len(rows)


@pytest.mark.parametrize(
    ("feed_name", "mapping", "named"),
    [("missing.csv", "workday", "missing.csv"), ("hires.csv", "nonsense", "nonsense")],
)
def test_wrong_files_are_refused_in_one_line(feed: Feed, run: Run, feed_name: str, mapping: str, named: str) -> None:
    """A feed or a mapping that does not exist is named in one line, exit code 2."""
    ran = run("onboard", "--feed", feed_name, "--mapping", mapping)
    assert ran.code == 2
    assert named in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_tenant_that_is_gone_is_a_dependency(feed: Feed, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the tenant out of reach the run ends with 3 and one line, and says so in its request."""
    monkeypatch.setenv("CALLWRIGHT_TENANT__AUTHORITY", "https://127.0.0.1:9/nowhere")
    ran = run("onboard", "--feed", str(feed.path), "--mapping", "workday")
    assert ran.code == 3
    assert len(ran.err.splitlines()) == 1
