"""The emergency location of a number that stays: a move and a changed policy reach it, drift and undo know it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from config.site_policy import SitePolicy
from config.site_templates import PoolRule
from connectors.database import Database
from datasets.people import Status
from datasets.users import NumberAssignment
from engine.rollback import Choice, Terms, plan_rollback
from engine.template_preview import preview
from tests.fakes.company import AUSTRIA, POOLS, STICKY, Company, company, company_site, pool
from tests.fakes.lab_firm import LabGround, lab_firm
from tests.fakes.life_site import life_site
from tests.fakes.tenant import LOCATION

GRAZ = "11111111-b4b3-4b9e-8a3e-3d7b1a3f0c11"
ELSEWHERE = "22222222-b4b3-4b9e-8a3e-3d7b1a3f0c11"


def places(vienna: str | None = "Vienna HQ", *, converges: bool = True) -> SitePolicy:
    """Give a site of two offices with an emergency location each, whose people keep their numbers."""
    template = AUSTRIA.model_copy(
        update={"pool_rules": (PoolRule(pool="graz", location=("Graz",)),), "policies_converge": converges}
    )
    first = POOLS[0].model_copy(update={"emergency_location": vienna})
    second = pool("graz", "AT", "+4331612300", "+4331612339").model_copy(update={"emergency_location": GRAZ})
    return company_site(STICKY).model_copy(update={"templates": (template, STICKY), "pools": (first, second, POOLS[1])})


def employed(database: Database, site: SitePolicy | None = None) -> Company:
    """Give a company with one telephone user in Vienna."""
    firm = company(database, site or places())
    firm.feed(firm.person(1))
    firm.days(1)
    return firm


def place_of(firm: Company) -> str | None:
    """Give the location of the first user's number, as the tenant has it."""
    return firm.tenant.locations.get(str(firm.number_of(1)))


def drift(firm: Company) -> list[tuple[str, object, object, str]]:
    """Repair drift and give what differed: attribute, value, wanted value, and what happens."""
    return [(each.attribute, each.live, each.wanted, each.then) for each in firm.drift()]


def test_a_move_to_another_site_takes_the_location_of_the_number_along(database: Database) -> None:
    """The number stays, its emergency calls go to the new office; said again nothing changes, and undo undoes."""
    firm = employed(database)
    number = firm.number_of(1)
    assert place_of(firm) == LOCATION
    assert firm.feed(firm.person(1, location="Graz")) == ["set_number_location"]
    assert (firm.number_of(1), place_of(firm), firm.outcomes()) == (number, GRAZ, ["moved"])
    moved = firm.plan_ids[-1]
    assert firm.feed(firm.person(1, location="Graz")) == []
    firm.days(1)
    assert firm.feed(firm.person(1, location="Graz")) == []
    firm.carry_out(plan_rollback(firm.runtime, firm.request(), Choice(moved), Terms()))
    assert place_of(firm) == LOCATION


def test_a_changed_location_of_the_policy_reaches_numbers_that_are_given(sqlite: Database) -> None:
    """A pool's other location is previewed, reported by drift and set by it; by the next feed as well."""
    firm = employed(sqlite)
    found = preview(firm.runtime, firm.site, places(ELSEWHERE))
    assert [(each.attribute, each.live, each.wanted) for each in found.rows] == [("location", LOCATION, ELSEWHERE)]
    firm.site = places(ELSEWHERE)
    assert drift(firm) == [("location", LOCATION, ELSEWHERE, "converges")]
    assert place_of(firm) == ELSEWHERE
    firm.days(1)
    assert drift(firm) == []
    firm.site = places()
    assert firm.feed(firm.person(1)) == ["set_number_location"]
    assert (place_of(firm), firm.outcomes()) == (LOCATION, ["moved"])  # so the limit on moves holds for an edited pool


def test_where_policies_may_not_converge_a_location_is_only_reported(sqlite: Database) -> None:
    """`policies_converge` off: whoever refines locations by hand keeps them."""
    firm = employed(sqlite, places(converges=False))
    firm.tenant.locations[str(firm.number_of(1))] = ELSEWHERE
    assert drift(firm) == [("location", ELSEWHERE, LOCATION, "reported")]
    assert place_of(firm) == ELSEWHERE


@pytest.mark.parametrize("vienna", [None, "No such place"], ids=["none is named", "one that there is not"])
def test_without_a_location_to_set_the_number_keeps_its_own(sqlite: Database, vienna: str | None) -> None:
    """Nothing is cleared; a description that the tenant does not have is reported."""
    firm = employed(sqlite)
    firm.site = places(vienna)
    assert firm.feed(firm.person(1)) == []
    assert [row[:1] + row[3:] for row in drift(firm)] == ([("location", "reported")] if vienna else [])
    assert place_of(firm) == LOCATION


def test_a_location_in_another_country_is_reported_and_not_set(sqlite: Database) -> None:
    """A Calling Plan number of Austria cannot be placed in Germany: Teams would refuse, and the report says why."""
    firm = employed(sqlite)
    number = str(firm.number_of(1))
    row = NumberAssignment(telephone_number=number, number_type="callingPlan", iso_country_code="AT", location_id=GRAZ)
    firm.tenant.listed[number], firm.tenant.country = row, "DE"
    assert firm.feed(firm.person(1)) == []
    assert drift(firm) == [("location", GRAZ, LOCATION, "reported")]


def test_leavers_and_people_on_leave_keep_the_place_of_their_number(sqlite: Database) -> None:
    """A template is for people at work: whoever is away is not moved."""
    firm = employed(sqlite)
    assert firm.feed(firm.person(1, location="Graz", status=Status.LEAVE)) == ["set_policies"]
    firm.feed(firm.person(1, location="Graz", termination_date=firm.today - timedelta(days=2)))
    assert place_of(firm) == LOCATION


def test_the_lab_moves_a_number_with_its_person(sqlite: Database, tmp_path: Path) -> None:
    """The same over the real protocols, by the descriptions that the location service knows."""
    site = life_site()
    vienna, graz, berlin = site.pools
    sticky = site.templates[0].model_copy(update={"new_number_on": "never"})
    with lab_firm(tmp_path, sqlite, site, people=1) as firm:
        assert isinstance(firm.ground, LabGround)
        first, second = list(firm.ground.lab.tenant.locations.values())[:2]
        pools = tuple(
            each.model_copy(update={"emergency_location": place.description})
            for each, place in ((vienna, first), (graz, second))
        )
        firm.site = site.model_copy(update={"pools": (*pools, berlin), "templates": (sticky, *site.templates[1:])})
        firm.feed(firm.person(1))
        firm.settle()
        (number,) = firm.ground.owners()
        assert firm.ground.lab.tenant.numbers[number].location_id == first.location_id
        firm.days(1)
        assert firm.feed(firm.person(1, location="Graz")) == ["set_number_location"]
        firm.settle()
        assert firm.ground.lab.tenant.numbers[number].location_id == second.location_id
        firm.days(1)
        assert firm.feed(firm.person(1, location="Graz")) == []
