"""Plans and rollbacks from the command line, in this process, against a lab over the real protocols."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from config.settings import read_settings
from deployments.demo_feed import compose, write_feed
from engine.opening import open_systems
from lab.server import Lab
from tests.fakes.checkout import ROOT
from tests.fakes.command_line import Ran, Run
from tests.fakes.lab_environment import environment_of

pytestmark = pytest.mark.slow


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Give a lab of its own: these tests change it."""
    with Lab(folder=tmp_path_factory.mktemp("lab"), users=24, seed=7) as running:
        yield running


@pytest.fixture
def site(folder: Path) -> Path:
    """Give a copy of the sample site that wants plans with numbers approved by a second person."""
    import shutil

    made = folder / "site"
    shutil.copytree(ROOT / "config" / "sample", made)
    (made / "approvals.toml").write_text('kinds = ["assign_number"]\nallow_unverified = true\n')
    return made


@pytest.fixture
def feed(lab: Lab, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point the settings at the lab and write a feed about its people."""
    for name, value in environment_of(lab.endpoints, folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CALLWRIGHT_WAIT__POLL_S", "0.1")
    with open_systems(read_settings()) as systems:
        held = {voice.id for voice in systems.teams.voice_users() if voice.number}
        people = [user for user in systems.graph.users() if user.employee_id]
    free = [user for user in people if user.id not in held]
    rows = compose(free, [user for user in people if user.id in held], datetime.now(UTC).date())
    return write_feed(folder / "hires.csv", rows).path


def onboarded(run: Run, feed: Path) -> Ran:
    """Onboard a feed and go on until nothing waits for a moment any more."""
    ran = run("onboard", "--feed", str(feed), "--mapping", "workday", "--json")
    while run("continue", "--json").json["counts"].get("onboarded"):
        pass
    return ran


def voice(lab: Lab) -> dict[str, Any]:
    """Give every user's number and direct policies as the lab has them."""
    tenant = lab.tenant
    return {
        user.id: ([n.telephone_number for n in tenant.numbers_held_by(user.id)], tenant.voice(user.id).enterprise_voice)
        for user in tenant.users.values()
        if user.account_type == "user"
    }


def test_a_run_is_taken_back_and_the_taking_back_too(lab: Lab, feed: Path, run: Run) -> None:
    """Undo previews first, takes one attribute or everything after a yes, and can itself be undone (M24, M25)."""
    before = voice(lab)
    first = onboarded(run, feed)
    after = voice(lab)
    assert before != after
    preview = run("undo", first.json["request_id"], "--dry-run", "--json")
    assert preview.code in (0, 1), preview.err
    assert voice(lab) == after
    assert run("plan", "discard", preview.json["plan_id"], "--yes").code == 0
    shown = run("plan", "show", first.json["plan_id"], "--json").json
    line = next(each["line"] for each in shown["lines"] if any(c["kind"] == "set_policies" for c in each["changes"]))
    chosen = ("--line", str(line), "--attribute", "TenantDialPlan", "--yes", "--json")
    one = run("undo", first.json["request_id"], *chosen)
    assert one.json["counts"] == {"undone": 1}, one.err
    assert run("undo", one.json["plan_id"], "--yes", "--json").json["counts"] == {"undone": 1}
    assert run("undo", first.json["request_id"], "--line", "9999", "--yes").code == 2
    undone = run("undo", first.json["request_id"], "--yes", "--json")
    assert undone.json["counts"]["undone"] >= 3, undone.err
    assert voice(lab) == before
    again = run("undo", undone.json["plan_id"], "--yes", "--json")
    assert again.json["counts"]["undone"] >= 3, again.err
    assert voice(lab) == after
    assert run("audit", "verify").code == 0


def test_a_plan_waits_for_approval_and_is_applied_after_it(
    lab: Lab, feed: Path, run: Run, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run says that it waits; a typed name is accepted where the site says so; then the plan is applied."""
    monkeypatch.setenv("CALLWRIGHT_SITE", str(site))
    first = run("onboard", "--feed", str(feed), "--mapping", "workday", "--json")
    plan_id = first.json["plan_id"]
    assert "plan approve" in first.json["needs_approval"]
    assert "onboarded" not in first.json["counts"]
    assert run("plan", "apply", plan_id, "--yes", "--json").json["needs_approval"]
    assert run("plan", "show", plan_id).code == 0
    assert run("plan", "diff", plan_id, "--json").json == []
    assert run("plan", "diff", plan_id, "p-none").code == 2
    shown = run("plan", "show", plan_id, "--json").json
    user = next(line["object"] for line in shown["lines"] if any(c["kind"] == "assign_number" for c in line["changes"]))
    wanted = next(c for line in shown["lines"] if line["object"] == user for c in line["changes"])["effects"][0]
    lab.tenant.patch_user(user.removeprefix("user:"), {"usageLocation": "CH"}, forced=True)
    differing = run("plan", "diff", plan_id, "--json").json
    assert [row["there"] for row in differing] == (["CH"] if wanted["attribute"] == "usage_location" else [])
    lab.tenant.patch_user(user.removeprefix("user:"), {"usageLocation": wanted["before"] or "AT"}, forced=True)
    told = run("plan", "approve", plan_id, "--reason", "checked", "--name", "Carl", "--yes", "--json").json
    assert (told["person"], told["verified"]) == ("Carl", False)
    assert run("plan", "show", plan_id, "--json").json["approvals"][0]["reason"] == "checked"
    applied = run("plan", "apply", plan_id, "--yes", "--json").json
    assert "needs_approval" not in applied
    assert applied["verified"] + applied["counts"].get("waiting", 0) >= 3
