"""Bad days of the tenant, seen from the command line: a clear end, nothing lost, nothing doubled, and how to go on."""

from __future__ import annotations

import pytest

from lab.records import Json
from tests.fakes.onboarding_site import Site, hire

pytestmark = pytest.mark.slow

GHOST = "11111111-1111-4111-8111-111111111111"
POOL = range(431934600001, 431934600400)


def next_free(site: Site) -> str:
    """Give the number that the pool would give out next."""
    numbers = (f"+{number}" for number in POOL)
    taken = {number for number, row in site.lab.tenant.numbers.items() if row.target_id}
    return next(number for number in numbers if number not in taken)


def test_lost_replies_of_every_kind_are_settled_by_reading(site: Site) -> None:
    """Each kind of write loses one reply after its effect: everybody is onboarded at once and nothing is sent twice."""
    people = site.some(3)
    kinds = ("users.update", "users.assignLicense", "numberAssignments.assign", "policy.assign", "Set-ADUser")
    for kind in kinds:
        site.lab.faults.add({"name": "drop_reply", "match": {"operation": kind}, "times": 1})
    ran = site.onboard(site.feed(*map(hire, people)), "--json")
    assert (ran.code, ran.json["counts"]) == (0, {"onboarded": 3})
    assert set(site.numbers()) == {user.id for user in people}
    assert [len(site.writes(kind)) for kind in kinds] == [3] * 5
    site.check_books()


def test_the_token_service_is_down(site: Site) -> None:
    """The run ends with 3 and one line; the same feed later does all of it, once."""
    people = site.some(2)
    feed = site.feed(*map(hire, people))
    with site.fault("token_down", "token"):
        site.refused(site.onboard(feed), "could not sign in", "try again later", code=3)
    assert site.writes() == []
    assert site.onboard(feed).code == 0
    assert len(site.numbers()) == 2
    site.check_books()


def test_a_licence_that_never_replicates_fails_with_what_to_do(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line waits, then gives up with the reason; its number is free again; the next feed does the rest."""
    monkeypatch.setenv("CALLWRIGHT_WAIT__LICENCE_GIVE_UP_H", "0.00001")
    people = site.some(2)
    feed = site.feed(*map(hire, people))
    site.lab.settings.licence_delay_s = 1e6
    first = site.onboard(feed)
    assert first.code == 0
    assert "next: ./callwright continue ; 2 wait" in first.out
    site.refused(site.go_on(), "2 failed ; see ./callwright plan show", code=1)
    site.lab.settings.licence_delay_s = 0
    reasons = {line["reason"] for line in site.plan_lines().values()}
    said = "the Teams Phone licence has not replicated yet ; check the user's licences in the admin centre"
    assert reasons == {f"gave up waiting: {said}, then run the feed again"}
    assert site.numbers() == {}
    site.check_books()
    assert site.onboard(feed).code == 0
    assert len(site.numbers()) == 2
    assert len(site.writes("users.assignLicense")) == 2


def test_a_number_of_somebody_unknown_is_never_offered(site: Site) -> None:
    """A number that a ghost holds in the tenant is recorded as taken, and the next one is given."""
    haunted, people = next_free(site), site.some(1)
    site.lab.control("PATCH", f"/state/numbers/{haunted}", {"assignmentTargetId": GHOST})
    assert site.onboard(site.feed(*map(hire, people))).code == 0
    assert haunted not in site.numbers().values()
    assert site.run("numbers", "show", haunted, "--json").json["owner"] == f"user:{GHOST}"
    site.check_books()


def test_a_ghost_that_only_the_write_meets_costs_one_more_number(site: Site) -> None:
    """When reading does not show the ghost yet, the write is refused, and the person gets another number later."""
    haunted, people = next_free(site), site.some(2)
    with site.fault("lag", "numberAssignments.*", seconds=3600):
        site.lab.control("PATCH", f"/state/numbers/{haunted}", {"assignmentTargetId": GHOST})
        assert site.onboard(site.feed(*map(hire, people))).code == 0
    states = {line["state"]: line["reason"] for line in site.plan_lines().values()}
    assert "is held by somebody else ; planned anew with another" in states["waiting"]
    assert site.go_on().code == 0
    assert set(site.numbers()) == {user.id for user in people}
    assert haunted not in site.numbers().values()
    site.check_books()


def test_one_user_who_always_fails_stops_nobody(site: Site) -> None:
    """The tenant refuses every licence for one person: the others are onboarded, the run ends with 1 and the reason."""
    first, broken, last = site.some(3)
    refusal: dict[str, Json] = {"status": 400, "code": "BadRequest", "message": "This user is broken"}
    with site.fault("error", "users.assignLicense", broken.id, **refusal):
        ran = site.onboard(site.feed(*map(hire, (first, broken, last))))
    site.refused(ran, "1 failed ; see ./callwright plan show", code=1)
    assert "This user is broken" in " ".join(ran.out.split())
    assert set(site.numbers()) == {first.id, last.id}
    site.check_books()


def test_one_user_who_cannot_be_read_stops_nobody(site: Site) -> None:
    """Teams fails whenever it is asked about one person: the line waits and is done once it answers."""
    first, broken, last = site.some(3)
    outage: dict[str, Json] = {"status": 500, "code": "InternalServerError", "message": "Not this one"}
    with site.fault("error", "*", broken.id, **outage):
        ran = site.onboard(site.feed(*map(hire, (first, broken, last))), "--json")
    assert (ran.code, ran.json["counts"]) == (0, {"onboarded": 2, "waiting": 1})
    assert "Not this one" in site.plan_lines()[str(broken.text("userPrincipalName"))]["reason"]
    assert site.go_on().code == 0
    assert set(site.numbers()) == {first.id, broken.id, last.id}
    site.check_books()


def test_a_tenant_that_is_gone_in_mid_run_is_continued(site: Site) -> None:
    """Every connection breaks once the first writes are out: the run ends with 3, continuing does the rest once."""
    people = site.some(3)
    with site.fault("drop_reply", after=14):
        ran = site.onboard(site.feed(*map(hire, people)))
    site.refused(ran, "./callwright continue", code=3)
    assert "3 wait" in ran.out
    assert site.go_on().code == 0
    assert set(site.numbers()) == {user.id for user in people}
    assert [len(site.writes(kind)) for kind in ("users.assignLicense", "numberAssignments.assign")] == [3, 3]
    site.check_books()


def test_a_write_that_was_only_said_to_be_done_is_found_out(site: Site) -> None:
    """The tenant accepts a number and forgets it: the run says unknown, later failed, and the number is free again."""
    people = site.some(2)
    with site.fault("false_success", "numberAssignments.assign", times=1):
        site.refused(site.onboard(site.feed(*map(hire, people))), "1 unknown ; see", code=1)
    site.refused(site.go_on(), "1 failed ; see ./callwright plan show", code=1)
    (failed,) = [line for line in site.plan_lines().values() if line["state"] == "failed"]
    assert "accepted but never took effect ; check" in failed["reason"]
    assert len(site.numbers()) == 1
    site.check_books()
