"""Single acts on numbers: assign by name or from a pool, take away with grace on both sides, end what is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from config.errors import InputRefused
from config.site_templates import LifecycleTemplate, Match, WriteBack
from connectors.database import Database
from datasets.inventory import NumberState, NumberUnavailable
from datasets.numbering import PhoneNumber
from datasets.people import Person
from datasets.users import NumberAssignment
from engine import feeds, inventory
from engine.locations import Locations
from engine.number_acts import Asked, plan_assignment, plan_release
from engine.number_endings import plan_endings
from engine.plan import LineState
from engine.pool_terms import policy_terms
from tests.fakes.number_acts import FIRST, POOL, Desk, desk
from tests.fakes.tenant import LOCATION

ONE, TWO, THREE = "user1@lab.test", "user2@lab.test", "user3@lab.test"
SECOND = "+431234501"


def give(at: Desk, user: str, *, number: str | None = None, pool: str | None = None) -> str:
    """Plan and apply an assignment."""
    plan_id = plan_assignment(at.runtime, at.site, at.request(), Asked(user, number, pool))
    at.apply(plan_id)
    return plan_id


def take(at: Desk, user: str, days: int = 30) -> str:
    """Plan and apply a release."""
    plan_id = plan_release(at.runtime, at.site, at.request(), user, None, grace_days=days)
    at.apply(plan_id)
    return plan_id


def ended(at: Desk, state: NumberState) -> list[str]:
    """Run an ending and name the numbers that it freed."""
    plan_id = plan_endings(at.runtime, at.request(), state)
    return [line.label for line in at.apply(plan_id) if line.state == LineState.VERIFIED]


def reserve(at: Desk, number: str, until: datetime | None) -> None:
    """Reserve a number for somebody."""
    with at.runtime.database.write() as connection:
        inventory.reserve(
            connection, PhoneNumber.from_e164(number), owner="person:7", reason="VIP", until=until, now=at.runtime.now()
        )


def test_a_named_number_is_assigned(database: Database) -> None:
    """M56: this very number goes to the user; the inventory records it when a read has shown it."""
    at = desk(database)
    assert at.states(give(at, ONE, number=SECOND)) == [LineState.VERIFIED]
    assert at.tenant.users["id-1"].number == SECOND
    assert (at.state(SECOND), at.state(FIRST)) == ("assigned", "free")


def test_two_admins_and_one_number_make_one_conflict(database: Database) -> None:
    """M56: the second plan for the same number is refused by the first one's claim, naming whose it is."""
    at = desk(database)
    first = plan_assignment(at.runtime, at.site, at.request(), Asked(ONE, SECOND))
    with pytest.raises(NumberUnavailable, match=r"is claimed by user:id-1"):
        plan_assignment(at.runtime, at.site, at.request(), Asked(TWO, SECOND))
    at.apply(first)
    assert at.tenant.owners() == {SECOND: ["id-1"]}


def test_a_number_that_teams_gave_away_is_refused_and_learned(database: Database) -> None:
    """M56: a number somebody holds in the tenant is refused, whatever the inventory believed."""
    at = desk(database)
    at.tenant.users["id-3"].number = FIRST
    with pytest.raises(NumberUnavailable, match="assigned by user:id-3"):
        give(at, ONE, number=FIRST)
    assert (at.state(FIRST), at.tenant.writes()) == ("assigned", [])


def test_the_next_free_number_skips_what_teams_gave_away(database: Database) -> None:
    """M57: the pool's next number is the lowest that the tenant, too, knows to be free."""
    at = desk(database)
    at.tenant.users["id-3"].number = FIRST
    give(at, ONE, pool=POOL)
    assert at.tenant.users["id-1"].number == SECOND
    assert at.state(FIRST) == "assigned"


def test_a_second_assignment_changes_nothing(database: Database) -> None:
    """Asked again, a user who has a number of that pool keeps it; another number is refused: numbers are sticky."""
    at = desk(database)
    give(at, ONE, pool=POOL)
    before = at.tenant.writes()
    assert at.states(give(at, ONE, pool=POOL)) == [LineState.UNCHANGED]
    with pytest.raises(InputRefused, match=r"already has \+431234500"):
        give(at, ONE, number=SECOND)
    assert at.tenant.writes() == before


def test_a_refused_assignment_leaves_no_claim(database: Database) -> None:
    """What was claimed before the refusal is free again."""
    at = desk(database, kind="callingPlan")
    with pytest.raises(InputRefused, match="has to be there first"):
        give(at, ONE, pool=POOL)
    assert at.state(FIRST) == "free"


