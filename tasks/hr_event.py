"""The stages of an event's run: its people become a feed of their own, and its sender hears what came of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import Row

from config.errors import InputRefused
from config.site_mappings import FeedMapping
from config.site_policy import read_mapping
from connectors.errors import ConnectorError, NotAllowed, Retryable
from connectors.hr_headers import name_of
from connectors.hr_json import as_events, by_field, open_people, said_by, stamped
from connectors.tokens import Tokens
from connectors.workflow_callbacks import resume
from datasets.feeds import BadRow, GoodRow
from engine import departures, events, feeds, requests
from engine.life import completed
from engine.moments import rank
from engine.opening import app_registration
from engine.runtime import utc_now
from tasks.presets import READ
from tasks.stage import stage
from tasks.work import Work, open_work


def mapping_of(work: Work, door: str) -> FeedMapping:
    """Give how the people of a door are read: by the site's mapping, or by the fields of a person."""
    if door == "events":
        return as_events(read_mapping(Path(work.settings.listen.mapping), work.settings.site))
    return by_field(door)


def naming(work: Work) -> Callable[[Row[Any]], frozenset[str]]:
    """Give what names the people of an event, as its sender does; nobody while the mapping cannot be read."""
    columns: dict[str, str | None] = {"workflow": "id"}

    def people_of(event: Row[Any]) -> frozenset[str]:
        if event.door not in columns:
            with suppress(InputRefused):
                columns[event.door] = mapping_of(work, event.door).column_of("employee_id")
        column = columns.setdefault(event.door, None)
        cells = ((name, value) for row in event.rows or () for name, value in row.items())
        return frozenset(value.strip() for name, value in cells if name_of(name) == column)

    return people_of


def fields_said(row: Mapping[str, str], rules: FeedMapping, door: str) -> frozenset[str]:
    """Name the fields that a row speaks of; in an event, a status without a last day says that there is none."""
    said = said_by(row, rules)
    has_dates = door == "events" and rules.column_of("termination_date") is not None
    return said | {"termination_date"} if has_dates and "status" in said else said


def completed_rows(
    connection: Connection, found: Sequence[GoodRow | BadRow], said: Mapping[int, frozenset[str]], door: str
) -> list[GoodRow | BadRow]:
    """Add to each person what HR said before and the sender does not speak of; `said` has its fields by line.

    Before a row come earlier rows of the same person, too: the newest of them counts, and has all that was said.
    """
    good = [row for row in found if isinstance(row, GoodRow)]
    kept = departures.known(connection, [row.person.employee_id for row in good])
    before = {name: each.person for name, each in kept.items()}
    today, says_leave, made = utc_now().date(), door == "events", dict[int, GoodRow]()
    for row in sorted(good, key=lambda row: rank(row.person, row.line)):
        person, known = row.person, before.get(row.person.employee_id)
        if known is not None:
            person = completed(person, said[row.line], known, today, says_leave=says_leave)
        before[person.employee_id] = person
        made[row.line] = row._replace(person=person)
    return [made[row.line] if isinstance(row, GoodRow) else row for row in found]


@stage(READ)
def read_event(request_id: str, event_id: str) -> str:
    """Make an event's people a feed; gives the feed's id. Raises InputRefused for one that has ended."""
    with open_work() as work:
        with work.database.read() as connection:
            event = events.load(connection, event_id)
        if event.rows is None:
            raise InputRefused(f"event {event_id} is {event.state} already", remedy="send a new one")
        rules = mapping_of(work, event.door)
        rows = _known_to_entra(work, event.rows) if event.door == "workflow" else event.rows
        read = open_people(stamped(rows, rules, event_id, event.received_at.isoformat()), rules, f"event {event_id}")
        said = {line: fields_said(row, rules, event.door) for line, row in enumerate(rows, 1)}
        with work.database.read() as connection:
            found = completed_rows(connection, list(read.rows()), said, event.door)
        _record(work, request_id, event, rules, found)
        with work.database.write() as connection:
            requests.warn(connection, request_id, read.warnings)
    return events.feed_of(event_id)


@stage(READ)
def end_event(event_id: str, state: str, message: str) -> None:
    """Note how the event's run ended."""
    with open_work() as work, work.database.write() as connection:
        events.settle(connection, event_id, state, message, utc_now())


@stage(READ)
def put_off(event_id: str, message: str) -> None:
    """Leave the event to be tried again: a system that its run needs is out."""
    with open_work() as work, work.database.write() as connection:
        events.try_again(connection, event_id, message, utc_now(), is_outage=True)


@stage(READ)
def answer_callers() -> int:
    """Tell every sender that waits for word what came of its event; gives how many were told."""
    with open_work() as work:
        with work.database.read() as connection:
            due = events.due_callbacks(connection, utc_now())
        if not due:
            return 0
        tenant = work.settings.require_tenant()
        with Tokens(app_registration(tenant)) as tokens:
            return sum(_answer(work, tokens, *each) for each in due)


def _answer(work: Work, tokens: Tokens, event_id: str, address: str, status: str) -> bool:
    trouble, is_final = "", False
    try:
        resume(work.settings.listen.callbacks, address, tokens, work.settings.require_tenant().ca_bundle, status)
    except ConnectorError as error:
        trouble, is_final = str(error), not isinstance(error, Retryable)
    state = "sent" if not trouble else "failed" if is_final else "due"
    with work.database.write() as connection:
        events.called_back(connection, event_id, state, trouble, utc_now())
    return not trouble


def _record(
    work: Work, request_id: str, event: Row[Any], rules: FeedMapping, found: Sequence[GoodRow | BadRow]
) -> None:
    feed_id = events.feed_of(event.id)
    with work.database.write() as connection:
        feeds.record_feed(
            connection,
            feed_id=feed_id,
            name=rules.name,
            digest=event.digest,
            kind="events",
            request_id=request_id,
            now=utc_now(),
            people=[(row.line, row.person) for row in found if isinstance(row, GoodRow)],
            bad=[row for row in found if isinstance(row, BadRow)],
        )
        feeds.check_events(connection, feed_id, feeds.people_of(connection, feed_id))


def _known_to_entra(work: Work, rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Give what Entra knows of the people a workflow is about; where it has nothing, HR's word stands."""
    ids = [row["id"] for row in rows]
    with work.runtime() as runtime:
        known = runtime.systems.graph.users_by_ids(ids)
    found = []
    for row in rows:
        user = known.get(row["id"])
        if user is None:
            raise NotAllowed(f"Entra knows no user {row['id']} ; look at the workflow")
        cells = {
            "upn": user.user_principal_name,
            "display_name": user.display_name,
            "department": user.department,
            "company": user.company_name,
            "usage_location": user.usage_location,
        }
        said = {name: text for name, text in cells.items() if text}
        found.append({"employee_id": user.employee_id or "", "status": row["status"]} | said)
    return found
