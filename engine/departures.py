"""Keep what HR last said of people, and departures: who leaves, when, and whether that still holds. SQL only.

Every function takes a connection whose transaction the caller owns, and the moment it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.engine import Row

from connectors.upserts import insert_into
from datasets.people import Person
from datasets.tables.lifecycle import departures, known_people
from datasets.users import DirectoryUser
from engine.claims import person as person_owner
from engine.requests import new_id

OPEN, WITHDRAWN, DONE, RETURNED = "open", "withdrawn", "done", "returned"
_SLICE = 500


@dataclass(frozen=True)
class Known:
    """What HR said of somebody last, where, and which moves a template may still answer with another number.

    `at` is when it was heard; None for what is not kept yet.
    """

    person: Person
    feed_id: str
    line: int
    changed_country: bool = False
    changed_site: bool = False
    at: datetime | None = None


class Departure(NamedTuple):
    """One departure; `targets` are the systems of a deletion that a person asked for, None for a leaver of a feed."""

    id: str
    subject: str
    label: str
    last_day: date
    state: str
    targets: list[str] | None
    delete_after_days: int | None
    request_id: str
    created_at: datetime
    closed_at: datetime | None


def known(connection: Connection, employee_ids: Iterable[str]) -> dict[str, Known]:
    """Give what is known of these people."""
    found: dict[str, Known] = {}
    for part in _slices(employee_ids):
        for row in connection.execute(select(known_people).where(known_people.c.employee_id.in_(part))):
            found[row.employee_id] = _known(row)
    return found


def _known(row: Row[Any]) -> Known:
    person = Person.model_validate(row.person)
    return Known(person, row.feed_id, row.line, row.changed_country, row.changed_site, row.at)


def remember(connection: Connection, what: Known, now: datetime) -> None:
    """Keep what HR says of somebody in place of what it said before."""
    person = what.person
    values = {
        "person": person.model_dump(mode="json", exclude_defaults=True),
        "effective_at": person.effective_at,
        "feed_id": what.feed_id,
        "line": what.line,
        "changed_country": what.changed_country,
        "changed_site": what.changed_site,
        "at": now,
    }
    key = {"employee_id": person.employee_id}
    statement = (
        insert_into(connection, known_people)
        .values(key | values)
        .on_conflict_do_update(index_elements=["employee_id"], set_=values)
    )
    connection.execute(statement)


def latest(connection: Connection, subjects: Iterable[str]) -> dict[str, Departure]:
    """Give the newest departure of each subject."""
    found: dict[str, Departure] = {}
    for part in _slices(subjects):
        query = select(departures).where(departures.c.subject.in_(part))
        for row in connection.execute(query.order_by(departures.c.created_at)):
            found[row.subject] = Departure(*row)
    return found


def deletions(connection: Connection, accounts: Iterable[DirectoryUser]) -> dict[str, Departure]:
    """Give the open deletions that take these accounts from the cloud, by object id; from a server alone is not one."""
    by_subject = {f"user:{account.id}": account for account in accounts}
    found = {}
    for part in _slices(by_subject):
        c = departures.c
        for row in connection.execute(select(departures).where(c.subject.in_(part), c.state == OPEN)):
            account = by_subject[row.subject]
            if "entra" in (row.targets or ()) or ("ad" in (row.targets or ()) and account.is_synced):
                found[account.id] = Departure(*row)
    return found


def listed(connection: Connection, *, everything: bool = False) -> list[Departure]:
    """List all departures, the earliest last day first; by default those that are open."""
    query = select(departures)
    if not everything:
        query = query.where(departures.c.state == OPEN)
    rows = connection.execute(query.order_by(departures.c.last_day, departures.c.id))
    return [Departure(*row) for row in rows]


def begin(connection: Connection, who: tuple[str, str], last_day: date, request_id: str, now: datetime) -> str:
    """Record that somebody, named by subject and label, leaves; gives the departure's id."""
    return _insert(connection, who, last_day, request_id, now)


def begin_deletion(
    connection: Connection,
    who: tuple[str, str],
    targets: Sequence[str],
    delete_after_days: int,
    request_id: str,
    now: datetime,
) -> str:
    """Record that a person asked for somebody to be deleted from these systems; gives the departure's id."""
    more = {"targets": list(targets), "delete_after_days": delete_after_days}
    return _insert(connection, who, now.date(), request_id, now, more)


def _insert(
    connection: Connection,
    who: tuple[str, str],
    last_day: date,
    request_id: str,
    now: datetime,
    more: Mapping[str, object] = MappingProxyType({}),
) -> str:
    made, (subject, label) = new_id("d"), who
    row = {"id": made, "subject": subject, "label": label, "last_day": last_day, "state": OPEN} | dict(more)
    connection.execute(insert(departures).values(**row, request_id=request_id, created_at=now))
    return made


def postpone(connection: Connection, departure_id: str, last_day: date) -> None:
    """Record another last day."""
    connection.execute(update(departures).where(departures.c.id == departure_id).values(last_day=last_day))


def close(connection: Connection, departure_id: str, state: str, now: datetime) -> None:
    """Record that a departure is done, or withdrawn."""
    here = (departures.c.id == departure_id) & (departures.c.state == OPEN)
    connection.execute(update(departures).where(here).values(state=state, closed_at=now))


def forget_deletion(connection: Connection, departure_id: str, request_id: str, now: datetime) -> None:
    """Record that a deletion is not wanted any more, as far as it is the one that this request began."""
    c = departures.c
    here = (c.id == departure_id) & (c.request_id == request_id) & (c.state == OPEN)
    connection.execute(update(departures).where(here).values(state=WITHDRAWN, closed_at=now))


def take_back(connection: Connection, departure: Departure, now: datetime) -> None:
    """Record that somebody stays after all, or is back."""
    state = {OPEN: WITHDRAWN, DONE: RETURNED}.get(departure.state)
    if state is not None and departure.targets is None:
        here = departures.c.id == departure.id
        connection.execute(update(departures).where(here).values(state=state, closed_at=now))


def people_leaving(connection: Connection) -> list[Known]:
    """Give what HR said last of everybody who leaves and is not gone altogether."""
    subjects = [each.subject for each in listed(connection) if each.targets is None]
    ids = {subject.removeprefix(person_owner("")) for subject in subjects}
    return list(known(connection, sorted(ids)).values())


def _slices(values: Iterable[str]) -> Iterable[list[str]]:
    all_of_them = list(dict.fromkeys(values))
    return (all_of_them[start : start + _SLICE] for start in range(0, len(all_of_them), _SLICE))
