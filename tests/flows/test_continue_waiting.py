"""The flow that continues what waits, on a tenant in memory."""

from __future__ import annotations

from connectors.errors import Invalid
from tests.fakes.flow_site import FlowSite


def make_account(site: FlowSite, user: str, employee_id: str) -> None:
    """Have the customer's provisioning make an account."""
    site.tenant.users[user].employee_id = employee_id


def test_who_waited_for_an_account_is_onboarded(at_site: FlowSite) -> None:
    """Once the account is there the next visit makes a phone user of it."""
    assert at_site.onboard("00001", "00077")["counts"] == {"onboarded": 1, "waiting": 1}
    make_account(at_site, "id-5", "00077")
    visit = at_site.go_on()
    assert (visit["counts"], visit["still_waiting"]) == ({"onboarded": 1}, 0)
    assert set(at_site.phones()) == {"id-1", "id-5"}


def test_a_visit_tells_what_it_moved_and_what_still_waits(at_site: FlowSite) -> None:
    """Of two who waited one is done; who was done before is not told again."""
    at_site.onboard("00001", "00077", "00078")
    make_account(at_site, "id-5", "00077")
    visit = at_site.go_on()
    assert visit["counts"] == {"onboarded": 1, "waiting": 1}
    assert (visit["verified"], visit["still_waiting"]) == (1, 1)


def test_what_was_only_tried_is_not_continued(at_site: FlowSite) -> None:
    """The plan of a dry run waits for a person, not for the schedule: nothing is written."""
    at_site.onboard("00001", "00077", dry_run=True)
    make_account(at_site, "id-5", "00077")
    assert at_site.go_on()["counts"] == {}
    assert at_site.tenant.writes() == []


def test_a_second_visit_changes_nothing(at_site: FlowSite) -> None:
    """When all is done, or nothing has happened yet, a visit writes nothing."""
    at_site.onboard("00001", "00077")
    before = at_site.tenant.writes()
    for _ in range(2):
        assert at_site.go_on()["counts"]["waiting"] == 1
    make_account(at_site, "id-5", "00077")
    at_site.go_on()
    after = at_site.tenant.writes()
    assert len(after) == 2 * len(before)
    assert at_site.go_on()["counts"] == {}
    assert at_site.tenant.writes() == after


def test_one_failure_does_not_stop_the_rest(at_site: FlowSite) -> None:
    """Of two who waited, the one whom the tenant refuses fails, and the other is done."""
    at_site.onboard("00077", "00078")
    make_account(at_site, "id-4", "00077")
    make_account(at_site, "id-5", "00078")

    def refuse(name: str, target: str) -> None:
        if (name, target) == ("assign_licence", "id-4"):
            raise Invalid("this user is broken ; look at it")

    at_site.tenant.before = refuse
    assert at_site.go_on()["counts"] == {"failed": 1, "onboarded": 1}
    assert set(at_site.phones()) == {"id-5"}
