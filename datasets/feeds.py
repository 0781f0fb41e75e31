"""Rows of feeds, good and bad, what became of them, and when a whole feed is not to be believed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, NamedTuple

from config.sections import FeedLimits
from datasets.people import Person, Status

SHOWN_LENGTH = 80
_FEW = 5  # a small company may move some people on one day
_NUMBER = re.compile(r"\+?[\d\s().\-/]+(?:;ext=\d+)?")


class GoodRow(NamedTuple):
    """A row that became a person; `line` is where its first character stands in the file, counted from 1."""

    line: int
    person: Person


class BadRow(NamedTuple):
    """A row that is quarantined: where, in which column, why, and a masked view of the value."""

    line: int
    column: str
    reason: str
    value: str = ""
    employee_id: str | None = None
    raw: Mapping[str, str] = MappingProxyType({})

    def __str__(self) -> str:
        column = f", column {self.column}" if self.column else ""
        return f"line {self.line}{column}: {self.reason}"


class FeedContents(NamedTuple):
    """A feed that was read to its end; every line of it is in one of the lists, in order."""

    good: list[GoodRow]
    bad: list[BadRow]
    warnings: list[str]


class Outcome(StrEnum):
    """What became of one row of a feed; a feed is finished when no row is pending or waiting."""

    PENDING = "pending"
    ONBOARDED = "onboarded"
    PLANNED_AHEAD = "planned_ahead"
    MOVED = "moved"
    RETURNED = "returned"
    ON_LEAVE = "on_leave"
    LEAVING = "leaving"
    LEFT = "left"
    WAITING = "waiting"
    UNCHANGED = "unchanged"
    QUARANTINED = "quarantined"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"


class QuarantineState(StrEnum):
    """Where a quarantined row stands; `superseded` says that a newer feed of the same name replaced it."""

    OPEN = "open"
    RETRIED = "retried"
    DISMISSED = "dismissed"
    SUPERSEDED = "superseded"


class Reach(NamedTuple):
    """How many people a plan changes at once, by what happens to them; whose steps are taken leaves already.

    `moves` are those who had what a feed gives and are given something else: for HR's words, or because a template or a
    pool was edited.
    """

    leavers: int = 0
    number_changes: int = 0
    moves: int = 0
    steps: int = 0
    deletions: int = 0


def mask(value: str) -> str:
    """Show enough of a value to find it in the file, not the value: `+43…78`, `Adm…n`."""
    shown = "".join(c if c.isprintable() else "·" for c in value[:SHOWN_LENGTH])
    if len(value) <= 4:
        return shown
    head = 3 if len(value) > 6 else 2
    return f"{shown[:head]}…{shown[-1]}" if len(value) <= SHOWN_LENGTH else f"{shown[:head]}… ({len(value)} characters)"


def formula_safe(text: str) -> str:
    """Write a cell so that a spreadsheet never runs it; phone numbers keep their plus."""
    if text[:1] in ("=", "@", "\t", "\r", "-", "+") and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def blast_radius(
    previous_count: int | None,
    rows: int,
    leavers: int,
    number_changes: int,
    limits: FeedLimits,
    *,
    kind: Literal["snapshot", "events"] = "snapshot",
) -> list[str]:
    """Give the reasons not to believe a feed; nothing may be written when there is one.

    A feed of events has no share of anything, so only the counts bind it; `previous_count` is None for a first feed.
    """
    reasons = []
    reach = Reach(leavers, number_changes)
    if kind == "snapshot" and previous_count and _exceeds(previous_count - rows, previous_count, limits.shrink_percent):
        reasons.append(
            f"the feed has {rows} rows, the last accepted one had {previous_count}:"
            f" more than {limits.shrink_percent:g} % fewer"
        )
    return reasons + excess(reach, rows, limits, kind=kind)


def excess(
    reach: Reach,
    rows: int,
    limits: FeedLimits,
    *,
    kind: Literal["snapshot", "events"] = "snapshot",
    within: str = "one feed",
) -> list[str]:
    """Name the limits that a plan of so many rows would pass; percent bind snapshots, and moves from some people on."""
    few = reach.moves <= _FEW
    counted = [
        ("leavers", reach.leavers, limits.leavers, limits.leavers_percent),
        ("number changes", reach.number_changes, limits.number_changes, limits.number_changes_percent),
        (
            "people who are given other values or go on leave",
            reach.moves,
            limits.moves,
            None if few else limits.moves_percent,
        ),
        ("people for whom leaver's steps are taken", reach.steps, limits.steps, None),
        ("deletions", reach.deletions, limits.deletions, None),
    ]
    percents = kind == "snapshot"
    return [
        reason
        for what, count, most, percent in counted
        for reason in _too_many(f"{count} {what}", count, rows, most, percent if percents else None, within)
    ]


def count_leavers(before: Mapping[str, Person], now: Mapping[str, Person]) -> int:
    """Count who is terminated now and neither was, nor had a last day, when last heard of; by employee id."""
    left = (name for name, person in now.items() if person.status == Status.TERMINATED)
    return sum(name not in before or not _leaves(before[name]) for name in left)


def _leaves(person: Person) -> bool:
    return person.status == Status.TERMINATED or person.termination_date is not None


def count_number_changes(before: Mapping[str, Person], now: Mapping[str, Person]) -> int:
    """Count who had a work phone in the last accepted feed and has another one, or none, in this; by employee id."""
    known = ((before[name], person) for name, person in now.items() if name in before)
    return sum(old.work_phone is not None and old.work_phone != new.work_phone for old, new in known)


def _too_many(what: str, count: int, rows: int, limit: int, percent: float | None, within: str) -> list[str]:
    if count > limit:
        return [f"{what} in {within}: more than {limit}"]
    if percent is not None and _exceeds(count, rows, percent):
        return [f"{what} among {rows} rows: more than {percent:g} %"]
    return []


def _exceeds(part: int, whole: int, percent: float) -> bool:
    return part * 100 > whole * percent