@pytest.mark.parametrize("kind", ["callingPlan", "operatorConnect", "teamsPhoneMobile", "directRouting"])
def test_delivered_numbers_are_assigned_by_their_type(database: Database, kind: str) -> None:
    """M60: numbers of every kind go out with the type that Teams lists, and the location they carry."""
    at = desk(database, kind=kind)
    wire = "operatorConnect" if kind == "teamsPhoneMobile" else kind
    mobile = ("teamsPhoneMobile",) if kind == "teamsPhoneMobile" else ()
    at.tenant.listed[FIRST] = NumberAssignment(
        telephone_number=FIRST, number_type=wire, capabilities=mobile, location_id=LOCATION
    )
    lines = at.lines(give(at, ONE, number=FIRST))
    assert [c.change.parameters["number_type"] for c in lines[0].changes] == [wire]
    assert at.tenant.users["id-1"].number == FIRST


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        ({"number_type": "operatorConnect", "location_id": LOCATION}, "is a Operator Connect number in Teams"),
        ({"number_type": "callingPlan"}, "needs an emergency location"),
        ({"number_type": "callingPlan", "location_id": LOCATION, "iso_country_code": "DE"}, "emergency location in AT"),
    ],
    ids=["wrong-type", "no-location", "other-country"],
)
def test_the_wrong_type_or_location_is_refused(database: Database, listed: dict[str, str], reason: str) -> None:
    """M60: a number of another type than its pool, or without a location of its country, does not go out."""
    at = desk(database, kind="callingPlan")
    at.tenant.country = "AT"
    at.tenant.listed[FIRST] = NumberAssignment.model_validate({"telephone_number": FIRST, **listed})
    with pytest.raises(InputRefused, match=reason):
        give(at, ONE, number=FIRST)
    assert (at.state(FIRST), at.tenant.writes()) == ("free", [])


def test_a_released_number_rests_on_both_sides(database: Database) -> None:
    """M58: after 29 days it is refused here and in Teams, after 30 it is free on both; the second run finds nothing."""
    at = desk(database)
    give(at, ONE, number=FIRST)
    assert at.states(take(at, ONE)) == [LineState.VERIFIED]
    assert (at.state(FIRST), at.numbering.block_of(FIRST)) == ("grace", "BlockedUntil")
    at.tenant.clock.sleep(29 * 86400)
    assert ended(at, NumberState.GRACE) == []
    with pytest.raises(NumberUnavailable, match="in the grace period"):
        give(at, TWO, number=FIRST)
    at.tenant.clock.sleep(86400)
    assert ended(at, NumberState.GRACE) == [FIRST]
    assert (at.state(FIRST), at.numbering.block_of(FIRST)) == ("free", "NotBlocked")
    assert ended(at, NumberState.GRACE) == []


def test_a_block_that_outlasts_our_grace_is_lifted(database: Database) -> None:
    """M58: both sides end together: what Teams still blocks when our grace period ends is lifted."""
    at = desk(database)
    give(at, ONE, number=FIRST)
    take(at, ONE, days=10)
    at.numbering.until[FIRST] += timedelta(hours=3)
    at.tenant.clock.sleep(10 * 86400 + 60)
    assert ended(at, NumberState.GRACE) == [FIRST]
    assert ("lift_block", FIRST) in at.tenant.writes()
    assert at.numbering.block_of(FIRST) == "NotBlocked"


def test_an_older_module_keeps_the_grace_to_us(database: Database) -> None:
    """Where the module knows no blocks the grace period is ours alone."""
    at = desk(database, has_blocks=False)
    give(at, ONE, number=FIRST)
    assert [c.change.kind for c in at.lines(take(at, ONE))[0].changes] == ["unassign_number"]
    assert at.state(FIRST) == "grace"


def test_who_comes_back_gets_the_old_number(database: Database) -> None:
    """Inside the grace period the former owner gets the number again, and Teams' block is lifted first."""
    at = desk(database)
    give(at, ONE, number=FIRST)
    take(at, ONE)
    at.tenant.clock.sleep(86400)
    assert [c.change.kind for c in at.lines(give(at, ONE))[0].changes] == ["lift_block", "assign_number"]
    assert at.tenant.users["id-1"].number == FIRST


def test_taking_away_twice_changes_nothing(database: Database) -> None:
    """A user without a number is left alone."""
    at = desk(database)
    give(at, ONE, number=FIRST)
    take(at, ONE)
    before = at.tenant.writes()
    assert at.states(take(at, ONE)) == [LineState.UNCHANGED]
    assert at.tenant.writes() == before


def test_exactly_the_expired_reservations_end(database: Database) -> None:
    """M59: one that ends this very second is free, one a second later and one without an end stay."""
    at = desk(database)
    now = at.runtime.now()
    reserve(at, FIRST, now)
    reserve(at, SECOND, now + timedelta(seconds=1))
    reserve(at, "+431234502", None)
    assert ended(at, NumberState.RESERVED) == [FIRST]
    assert [at.state(n) for n in (FIRST, SECOND, "+431234502")] == ["free", "reserved", "reserved"]
    assert ended(at, NumberState.RESERVED) == []


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)], ids=["spring", "autumn"])
def test_a_reservation_ends_at_its_moment_across_a_time_change(database: Database, day: date) -> None:
    """M59: a reservation until three o'clock in Vienna ends at that moment on the day the clocks change."""
    at = desk(database)
    until = datetime.combine(day, time(3), ZoneInfo("Europe/Vienna"))
    reserve(at, FIRST, until.astimezone(UTC))
    at.tenant.clock.now_at = until.astimezone(UTC) - timedelta(seconds=1)
    assert ended(at, NumberState.RESERVED) == []
    at.tenant.clock.sleep(1)
    assert ended(at, NumberState.RESERVED) == [FIRST]


