"""Movers, leaves of absence and leavers: each is planned from the feed, and every step comes after the one before."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection

from config.sections import FeedLimits
from connectors.database import Database
from datasets.people import Person, Status
from engine import departures, feeds
from engine.feeds import FeedHead
from engine.guards import TooMuch
from engine.lives import Lives
from engine.observe import Row
from engine.requests import Actor, open_request
from engine.resolve import Planning, Waits, resolve
from engine.retention import erase
from engine.rollback import Choice, Terms, plan_rollback
from engine.template_preview import preview
from tests.fakes.company import RULES, STICKY, company, company_site
from tests.fakes.tenant import SKU

LEFT = Status.TERMINATED
KEPT = RULES.model_copy(update={"leaver": RULES.leaver.model_copy(update={"delete_after_days": None})})
NO_DELETION = company_site(STICKY, KEPT)


def test_a_mover_changes_policies_and_keeps_the_number(sqlite: Database) -> None:
    """M52, M46: another template's policy is granted, what only the old one gave is taken back, the number stays."""
    firm = company(sqlite, company_site(STICKY))
    firm.feed(firm.person(1))
    number = firm.number_of(1)
    kinds = firm.feed(firm.person(1, usage_location="DE"))
    user = firm.tenant.users["id-1"]
    assert kinds == ["set_usage_location", "set_policies"]
    assert user.policies == {"OnlineVoiceRoutingPolicy": "Berlin"}
    assert (user.number, user.skus, firm.outcomes()) == (number, (SKU,), ["moved"])
    assert firm.feed(firm.person(1, usage_location="DE")) == []


def test_a_preview_names_who_would_get_another_number(sqlite: Database) -> None:
    """Somebody moved and kept the number; a file to come that says new_number_on would change it with the next feed."""
    sticky, changing = company_site(STICKY), company_site()
    firm = company(sqlite, sticky)
    with sqlite.write() as connection:
        for feed, country in (("f-1", "AT"), ("f-2", "DE")):
            known_to_feeds(connection, feed, firm.person(1, usage_location=country), firm.runtime.now())
    firm.feed(firm.person(1))
    firm.feed(firm.person(1, usage_location="DE"))
    found = preview(firm.runtime, sticky, changing)
    assert [(each.attribute, each.live, each.wanted) for each in found.rows] == [
        ("number", firm.number_of(1), "one of pool berlin")
    ]
    assert (found.users, found.counts) == (1, {"number": 1})
    assert preview(firm.runtime, sticky, sticky).rows == []
    firm.site = changing
    assert "assign_number" in firm.feed(firm.person(1, usage_location="DE"))
    assert preview(firm.runtime, sticky, changing).rows == []


def known_to_feeds(connection: Connection, feed: str, person: Person, now: datetime) -> None:
    """Record a believed feed of one person."""
    actor = Actor(kind="hr_feed", name="hr")
    request_id = open_request(connection, "lifecycle", actor, parameters={}, flow_run_id=None, now=now)
    head: FeedHead = {
        "feed_id": feed,
        "name": feed,
        "digest": feed,
        "kind": "events",
        "request_id": request_id,
        "now": now,
    }
    feeds.record_feed(connection, people=[(2, person)], bad=(), **head)
    feeds.accept(connection, feed)


def test_a_policy_that_somebody_else_gave_survives_a_move(sqlite: Database) -> None:
    """What Callwright did not give is not taken back, and neither is what was changed since."""
    firm = company(sqlite, company_site(STICKY))
    firm.tenant.users["id-1"].policies["TeamsCallingPolicy"] = "Mine"
    firm.feed(firm.person(1))
    firm.tenant.users["id-1"].policies["TenantDialPlan"] = "By hand"
    firm.feed(firm.person(1, usage_location="DE"))
    assert firm.tenant.users["id-1"].policies == {
        "TeamsCallingPolicy": "Mine",
        "TenantDialPlan": "By hand",
        "OnlineVoiceRoutingPolicy": "Berlin",
    }


