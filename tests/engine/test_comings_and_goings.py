"""Coming back, leaving again, and news of a later day: what random histories found, each as a story of its own."""

from __future__ import annotations

from datetime import timedelta

from connectors.database import Database
from datasets.people import Person, Status
from engine import departures
from tests.fakes.company import Company, company

LEFT = Status.TERMINATED


def told(firm: Company, number: int = 1, *, in_days: float = 0, **more: object) -> Person:
    """Give words that take effect some days from now."""
    return firm.person(number, effective_at=firm.ground.now() + timedelta(days=in_days), **more)


def gone(firm: Company, **more: object) -> str:
    """Let somebody leave until the number rests; gives the number."""
    number = str(firm.number_of(1))
    left = {"status": LEFT, "termination_date": firm.today}
    firm.feed(told(firm).model_copy(update={**left, **more}))
    firm.days(10)
    firm.steps()
    assert firm.inventory()[number] == "grace"
    return number


def test_news_of_a_later_day_is_not_overtaken_by_older_words(sqlite: Database) -> None:
    """A move of Friday is announced, something else is said on Tuesday: on Friday the move is made all the same."""
    firm = company(sqlite)
    firm.feed(told(firm))
    firm.feed(told(firm, in_days=4, usage_location="DE"))
    firm.days(1)
    firm.feed(told(firm, department="Support"))
    assert str(firm.number_of(1)).startswith("+43")
    firm.days(4)
    firm.go_on()
    assert str(firm.number_of(1)).startswith("+49")
    assert firm.open_lines() == {}


def test_news_of_a_part_takes_nothing_else_back(sqlite: Database) -> None:
    """A sender told of a move of Friday and of nothing else: what was said of the department since stays."""
    firm = company(sqlite)
    firm.feed(told(firm))
    firm.says_parts = True
    firm.feed(told(firm, in_days=4, usage_location="DE"))
    firm.feed(told(firm, department="Support"))
    firm.days(4)
    firm.go_on()
    assert str(firm.number_of(1)).startswith("+49")
    with sqlite.read() as connection:
        person = departures.known(connection, ["00001"])["00001"].person
    assert (person.department, person.usage_location) == ("Support", "DE")


def test_a_contract_with_an_end_moves_on_its_day(sqlite: Database) -> None:
    """A last day that HR told long ago lets no move come before its moment; one that is news is known at once."""
    firm = company(sqlite)
    last = firm.today + timedelta(days=300)
    firm.feed(told(firm, termination_date=last))
    firm.feed(told(firm, in_days=4, termination_date=last, usage_location="DE"))
    assert str(firm.number_of(1)).startswith("+43")
    assert firm.states() == ["waiting"]
    firm.days(4)
    firm.go_on()
    assert str(firm.number_of(1)).startswith("+49")
    firm.feed(told(firm, in_days=4, termination_date=firm.today + timedelta(days=4), usage_location="DE"))
    with sqlite.read() as connection:
        assert [each.last_day for each in departures.listed(connection)] == [firm.today + timedelta(days=4)]


def test_news_that_is_due_is_not_overtaken_by_words_from_before(sqlite: Database) -> None:
    """The feed of Saturday says again what was said on Monday, before anybody looked at the move of Friday."""
    firm = company(sqlite)
    monday = told(firm)
    firm.feed(monday)
    firm.feed(told(firm, in_days=4, usage_location="DE"))
    firm.days(5)
    firm.feed(monday)
    firm.go_on()
    assert str(firm.number_of(1)).startswith("+49")


def test_news_of_a_still_later_day_does_not_overtake_what_is_due(sqlite: Database) -> None:
    """The move of Friday is due when one of next month is announced: it is made, and the other waits."""
    firm = company(sqlite)
    firm.feed(told(firm))
    firm.feed(told(firm, in_days=4, usage_location="DE"))
    firm.days(5)
    firm.feed(told(firm, in_days=30))
    firm.go_on()
    assert str(firm.number_of(1)).startswith("+49")


