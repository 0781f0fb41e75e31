"""Several rows of one person in one feed, such as rows with effective dates: each counts from its moment on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from connectors.database import Database
from datasets.people import Person, Status
from engine import departures
from engine.lives import Lives
from engine.moments import by_moment
from engine.observe import Row
from engine.plan import LineState
from engine.resolve import Planning, Waits, resolve
from tests.fakes.company import Company, company
from tests.fakes.firm import GRACE_DAYS
from tests.fakes.tenant import START

Order = Callable[[Sequence[Person]], Sequence[Person]]
either_order = pytest.mark.parametrize("order", [list, lambda rows: rows[::-1]], ids=["now first", "later first"])


def told(firm: Company, number: int = 1, *, in_days: float = 0, **more: object) -> Person:
    """Give words that take effect some days from now."""
    return firm.person(number, effective_at=firm.ground.now() + timedelta(days=in_days), **more)


def known(database: Database) -> tuple[str, str]:
    """Give the department and country that are known of the first person."""
    with database.read() as connection:
        person = departures.known(connection, ["00001"])["00001"].person
    return person.department, person.usage_location


def waiting(firm: Company) -> int:
    """Count the lines that wait, in all plans."""
    return sum(state == "waiting" for name in firm.plan_ids for state in firm.states_of(name))


def chosen(*days: float | None) -> tuple[list[int], list[int], list[tuple[int, str]]]:
    """Give the lines of now, of later and the older ones of one person's rows, which take effect in so many days."""
    moments = [None if each is None else START + timedelta(days=each) for each in days]
    people = [Person(employee_id="1", effective_at=at) for at in moments]
    rows = by_moment([Row("f-1", line, person) for line, person in enumerate(people, start=2)], START)
    return (
        [row.line for row in rows.now],
        [row.line for row in rows.later],
        [(row.line, why) for row, why in rows.older],
    )


def test_the_newest_row_whose_moment_has_come_counts_now() -> None:
    """Its moment may be this one; older rows are named with it, later ones follow in the order of their moments."""
    assert chosen(30, -2, 0, 10) == ([4], [5, 2], [(3, "line 4 is newer")])
    assert chosen(None, 30) == ([2], [3], [])
    assert chosen(-1) == ([2], [], [])


def test_the_last_row_of_one_moment_counts() -> None:
    """So it is now as well as later."""
    assert chosen(-1, -1, 5, 5) == ([3], [5], [(2, "line 3 is newer"), (4, "line 5 is newer")])


def test_the_first_row_to_come_stands_for_now_when_no_moment_has_come() -> None:
    """A hire of next week and a move of next month: the hire is first."""
    assert chosen(30, 7) == ([3], [2], [])


@either_order
def test_a_joiner_gets_the_number_of_today(database: Database, order: Order) -> None:
    """And the other one on the day of the move that the same feed tells; said again, it writes nothing."""
    firm = company(database)
    rows = order([told(firm), told(firm, in_days=30, usage_location="DE")])
    firm.feed(*rows)
    assert (str(firm.number_of(1))[:3], sorted(firm.states())) == ("+43", ["verified", "waiting"])
    writes = len(firm.ground.writes())
    firm.feed(*rows)
    assert (len(firm.ground.writes()), waiting(firm)) == (writes, 1)
    firm.days(30)
    firm.go_on()
    assert (str(firm.number_of(1))[:3], firm.open_lines()) == ("+49", {})
    writes = len(firm.ground.writes())
    firm.feed(*rows)
    assert (len(firm.ground.writes()), waiting(firm)) == (writes, 0)


@either_order
def test_a_mover_moves_now_and_again_later(sqlite: Database, order: Order) -> None:
    """Who is known already moves to the department of today, and to the country on its day."""
    firm = company(sqlite)
    firm.feed(told(firm))
    later = told(firm, in_days=30, department="Support", usage_location="DE")
    firm.feed(*order([told(firm, department="Support"), later]))
    assert known(sqlite) == ("Support", "AT")
    assert str(firm.number_of(1)).startswith("+43")
    firm.days(30)
    firm.go_on()
    assert known(sqlite) == ("Support", "DE")
    assert str(firm.number_of(1)).startswith("+49")