def test_a_move_to_another_country_changes_the_number_where_the_template_says_so(sqlite: Database) -> None:
    """The old number rests before anybody else gets it, the new one is claimed first; the next run changes nothing."""
    firm = company(sqlite)
    firm.feed(firm.person(1))
    old = str(firm.number_of(1))
    kinds = firm.feed(firm.person(1, usage_location="DE"))
    assert kinds[:2] == ["write_directory", "unassign_number"]  # the directory shows it no more before it is taken
    assert kinds[2:5] == ["block_number", "set_usage_location", "assign_number"]
    new = str(firm.number_of(1))
    assert new.startswith("+49")
    assert firm.inventory() == {old: "grace", new: "assigned"}
    assert firm.numbering.block_of(old) == "BlockedUntil"
    assert firm.feed(firm.person(1, usage_location="DE")) == []


def test_number_changes_of_a_feed_are_limited(sqlite: Database) -> None:
    """Rank 8: a feed that would change more live numbers than the site allows changes and remembers nothing."""
    firm = company(sqlite)
    firm.feed(*map(firm.person, (1, 2)))
    before, writes = firm.inventory(), len(firm.tenant.writes())
    moved = [firm.person(number, usage_location="DE") for number in (1, 2)]
    with pytest.raises(TooMuch, match="2 number changes"):
        firm.feed(*moved, limits=FeedLimits(number_changes=1))
    assert (firm.inventory(), len(firm.tenant.writes())) == (before, writes)
    assert firm.feed(*moved, limits=FeedLimits(number_changes=2, number_changes_percent=100))


def test_a_leave_of_absence_comes_and_goes(sqlite: Database) -> None:
    """Whoever is on leave has the policies of the leave, and those from before on the day of return."""
    firm = company(sqlite)
    firm.feed(firm.person(1))
    number = firm.number_of(1)
    assert firm.feed(firm.person(1, status=Status.LEAVE)) == ["set_policies"]
    assert firm.tenant.users["id-1"].policies["OnlineVoiceRoutingPolicy"] == "NoCalls"
    assert firm.outcomes() == ["on_leave"]
    assert firm.feed(firm.person(1, status=Status.LEAVE)) == []
    firm.feed(firm.person(1))
    assert firm.tenant.users["id-1"].policies["OnlineVoiceRoutingPolicy"] == "Vienna"
    assert (firm.number_of(1), firm.outcomes()) == (number, ["returned"])


def test_a_leaver_goes_step_by_step(sqlite: Database) -> None:
    """Rank 5: forwarded, then the number rests, then licences go, then the account is disabled and deleted at last."""
    firm = company(sqlite)
    firm.feed(firm.person(1))
    number, last = str(firm.number_of(1)), firm.today
    firm.feed(firm.person(1, status=LEFT, termination_date=last))
    assert firm.tenant.users["id-1"].number == number
    assert firm.nights(1) == ["set_calling_settings"]
    firm.days(7)
    assert firm.nights(1) == []
    assert firm.nights(1) == ["write_directory", "unassign_number", "block_number"]
    assert firm.inventory() == {number: "grace"}
    assert firm.tenant.users["id-1"].telephone_number is None
    assert firm.nights(2) == ["remove_licence"]
    assert firm.nights(2) == ["set_account_enabled"]
    firm.days(28)
    assert firm.nights(1) == []
    assert firm.nights(1) == ["delete_user"]
    assert (list(firm.tenant.deleted), firm.outcomes()) == (["id-1"], ["left"])
    assert firm.nights(1) == []
    assert firm.departure_states() == ["done"]
    assert firm.nights(1) == []


def test_a_leaver_of_the_future_waits(sqlite: Database) -> None:
    """A last day that is to come changes nothing yet, and the person is looked after like everybody else."""
    firm = company(sqlite)
    last = firm.today + timedelta(days=20)
    firm.feed(firm.person(1, termination_date=last))
    assert firm.number_of(1)
    firm.days(19)
    assert firm.nights(1) == []
    assert firm.nights(1) == ["set_calling_settings"]