def test_the_same_news_again_waits_once(sqlite: Database) -> None:
    """A feed that announces a move every night leaves one line that waits, and newer words of today end it."""
    firm = company(sqlite)
    firm.feed(told(firm))
    move = told(firm, in_days=4, usage_location="DE")
    for _ in range(3):
        firm.feed(move)
    assert sum(state == "waiting" for name in firm.plan_ids for state in firm.states_of(name)) == 1
    firm.days(5)
    firm.feed(told(firm, department="Support"))
    firm.go_on()
    assert (str(firm.number_of(1))[:3], firm.open_lines()) == ("+43", {})


def test_older_words_do_not_end_the_wait_for_an_account(sqlite: Database) -> None:
    """Somebody is hired and has no account yet; what HR said before arrives again, then the account is there."""
    firm = company(sqlite)
    user, before = firm.tenant.users.pop("id-1"), told(firm, department="Support")
    firm.days(1)
    firm.feed(told(firm))
    firm.feed(before)
    firm.tenant.users["id-1"] = user
    firm.go_on()
    assert firm.number_of(1)


def test_time_until_words_take_effect_is_no_waiting_for_an_account(sqlite: Database) -> None:
    """Who is announced for a day in two months and has no account then is waited for, as long as everybody is."""
    firm = company(sqlite)
    firm.feed(told(firm))
    firm.feed(told(firm, in_days=60, department="Support"))
    del firm.tenant.users["id-1"]
    firm.days(61)
    firm.go_on()
    assert "no account carries" in firm.open_lines()["00001"]


def test_who_comes_back_gets_the_number_they_had_last(sqlite: Database) -> None:
    """Two numbers of one person rest, that of a move and that of the departure: the later one comes back."""
    firm = company(sqlite)
    firm.feed(told(firm))
    firm.feed(told(firm, usage_location="DE"))
    firm.days(5)
    number = gone(firm, usage_location="DE")
    firm.feed(told(firm, usage_location="DE"))
    assert firm.number_of(1) == number
    assert firm.feed(told(firm, usage_location="DE")) == []


def test_who_comes_back_to_another_country_gets_its_number_at_once(sqlite: Database) -> None:
    """Where a move changes the number, a return to another country does so too; the old one rests on."""
    firm = company(sqlite)
    firm.feed(told(firm))
    number = gone(firm)
    firm.feed(told(firm, usage_location="DE"))
    assert str(firm.number_of(1)).startswith("+49")
    assert firm.inventory()[number] == "grace"
    assert firm.feed(told(firm, usage_location="DE")) == []


def test_who_was_gone_altogether_leaves_again_by_the_schedule(sqlite: Database) -> None:
    """After the deletion HR hires somebody with an end: a departure of its own, whose steps every night takes."""
    firm = company(sqlite)
    firm.feed(told(firm))
    firm.feed(told(firm, status=LEFT, termination_date=firm.today - timedelta(days=100)))
    firm.days(31)
    firm.nights(2)
    assert (firm.number_of(1), firm.departure_states()) == (None, ["done"])
    firm.ground.provision("00001")
    firm.feed(told(firm, termination_date=firm.today + timedelta(days=5)))
    assert firm.ground.standing("00001").number  # type: ignore[union-attr]  # it was just made
    firm.days(15)
    assert "unassign_number" in firm.nights(1)
    assert firm.departure_states() == ["done", "open"]


def test_the_directory_shows_no_number_that_was_given_up(sqlite: Database) -> None:
    """Only the first template writes to the directory: what it wrote goes with the number, at a move and at the end."""
    firm = company(sqlite)
    firm.feed(told(firm), told(firm, 2))
    firm.feed(told(firm, usage_location="DE"))
    assert str(firm.number_of(1)).startswith("+49")
    assert firm.tenant.users["id-1"].telephone_number is None
    firm.feed(told(firm, 2, usage_location="DE", status=LEFT, termination_date=firm.today - timedelta(days=11)))
    assert (firm.number_of(2), firm.tenant.users["id-2"].telephone_number) == (None, None)
