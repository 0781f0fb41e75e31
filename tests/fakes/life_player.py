"""Plays a history in a company with the model beside it, and compares the two after every feed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from engine import inventory
from tests.fakes.firm import Firm
from tests.fakes.life_histories import Day
from tests.fakes.life_model import GRACE, Life, Model, resting


@dataclass
class Handovers:
    """Sees who holds which number, and that a number rests before it is somebody else's; asks the tenant alone."""

    held: dict[str, str] = field(default_factory=dict)
    taken: dict[str, tuple[str, datetime]] = field(default_factory=dict)

    def look(self, owners: dict[str, list[str]], now: datetime) -> None:
        """Compare with what was there before."""
        doubled = {number: people for number, people in owners.items() if len(people) > 1}
        assert not doubled, f"one number for several people: {doubled}"
        holders = {number: people[0] for number, people in owners.items()}
        assert len(set(holders.values())) == len(holders), f"several numbers for one person: {holders}"
        for number, employee in self.held.items():
            if holders.get(number) != employee:
                self.taken[number] = (employee, now)
        for number, employee in holders.items():
            former, since = self.taken.get(number, (employee, now))
            assert former == employee or now >= since + GRACE, (
                f"{number} of {former} is {employee}'s after {now - since}"
            )
        self.held = holders


@dataclass
class Player:
    """One company that lives a history."""

    firm: Firm
    model: Model
    handovers: Handovers = field(default_factory=Handovers)

    def play(self, days: Sequence[Day]) -> None:
        """Play a history to its end; a difference says on which day of it, and what was to come is left out."""
        for place, day in enumerate(days):
            try:
                self.firm.days(day.after)
                self.live(day)
                self.compare()
            except Exception as error:
                error.add_note("\n".join([f"on day {place + 1} of this history:", *map(str, days[: place + 1])]))
                error.add_note(f"troubles: {self.firm.troubles()}, waiting: {self.firm.open_lines()}")
                raise

    def live(self, day: Day) -> None:
        """Repair drift of the days that went by, read a feed, go on with what waits, take the steps of the night.

        Afterwards nothing is left that differs.
        """
        ground = self.firm.ground
        self.firm.drift()
        self.firm.settle()
        changed = self.model.hear(day.rows, ground.now())
        if not day.accounts_are_late:
            self._provision()
        if day.rows:
            self.firm.feed(*day.rows)
        self._visit(changed)
        self._provision()
        ground.sleep(60)
        self.firm.go_on()
        self._visit(self.model.come_due(ground.now()))
        self.firm.steps()
        self._visit(self.model.leaving())
        self.firm.release_rested()
        self.firm.settle()
        assert self.firm.drift() == [], "drift finds what the lifecycle has just done wrong"

    def _visit(self, lives: Sequence[Life]) -> None:
        ground = self.firm.ground
        self.firm.settle()
        self.handovers.look(ground.owners(), ground.now())
        self.model.visit(lives, ground.now(), ground.standing)

    def _provision(self) -> None:
        """Make accounts for those who work and have none."""
        for employee, life in self.model.lives.items():
            if life.wants_account(self.firm.today):
                self.firm.ground.provision(employee)
                self.model.provision(employee)

    def compare(self) -> None:
        """Compare everybody, every number and what waits with the model."""
        firm, lives, now = self.firm, self.model.lives, self.firm.ground.now()
        seen = {employee: firm.ground.standing(employee) for employee in lives}
        wrong = [
            f"{name} has {seen[name]} and should have {each.has}"
            for name, each in lives.items()
            if seen[name] != each.has
        ]
        assert not wrong, "\n".join(wrong)
        states, owned, rest = self._inventory(), set(firm.ground.owners()), resting(self.model, now)
        expected = dict.fromkeys(owned, "assigned") | dict.fromkeys(rest, "grace")
        assert states == expected, f"the inventory is {states} and should be {expected}"
        with firm.runtime.database.read() as connection:
            assert inventory.violations(connection) == []
        waiting = {employee for employee, life in lives.items() if life.ahead or life.wants_account(firm.today)}
        assert set(firm.open_lines()) <= waiting, f"only {waiting} may wait"
        assert firm.troubles() == {}, "something failed or was refused"

    def _inventory(self) -> dict[str, str]:
        """Give the state of every number of the site's pools that is not free."""
        spans = [span for pool in self.firm.site.pools for span in pool.ranges]
        held = self.firm.inventory().items()
        return {number: state for number, state in held if any(s.start <= number <= s.end for s in spans)}

    def repeat(self) -> list[str]:
        """Have HR say everything again, take the steps and look for drift again; names the writes that this led to."""
        before = len(self.firm.ground.writes())
        said = [life.said for life in self.model.lives.values() if life.said is not None]
        self.firm.feed(*said)
        self.firm.ground.sleep(60)
        self.firm.go_on()
        self.firm.steps()
        self.firm.release_rested()
        self.firm.settle()
        self.firm.drift()
        return self.firm.ground.writes()[before:]