def test_a_dry_run_ends_no_departure(sqlite: Database) -> None:
    """A wrong date that is only tried out, of somebody who has nothing any more: what HR announced stays open."""
    firm = company(sqlite)
    firm.tenant.users["id-1"].enabled = False
    leaves = firm.person(1, usage_location="FR", termination_date=firm.today + timedelta(days=20))
    firm.feed(leaves)
    rows = [Row("f-1", 2, leaves.model_copy(update={"termination_date": firm.today - timedelta(days=100)}))]
    lives = Lives(firm.runtime, NO_DELETION, grace_days=30)
    planning = Planning(dry_run=True, lives=lives)
    resolve(firm.runtime, NO_DELETION, firm.request(), rows, waits=Waits(), planning=planning)
    assert firm.departure_states() == ["open"]


def test_a_withdrawn_termination_takes_back_what_is_reversible(database: Database) -> None:
    """After forward, unassign, licences and disable the same number, licence, account and forwarding are back."""
    firm = company(database)
    firm.feed(firm.person(1))
    before = vars(firm.tenant.users["id-1"]) | {"licensed_at": None}
    last = firm.today
    firm.feed(firm.person(1, termination_date=last))
    for days in (1, 9, 2, 2):
        firm.days(days - 1)
        assert firm.nights(1)
    assert not firm.tenant.users["id-1"].enabled
    firm.feed(firm.person(1))
    assert vars(firm.tenant.users["id-1"]) | {"licensed_at": None} == before
    assert firm.calling.settings("id-1") == {**(firm.calling.settings("id-2") or {})}
    assert (firm.departure_states(), firm.outcomes()) == (["withdrawn"], ["returned"])
    assert firm.feed(firm.person(1)) == []


def test_after_the_deletion_a_rehire_is_a_new_hire(sqlite: Database) -> None:
    """The account is gone and so is the grace period: HR makes a new account, and it gets a number like anybody."""
    firm = company(sqlite)
    firm.feed(firm.person(1))
    firm.feed(firm.person(1, status=LEFT, termination_date=firm.today))
    firm.days(13)
    firm.nights(1)
    firm.days(29)
    firm.nights(2)
    assert "id-1" not in firm.tenant.users
    user = firm.tenant.deleted.pop("id-1")
    user.id, user.enabled, user.number = "id-9", True, None
    firm.tenant.users["id-9"] = user
    firm.feed(firm.person(1))
    assert firm.number_of(9)
    assert firm.departure_states() == ["returned"]


def test_a_late_leaver_is_disabled_now_and_deleted_only_after_the_time_between(sqlite: Database) -> None:
    """M82: however late HR tells, an account is disabled first and deleted after the days that lie between."""
    firm = company(sqlite)
    firm.feed(firm.person(1))
    kinds = firm.feed(firm.person(1, status=LEFT, termination_date=firm.today - timedelta(days=100)))
    assert kinds == ["write_directory", "unassign_number", "block_number", "remove_licence", "set_account_enabled"]
    firm.days(28)
    assert firm.nights(1) == []
    assert firm.nights(1) == ["delete_user"]


def test_an_earlier_departure_shortens_no_time_before_a_deletion(sqlite: Database) -> None:
    """M82: disabled by us a year ago, back, and disabled by hand today: the days count from when HR told."""
    firm = company(sqlite)
    firm.feed(firm.person(1))
    firm.feed(firm.person(1, status=LEFT, termination_date=firm.today))
    firm.nights(15)
    firm.feed(firm.person(1))
    firm.settle()
    assert firm.tenant.users["id-1"].enabled
    firm.days(200)
    firm.tenant.users["id-1"].enabled = False
    assert "delete_user" not in firm.feed(firm.person(1, status=LEFT, termination_date=firm.today - timedelta(days=50)))
    firm.days(28)
    assert firm.nights(1) == []
    assert firm.nights(1) == ["delete_user"]


def test_everybody_who_leaves_is_looked_at_every_night(database: Database) -> None:
    """However many departures are open, the newest has its steps, and a deletion can be taken back."""
    firm = company(database)
    firm.feed(firm.person(1))
    request_id, now = firm.request(), firm.runtime.now()
    with database.write() as connection:
        for number in range(1000):
            departures.begin(connection, (f"person:x{number}", "x"), firm.today - timedelta(days=9), request_id, now)
    firm.feed(firm.person(1, status=LEFT, termination_date=firm.today))
    firm.days(10)
    assert "unassign_number" in firm.steps()


