"""Drift, preview and explain go by the same words as the lifecycle, and leave alone whoever goes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import JsonValue

from connectors.database import Database
from datasets.people import Person
from engine import deleting, feeds
from engine.deleting import Deletion
from engine.explain import explain
from engine.feeds import FeedHead
from engine.observe import Row
from engine.requests import Actor, open_request
from engine.resolve import Waits, resolve
from engine.template_preview import preview
from tests.fakes.company import STICKY, Company, company, company_site


def employed(database: Database, *people: int, sticky: bool = True) -> Company:
    """Give a company whose people have their telephones."""
    firm = company(database, company_site(STICKY) if sticky else None)
    firm.feed(*map(firm.person, people or (1,)))
    firm.days(1)
    return firm


def test_drift_undoes_no_step_of_a_leaver_whom_hr_calls_active(sqlite: Database) -> None:
    """A past last day decides, whatever the status: nights of steps and drift in turn end where steps alone end."""
    firm = employed(sqlite)
    firm.feed(firm.person(1, termination_date=firm.today))
    seen = []
    for _ in range(20):
        firm.nights(1)
        firm.settle()
        seen += firm.drift()
    user = firm.tenant.users["id-1"]
    assert seen == []
    assert (user.skus, user.number, user.enabled) == ((), None, False)


def test_leavers_are_no_missing_accounts(sqlite: Database) -> None:
    """Accounts of leavers that are gone are no page that is missing from an answer."""
    firm = employed(sqlite, 1, 2)
    firm.feed(firm.person(1, termination_date=firm.today - timedelta(days=100)))
    firm.days(50)
    firm.nights(2)
    assert list(firm.tenant.users) == ["id-2", "id-3", "id-4"]
    assert firm.drift(shrink_percent=20) == []


def asked_for(firm: Company, *targets: str) -> str:
    """Take the first step of a deletion of the first user; gives the number they had."""
    number = str(firm.number_of(1))
    asked = Deletion("user1@lab.test", targets, after_days=10)
    firm.carry_out(deleting.plan_deletion(firm.runtime, firm.request(), asked))
    firm.days(1)
    return number


def test_a_deletion_is_not_undone_by_the_feed_nor_by_drift(database: Database) -> None:
    """HR still calls them active: no number is claimed and nothing is given until the account is deleted."""
    firm = employed(database)
    number = asked_for(firm, "entra")
    writes = len(firm.tenant.writes())
    for _ in range(9):
        assert firm.feed(firm.person(1)) == []
        assert firm.drift() == []
        firm.days(1)
    assert (len(firm.tenant.writes()), firm.inventory()) == (writes, {number: "grace"})
    assert firm.last is not None
    assert "is being deleted on 2026-03-13 ; ./callwright users keep user1@lab.test" in firm.last.unchanged[0][1]
    firm.days(1)
    firm.carry_out(deleting.plan_due(firm.runtime, firm.request()))
    assert list(firm.tenant.deleted) == ["id-1"]


def test_a_feed_does_not_take_over_a_deletion_that_nobody_applied_yet(sqlite: Database) -> None:
    """The first step is planned and waits for its review; the feed of that night leaves its line alone."""
    firm = employed(sqlite)
    asked = Deletion("user1@lab.test", ("entra",), after_days=10)
    plan_id = deleting.plan_deletion(firm.runtime, firm.request(), asked)
    assert firm.feed(firm.person(1)) == []
    assert firm.states_of(plan_id) == ["planned"]


def test_the_steps_of_a_leaver_wait_for_a_deletion_and_go_on_without_it(sqlite: Database) -> None:
    """A departure stays open while its person is being deleted; a deletion that is taken back leaves the steps due."""
    firm = employed(sqlite)
    firm.feed(firm.person(1, termination_date=firm.today))
    asked_for(firm, "entra")
    firm.days(14)
    assert firm.nights(1) == []
    assert firm.departure_states() == ["open", "open"]
    deleting.withdraw(sqlite, "user1@lab.test")
    assert firm.nights(1) == ["remove_licence"]


def test_whoever_is_deleted_from_the_directory_alone_stays_a_telephone_user(sqlite: Database) -> None:
    """The cloud account does not follow the directory's: the feed looks after it as before."""
    firm = employed(sqlite)
    number = asked_for(firm, "ad")
    assert number == firm.number_of(1)
    firm.tenant.users["id-1"].policies.pop("TenantDialPlan")
    assert firm.feed(firm.person(1)) == ["set_policies"]


@pytest.mark.parametrize("late", [True, False], ids=["an older event that came late", "a move that is to come"])
def test_words_that_do_not_count_now_are_no_drift(database: Database, late: bool) -> None:
    """What HR said of another moment changes nothing tonight, in drift, preview and explain as in the lifecycle."""
    firm = company(database, company_site(STICKY))
    now = firm.runtime.now()
    firm.feed(firm.person(1, effective_at=now))
    at = now - timedelta(days=3) if late else now + timedelta(days=4)
    elsewhere: Person = firm.person(1, usage_location="DE", effective_at=at)
    assert firm.feed(elsewhere) == []
    firm.days(1)
    assert firm.drift() == []
    assert preview(firm.runtime, firm.site, firm.site).rows == []
    told = explain(firm.runtime, firm.site, "id-1", {})
    assert told.template == "austria"
    assert [each.wanted for each in told.values if each.attribute == "usage_location"] == ["AT"]


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_feed_that_only_onboards_counts_from_then_on(database: Database, dry_run: bool) -> None:
    """What onboarding gave later is not taken for drift; a dry run of it gave nothing."""
    firm = company(database, company_site(STICKY))
    firm.feed(firm.person(1), firm.person(2))
    firm.days(1)
    rows = [Row("f-joiners", 2, firm.person(1, department="Support", usage_location="DE"))]
    with database.write() as connection:
        actor, now = Actor(kind="hr_feed", name="hr"), firm.runtime.now()
        parameters: dict[str, JsonValue] = {"dry_run": dry_run}
        asked = open_request(connection, "onboarding", actor, parameters=parameters, flow_run_id=None, now=now)
        head: FeedHead = {
            "feed_id": "f-joiners",
            "name": "joiners",
            "digest": "0",
            "kind": "snapshot",
            "request_id": asked,
            "now": now,
        }
        feeds.record_feed(connection, people=[(2, rows[0].person)], bad=(), **head)
        feeds.accept(connection, "f-joiners")
    if not dry_run:
        firm.carry_out(resolve(firm.runtime, firm.site, asked, rows, waits=Waits()).plan_id)
    firm.days(1)
    assert {each.attribute for each in firm.drift()} <= {"policy:TenantDialPlan"}  # onboarding takes nothing back
    assert firm.tenant.users["id-1"].usage_location == ("AT" if dry_run else "DE")
