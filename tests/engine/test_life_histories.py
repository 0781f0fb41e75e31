"""Random lives: whatever HR says, in whatever order and however late, ends where a plain model ends."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

import pytest

from connectors.database import Database
from datasets.people import Person, Status
from engine import inventory
from tests.fakes.company import GRACE_DAYS, Company, company

SEED = 20260302
PEOPLE = 4


@dataclass
class Expected:
    """What the plain model says of one person: the state that HR's newest words lead to on a day."""

    person: Person
    heard: int

    def is_gone(self, today: int) -> bool:
        """Tell whether the last day is over."""
        if self.person.termination_date is None:
            return False
        last, is_over = self.person.termination_date.toordinal(), self.person.status == Status.TERMINATED
        return today > last or (is_over and today == last)

    def days_gone(self, today: int) -> int:
        """Count the days since the last one."""
        assert self.person.termination_date is not None
        return today - self.person.termination_date.toordinal()


class Model:
    """A plain model of the company's rules: the newest words count, and days decide what is left of a user."""

    def __init__(self) -> None:
        self.people: dict[str, Expected] = {}
        self.deepest: dict[int, int] = {}

    def hear(self, person: Person, today: int) -> None:
        """Take HR's words, unless something newer is known."""
        known = self.people.get(person.employee_id)
        if known is None or _at(known.person) <= _at(person):
            self.people[person.employee_id] = Expected(person, today)

    def check(self, firm: Company) -> None:
        """Compare everybody with what is there now."""
        today = firm.today.toordinal()
        for number in range(1, PEOPLE + 1):
            expected, user = self.people.get(f"{number:05}"), firm.tenant.users.get(f"id-{number}")
            if expected is None or user is None:
                continue
            if not expected.is_gone(today):
                policy = user.policies.get("OnlineVoiceRoutingPolicy")
                if expected.person.status == Status.LEAVE:
                    assert policy == "NoCalls"
                    continue  # whoever is on leave keeps what they had, and gets nothing new
                assert policy == ("Berlin" if expected.person.usage_location == "DE" else "Vienna")
                assert user.number is not None, f"{number} works and has no number"
                assert user.enabled
                self.deepest[number] = 0
            else:
                # A last day that is moved while it is over gives nothing back that was taken.
                days = self.deepest[number] = max(self.deepest.get(number, 0), expected.days_gone(today))
                assert days < 10 or user.number is None, f"{number} left {days} days ago"
                assert user.enabled == (days < 14)


def _at(person: Person) -> float:
    assert person.effective_at is not None
    return person.effective_at.timestamp()


def words(rng: random.Random, firm: Company, number: int, before: Person | None) -> Person:
    """Make up what HR says of somebody now: hired, moved, on leave, leaving, withdrawn or back."""
    now, country = firm.runtime.now(), before.usage_location if before else rng.choice(["AT", "DE"])
    kind = rng.choice(["same", "move", "leave", "leave for good", "later", "back"])
    more: dict[str, object] = {"usage_location": country, "effective_at": now}
    if kind == "move":
        more["usage_location"] = "DE" if country == "AT" else "AT"
    elif kind == "leave":
        more["status"] = Status.LEAVE
    elif kind == "leave for good":
        more |= {"status": Status.TERMINATED, "termination_date": firm.today - timedelta(days=rng.randint(0, 3))}
    elif kind == "later":
        more["termination_date"] = firm.today + timedelta(days=rng.randint(1, 10))
    return firm.person(number, **more)


def check_numbers(firm: Company, released: dict[str, float]) -> None:
    """Check that no number has two owners, none leaks, and each rests for its days before it is somebody else's."""
    owners = firm.tenant.owners()
    assert all(len(users) == 1 for users in owners.values())
    assert firm.tenant.double_owners == 0
    held = firm.inventory()
    assert {number for number, state in held.items() if state == "assigned"} == set(owners)
    assert set(held.values()) <= {"assigned", "grace"}, held
    for number in released:
        assert number in held, f"{number} did not rest"
    with firm.runtime.database.read() as connection:
        assert inventory.violations(connection) == []


def play(database: Database, seed: int, rounds: int) -> Company:
    """Play one company's life with a model beside it; HR repeats itself, is late and out of order."""
    rng, firm, model = random.Random(seed), company(database, users=PEOPLE), Model()
    said: list[Person] = []
    released: dict[str, float] = {}
    newest: dict[int, Person] = {}
    for _ in range(rounds):
        firm.days(rng.choice([1, 1, 2, 5, 12]))
        before = {user.id: user.number for user in firm.tenant.users.values()}
        for number in rng.sample(range(1, PEOPLE + 1), rng.randint(0, 3)):
            if f"id-{number}" in firm.tenant.users:
                newest[number] = words(rng, firm, number, newest.get(number))
                said.append(newest[number])
        fresh = [person for person in newest.values() if person.effective_at == firm.runtime.now()]
        late = rng.sample(said, min(len(said), rng.randint(0, 2)))  # duplicated, and out of order
        rows = rng.sample([*fresh, *late], len(fresh) + len(late))
        for person in rows:
            model.hear(person, firm.today.toordinal())
        if rows:
            firm.feed(*rows)
        firm.tenant.clock.sleep(60)
        firm.steps()
        assert firm.open_lines() == 0, [line.reason for line in firm.lines()]
        model.check(firm)
        now = firm.runtime.now().timestamp()
        for user in firm.tenant.users.values():
            if before.get(user.id) and user.number != before[user.id]:
                released[str(before[user.id])] = now
        released = {
            number: at
            for number, at in released.items()
            if now - at < GRACE_DAYS * 86400 and number not in firm.tenant.owners()
        }
        check_numbers(firm, released)
    return firm


@pytest.mark.parametrize("seed", range(SEED, SEED + 4))
def test_random_lives_end_where_the_model_ends(sqlite: Database, seed: int) -> None:
    """Rank 5, rank 14: hire, move, leave, withdraw, rehire, late, repeated, out of order; twice writes once."""
    firm = play(sqlite, seed, rounds=12)
    writes = len(firm.tenant.writes())
    firm.tenant.clock.sleep(60)
    firm.steps()
    assert len(firm.tenant.writes()) == writes


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(SEED + 100, SEED + 160))
def test_many_random_lives_end_where_the_model_ends(sqlite: Database, seed: int) -> None:
    """The same with sixty longer lives."""
    play(sqlite, seed, rounds=40)
