"""Templates and their versions from the command line."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert

from config.errors import InputRefused
from config.site_policy import read_site
from connectors.database import Database
from datasets.tables.requests import requests
from engine import plan_store, template_versions
from engine.change import Change, Effect
from engine.plan import Line, Plan
from tests.fakes.command_line import Run

SAMPLE = Path(__file__).resolve().parents[2] / "config" / "sample"
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.fixture
def policy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a site policy to change."""
    shutil.copytree(SAMPLE, folder / "site")
    monkeypatch.setenv("CALLWRIGHT_SITE", str(folder / "site"))
    return folder / "site"


def change_vienna(policy: Path) -> None:
    """Let the template say something else."""
    file = policy / "templates.toml"
    file.write_text(file.read_text("utf-8").replace("VRP-Vienna", "VRP-Wien"), "utf-8")


def test_templates_are_listed_with_their_versions(policy: Path, run: Run) -> None:
    """M53: strongest first; the version is the same until the template says something else."""
    before = {each["name"]: each["version"] for each in run("templates", "list", "--json").json}
    assert next(iter(before)) == "contractors"
    assert run("templates", "show", "vienna", "--json").json["version"] == before["vienna"]
    change_vienna(policy)
    after = {each["name"]: each["version"] for each in run("templates", "list", "--json").json}
    assert {name for name in after if after[name] != before[name]} == {"vienna"}
    assert run("templates", "show", "wien").code == 2


def test_versions_that_were_used_are_kept_and_compared(policy: Path, either_database: Database, run: Run) -> None:
    """M53: history has each version once, and diff names the key, before and after."""
    assert run("templates", "diff", "vienna").code == 2
    with either_database.write() as connection:
        template_versions.keep(connection, read_site(policy), NOW)
    assert run("templates", "diff", "vienna", "--json").json == []
    change_vienna(policy)
    with either_database.write() as connection:
        first = template_versions.history(connection, "vienna")[0]
        template_versions.keep(connection, read_site(policy), NOW.replace(day=3))
        template_versions.keep(connection, read_site(policy), NOW.replace(day=4))
    kept = run("templates", "history", "vienna", "--json").json
    assert [each["first_seen"][:10] for each in kept] == ["2026-03-03", "2026-03-02"]
    shown = run("templates", "diff", "vienna", "--since", first.version, "--json").json
    assert shown == [{"key": "policies.OnlineVoiceRoutingPolicy", "before": "VRP-Vienna", "after": "VRP-Wien"}]
    old = run("templates", "show", "vienna", "--version", first.version[:6], "--json").json
    assert old["policies"]["OnlineVoiceRoutingPolicy"] == "VRP-Vienna"


def test_a_plan_is_refused_whole_when_its_template_changed(policy: Path, either_database: Database) -> None:
    """M53: what was reviewed under other rules is not applied; a plan that has begun is finished."""
    site = read_site(policy)
    change = Change(kind="set_usage_location", target="user:a", effects=(Effect(object="user:a", attribute="x"),))
    line = Line(object="user:a", label="a", source={"template": "vienna"}, changes=(change,))
    with either_database.write() as connection:
        row = {"kind": "onboarding", "actor_kind": "os_user", "actor_name": "tests", "actor_verified": False}
        connection.execute(insert(requests).values(id="r-1", **row, parameters={}, state="open", created_at=NOW))
        made = template_versions.stamped(line, template_versions.keep(connection, site, NOW))
        plan_store.save(connection, Plan(id="p-1", request_id="r-1", lines=(made,)), NOW)
        template_versions.refuse_moved(connection, "p-1", site.templates)
        change_vienna(policy)
        with pytest.raises(InputRefused, match=r"template vienna is .* now, plan p-1 was made with"):
            template_versions.refuse_moved(connection, "p-1", read_site(policy).templates)
        plan_store.set_plan_state(connection, "p-1", "applying")
        template_versions.refuse_moved(connection, "p-1", read_site(policy).templates)
