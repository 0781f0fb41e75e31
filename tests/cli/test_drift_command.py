"""Drift and explanations from the command line, against a lab over the real protocols."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from config.settings import read_settings
from tests.fakes.onboarding_site import Site, hire

pytestmark = pytest.mark.slow


def test_drift_is_found_explained_and_mended(site: Site) -> None:
    """M53: what HR, a template, a group and somebody else gave is told apart; drift mends the policy and no number."""
    one, other = site.some(2)
    site.onboard(site.feed(hire(one), hire(other)))
    site.go_on()
    clean = site.run("drift", "--json")
    assert (clean.code, clean.json["differences"], clean.json["read"]) == (0, 0, {"users": 2}), clean.err
    site.lab.tenant.grant_policy(one.id, "TenantDialPlan", "DP-Berlin")
    found = site.run("drift", "--file", "drift.csv", "--json").json
    assert [(each["user"], each["attribute"], each["live"], each["wanted"]) for each in found["found"]] == [
        (one.id, "policy:TenantDialPlan", "DP-Berlin", "DP-Vienna")
    ]
    assert "DP-Berlin" in Path("drift.csv").read_text("utf-8-sig")
    told = site.run("users", "explain", one.id, "--json").json
    values = {each["attribute"]: each for each in told["values"]}
    assert told["template"] == "vienna"
    assert "template vienna version" in values["number"]["comes_from"]
    assert values["usage_location"]["comes_from"].startswith("HR feed f-")
    assert "changed outside Callwright" in values["policy:TenantDialPlan"]["comes_from"]
    assert "template vienna version" in values["policy:OnlineVoiceRoutingPolicy"]["comes_from"]
    before = site.numbers()
    assert site.run("plan", "apply", found["plan_id"], "--yes").code == 0
    assert site.numbers() == before
    mended = site.run("users", "explain", one.id, "--attribute", "dial", "--json").json["values"]
    assert [(each["value"], each["comes_from"][:12]) for each in mended] == [("DP-Vienna", "drift repair")]


def test_somebody_without_a_number_is_told_why(site: Site) -> None:
    """Why not: the state and the reason of the line that would have given the number."""
    (one,) = site.some(1)
    ran = site.onboard(site.feed(hire(one, Country="Narnia")))
    assert ran.code in (0, 1, 2)
    told = site.run("users", "explain", one.id, "--json").json
    number = next(each for each in told["values"] if each["attribute"] == "number")
    assert number["value"] is None
    assert number["comes_from"].startswith("no number")
    refused = site.run("users", "explain", "nobody@nowhere.example")
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)


def test_m103_a_preview_counts_before_anyone_is_added(site: Site) -> None:
    """M103: a changed file and a group put into another are shown with counts and rows; the tenant sees no write."""
    one, other = site.some(2)
    site.onboard(site.feed(hire(one), hire(other)))
    site.go_on()
    before = len(site.writes())
    text = (Path(read_settings().site) / "templates.toml").read_text("utf-8")
    Path("new.toml").write_text(text.replace("DP-Vienna", "DP-Berlin"), "utf-8")
    found = site.run("templates", "preview", "new.toml", "--json").json
    assert (found["people"], found["users"], found["counts"], found["moves"]) == (2, 2, {"policy": 2}, {})
    assert {(each["attribute"], each["wanted"]) for each in found["rows"]} == {("policy:TenantDialPlan", "DP-Berlin")}
    shown = site.run("templates", "preview", "new.toml")
    assert "2 of 2 people would change" in shown.out
    assert site.run("templates", "preview", "--join", "Nowhere=Neither").code == 2
    assert site.run("templates", "preview", "--join", "Nowhere").code == 2
    assert len(site.writes()) == before


def test_groups_are_joined_and_left_over_the_real_protocol(site: Site) -> None:
    """M52: a template makes people members of a group in the tenant; undo takes them out again."""
    (one,) = site.some(1)
    folder, policy = Path(read_settings().site), Path("policy")
    group = next(each for each in site.lab.tenant.groups.values() if one.id not in each.members)
    shutil.copytree(folder, policy)
    text = (folder / "templates.toml").read_text("utf-8")
    joining = text.replace('pool = "vienna"', f'pool = "vienna"\njoin_groups = ["{group.id}"]')
    (policy / "templates.toml").write_text(joining, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CALLWRIGHT_SITE", str(policy.resolve()))
        site.onboard(site.feed(hire(one)))
        site.go_on()
        assert one.id in site.lab.tenant.groups[group.id].members
        plan_id = site.run("plan", "list", "--json").json[-1]["id"]
        undone = site.run("undo", plan_id, "--attribute", f"group:{group.id}", "--yes", "--json")
        assert undone.json["counts"] == {"undone": 1}, undone.err
        assert one.id not in site.lab.tenant.groups[group.id].members
