"""Sort words about one person by the moment they take effect (pure): what counts now, and what waits for its day."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from datasets.people import Person
from engine.departing import EFFECTIVE, waits
from engine.departures import Known
from engine.observe import Row
from engine.onboarding import Situation
from engine.plan import Line
from engine.plan_store import StoredLine

Moments = Collection[datetime | None]


class Told(NamedTuple):
    """The rows of one feed: one of each person for now, later ones in their order, and what is newer than the rest."""

    now: list[Row]
    later: list[Row]
    older: list[tuple[Row, str]]


def by_moment(rows: Sequence[Row], now: datetime) -> Told:
    """Choose of each person's rows the newest whose moment has come, or the first to come, and all after it.

    Of several rows of one moment the last of the feed counts.
    """
    people: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: rank(row.person, row.line)):
        people.setdefault(row.person.employee_id, []).append(row)
    count = {employee: _counting(own, now) for employee, own in people.items()}
    heads, later = {id(own[0]) for own in count.values()}, [row for own in count.values() for row in own[1:]]
    others = {*heads, *map(id, later)}
    older = [(row, _overtaken_by(row, count[row.person.employee_id])) for row in rows if id(row) not in others]
    return Told([row for row in rows if id(row) in heads], later, older)


def _counting(own: Sequence[Row], now: datetime) -> list[Row]:
    """Leave of one person's rows, the oldest first, one of each moment, from the one on that counts now."""
    each = list({row.person.effective_at: row for row in own}.values())
    begun = sum(row.person.effective_at is None or row.person.effective_at <= now for row in each)
    return each[max(begun - 1, 0) :]


def _overtaken_by(row: Row, counting: Sequence[Row]) -> str:
    mine = rank(row.person, row.line)
    newer = next(other for other in counting if rank(other.person, other.line) > mine)
    return f"line {newer.line} is newer"


def rank(person: Person, line: int) -> tuple[float, int]:
    """Give the place of a row among those of its person: by the moment it takes effect, then as the feed has them."""
    at = person.effective_at
    return (at.timestamp() if at else float("-inf"), line)


def lines_of(later: Iterable[Situation], now: Iterable[Situation]) -> list[Line]:
    """Give a waiting line for each of these words of a later moment; before them comes what the same feed says now."""
    before = {each.person.employee_id: each for each in now}
    made = []
    for each in later:
        said = before[each.person.employee_id]
        known = Known(said.person, str(said.source["feed_id"]), int(str(said.source["feed_line"])))
        life = None if said.life is None else replace(said.life, known=known)
        before[each.person.employee_id] = situation = replace(each, life=life)
        made.append(waits(situation))
    return made


def moments_of(rows: Iterable[Row]) -> dict[str, set[datetime | None]]:
    """Give the moments of rows by employee id."""
    found: dict[str, set[datetime | None]] = {}
    for row in rows:
        found.setdefault(row.person.employee_id, set()).add(row.person.effective_at)
    return found


def is_to_come(line: StoredLine, moments: Mapping[str, Moments], now: datetime) -> bool:
    """Tell whether a line is news of another moment that older words do not overtake; the same ones replace it.

    `moments` are those of the words that are planned, by object.
    """
    if line.condition != EFFECTIVE or line.not_before is None:
        return False
    told = moments[line.object]
    is_newer_now = any(at is None or line.not_before < at <= now for at in told)
    return line.not_before not in told and (line.not_before > now or not is_newer_now)
