"""What an explanation says beside Teams Phone: the number's place, the directory, groups, and the account."""

from __future__ import annotations

from connectors.database import Database
from datasets.people import Status
from engine import deleting
from engine.deleting import Deletion
from engine.explain import Why, explain
from tests.fakes.company import AUSTRIA, STICKY, Company, company, company_site
from tests.fakes.tenant import LOCATION

JOINING = AUSTRIA.model_copy(update={"join_groups": ("Callers",), "emergency_location": "Vienna HQ"})
ELSEWHERE = "22222222-b4b3-4b9e-8a3e-3d7b1a3f0c11"
BY_TEMPLATE = "template austria"


def employed(database: Database) -> Company:
    """Give a company with one telephone user, whose template writes back, joins a group and names a location."""
    site = company_site().model_copy(update={"templates": (JOINING, STICKY)})
    firm = company(database, site)
    firm.tenant.groups = {"Callers": set()}
    firm.feed(firm.person(1))
    firm.days(1)
    return firm


def told(firm: Company) -> dict[str, Why]:
    """Explain the first user; gives each value by its attribute."""
    return {each.attribute: each for each in explain(firm.runtime, firm.site, "id-1", {}).values}


def test_what_a_template_set_outside_of_teams_is_told_from_the_journal(database: Database) -> None:
    """Write-back, groups and the location that went out with the number: value, wish and origin, like a policy."""
    firm = employed(database)
    number, found = firm.number_of(1), told(firm)
    seen = {
        name: (found[name].value, found[name].wanted) for name in ("ad:telephoneNumber", "group:Callers", "location")
    }
    assert seen == {
        "ad:telephoneNumber": (number, number),
        "group:Callers": (True, True),
        "location": (LOCATION, LOCATION),
    }
    assert all(found[name].comes_from.startswith(BY_TEMPLATE) for name in seen)
    assert (found["ad:ipPhone"].value, found["ad:ipPhone"].comes_from) == (None, "nobody set it")
    assert found["account_enabled"].comes_from == "not ours: nothing in the journal set it"


def test_what_somebody_changed_since_is_told_as_such(sqlite: Database) -> None:
    """The journal's value is not the tenant's any more: directory, group and location."""
    firm = employed(sqlite)
    firm.tenant.users["id-1"].telephone_number = "+43999"
    firm.tenant.groups["Callers"].clear()
    firm.tenant.locations[str(firm.number_of(1))] = ELSEWHERE
    found = told(firm)
    for name in ("ad:telephoneNumber", "group:Callers", "location"):
        assert "changed outside Callwright since plan" in found[name].comes_from


def test_a_location_that_was_set_later_outweighs_the_one_of_the_assignment(sqlite: Database) -> None:
    """The newest word of the journal counts, whichever change it was of."""
    firm = employed(sqlite)
    changed = JOINING.model_copy(update={"emergency_location": ELSEWHERE})
    firm.site = firm.site.model_copy(update={"templates": (changed, STICKY)})
    assert firm.feed(firm.person(1)) == ["set_number_location"]
    found = told(firm)["location"]
    assert (found.value, found.wanted) == (ELSEWHERE, ELSEWHERE)
    assert found.comes_from.startswith(BY_TEMPLATE)


def test_a_disabled_account_is_told_with_what_disabled_it(sqlite: Database) -> None:
    """A leaver's step is no template's word."""
    firm = employed(sqlite)
    firm.feed(firm.person(1, termination_date=firm.today))
    firm.days(14)
    firm.nights(1)
    assert explain(firm.runtime, firm.site, "id-1", {}).why.endswith("left on 2026-03-03: nothing is wanted any more")
    found = told(firm)["account_enabled"]
    assert told(firm)["policy:TenantDialPlan"].wanted is None
    assert (found.value, found.comes_from) == (False, "step of a leaver for HR feed f-2 row 2")


def test_a_deletion_is_told_as_what_a_person_asked_for(sqlite: Database) -> None:
    """The account of the directory is disabled by a request, not by the feed."""
    firm = employed(sqlite)
    firm.carry_out(deleting.plan_deletion(firm.runtime, firm.request(), Deletion("id-1", ("ad",))))
    found = told(firm)["ad:enabled"]
    assert (found.value, found.comes_from) == (False, "lifecycle by hr")


def test_whoever_is_being_deleted_or_on_leave_is_told_so(sqlite: Database) -> None:
    """The template that matches gives nothing now, and the explanation says why."""
    firm = employed(sqlite)
    firm.feed(firm.person(1, status=Status.LEAVE))
    assert explain(firm.runtime, firm.site, "id-1", {}).why.endswith("is on leave: the template waits")
    firm.days(1)
    firm.carry_out(deleting.plan_deletion(firm.runtime, firm.request(), Deletion("id-1", ("entra",), after_days=9)))
    why = explain(firm.runtime, firm.site, "id-1", {}).why
    assert why.endswith("is being deleted on 2026-03-13 ; ./callwright users keep user1@lab.test takes that back")