def test_a_reservation_prolonged_after_planning_stays(database: Database) -> None:
    """A line whose reservation was prolonged meanwhile is refused by name; the others go on."""
    at = desk(database)
    for number in (FIRST, SECOND):
        reserve(at, number, at.runtime.now())
    plan_id = plan_endings(at.runtime, at.request(), NumberState.RESERVED)
    reserve(at, FIRST, at.runtime.now() + timedelta(days=5))
    assert [line.state for line in at.apply(plan_id)] == [LineState.REFUSED, LineState.VERIFIED]
    assert (at.state(FIRST), at.state(SECOND)) == ("reserved", "free")


@pytest.mark.parametrize(
    ("kind", "country", "sent"),
    [
        ("callingPlan", "US", ("callingPlan", LOCATION)),
        ("callingPlan", "AT", "number of US cannot have an emergency location in AT"),
        ("teamsPhoneMobile", "AT", ("operatorConnect", None)),
        ("directRouting", "AT", ("directRouting", LOCATION)),
    ],
)
def test_templates_follow_the_same_location_rules(sqlite: Database, kind: str, country: str, sent: object) -> None:
    """M60: a feed's numbers go out with the type and location that their kind and country want, or are refused."""
    at = desk(sqlite)
    at.tenant.country = country
    template = next(each for each in at.site.templates if each.name == "us-sales")
    pool = at.site.pool(str(template.pool)).model_copy(update={"number_type": kind, "emergency_location": LOCATION})
    site = at.site.model_copy(update={"pools": (pool,)})
    locations = Locations(at.runtime.systems, site, policy_terms(site))
    if isinstance(sent, tuple):
        assert locations.terms_of(template) == sent
    else:
        with pytest.raises(InputRefused, match=str(sent)):
            locations.terms_of(template)


def with_write_back(at: Desk, *names: WriteBack) -> Desk:
    """Give the desk a policy whose template for everybody writes the number back."""
    template = LifecycleTemplate(name="all", pool="vienna", write_back=names)
    return replace(at, site=at.site.model_copy(update={"templates": (template,)}))


def test_an_assigned_number_is_written_back(sqlite: Database) -> None:
    """Where the template of a user says so, Active Directory shows the number after the assignment, and not before."""
    at = with_write_back(desk(sqlite), "telephoneNumber", "ipPhone")
    user = at.tenant.users["id-1"]
    user.telephone_number = "0815"
    plan_id = give(at, ONE, number=FIRST)
    assert [c.change.kind for c in at.lines(plan_id)[0].changes] == ["assign_number", "write_directory"]
    assert (user.telephone_number, user.ip_phone) == (FIRST, FIRST)
    assert at.states(plan_id) == [LineState.VERIFIED]


def test_a_number_that_is_taken_away_is_shown_no_longer(sqlite: Database) -> None:
    """Attributes that are written back and show the number are cleared; another text is somebody's own and stays."""
    at = with_write_back(desk(sqlite), "telephoneNumber", "ipPhone")
    give(at, ONE, number=FIRST)
    user = at.tenant.users["id-1"]
    user.ip_phone = "x12"
    at.tenant.clock.sleep(3600)
    take(at, ONE)
    assert (user.telephone_number, user.ip_phone) == (None, "x12")


def test_the_directory_is_left_alone_without_a_template_that_says_so(sqlite: Database) -> None:
    """No template, one without write-back, or a user of the cloud alone: nothing is written there."""
    at = with_write_back(desk(sqlite))
    give(at, ONE, number=FIRST)
    at = with_write_back(at, "ipPhone")
    at.tenant.users["id-2"].sam = ""
    give(at, TWO, number=SECOND)
    assert "write_directory" not in [name for name, _ in at.tenant.writes()]


def test_what_hr_said_last_chooses_the_template(sqlite: Database) -> None:
    """A template by department counts for somebody whose account does not tell it: the newest believed feed does."""
    at = with_write_back(desk(sqlite), "ipPhone")
    sales = at.site.templates[0].model_copy(update={"match": Match(department=("Sales",))})
    at = replace(at, site=at.site.model_copy(update={"templates": (sales,)}))
    request = at.request()
    with sqlite.write() as connection:
        for feed, department in (("f-1", "Sales"), ("f-2", "Finance")):
            person = Person(employee_id="00001", department=department)
            head: feeds.FeedHead = {
                "feed_id": feed,
                "name": "hr",
                "digest": feed,
                "kind": "snapshot",
                "request_id": request,
                "now": at.runtime.now(),
            }
            feeds.record_feed(connection, people=[(2, person)], bad=(), **head)
        feeds.accept(connection, "f-1")
    give(at, ONE, number=FIRST)
    give(at, TWO, number=SECOND)
    assert [at.tenant.users[each].ip_phone for each in ("id-1", "id-2")] == [FIRST, None]
