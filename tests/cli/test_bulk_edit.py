"""Bulk edits from the command line against a lab: planned, seen, applied, taken back, and their jobs."""

from __future__ import annotations

from typing import Any

import pytest

from lab.records import User
from tests.fakes.command_line import Ran
from tests.fakes.onboarding_site import Site, hire

pytestmark = pytest.mark.slow
PLAN = "policy:TenantDialPlan"


def edit(site: Site, users: list[User], *words: str) -> Ran:
    """Edit these users."""
    named = [part for user in users for part in ("--user", user.upn)]
    return site.run("users", "edit", *named, *words)


def dial_plan(site: Site, user: User) -> Any:
    """Give the dial plan that the lab shows of a user."""
    site.lab.tenant.settle()
    voice = site.lab.tenant.voices[user.id]
    return {name.casefold(): value for name, value in voice.policies.items()}.get("tenantdialplan")


def phone_users(site: Site, count: int) -> list[User]:
    """Give people whom the main job has made phone users."""
    people = site.some(count)
    site.onboard(site.feed(*(hire(user) for user in people)))
    site.go_on()
    return people


def test_an_edit_changes_only_what_differs_and_is_taken_back(site: Site) -> None:
    """M85: one line per user, one write for whom it is new; a second edit writes nothing; undo restores."""
    people = phone_users(site, 2)
    before = dial_plan(site, people[0])
    assert edit(site, people[:1], "--set", f"{PLAN}=-", "--yes", "--json").code == 0
    assert dial_plan(site, people[0]) is None
    start = len(site.writes("policy."))
    done = edit(site, people, "--set", f"{PLAN}={before}", "--yes", "--json")
    assert (done.code, done.json["counts"]) == (0, {"edited": 1, "unchanged": 1}), done.err
    assert len(site.writes("policy.")) == start + 1
    again = edit(site, people, "--set", f"{PLAN}={before}", "--yes", "--json")
    assert again.json["counts"] == {"unchanged": 2}
    assert site.run("undo", str(done.json["plan_id"]), "--yes", "--json").code == 0
    assert dial_plan(site, people[0]) is None
    assert site.run("audit", "verify").code == 0


def test_numbers_of_a_pool_go_to_those_who_have_none(site: Site) -> None:
    """Who has a number keeps it, the others get the pool's next ones; cancelling gives them back."""
    (has,) = phone_users(site, 1)
    pool = site.run("numbers", "pools", "--json").json[0]
    planned = edit(site, [has], "--set", f"number=pool:{pool['pool']}", "--dry-run", "--json")
    assert planned.json["counts"] == {"unchanged": 1}
    gone = edit(site, [has], "--set", "number=-", "--dry-run", "--json").json
    assert sum(gone["counts"].values()) == 1
    job = site.run("jobs", "list", "--json").json[0]
    assert (job["plan_id"], job["users"]) == (gone["plan_id"], 1)
    assert site.run("jobs", "cancel", job["id"], "--yes").code == 0
    refused = site.run("jobs", "cancel", job["id"], "--yes")
    site.refused(refused, "is discarded and cannot be cancelled")


def test_whom_nobody_knows_has_a_line_and_the_others_go_on(site: Site) -> None:
    """An unknown user, and one whom Teams does not know, are refused by name; what does not exist refuses all."""
    (user,) = phone_users(site, 1)
    ran = site.run("users", "edit", "--user", "nobody@x.y", "--user", user.upn, "--set", f"{PLAN}=-", "--yes", "--json")
    assert (ran.code, ran.json["counts"]) == (1, {"edited": 1, "refused": 1})
    shown = site.run("plan", "show", str(ran.json["plan_id"]), "--json").json["lines"]
    assert "nobody is called nobody@x.y" in shown[0]["reason"]
    for value, words in ((f"{PLAN}=Nowhere", "does not exist"), ("licence:NONE=yes", "not subscribed")):
        site.refused(edit(site, [user], "--set", value, "--yes"), words)
    site.refused(edit(site, [user], "--set", "number=pool:nowhere", "--yes"), "nowhere")
    site.refused(site.run("users", "edit", "--set", f"{PLAN}=-"), "nobody is chosen")
    site.refused(edit(site, [user], "--text", "a", "--set", f"{PLAN}=-"), "chosen by text and users")


def test_a_sheet_and_a_filter_choose_users(site: Site) -> None:
    """A sheet says what each gets, over what --set says for all; a saved filter finds its users in the cache."""
    one, two = phone_users(site, 2)
    sheet = site.file(f"user,{PLAN},ipPhone\n{one.upn},-,\n{two.upn},,12345\n".encode(), "edit.csv")
    ran = site.run("users", "edit", "--file", str(sheet), "--yes", "--json")
    assert (ran.code, ran.json["counts"]) == (0, {"edited": 2}), (ran.out, ran.err)
    assert dial_plan(site, one) is None
    assert dial_plan(site, two) is not None
    site.run("users", "sync")
    site.run("users", "save-filter", "two", two.upn)
    found = site.run("users", "edit", "--filter", "two", "--set", "usage_location=DE", "--dry-run", "--json")
    assert sum(found.json["counts"].values()) == 1
    assert site.lab.tenant.users[two.id].text("usageLocation") != "DE"


def test_deleting_a_job_names_what_and_how_many(site: Site) -> None:
    """M105: the question names job, what it sets, for how many, and what becomes of it; only a yes does it."""
    people = phone_users(site, 2)
    planned = edit(site, people, "--set", f"{PLAN}=-", "--dry-run", "--json").json["plan_id"]
    asked = site.run("jobs", "delete", planned)
    assert asked.code == 1
    assert f"{PLAN}=- for 2 users" in asked.err
    assert "It was not applied: it is given up" in asked.err
    assert site.run("jobs", "show", planned, "--json").json["state"] == "planned"
    assert site.run("jobs", "delete", planned, "--yes").code == 0
    site.refused(site.run("jobs", "show", planned), "there is no job")
    applied = edit(site, people, "--set", f"{PLAN}=-", "--yes", "--json").json["plan_id"]
    asked = site.run("jobs", "delete", applied)
    assert "It changed 2 users: that stays" in asked.err
    assert site.run("jobs", "delete", applied, "--yes").code == 0
    assert site.run("jobs", "list", "--json").json == []
    assert site.run("plan", "show", applied, "--json").json["id"] == applied
    site.refused(edit(site, people, "--set", f"{PLAN}=Nowhere"), "does not exist")
    (refused,) = site.run("jobs", "list", "--json").json
    asked = site.run("jobs", "delete", refused["id"])
    assert "It changed nobody ; there is nothing to take back" in asked.err
    site.refused(site.run("jobs", "cancel", refused["id"], "--yes"), "is refused", "nothing to take back")
