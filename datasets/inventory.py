"""What the number inventory speaks of: pools, spans of numbers, numbers that are taken, and why one was refused.

The rules here are pure; rows and transactions are left to `engine/inventory.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import ClassVar, Literal, NamedTuple, Self, TypeVar

from pydantic import model_validator

from config.errors import InputRefused
from datasets.numbering import PhoneNumber
from datasets.record import Record

NumberClass = Literal["ordinary", "vanity", "service", "emergencyCallback"]
PoolKind = Literal["directRouting", "callingPlan", "operatorConnect", "teamsPhoneMobile", "onPremises"]


class NumberState(StrEnum):
    """What may be said of a number; `OUTSIDE` is a number of no pool that nobody is known to have."""

    FREE = "free"
    WITHHELD = "withheld"
    CLAIMED = "claimed"
    ASSIGNED = "assigned"
    RESERVED = "reserved"
    GRACE = "grace"
    BLOCKED = "blocked"
    OUTSIDE = "outside"


class Position(NamedTuple):
    """A number as integers. Plain numbers share space 0; extensions of one base and width have their own."""

    space: int
    width: int
    n: int

    @classmethod
    def of(cls, number: PhoneNumber) -> Position:
        """Give the integers of a number."""
        if number.extension is None:
            return cls(0, 0, number.base)
        return cls(number.base, len(number.extension), int(number.extension))

    @property
    def number(self) -> PhoneNumber:
        """Give the number of these integers."""
        if self.width == 0:
            return PhoneNumber(self.n)
        return PhoneNumber(self.space, f"{self.n:0{self.width}}")


class Run(NamedTuple):
    """Consecutive positions of one space, both ends included."""

    space: int
    width: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """Count the positions."""
        return self.last - self.first + 1

    def positions(self, limit: int | None = None) -> list[Position]:
        """Give the positions, at most `limit` of the lowest."""
        stop = self.last if limit is None else min(self.last, self.first + limit - 1)
        return [Position(self.space, self.width, n) for n in range(self.first, stop + 1)]


def runs_of(positions: Iterable[Position]) -> Iterator[Run]:
    """Join neighbouring positions into runs, lowest first."""
    return joined(Run(*position, position.n) for position in sorted(positions))


def joined(runs: Iterable[Run]) -> Iterator[Run]:
    """Join sorted runs that touch or overlap."""
    current: Run | None = None
    for run in runs:
        if current is not None and current[:2] == run[:2] and run.first <= current.last + 1:
            current = current._replace(last=max(current.last, run.last))
            continue
        if current is not None:
            yield current
        current = run
    if current is not None:
        yield current


class Span(Record):
    """Consecutive numbers: `+43100` to `+43199`, or `+431;ext=100` to `+431;ext=199`."""

    identity: ClassVar[tuple[str, ...]] = ("start", "end")

    start: PhoneNumber
    end: PhoneNumber
    is_added: bool = False
    """Added by command, not by site policy."""

    @classmethod
    def read(cls, start: str, end: str | None = None) -> Self:
        """Read a span from E.164 text; without an end it is one number. Raises InputRefused."""
        return cls(start=PhoneNumber.from_e164(start), end=PhoneNumber.from_e164(end or start))

    @model_validator(mode="after")
    def _check(self) -> Self:
        start, end = Position.of(self.start), Position.of(self.end)
        if start[:2] != end[:2] or len(str(self.start)) != len(str(self.end)):
            raise InputRefused(f"{self} is no range", remedy="both ends need the same base and as many digits")
        if start.n > end.n:
            raise InputRefused(f"{self} is no range", remedy="the start comes after the end: swap them")
        return self

    def __str__(self) -> str:
        return str(self.start) if self.start == self.end else f"{self.start} to {self.end}"

    @property
    def run(self) -> Run:
        """Give the span as integers."""
        return Run(*Position.of(self.start), Position.of(self.end).n)

    @classmethod
    def of(cls, run: Run) -> Self:
        """Give the span of these integers."""
        low, high = (Position(run.space, run.width, n) for n in (run.first, run.last))
        return cls(start=low.number, end=high.number)


class WithheldSpan(Span):
    """Numbers of a pool that are never offered, and why."""

    reason: str = "withheld by site policy"


AnySpan = TypeVar("AnySpan", bound=Span)


def parts_beside(span: AnySpan, runs: Iterable[Run]) -> list[AnySpan]:
    """Give what is left of a span when runs are taken out of it."""
    left, low = [], span.run
    for run in joined(sorted(run for run in runs if run[:2] == low[:2])):
        if run.last < low.first or run.first > low.last:
            continue
        if low.first < run.first:
            left.append(low._replace(last=run.first - 1))
        low = low._replace(first=run.last + 1)
    left += [low] if low.size > 0 else []
    return [_like(span, run) for run in left]


def parts_within(span: AnySpan, runs: Iterable[Run]) -> list[AnySpan]:
    """Give the parts of a span that lie in runs."""
    whole = span.run
    inside = (run for run in joined(sorted(runs)) if run[:2] == whole[:2])
    cut = (run._replace(first=max(run.first, whole.first), last=min(run.last, whole.last)) for run in inside)
    return [_like(span, run) for run in cut if run.size > 0]


def _like(span: AnySpan, run: Run) -> AnySpan:
    ends = Span.of(run)
    return span.model_copy(update={"start": ends.start, "end": ends.end})


class Pool(Record):
    """Numbers of one site, kind and class. Plain numbers whose base has extensions are offered only if it says so."""

    identity: ClassVar[tuple[str, ...]] = ("name",)

    name: str
    site: str = ""
    kind: PoolKind = "directRouting"
    number_class: NumberClass = "ordinary"
    country: str = ""
    carrier: str = ""
    tags: tuple[str, ...] = ()
    is_policy: bool = True
    spans: tuple[Span, ...]
    withheld: tuple[WithheldSpan, ...] = ()
    base_beside_extensions: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        for spans in (self.spans, self.withheld):
            refuse_overlap([(self.name, span.run) for span in spans])
        inside = list(joined(sorted(span.run for span in self.spans)))
        for span in self.withheld:
            if not any(
                run[:3] <= span.run[:3] and run[:2] == span.run[:2] and span.run.last <= run.last for run in inside
            ):
                raise InputRefused(
                    f"withheld numbers {span} are not in pool {self.name!r}", remedy="correct one of them"
                )
        return self


def refuse_overlap(named_runs: Iterable[tuple[str, Run]]) -> None:
    """Raise RangesOverlap when two of the runs share a number, naming both pools."""
    for (one, low), (other, high) in pairwise(sorted(named_runs, key=lambda named: named[1])):
        if low[:2] == high[:2] and high.first <= low.last:
            raise RangesOverlap(one, low, other, high)


class Taken(Record):
    """A number that is not free. `kept_…` is what a claim goes back to when it is given back."""

    identity: ClassVar[tuple[str, ...]] = ("number",)

    number: PhoneNumber
    state: NumberState
    owner: str
    reason: str = ""
    plan_id: str | None = None
    until: datetime | None = None
    since: datetime
    pool: str | None = None
    kept_state: NumberState | None = None
    kept_reason: str = ""
    kept_until: datetime | None = None

    def expired_at(self, moment: datetime) -> bool:
        """Tell whether its time is over at that moment; at the very second it is."""
        return self.until is not None and self.until <= moment

    def given_back(self, moment: datetime) -> Taken | None:
        """Give what is left of a claim that is given up: the reservation or grace period before it, or nothing."""
        if self.kept_state is None or (self.kept_until is not None and self.kept_until <= moment):
            return None
        kept = {"state": self.kept_state, "reason": self.kept_reason, "until": self.kept_until, "since": moment}
        return self.model_copy(
            update={**kept, "plan_id": None, "kept_state": None, "kept_reason": "", "kept_until": None}
        )


class HistoryEntry(Record):
    """One change of hands of a number."""

    identity: ClassVar[tuple[str, ...]] = ("number", "at")

    number: PhoneNumber
    at: datetime
    pool: str | None
    state_before: str
    owner_before: str
    state: str
    owner: str
    reason: str
    until: datetime | None
    plan_id: str | None
    actor: str


class Counts(Record):
    """How many numbers of a pool are in each state."""

    identity: ClassVar[tuple[str, ...]] = ("pool",)

    pool: str
    free: int
    withheld: int
    claimed: int
    assigned: int
    reserved: int
    grace: int
    blocked: int

    @property
    def size(self) -> int:
        """Count every number of the pool."""
        return self.free + self.withheld + self.claimed + self.assigned + self.reserved + self.grace + self.blocked


class RangesOverlap(InputRefused):
    """Refuse ranges that share numbers."""

    def __init__(self, one: str, low: Run, other: str, high: Run) -> None:
        mine, theirs = (f"{Span.of(run)} (pool {name})" for name, run in ((one, low), (other, high)))
        super().__init__(f"ranges {mine} and {theirs} share numbers", remedy="give each number to one range only")


class UnknownPool(InputRefused):
    """Refuse a pool that is not defined."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no pool {name!r}", remedy="./callwright numbers pools lists them")


class PoolExhausted(InputRefused):
    """Refuse a claim that the pool cannot fill; nothing was claimed."""

    def __init__(self, pool: str, *, asked: int, left: int) -> None:
        self.pool, self.asked, self.left = pool, asked, left
        super().__init__(
            f"pool {pool!r} has {left} free of {asked} numbers asked for", remedy="add a range to the pool"
        )


class NumberUnavailable(InputRefused):
    """Refuse a number that somebody has or that is not offered; `holder` is None when it is withheld."""

    def __init__(self, number: PhoneNumber, why: str, holder: Taken | None = None) -> None:
        self.number, self.holder = number, holder
        super().__init__(f"number {number} {why}", remedy="choose another number")
