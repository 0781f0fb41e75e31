"""Callers of somebody who left are told, or sent on, while the number rests: made, ended and taken back."""

from __future__ import annotations

import pytest

from config.site_lifecycle import Announce, LeaverRules, LifecycleRules
from connectors.database import Database
from datasets.inventory import NumberState
from datasets.numbering import PhoneNumber
from datasets.people import Status
from engine import inventory
from engine.number_endings import plan_endings
from engine.rollback import Choice, Terms, plan_rollback
from tests.fakes.company import Company, company, company_site

pytestmark = pytest.mark.slow

SOUND = Announce(type="Announcement", target="sound-1", first_priority=5)
TAKEN = ["write_directory", "unassign_number", "block_number"]


def firm_with(database: Database, announce: Announce = SOUND) -> Company:
    """Give a company that announces numbers of leavers, one of whom has a number."""
    rules = LifecycleRules(leaver=LeaverRules(forward_to="none", unassign_after_days=1, announce=announce))
    firm = company(database, company_site(rules=rules))
    firm.feed(*map(firm.person, (1, 2)))
    return firm


def leave(firm: Company, *people: int) -> list[str]:
    """Have people leave, and take the first step the night after; gives the kinds of changes."""
    firm.feed(*(firm.person(each, status=Status.TERMINATED, termination_date=firm.today) for each in people))
    return firm.nights(1)


def rested(firm: Company) -> None:
    """End the grace periods that are over."""
    firm.carry_out(plan_endings(firm.runtime, firm.request(), NumberState.GRACE))


def test_callers_are_told_before_the_number_is_taken(sqlite: Database) -> None:
    """A number that somebody has ignores a treatment: made first, so a visit that dies in between loses neither."""
    firm = firm_with(sqlite)
    number = str(firm.number_of(1))
    assert leave(firm, 1) == ["announce_number", *TAKEN]
    assert firm.numbering.announced[number].said == "Announcement sound-1"
    assert (firm.inventory()[number], firm.states()) == ("grace", ["verified"])


def test_two_leavers_have_a_priority_each(sqlite: Database) -> None:
    """Teams takes every priority once; ours begin where the site says and pass over those that are taken."""
    firm = firm_with(sqlite)
    leave(firm, 1, 2)
    assert sorted(each.priority for each in firm.numbering.announced.values()) == [5, 6]


def test_the_announcement_ends_with_the_grace_period(sqlite: Database) -> None:
    """Not a day earlier, and before the number is anybody's."""
    firm = firm_with(sqlite)
    number = str(firm.number_of(1))
    leave(firm, 1)
    rested(firm)
    assert list(firm.numbering.announced) == [number]
    firm.days(31)
    rested(firm)
    assert firm.numbering.announced == {}
    assert number not in firm.inventory()


def test_a_withdrawal_ends_it_and_gives_the_number_back(sqlite: Database) -> None:
    """Whoever stays after all has the number again, and nothing is left behind for when it is free one day."""
    firm = firm_with(sqlite)
    number = firm.number_of(1)
    leave(firm, 1)
    kinds = firm.feed(firm.person(1))
    assert kinds.index("end_announcement") < kinds.index("assign_number")
    assert (firm.number_of(1), firm.numbering.announced) == (number, {})


def test_a_rollback_takes_it_back(sqlite: Database) -> None:
    """Undoing the run gives the number and ends the announcement."""
    firm = firm_with(sqlite)
    number = firm.number_of(1)
    leave(firm, 1)
    firm.tenant.clock.sleep(3600)
    firm.carry_out(plan_rollback(firm.runtime, firm.request(), Choice(firm.plan_ids[-1]), Terms()))
    assert (firm.number_of(1), firm.numbering.announced) == (number, {})


def test_a_visit_that_failed_in_between_is_made_up_for(sqlite: Database) -> None:
    """The treatment is there, the number was not taken: the next visit takes the number and makes no second one."""
    firm = firm_with(sqlite)
    number = str(firm.number_of(1))
    firm.tenant.ignored.add(("unassign_number", "id-1"))
    leave(firm, 1)
    assert (firm.number_of(1), list(firm.numbering.announced)) == (number, [number])
    firm.tenant.ignored.clear()
    for _ in range(2):  # two reads decide that it never happened
        firm.days(1)
        firm.carry_out(firm.plan_ids[-1])
    assert firm.nights(1) == ["unassign_number", "block_number"]
    assert (firm.number_of(1), list(firm.numbering.announced)) == (None, [number])
    assert [name for name, _ in firm.tenant.writes()].count("announce_number") == 1


def test_one_whose_number_rests_no_more_is_removed(sqlite: Database) -> None:
    """Given away by hand, the number would be announced again on the day it is free: the hourly run looks for such."""
    firm = firm_with(sqlite)
    number = str(firm.number_of(1))
    leave(firm, 1)
    firm.tenant.users["id-3"].number = number
    with sqlite.write() as connection:
        inventory.end_grace(connection, PhoneNumber.from_e164(number), now=firm.tenant.clock.now())
    rested(firm)
    assert firm.numbering.announced == {}


def test_an_endpoint_without_the_cmdlets_ends_grace_periods(sqlite: Database) -> None:
    """A site that announces nothing needs none of them: its numbers are free again all the same."""
    firm = company(sqlite)
    firm.feed(firm.person(1))
    firm.feed(firm.person(1, status=Status.TERMINATED, termination_date=firm.today))
    firm.days(10)
    firm.nights(1)
    firm.days(31)
    firm.numbering.offers_treatments = False
    rested(firm)
    assert firm.inventory() == {}


def test_callers_can_be_sent_to_somebody(sqlite: Database) -> None:
    """A user or a resource account is named as people name it, and Teams is told its id."""
    firm = firm_with(sqlite, Announce(type="ResourceAccount", target="user3@lab.test"))
    leave(firm, 1)
    (made,) = firm.numbering.announced.values()
    assert (made.target_type, made.target) == ("ResourceAccount", "id-3")


def test_a_target_that_is_not_there_stops_the_step(sqlite: Database) -> None:
    """Nothing is taken while callers would reach nobody; the line says what to correct."""
    firm = firm_with(sqlite, Announce(type="User", target="nobody@lab.test"))
    assert leave(firm, 1) == []
    assert firm.number_of(1)
    assert "correct leaver.announce" in firm.lines()[0].reason


def test_an_endpoint_without_the_cmdlets_stops_the_step(sqlite: Database) -> None:
    """Where the site wants callers told and cannot have it, the number stays until somebody decides."""
    firm = firm_with(sqlite)
    firm.numbering.offers_treatments = False
    assert leave(firm, 1) == []
    assert firm.number_of(1)
    assert "remove leaver.announce" in firm.lines()[0].reason


def test_an_announcement_needs_the_step_that_takes_the_number() -> None:
    """Without that step no number ever rests, which is said when the file is read."""
    with pytest.raises(ValueError, match="announce without unassign"):
        LeaverRules(unassign_after_days=None, licences_after_days=None, disable_after_days=None, announce=SOUND)