def test_an_older_event_changes_nothing(database: Database) -> None:
    """Events that come out of order end where their order would: the newest of a person counts."""
    firm = company(database)
    now = firm.tenant.clock.now()
    hired = firm.person(1, effective_at=now - timedelta(days=3))
    left = firm.person(1, status=LEFT, effective_at=now - timedelta(days=1))
    firm.feed(hired)
    firm.feed(left, hired)
    assert firm.number_of(1)
    assert firm.feed(hired) == []
    assert firm.departure_states() == ["open"]


def test_more_leavers_than_allowed_are_not_believed(sqlite: Database) -> None:
    """Rank 8: the limit of leavers binds last days as well as terminations; nothing is remembered of a refused feed."""
    firm = company(sqlite)
    firm.feed(*map(firm.person, (1, 2)))
    leaving = [firm.person(number, termination_date=firm.today) for number in (1, 2)]
    with pytest.raises(TooMuch, match="2 leavers"):
        firm.feed(*leaving, limits=FeedLimits(leavers=1))
    assert firm.departure_states() == []


def test_a_rollback_takes_a_leavers_steps_back(sqlite: Database) -> None:
    """Each step is reversible until its gate: undoing the runs enables the account, and number and licence are back."""
    firm = company(sqlite)
    firm.feed(firm.person(1))
    number, last = firm.number_of(1), firm.today
    firm.feed(firm.person(1, termination_date=last))
    firm.days(13)
    firm.nights(1)
    firm.tenant.clock.sleep(3600)
    plan_id = plan_rollback(firm.runtime, firm.request(), Choice(firm.plan_ids[-1]), Terms())
    firm.carry_out(plan_id)
    user = firm.tenant.users["id-1"]
    assert (user.enabled, user.number, user.skus) == (True, number, (SKU,))


def test_a_deleted_account_is_restored_by_a_rollback(sqlite: Database) -> None:
    """In Entra a deletion is taken back for thirty days; the account comes back as it was deleted."""
    firm = company(sqlite)
    firm.feed(firm.person(1))
    firm.feed(firm.person(1, status=LEFT, termination_date=firm.today - timedelta(days=100)))
    firm.days(29)
    assert firm.nights(1) == ["delete_user"]
    plan_id = plan_rollback(firm.runtime, firm.request(), Choice(firm.plan_ids[-1]), Terms())
    firm.carry_out(plan_id)
    assert not firm.tenant.users["id-1"].enabled


def test_people_who_left_are_forgotten_at_their_date(database: Database) -> None:
    """Personal data of departures goes with the retention date; that somebody left, and when, stays."""
    firm = company(database)
    firm.feed(firm.person(1, status=LEFT, termination_date=firm.today - timedelta(days=100)))
    firm.days(45)
    firm.nights(3)
    firm.days(1)
    assert firm.departure_states() == ["done"]
    request_id, now = firm.request(), firm.runtime.now()
    found = erase(database, now, request_id=request_id, reason="its date", now=now)
    assert (found["known people"], found["departures"]) == (1, 1)
    with database.read() as connection:
        (kept,) = departures.listed(connection, everything=True)
        assert departures.known(connection, ["00001"]) == {}
    assert (kept.subject, kept.label, kept.state) == ("erased", "erased", "done")


def test_whoever_is_to_leave_is_not_forgotten(database: Database) -> None:
    """An event told the end of a contract years ahead and nothing since: the steps are taken on their days."""
    firm = company(database)
    firm.feed(firm.person(1, termination_date=firm.today + timedelta(days=900)), firm.person(2))
    firm.days(800)
    request_id, now = firm.request(), firm.runtime.now()
    found = erase(database, now, request_id=request_id, reason="its date", now=now)
    assert found["known people"] == 1
    firm.days(111)
    assert "unassign_number" in firm.steps()
