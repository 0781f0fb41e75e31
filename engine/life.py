"""What a lifecycle run knows of one person beside the tenant's state: HR's words before, a departure, our own traces.

Pure. Reading it all is `engine/lives.py`; what follows from it is `engine/departing.py` and `engine/movers.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from pydantic import JsonValue

from config.site_lifecycle import LeaverRules, LifecycleRules
from datasets.people import Person, Status
from datasets.users import AdUser, NumberAssignment, SubscribedSku
from engine.announcements import Announcement
from engine.departures import DONE, OPEN, Departure, Known

_OF_AN_EVENT = ("event_id", "effective_at")


class Step(StrEnum):
    """The steps of a leaver, in their order; each is taken only after the ones before it were seen to be done."""

    FORWARD = "forward"
    UNASSIGN = "unassign"
    LICENCES = "licences"
    DISABLE = "disable"
    DELETE = "delete"


@dataclass(frozen=True)
class Trace:
    """The last value that we verifiably gave to something: before, after, when, and what the line answered."""

    before: JsonValue
    after: JsonValue
    at: datetime
    source: Mapping[str, JsonValue]

    @property
    def is_of_a_feed(self) -> bool:
        """Tell whether a feed asked for it, not a person."""
        return "feed_id" in self.source


@dataclass(frozen=True)
class Life:
    """What is known of one person's time with the company."""

    rules: LifecycleRules
    today: date
    grace_days: int = 30
    known: Known | None = None
    departure: Departure | None = None
    traces: Mapping[tuple[str, str], Trace] = field(default_factory=dict)
    skus: Mapping[str, SubscribedSku] = field(default_factory=dict)
    forwarding: JsonValue = None
    forward_to: JsonValue = None
    refusal: str | None = None
    ad: AdUser | None = None
    number_row: NumberAssignment | None = None
    block: str | None = None
    announcement: Announcement = field(default_factory=Announcement)
    has_blocks: bool = False
    pool: str | None = None
    changed_country: bool = False
    changed_site: bool = False
    says_parts: bool = False

    def called(self, person: Person, template: str) -> str:
        """Say what an active person is to us: a joiner, somebody who moves, or somebody who is back."""
        before = self.known.person if self.known else None
        if before is None:
            return "onboarded"
        if before.status != Status.ACTIVE or is_gone(before, self.departure, self.today):
            return "returned"
        sources = [trace.source for trace in self.traces.values() if trace.is_of_a_feed]
        is_of_another = any(source.get("template", template) != template for source in sources)
        return "moved" if is_of_another or describes(before) != describes(person) else "onboarded"


def last_day(person: Person, departure: Departure | None, today: date) -> date | None:
    """Give the last day of work; None for somebody who stays. A leaver without a date left when we first heard."""
    if person.termination_date is not None:
        return person.termination_date
    if person.status != Status.TERMINATED:
        return None
    if departure is not None and departure.state in (OPEN, DONE):
        return departure.last_day
    return person.effective_at.date() if person.effective_at else today


def is_gone(person: Person, departure: Departure | None, today: date) -> bool:
    """Tell whether somebody's last day is over, or is today and HR calls them terminated."""
    last = last_day(person, departure, today)
    if last is None:
        return False
    return today > last or (today == last and person.status == Status.TERMINATED)


def dates(rules: LeaverRules, last: date) -> list[tuple[Step, date]]:
    """Give the steps that a site takes, each with its day."""
    days = {
        Step.FORWARD: rules.forward_after_days if rules.forward_to != "none" else None,
        Step.UNASSIGN: rules.unassign_after_days,
        Step.LICENCES: rules.licences_after_days,
        Step.DISABLE: rules.disable_after_days,
        Step.DELETE: rules.delete_after_days,
    }
    return [(step, last + timedelta(days=after)) for step, after in days.items() if after is not None]


def next_step(rules: LeaverRules, last: date, today: date) -> tuple[Step, date] | None:
    """Give the first step whose day has not come."""
    return next((pair for pair in dates(rules, last) if pair[1] > today), None)


def older_than_known(person: Person, known: Known | None) -> bool:
    """Tell whether HR has said something newer of this person already."""
    if known is None or known.person.effective_at is None or person.effective_at is None:
        return False
    return person.effective_at < known.person.effective_at


def is_ahead(person: Person, known: Known | None, now: datetime) -> bool:
    """Tell whether news of a person we know takes effect later; hires and last days have dates of their own.

    Whoever has a last day that we know already, such as that of a contract, and moves before it moves at that moment.
    """
    at, last = person.effective_at, person.termination_date
    if known is None or at is None or at <= now or person.status == Status.TERMINATED:
        return False
    if last is None:
        return True
    before = known.person
    is_move = (person.status, describes(person)) != (before.status, describes(before))
    return is_move and last == before.termination_date and at.date() < last


def completed(person: Person, said: Collection[str], known: Person, today: date, *, says_leave: bool) -> Person:
    """Give a person of whom a sender said only these fields, with the rest as HR said it before.

    A last day that is over is forgotten for somebody who is said to work. A sender whose language has no word for
    leave (`says_leave`) cannot end one.
    """
    rest = {name: value for name, value in known if name not in {*said, *_OF_AN_EVENT}}
    if not says_leave and (person.status, known.status) == (Status.ACTIVE, Status.LEAVE):
        rest["status"] = Status.LEAVE
    made = person.model_copy(update=rest)
    last = rest.get("termination_date")
    is_over = last is not None and (last < today or (made.hire_date is not None and last < made.hire_date))
    return made.model_copy(update={"termination_date": None}) if is_over and made.status != Status.TERMINATED else made


def news_of(person: Person, known: Person) -> tuple[str, ...]:
    """Name the fields in which words about somebody differ from what was known, but for what belongs to an event."""
    return tuple(name for name, value in person if name not in _OF_AN_EVENT and value != getattr(known, name))


def with_news(person: Person, news: Collection[str], known: Person) -> Person:
    """Give what is known of somebody by now, with what was said of a later day: the rest may be otherwise since."""
    return known.model_copy(update={name: getattr(person, name) for name in (*news, *_OF_AN_EVENT)})


def describes(person: Person) -> dict[str, JsonValue]:
    """Give what a template may look at: a change of it is a move."""
    names = ("department", "location", "usage_location", "company", "worker_type", "cost_center", "job_title")
    return {name: getattr(person, name) for name in names}
