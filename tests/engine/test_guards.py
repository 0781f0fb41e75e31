"""Guards of the whole life: more than a site allows at once changes nothing, whatever would do it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from config.sections import FeedLimits
from config.site_lifecycle import LeaverRules
from connectors.database import Database
from connectors.errors import Invalid
from datasets.feeds import Reach
from datasets.people import Person, Status
from engine import deleting, departures, guards
from engine.deleting import Deletion
from engine.guards import TooMuch
from engine.observe import Row
from engine.requests import Actor, note, open_request
from tests.fakes.company import AUSTRIA, RULES, STICKY, Company, company, company_site

PEOPLE = 8
MANY = range(1, PEOPLE + 1)
Said = Callable[[Company, int], Person]


@pytest.fixture
def firm(sqlite: Database) -> Company:
    """Give a company whose people have their telephones."""
    made = company(sqlite, company_site(STICKY), users=PEOPLE)
    made.feed(*map(made.person, MANY))
    made.days(1)
    return made


def night(firm: Company, limits: FeedLimits) -> None:
    """Take the steps of a night under its guard."""
    with firm.runtime.database.read() as connection:
        rows = [Row(each.feed_id, each.line, each.person) for each in departures.people_leaving(connection)]
    firm.plan(rows, guards.of_a_night(limits, len(rows)))


@pytest.mark.parametrize(
    "said",
    [
        lambda firm, number: firm.person(number, usage_location="DE"),
        lambda firm, number: firm.person(number, status=Status.LEAVE),
    ],
    ids=["moves", "leaves of absence"],
)
@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (FeedLimits(moves=PEOPLE - 1), "8 people who are given other values or go on leave in one feed: more than 7"),
        (FeedLimits(), "8 people who are given other values or go on leave among 8 rows: more than 20 %"),
    ],
    ids=["too many", "too large a share"],
)
def test_a_feed_that_moves_or_sends_away_too_many_is_not_believed(
    firm: Company, said: Said, limits: FeedLimits, words: str
) -> None:
    """One column that is blank or shifted re-templates everybody: nothing is taken, nothing remembered."""
    writes = len(firm.tenant.writes())
    with pytest.raises(TooMuch, match=words):
        firm.feed(*(said(firm, number) for number in MANY), limits=limits)
    assert len(firm.tenant.writes()) == writes
    assert firm.feed(*map(firm.person, MANY), limits=limits) == []


def test_some_may_move_in_a_small_company(firm: Company) -> None:
    """Five of eight is a large share and still no glitch."""
    moved = [firm.person(number, usage_location="DE" if number <= 5 else "AT") for number in MANY]
    assert firm.feed(*moved, limits=FeedLimits())


@pytest.mark.parametrize(
    "policies",
    [
        {"OnlineVoiceRoutingPolicy": "Berlin", "TenantDialPlan": "AT"},
        {**AUSTRIA.policies, "TeamsCallingPolicy": "NoForward"},
    ],
    ids=["another value", "one more"],
)
def test_a_template_edited_under_its_name_moves_nobody_beyond_the_limit(
    firm: Company, policies: dict[str, str]
) -> None:
    """The same words of HR and a template that says something else: everybody would be given it in one night."""
    firm.tenant.policy_ids["TeamsCallingPolicy", "NoForward"] = "p-noforward"
    edited = AUSTRIA.model_copy(update={"policies": policies})
    firm.site = company_site(STICKY).model_copy(update={"templates": (edited, STICKY)})
    writes = len(firm.tenant.writes())
    with pytest.raises(TooMuch, match="8 people who are given other values or go on leave in one feed: more than 7"):
        firm.feed(*map(firm.person, MANY), limits=FeedLimits(moves=PEOPLE - 1))
    assert len(firm.tenant.writes()) == writes
    firm.feed(*map(firm.person, MANY), limits=FeedLimits(moves=PEOPLE, moves_percent=100))
    assert (firm.outcomes(), firm.tenant.users["id-1"].policies) == (["moved"] * PEOPLE, policies)


def test_what_was_changed_by_hand_is_given_again_to_any_number(firm: Company) -> None:
    """Values that people had of us already are no move, so a feed may put all of them right."""
    for user in firm.tenant.users.values():
        user.policies.clear()
    firm.feed(*map(firm.person, MANY), limits=FeedLimits(moves=0))
    assert firm.outcomes() == ["onboarded"] * PEOPLE


def test_who_was_given_a_part_is_still_a_joiner(sqlite: Database) -> None:
    """A first attempt that failed half-way gave some values; the rest of them is no move."""
    firm = company(sqlite, company_site(STICKY), users=PEOPLE)

    def refuse(name: str, _target: str) -> None:
        if name == "grant_policies":
            raise Invalid("not now")

    firm.tenant.before = refuse
    firm.feed(*map(firm.person, MANY))
    assert firm.outcomes() == ["failed"] * PEOPLE
    firm.tenant.before = lambda name, target: None
    firm.feed(*map(firm.person, MANY), limits=FeedLimits(moves=0))
    assert firm.outcomes() == ["onboarded"] * PEOPLE


def test_last_days_that_are_brought_forward_are_leavers(firm: Company) -> None:
    """Departures are open already; a glitch that puts all their days into the past would take every step at once."""
    last = firm.today + timedelta(days=60)
    firm.feed(*(firm.person(number, termination_date=last) for number in MANY))
    limits = FeedLimits(leavers=PEOPLE - 1, leavers_percent=100)
    past = [firm.person(number, termination_date=firm.today - timedelta(days=90)) for number in MANY]
    with pytest.raises(TooMuch, match="8 leavers in one feed: more than 7"):
        firm.feed(*past, limits=limits)
    later = [firm.person(number, termination_date=last + timedelta(days=9)) for number in MANY]
    assert firm.feed(*later, limits=limits) == []


def test_days_that_are_lowered_take_no_steps_of_everybody_at_once(firm: Company) -> None:
    """A lower number in lifecycle.toml makes the steps of all departures due: the night refuses them as a whole."""
    firm.feed(*(firm.person(number, termination_date=firm.today - timedelta(days=2)) for number in MANY))
    hasty = LeaverRules(unassign_after_days=1, licences_after_days=1, disable_after_days=1)
    firm.site = company_site(STICKY, RULES.model_copy(update={"leaver": hasty}))
    firm.days(1)
    writes = len(firm.tenant.writes())
    with pytest.raises(TooMuch, match=r"8 people for whom leaver's steps are taken in one night: more than 7"):
        night(firm, FeedLimits(steps=PEOPLE - 1))
    assert len(firm.tenant.writes()) == writes
    night(firm, FeedLimits(steps=PEOPLE))
    assert firm.tenant.owners() == {}


def test_accounts_deleted_at_once_are_limited(firm: Company) -> None:
    """Deletions cannot be taken back everywhere: they have a limit of their own."""
    firm.feed(*(firm.person(number, termination_date=firm.today - timedelta(days=90)) for number in MANY))
    firm.days(40)
    with pytest.raises(
        TooMuch, match=r"8 deletions in one night: more than 7 ; nothing was changed: look at lifecycle"
    ):
        night(firm, FeedLimits(deletions=PEOPLE - 1))
    assert len(firm.tenant.users) == PEOPLE


def test_deletions_that_are_due_are_limited(firm: Company) -> None:
    """What people asked for one by one may still not all happen in one night."""
    for number in (1, 2):
        asked = Deletion(f"id-{number}", ("entra",), after_days=1)
        firm.carry_out(deleting.plan_deletion(firm.runtime, firm.request(), asked))
    firm.days(2)
    with pytest.raises(TooMuch, match="2 deletions in one night: more than 1"):
        deleting.plan_due(firm.runtime, firm.request(), guards.of_a_night(FeedLimits(deletions=1), 2))
    assert firm.departure_states() == ["open", "open"]
    firm.carry_out(deleting.plan_due(firm.runtime, firm.request(), guards.of_a_night(FeedLimits(deletions=2), 2)))
    assert sorted(firm.tenant.deleted) == ["id-1", "id-2"]


def test_what_events_of_a_day_did_is_added_up(database: Database) -> None:
    """Requests note what they led to; those of another kind, of earlier days and the one that asks do not count."""
    firm = company(database)
    asking, now = firm.request(), firm.runtime.now()
    with database.write() as connection:
        for kind, at in (
            ("lifecycle", now),
            ("lifecycle", now),
            ("other", now),
            ("lifecycle", now - timedelta(days=2)),
        ):
            actor = Actor(kind="hr_feed", name="hr")
            made = open_request(connection, kind, actor, parameters={}, flow_run_id=None, now=at)
            note(connection, made, reach=Reach(1, 2, 3)._asdict())
    with database.read() as connection:
        assert guards.reach_within_a_day(connection, "lifecycle", asking, now) == Reach(2, 4, 6)
        assert guards.reach_within_a_day(connection, "nothing", asking, now) == Reach()
