"""Senders that say a part of a person only: the rest is as HR said it before."""

from __future__ import annotations

from datetime import date

import pytest

from datasets.people import Person, Status
from engine.life import completed

TODAY = date(2026, 3, 2)
BEFORE = Person(employee_id="1", location="Vienna", worker_type="Employee", department="Sales", event_id="e")
SAID = ("employee_id", "department", "status")


def made(now: Person, *said: str, says_leave: bool = True, **before: object) -> Person:
    """Give what a sender's person becomes, said on the second of March."""
    return completed(now, [*SAID, *said], BEFORE.model_copy(update=before), TODAY, says_leave=says_leave)


def test_what_is_not_said_is_kept() -> None:
    """A field that is named is taken, be it empty; the others stay, but for what belongs to the event."""
    person = made(Person(employee_id="1", worker_type=""), "worker_type")
    assert person == Person(employee_id="1", location="Vienna", department="", worker_type="")


@pytest.mark.parametrize(
    ("status", "last", "hired", "kept"),
    [
        pytest.param(Status.ACTIVE, date(2026, 3, 2), None, date(2026, 3, 2), id="works until today"),
        pytest.param(Status.ACTIVE, date(2026, 3, 1), None, None, id="is back"),
        pytest.param(Status.ACTIVE, date(2026, 3, 31), date(2026, 4, 1), None, id="is hired again"),
        pytest.param(Status.TERMINATED, date(2026, 3, 1), None, date(2026, 3, 1), id="has left"),
    ],
)
def test_a_last_day_holds_until_somebody_is_back(
    status: Status, last: date, hired: date | None, kept: date | None
) -> None:
    """A date of HR that is to come is kept; one that is over does not let somebody leave who came back."""
    now = Person(employee_id="1", status=status, hire_date=hired)
    assert made(now, "hire_date", termination_date=last).termination_date == kept


def test_who_cannot_say_leave_cannot_end_it() -> None:
    """SCIM and workflows say active of somebody on leave; an event of a feed's words means that they are back."""
    now = Person(employee_id="1")
    assert made(now, says_leave=False, status=Status.LEAVE).status == Status.LEAVE
    assert made(now, status=Status.LEAVE).status == Status.ACTIVE
    assert made(now, says_leave=False, status=Status.TERMINATED).status == Status.ACTIVE
