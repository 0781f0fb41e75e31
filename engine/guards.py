"""How much one planning of people's lives may do before it is not believed: counted on the lines, refused as a whole.

A feed, a night of leaver's steps, a visit to what waits, and the events of a day all have the same limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, select

from config.errors import InputRefused
from config.sections import FeedLimits
from datasets.feeds import Reach, excess
from datasets.tables.requests import requests
from engine.plan import Line

WINDOW = timedelta(days=1)
_NUMBER_CHANGE = {"unassign_number", "assign_number"}
_DELETIONS = {"delete_user", "delete_ad_user", "disable_skype_user"}
_MOVES, _STEPS = ("moved", "on_leave"), ("leaving", "left")
_NOTHING = Reach()
_EXPORT = "correct the export or the templates, or raise the limit under feed"


class TooMuch(InputRefused):
    """A plan that would do more than its limits allow; nothing was written."""

    def __init__(self, message: str, remedy: str = _EXPORT) -> None:
        super().__init__(message, remedy=f"nothing was changed: {remedy}")


@dataclass(frozen=True)
class Guard:
    """How much one planning may do; `rows` is how many people it has, `kind` that of its mapping.

    `within` says what is counted together, `before` what the same did earlier and counts, too.
    """

    limits: FeedLimits
    rows: int
    kind: Literal["snapshot", "events"] = "snapshot"
    within: str = "one feed"
    before: Reach = _NOTHING
    refused: str = "the feed is not believed"
    remedy: str = _EXPORT

    def refuse_excess(self, reach: Reach) -> None:
        """Raise TooMuch, naming every limit that would be passed."""
        whole = Reach(*(new and new + old for new, old in zip(reach, self.before, strict=True)))
        if reasons := excess(whole, self.rows, self.limits, kind=self.kind, within=self.within):
            raise TooMuch(f"{self.refused}: {'; '.join(reasons)}", self.remedy)


def of_a_night(limits: FeedLimits, people: int) -> Guard:
    """Give the guard of the steps that fall due in a night: dates that changed, or days in lifecycle.toml."""
    remedy = "look at lifecycle.toml and ./callwright users departures, or raise the limit under feed for one run"
    return Guard(limits, people, "events", "one night", refused="the steps are not taken", remedy=remedy)


def of_a_visit(limits: FeedLimits, people: int) -> Guard:
    """Give the guard of those who waited and are planned anew, as on the day for which HR announced many moves."""
    remedy = "look at what HR announced for today, or raise the limit under feed for one run of ./callwright continue"
    return Guard(limits, people, "events", "one visit", refused="who waits is not planned", remedy=remedy)


def reach_of(lines: Sequence[Line], leavers: int = 0) -> Reach:
    """Count what lines would do; `leavers` are those who begin to leave."""
    kinds = [{change.kind for change in line.changes} for line in lines]
    called = [line.success for line in lines if line.changes]
    return Reach(
        leavers,
        number_changes=sum(each >= _NUMBER_CHANGE for each in kinds),
        moves=sum(each in _MOVES for each in called),
        steps=sum(each in _STEPS for each in called),
        deletions=sum(bool(each & _DELETIONS) for each in kinds),
    )


def reach_within_a_day(connection: Connection, kind: str, request_id: str, now: datetime) -> Reach:
    """Add up what requests of this kind did within a day, as they noted it; this one is left out."""
    c = requests.c
    query = select(c.summary).where(c.kind == kind, c.created_at >= now - WINDOW, c.id != request_id)
    noted = [summary.get("reach") for summary in connection.execute(query).scalars() if summary]
    return Reach(*map(sum, zip(_NOTHING, *(Reach(**each) for each in noted if each), strict=True)))
