"""Random histories of what HR says: made from a seed alone, so that every tenant below a company can live the same one.

People are hired, change department, site and country, go on leave and return, leave, stay after all and are hired
again. HR repeats itself, is late, and sends things out of order.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from datasets.people import Person, Status
from tests.fakes.tenant import START

Kind = Literal["again", "country", "site", "department", "leave", "left", "left, no date", "announced", "back", "ahead"]
_WEIGHTS: dict[Kind, int] = {
    "again": 1,
    "country": 3,
    "site": 2,
    "department": 2,
    "leave": 2,
    "left": 4,
    "left, no date": 1,
    "announced": 3,
    "back": 5,
    "ahead": 1,
}
EARLY = time(7, tzinfo=UTC)  # before any feed of the day
_SITES = {"AT": ("Vienna", "Graz"), "DE": ("Berlin",)}


@dataclass(frozen=True)
class Day:
    """What reaches the company after some days: rows of one feed; `accounts_are_late` is provisioning's doing."""

    after: int
    rows: tuple[Person, ...]
    accounts_are_late: bool = False

    def __str__(self) -> str:
        """Tell it in a few lines."""
        late = ", accounts after the feed" if self.accounts_are_late else ""
        return "\n".join([f"after {self.after} days{late}:", *(f"  {_told(person)}" for person in self.rows)])


def history(seed: int, *, people: int, events: int) -> tuple[Day, ...]:
    """Make a history of so many events for so many people."""
    return _Teller(seed, people, events).days()


@dataclass
class _Teller:
    """Makes one history; every choice comes from one seeded source."""

    seed: int
    people: int
    events: int
    said: dict[str, Person] = field(default_factory=dict)
    later: list[tuple[int, Person]] = field(default_factory=list)  # (how many feeds away, words)

    def days(self) -> tuple[Day, ...]:
        """Tell days until the events are used up and everything late has arrived."""
        self.random, self.now = random.Random(self.seed), START
        told: list[Day] = []
        while self.events > 0 or self.later:
            after = self.random.choice((1, 1, 2, 5, 12, 31))
            self.now += timedelta(days=after)
            told.append(Day(after, self._rows(), self.random.random() < 0.3))
        return tuple(told)

    def _rows(self) -> tuple[Person, ...]:
        rows = [person for feeds, person in self.later if feeds <= 1]
        self.later = [(feeds - 1, person) for feeds, person in self.later if feeds > 1]
        count = min(self.events, self.random.randint(0, 3), self.people)
        for place, number in enumerate(self.random.sample(range(1, self.people + 1), count)):
            self.events -= 1
            rows += self._delivered(self._words(f"{number:05}", self.now + timedelta(seconds=place)))
        return tuple(self.random.sample(rows, len(rows)))

    def _delivered(self, person: Person) -> list[Person]:
        """Deliver words now, or late; a third of them twice or more often."""
        times = self.random.choice((1, 1, 1, 1, 2, 3))
        feeds = [self.random.choice((0, 0, 0, 0, 1, 2)) + (self.random.randint(0, 3) if n else 0) for n in range(times)]
        self.later += [(each, person) for each in feeds if each]
        return [person for each in feeds if not each]

    def _words(self, employee: str, at: datetime) -> Person:
        """Make up what HR says of somebody now."""
        before = self.said.get(employee)
        if before is None:
            country = self.random.choice(("AT", "DE"))
            more = {"usage_location": country, "location": _SITES[country][0], "department": "Sales"}
            made = Person.model_validate({"employee_id": employee, "effective_at": at, **more})
        else:
            kind = self.random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
            made = before.model_copy(update={"effective_at": at, **self._changes(kind, before, at.date())})
        if made.effective_at == at:
            self.said[employee] = made
        return made

    def _changes(self, kind: Kind, before: Person, today: date) -> dict[str, object]:
        other = "DE" if before.usage_location == "AT" else "AT"
        stays: dict[str, object] = {"status": Status.ACTIVE, "termination_date": None}
        if kind in ("country", "ahead"):
            moved: dict[str, object] = {"usage_location": other, "location": self.random.choice(_SITES[other])}
            at = datetime.combine(today, EARLY) + timedelta(days=self.random.randint(1, 8))
            return moved if kind == "country" else {**stays, **moved, "effective_at": at}
        if kind == "left":
            return {
                "status": Status.TERMINATED,
                "termination_date": today - timedelta(days=self.random.choice((0, 0, 1, 3, 20, 60))),
            }
        if kind == "announced":
            return {
                "status": self.random.choice((Status.ACTIVE, Status.TERMINATED)),
                "termination_date": today + timedelta(days=self.random.randint(1, 10)),
            }
        plain: dict[Kind, dict[str, object]] = {
            "again": {},
            "site": {"location": self.random.choice(_SITES[before.usage_location])},
            "department": {"department": "Support" if before.department == "Sales" else "Sales"},
            "leave": {"status": Status.LEAVE, "termination_date": None},
            "left, no date": {"status": Status.TERMINATED, "termination_date": None},
            "back": stays,
        }
        return plain[kind]


def _told(person: Person) -> str:
    """Tell what HR says in one line."""
    last = f", last day {person.termination_date}" if person.termination_date else ""
    where = f"{person.department} {person.location} {person.usage_location}"
    return f"{person.employee_id} {person.status} in {where}{last} (as of {person.effective_at:%m-%d %H:%M:%S})"
