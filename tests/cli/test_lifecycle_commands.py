"""Leavers and deletions by command, in this process, against a lab over the real protocols."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab import calling, objects
from tests.fakes.checkout import ROOT
from tests.fakes.command_line import Ran
from tests.fakes.onboarding_site import Cells, Site, hire

pytestmark = pytest.mark.slow
TODAY = datetime.now(UTC).date()
RULES = """version = 1
[leaver]
forward_to = "+431555000"
forward_after_days = 0
unassign_after_days = 1
licences_after_days = 1
disable_after_days = 1
delete_after_days = 1
"""
ANNOUNCE = """
[leaver.announce]
type = "ResourceAccount"
target = "{}"
first_priority = 100
"""


@pytest.fixture(autouse=True)
def _rules(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the site quick steps, and let small feeds do much."""
    made = site.folder / "site"
    shutil.copytree(ROOT / "config" / "sample", made)
    (made / "lifecycle.toml").write_text(RULES, encoding="utf-8")
    monkeypatch.setenv("CALLWRIGHT_SITE", str(made))
    for name in ("LEAVERS_PERCENT", "NUMBER_CHANGES_PERCENT", "SHRINK_PERCENT"):
        monkeypatch.setenv(f"CALLWRIGHT_FEED__{name}", "100")


def live(site: Site, *rows: Cells) -> Ran:
    """Carry out a feed and what waits of it."""
    feed: Path = site.feed(*rows)
    ran = site.run("lifecycle", "--feed", str(feed), "--mapping", "workday", "--json")
    site.go_on()
    return ran


def test_a_leaver_goes_through_every_step(site: Site) -> None:
    """Rank 5, M58, M82: forward, number to grace here and in Teams, licence, disable, delete: each seen in the lab."""
    (user,) = site.some(1)
    live(site, hire(user))
    number = site.numbers()[user.id]
    left = {"Worker_Status": "Terminated"}
    ran = live(site, hire(user, **left, Termination_Date=f"{TODAY}"))
    assert ran.json["counts"] == {"leaving": 1}, ran.err
    assert calling.of_user(site.lab.tenant, user.id).forwarding_target == "+431555000"
    ran = live(site, hire(user, **left, Termination_Date=f"{TODAY - timedelta(days=1)}"))
    assert ran.json["counts"] == {"leaving": 1}, (ran.err, site.plan_lines())
    there = site.lab.tenant.users[user.id]
    sam = there.text("onPremisesSamAccountName") or ""
    account = site.lab.tenant.find_ad_user(sam)  # the account is mastered on-premises
    assert account is not None
    assert (there.licences, account.enabled) == ((), False)
    assert site.run("numbers", "show", number, "--json").json["state"] == "grace"
    steps = site.run("leaver-steps", "--json")
    assert steps.json["counts"] == {"left": 1}, steps.err
    assert site.lab.tenant.find_ad_user(sam) is None
    writes = len(site.writes())
    assert site.run("leaver-steps", "--json").json["counts"] == {}
    assert len(site.writes()) == writes
    assert site.run("audit", "verify").code == 0


def test_a_withdrawn_leaver_has_the_same_number_again(site: Site) -> None:
    """Rank 14: HR takes a termination back: number, licence, account and forwarding are as before."""
    (user,) = site.some(1)
    live(site, hire(user))
    number, before = site.numbers()[user.id], site.lab.tenant.users[user.id]
    settings = calling.of_user(site.lab.tenant, user.id)
    live(site, hire(user, Termination_Date=f"{TODAY}", Worker_Status="Terminated"))
    live(site, hire(user, Termination_Date=f"{TODAY - timedelta(days=1)}", Worker_Status="Terminated"))
    assert site.run("numbers", "show", number, "--json").json["state"] == "grace"
    ran = live(site, hire(user))
    after = site.lab.tenant.users[user.id]
    assert site.lab.tenant.numbers[number].target_id == user.id, (ran.err, site.plan_lines())
    account = site.lab.tenant.find_ad_user(after.text("onPremisesSamAccountName") or "")
    assert account is not None
    assert account.enabled
    assert {held.sku_id for held in after.licences} == {held.sku_id for held in before.licences}
    assert calling.of_user(site.lab.tenant, user.id).forwarding == settings.forwarding


def treatments(site: Site) -> dict[str, str]:
    """Give what the lab's treatments of unassigned numbers match and whom they name."""
    found = objects.every(site.lab.tenant, "TeamsUnassignedNumberTreatment")
    return {str(row.details["Pattern"]): str(row.details["Target"]) for row in found}


def test_callers_of_a_leaver_are_sent_on_while_the_number_rests(site: Site) -> None:
    """One number alone is sent on to the resource account; not any more when it rests no more, or is given back."""
    reception = next(user for user in site.lab.tenant.users.values() if user.account_type == "resourceAccount")
    (site.folder / "site" / "lifecycle.toml").write_text(RULES + ANNOUNCE.format(reception.upn), encoding="utf-8")
    stays, goes = site.some(2)
    live(site, hire(stays), hire(goes))
    numbers = site.numbers()
    left = {"Worker_Status": "Terminated", "Termination_Date": f"{TODAY - timedelta(days=1)}"}
    ran = live(site, hire(stays, **left), hire(goes, **left))
    assert treatments(site) == {f"^\\{numbers[user.id]}$": reception.id for user in (stays, goes)}, ran.err
    ran = live(site, hire(stays), hire(goes, **left))
    assert treatments(site) == {f"^\\{numbers[goes.id]}$": reception.id}, (ran.err, site.plan_lines())
    assert site.lab.tenant.numbers[numbers[stays.id]].target_id == stays.id
    assert site.run("numbers", "release", numbers[goes.id], "--yes", "--reason", "given to a shop").code == 0
    ended = site.run("numbers", "grace", "--json")
    assert (ended.json["counts"], treatments(site)) == ({"released": 1}, {}), ended.err
    assert site.run("audit", "verify").code == 0


def test_a_user_is_deleted_by_command_in_two_steps(site: Site) -> None:
    """M82, M105: a plan first; then disabled with the number resting; kept when the deletion is withdrawn."""
    (user,) = site.some(1)
    live(site, hire(user))
    name = user.upn
    site.refused(site.run("users", "delete", name, "--from", "entra", "--yes"), "comes from Active Directory")
    planned = site.run("users", "delete", name, "--from", "ad", "--dry-run", "--json")
    assert planned.json["counts"] == {"planned": 1}, planned.err
    assert site.run("users", "departures", "--json").json == []
    assert site.run("plan", "discard", planned.json["plan_id"], "--yes").code == 0
    done = site.run("users", "delete", name, "--from", "all", "--yes", "--json")
    assert done.json["counts"] == {"disabled": 1}, (done.err, site.plan_lines())
    there = site.lab.tenant.users[user.id]
    account = site.lab.tenant.find_ad_user(there.text("onPremisesSamAccountName") or "")
    assert account is not None
    assert not account.enabled
    (row,) = site.run("users", "departures", "--json").json
    assert (row["who"], row["next"], row["from"]) == (name, "delete", "ad")
    site.refused(site.run("users", "delete", name, "--from", "mars"), "names no systems")
    assert site.run("users", "keep", name).code == 0
    assert site.run("users", "departures", "--json").json == []