@either_order
def test_who_leaves_later_works_until_then(sqlite: Database, order: Order) -> None:
    """The words of today are carried out, and nothing is taken before the day on which somebody leaves."""
    firm = company(sqlite)
    firm.feed(told(firm))
    firm.feed(
        *order([told(firm, usage_location="DE"), told(firm, in_days=5, usage_location="DE", status="terminated")])
    )
    number = str(firm.number_of(1))
    assert number.startswith("+49")
    firm.nights(4)
    assert firm.departure_states() == []
    firm.days(1)
    firm.go_on()
    assert firm.departure_states() == ["open"]
    firm.nights(10)
    assert (firm.number_of(1), firm.inventory()[number]) == (None, "grace")


def test_who_leaves_and_is_back_later_does_both(sqlite: Database) -> None:
    """A return of next month does not hide that somebody is gone now."""
    firm = company(sqlite)
    firm.feed(told(firm))
    gone = told(firm, status=Status.TERMINATED, termination_date=firm.today - timedelta(days=11))
    firm.feed(gone, told(firm, in_days=15))
    assert firm.number_of(1) is None
    firm.days(15)
    firm.go_on()
    assert str(firm.number_of(1)).startswith("+43")
    assert firm.departure_states() == ["withdrawn"]


def test_each_later_row_has_its_day(sqlite: Database) -> None:
    """Three rows: the country changes on the first day, and changes back on the second."""
    firm = company(sqlite)
    firm.feed(told(firm, in_days=20), told(firm), told(firm, in_days=10, usage_location="DE"))
    seen = [known(sqlite)[1]]
    for _ in range(2):
        firm.days(10)
        firm.go_on()
        seen.append(known(sqlite)[1])
    assert (seen, firm.open_lines()) == (["AT", "DE", "AT"], {})


def test_later_words_do_not_end_the_wait_for_an_account(sqlite: Database) -> None:
    """A joiner without an account waits for it, and for the day of the move: the account comes first."""
    firm = company(sqlite)
    user = firm.tenant.users.pop("id-1")
    firm.feed(told(firm), told(firm, in_days=20, usage_location="DE"))
    assert firm.states() == ["waiting", "waiting"]
    firm.tenant.users["id-1"] = user
    firm.go_on()
    assert (str(firm.number_of(1))[:3], waiting(firm)) == ("+43", 1)
    firm.days(20)
    firm.go_on()
    assert str(firm.number_of(1)).startswith("+49")


def test_a_later_part_is_what_its_row_said(sqlite: Database) -> None:
    """A sender tells parts, of now and of later in one message: on the day nothing else is taken back."""
    firm = company(sqlite)
    firm.feed(told(firm))
    firm.says_parts = True
    later = told(firm, in_days=4, department="Support", usage_location="DE")
    firm.feed(told(firm, department="Support"), later)
    firm.feed(told(firm, department="Finance"))
    firm.days(4)
    firm.go_on()
    assert known(sqlite) == ("Finance", "DE")


def test_a_dry_run_shows_both(sqlite: Database) -> None:
    """Of somebody unknown it plans what is done now, and says what waits."""
    firm = company(sqlite)
    rows = by_moment([Row("f-1", 2, told(firm)), Row("f-1", 3, told(firm, in_days=9))], firm.runtime.now())
    lives = Lives(firm.runtime, firm.site, grace_days=GRACE_DAYS)
    planning = Planning(dry_run=True, lives=lives, later=rows.later)
    firm.last = resolve(firm.runtime, firm.site, firm.request(), rows.now, waits=Waits(), planning=planning)
    assert [line.state for line in firm.lines()] == [LineState.PLANNED, LineState.WAITING]
    assert firm.ground.writes() == []
