"""A plain model of people's lives: HR's newest words count, and days decide what is left of somebody who leaves.

Written from docs/lifecycle.md and docs/leaver.md, not from the engine; it knows nothing of plans, reads and journals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from config.site_policy import SitePolicy
from config.site_pools import SitePool
from config.site_templates import LifecycleTemplate
from datasets.people import Person, Status
from tests.fakes.firm import GRACE_DAYS, Standing

GRACE = timedelta(days=GRACE_DAYS)
Seen = Callable[[str], Standing | None]


@dataclass
class Life:
    """One person: what HR said last, what they have, what of theirs rests, and whether they leave."""

    employee: str
    said: Person | None = None
    words: Person | None = None  # what is believed of it: who is terminated ahead of the last day works until then
    has: Standing | None = field(default_factory=Standing)
    resting: dict[str, datetime] = field(default_factory=dict)  # number → taken at, the latest last
    last_day: date | None = None
    leaves: bool = False
    disabled_on: date | None = None
    moved_country: bool = False
    moved_site: bool = False
    ahead: list[Person] = field(default_factory=list)
    is_new: bool = False
    is_synced: bool = True  # has an account in the directory, which shows the number

    def is_gone(self, today: date) -> bool:
        """Tell whether the last day is over, or is today and HR calls them terminated."""
        if self.words is None or self.last_day is None:
            return False
        return today > self.last_day or (today == self.last_day and self.words.status == Status.TERMINATED)

    def wants_account(self, today: date) -> bool:
        """Tell whether somebody works who has no account."""
        works = self.words is not None and self.words.status == Status.ACTIVE and not self.is_gone(today)
        return works and self.has is None


class Model:
    """The company as it should be; numbers that are new are learned from the tenant, and checked.

    `met` counts what a history led to, so that a test can tell whether it put anything to the proof.
    """

    def __init__(self, site: SitePolicy, people: Iterable[str], *, cloud_only: Collection[str] = ()) -> None:
        self.site, self.met = site, Counter[str]()
        self.lives = {employee: Life(employee, is_synced=employee not in cloud_only) for employee in people}

    # ---- what happens

    def hear(self, rows: Iterable[Person], now: datetime) -> list[Life]:
        """Take a feed and give the lives it changes: of the rows of one person the newest of now counts.

        What is older than what is known changes nothing; what takes effect later waits for its moment.
        """
        told: dict[str, list[Person]] = {}
        for person in sorted(rows, key=_at):
            told.setdefault(person.employee_id, []).append(person)
        changed = []
        for employee, words in told.items():
            life, later = self.lives[employee], [person for person in words if _at(person) > now]
            begun = words[: len(words) - len(later)]
            if self._hear(life, begun[-1] if begun else later.pop(0), now):
                changed.append(life)
            life.ahead += later
            self.met["one feed told of now and of later"] += bool(begun and later)
        return changed

    def _hear(self, life: Life, person: Person, now: datetime) -> bool:
        if life.words is not None and _at(person) < _at(life.words):
            self.met["words were too old"] += 1
            return False
        has_date = person.status == Status.TERMINATED or person.termination_date is not None
        if _at(person) > now and life.words is not None and not has_date:
            life.ahead.append(person)
            return False
        self._believe(life, person, now.date())
        return True

    def come_due(self, now: datetime) -> list[Life]:
        """Take the words whose moment has come; gives the lives they change, and those that waited for an account."""
        changed = []
        for life in self.lives.values():
            due = sorted((each for each in life.ahead if _at(each) <= now), key=_at)
            life.ahead = [each for each in life.ahead if each not in due]
            heard = [self._hear(life, person, now) for person in due]
            self.met["news of a later day came due"] += sum(heard)
            if any(heard) or life.is_new:
                changed.append(life)
        return changed

    def provision(self, employee: str) -> None:
        """Note that somebody has a new account, which nothing was done to yet."""
        life = self.lives[employee]
        life.has, life.disabled_on, life.is_new = Standing(), None, True
        self.met["somebody was hired again"] += 1

    def leaving(self) -> list[Life]:
        """Give those who leave: every night looks at them."""
        return [life for life in self.lives.values() if life.leaves]

    def _believe(self, life: Life, person: Person, today: date) -> None:
        before, life.said = life.words, person
        last = person.termination_date
        if last is None and person.status == Status.TERMINATED:
            last = life.last_day or _at(person).date()
        if person.status == Status.TERMINATED and last is not None and last > today:
            person = person.model_copy(update={"status": Status.ACTIVE, "termination_date": last})
        life.leaves = last is not None and (life.leaves or last != life.last_day)
        life.words, life.last_day = person, last
        if before is not None:
            life.moved_country |= before.usage_location != person.usage_location
            life.moved_site |= before.location != person.location

    def visit(self, lives: Iterable[Life], now: datetime, seen: Seen) -> None:
        """Do what is right for these people now; `seen` shows what the tenant gave them."""
        for life in lives:
            life.is_new = False
            if life.has is None or life.words is None:
                continue
            if life.is_gone(now.date()):
                self._leaver(life, now)
            elif life.words.status == Status.LEAVE:
                policies = {**life.has.policies, **self.site.lifecycle.leave.policies}
                life.has = replace(life.has, policies=policies)
            else:
                self._works(life, now, seen)

    # ---- somebody who works

    def _works(self, life: Life, now: datetime, seen: Seen) -> None:
        assert life.words is not None
        assert life.has is not None
        template = self.template_of(life.words)
        before = life.has.number
        number = before or self._own(life, now)
        pool = self.pool_of(template, life.words)
        rule = template.new_number_on
        moved = (rule == "country" and life.moved_country) or (
            rule == "site" and (life.moved_site or life.moved_country)
        )
        if number is None or (moved and not _is_in(pool, number)):
            number = self._new_number(life, pool, now, seen)
            if before is not None:
                life.resting[before] = now
                self.met["a move changed the number"] += 1
        if number in life.resting:
            del life.resting[number]
            self.met["the number came back"] += 1
        if _is_in(pool, number):
            life.moved_country = life.moved_site = False
        is_shown = life.is_synced and (bool(template.write_back) or life.has.shown == number)
        life.disabled_on = None
        life.has = Standing(
            number=number,
            policies=template.policies,
            licensed=True,
            enabled=True,
            forwarded=False,
            shown=number if is_shown else None,
            country=life.words.usage_location,
        )

    def _own(self, life: Life, now: datetime) -> str | None:
        """Give the number that somebody had last, while it rests."""
        found = [number for number, since in life.resting.items() if now < since + GRACE]
        return found[-1] if found else None

    def _new_number(self, life: Life, pool: SitePool, now: datetime, seen: Seen) -> str:
        """Learn which number somebody was given, and check that it was free."""
        found = seen(life.employee)
        number = None if found is None else found.number
        assert number is not None, f"{life.employee} works and has no number"
        assert _is_in(pool, number), f"{life.employee} has {number}, which is not of pool {pool.name}"
        for other in self.lives.values():
            since = other.resting.get(number)
            assert since is None or now >= since + GRACE, f"{number} of {other.employee} rests since {since}"
            assert other is life or other.has is None or other.has.number != number, f"{number} is {other.employee}'s"
            other.resting.pop(number, None)
        if any(_is_in(pool, rests) and rests < number for rests in resting(self, now)):
            self.met["a number was given while a lower one rested"] += 1
        return number

    # ---- somebody who leaves

    def _leaver(self, life: Life, now: datetime) -> None:
        assert life.has is not None
        assert life.last_day is not None
        rules, today, has = self.site.lifecycle.leaver, now.date(), life.has
        days = (today - life.last_day).days
        was_disabled = not has.enabled
        if _due(rules.unassign_after_days, days):
            if has.number is not None:
                life.resting[has.number] = now
            has = replace(has, number=None, shown=None)
        elif _due(rules.forward_after_days, days) and has.number is not None:
            has = replace(has, forwarded=True)
        if _due(rules.licences_after_days, days):
            has = replace(has, licensed=False)
        if _due(rules.disable_after_days, days) and has.enabled:
            has, life.disabled_on = replace(has, enabled=False), today
        life.has = has
        if was_disabled and self._may_delete(life, days, today):
            life.has = None
            self.met["an account was deleted"] += 1

    def _may_delete(self, life: Life, days: int, today: date) -> bool:
        rules = self.site.lifecycle.leaver
        if rules.delete_after_days is None or rules.disable_after_days is None or life.disabled_on is None:
            return False
        between = timedelta(days=rules.delete_after_days - rules.disable_after_days)
        return days >= rules.delete_after_days and today >= life.disabled_on + between

    # ---- what the site says

    def template_of(self, person: Person) -> LifecycleTemplate:
        """Give the template of a person: the strongest whose named attributes all fit."""
        fitting = [
            each
            for each in self.site.templates
            if all(
                not values or getattr(person, name) in values
                for name, values in (
                    ("department", each.match.department),
                    ("usage_location", each.match.usage_location),
                )
            )
        ]
        return min(fitting, key=lambda each: (each.priority, each.name))

    def pool_of(self, template: LifecycleTemplate, person: Person) -> SitePool:
        """Give the pool that a template takes this person's number from."""
        name = next((rule.pool for rule in template.pool_rules if person.location in rule.location), template.pool)
        return next(pool for pool in self.site.pools if pool.name == name)


def _at(person: Person) -> datetime:
    assert person.effective_at is not None
    return person.effective_at


def _due(after: int | None, days: int) -> bool:
    return after is not None and days >= after


def _is_in(pool: SitePool, number: str) -> bool:
    return any(span.start <= number <= (span.end or span.start) for span in pool.ranges)


def resting(model: Model, now: datetime) -> set[str]:
    """Give the numbers that rest now."""
    taken = (pair for life in model.lives.values() for pair in life.resting.items())
    return {number for number, since in taken if now < since + GRACE}
