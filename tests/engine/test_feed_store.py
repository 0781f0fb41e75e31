"""Feeds as rows: everything that arrived, what became of it, the quarantine, and events that count once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from sqlalchemy import Connection

from config.errors import InputRefused
from connectors.database import Database
from datasets.feeds import BadRow, GoodRow, Outcome, QuarantineState
from datasets.people import Person
from engine import feed_people, feeds
from engine.requests import Actor, open_request

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
BAD = BadRow(
    4, "Hire_Date", "2026-02-30 is no day", "202…0", "0004", {"Employee_ID": "0004", "Hire_Date": "2026-02-30"}
)


def person(line: int, **values: str) -> tuple[int, Person]:
    """Make a row that became a person."""
    return GoodRow(line, Person.model_validate({"employee_id": f"{line:04}"} | values))


def event(line: int, event_id: str, department: str = "Sales") -> tuple[int, Person]:
    """Make a row that is an event about one person."""
    return person(line, employee_id="0001", event_id=event_id, department=department)


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    """Give an open write transaction with the request r-1, on each database."""
    with database.write() as opened:
        actor = Actor(kind="hr_feed", name="hires.csv")
        for name, parameters in (("request", {}), ("dry run", {"dry_run": True})):
            made = open_request(opened, "onboarding", actor, parameters=parameters, flow_run_id=None, now=NOW)
            opened.info[name] = made
        yield opened


def record(
    connection: Connection,
    feed_id: str = "f-1",
    people: list[tuple[int, Person]] | None = None,
    *,
    bad: tuple[BadRow, ...] = (),
    days: int = 0,
    name: str = "workday",
    kind: Literal["snapshot", "events"] = "snapshot",
    request: str = "request",
) -> int:
    """Record a feed that arrived some days later."""
    return feeds.record_feed(
        connection,
        feed_id=feed_id,
        name=name,
        digest=feed_id * 2,
        kind=kind,
        request_id=connection.info[request],
        now=NOW + timedelta(days=days),
        people=[person(2), person(3)] if people is None else people,
        bad=bad,
    )


def test_every_row_is_kept_once(connection: Connection) -> None:
    """Every row of the file has one row here, quarantined ones included, and people come back as they were."""
    people = [person(2, display_name="Ağça 小林"), person(3, work_phone="+431234500")]
    assert record(connection, people=people, bad=(BAD,)) == 3
    assert feeds.people_of(connection, "f-1") == people
    assert feeds.outcome_counts(connection, "f-1") == {"pending": 2, "quarantined": 1}
    assert feeds.load(connection, "f-1").rows == 3
    [row] = feeds.rows_with(connection, "f-1", ["quarantined"], 10)
    assert (row.line, row.employee_id, row.person) == (4, "0004", None)
    assert row.reason == "Hire_Date: 2026-02-30 is no day"


def test_more_rows_than_a_slice(connection: Connection) -> None:
    """Thousands of rows, good and bad, are stored and read whole."""
    bad = tuple(BadRow(line, "", "a field is missing") for line in range(3000, 5100))
    assert record(connection, people=[person(line) for line in range(2, 2503)], bad=bad) == 4601
    assert len(feeds.people_of(connection, "f-1")) == 2501
    feeds.set_outcomes(connection, "f-1", ((line, Outcome.ONBOARDED, "") for line in range(2, 2503)))
    assert feeds.outcome_counts(connection, "f-1") == {"onboarded": 2501, "quarantined": 2100}


def test_bad_rows_found_while_people_are_read_are_kept(connection: Connection) -> None:
    """One pass over the file fills both: what is bad is read after the people, and wins over a person on its line."""
    found: list[BadRow] = []

    def read() -> Iterator[tuple[int, Person]]:
        yield person(2)
        yield person(4)
        found.extend([BAD, BAD._replace(column="Country", reason="Atlantis is no country")])

    rows = feeds.record_feed(
        connection,
        feed_id="f-1",
        name="workday",
        digest="d",
        kind="snapshot",
        request_id=connection.info["request"],
        now=NOW,
        people=read(),
        bad=found,
    )
    assert (rows, [line for line, _ in feeds.people_of(connection, "f-1")]) == (2, [2])
    [row] = feeds.list_quarantine(connection)
    assert row.reason == "2026-02-30 is no day; Atlantis is no country"


def test_feed_recorded_twice_is_left_alone(connection: Connection) -> None:
    """A task that is run again records nothing a second time and undoes no outcome."""
    record(connection, bad=(BAD,))
    feeds.set_outcomes(connection, "f-1", [(2, Outcome.ONBOARDED, "done")])
    assert record(connection, people=[], bad=(BAD,)) == 3
    assert feeds.outcome_counts(connection, "f-1") == {"onboarded": 1, "pending": 1, "quarantined": 1}
    assert len(feeds.list_quarantine(connection)) == 1


def test_what_no_database_stores_is_replaced(connection: Connection) -> None:
    """A NUL or half a character in a bad row does not stop the feed from being recorded."""
    wild = BadRow(2, "a\0", "b\ud800", "", "x" * 5000, {"c\0": "\udfff"})
    record(connection, people=[], bad=(wild,))
    [row] = feeds.list_quarantine(connection)
    assert (row.column, row.reason, row.row) == ("a\ufffd", "b?", {"c\ufffd": "?"})


def test_outcomes_are_listed_in_the_order_of_the_file(connection: Connection) -> None:
    """Rows with one of some outcomes come by line, no more than asked for."""
    record(connection, people=[person(line) for line in range(2, 8)])
    feeds.set_outcomes(connection, "f-1", [(7, "failed", "no"), (3, "refused", "why"), (5, "onboarded", "")])
    rows = feeds.rows_with(connection, "f-1", {"failed", "refused"}, 10)
    assert [(row.line, row.outcome, row.reason) for row in rows] == [(3, "refused", "why"), (7, "failed", "no")]
    assert [row.line for row in feeds.rows_with(connection, "f-1", ["pending"], 2)] == [2, 4]


def test_previous_feed_is_the_last_one_that_was_accepted(connection: Connection) -> None:
    """A feed that was not believed is no measure for the next one, nor is one of another name."""
    assert feeds.previous_feed(connection, "workday") is None
    for days, feed_id in enumerate(("f-1", "f-2", "f-3")):
        record(connection, feed_id, days=days)
    feeds.accept(connection, "f-1")
    feeds.accept(connection, "f-2")
    found = feeds.previous_feed(connection, "workday")
    assert found is not None
    assert (found.id, found.rows) == ("f-2", 2)
    assert feeds.previous_feed(connection, "other") is None


def test_unknown_feed_is_refused(connection: Connection) -> None:
    """A feed that nobody knows can be neither accepted nor read."""
    with pytest.raises(InputRefused, match="no feed f-9"):
        feeds.accept(connection, "f-9")
    with pytest.raises(InputRefused, match="no feed f-9"):
        feeds.people_of(connection, "f-9")


def test_accepted_snapshot_replaces_what_older_ones_left_open(connection: Connection) -> None:
    """A row that is bad every night waits once, and one that was corrected waits no more."""
    record(connection, "f-1", bad=(BAD, BAD._replace(line=5)))
    record(connection, "f-2", bad=(BAD,), days=1)
    assert len(feeds.list_quarantine(connection)) == 3
    feeds.accept(connection, "f-2")
    assert [(row.feed_id, row.line) for row in feeds.list_quarantine(connection)] == [("f-2", 4)]
    old = feeds.list_quarantine(connection, QuarantineState.SUPERSEDED)
    assert [(row.feed_id, row.at) for row in old] == [("f-1", NOW + timedelta(days=1))] * 2


def test_rows_read_again_replace_nothing(connection: Connection) -> None:
    """A row that is bad again stays while other rows are tried, until the next snapshot replaces it."""
    again = f"workday{feeds.AGAIN}"
    for days, feed_id in enumerate(("f-1", "f-2")):
        record(connection, feed_id, bad=(BAD,), name=again, days=days)
        feeds.accept(connection, feed_id)
    assert [row.feed_id for row in feeds.list_quarantine(connection)] == ["f-1", "f-2"]
    record(connection, "f-3", days=2)
    feeds.accept(connection, "f-3")
    assert feeds.list_quarantine(connection) == []


def test_accepted_events_leave_older_rows_open(connection: Connection) -> None:
    """An event that could not be understood waits until somebody does something about it."""
    record(connection, "f-1", bad=(BAD,), kind="events")
    record(connection, "f-2", days=1, kind="events")
    feeds.accept(connection, "f-2")
    assert len(feeds.list_quarantine(connection)) == 1


def test_retry_gives_the_raw_cells_once(connection: Connection) -> None:
    """Rows that are tried again come back as they were read and leave the list; a second time they are refused."""
    record(connection, bad=(BAD, BAD._replace(line=5)))
    first, second = feeds.list_quarantine(connection)
    [row] = feeds.retry_quarantine(connection, [first.id, first.id], NOW + timedelta(hours=1))
    assert (row.feed_name, row.line, row.row) == ("workday", 4, dict(BAD.raw))
    assert [row.id for row in feeds.list_quarantine(connection)] == [second.id]
    with pytest.raises(InputRefused, match=f"row {first.id} is already retried"):
        feeds.retry_quarantine(connection, [second.id, first.id], NOW)
    with pytest.raises(InputRefused, match="row 999 is not in quarantine"):
        feeds.retry_quarantine(connection, [second.id, 999], NOW)
    assert [row.id for row in feeds.list_quarantine(connection)] == [second.id]


def settle(
    connection: Connection, feed_id: str, events: list[tuple[int, Person]], request: str = "request"
) -> list[tuple[int, str]]:
    """Record a feed of events, check it, and give what was settled."""
    record(connection, feed_id, events, kind="events", request=request)
    settled = feeds.check_events(connection, feed_id, events)
    assert all(row.reason for row in settled)
    return [(row.line, row.outcome) for row in settled]


def test_event_that_had_its_effect_is_unchanged(connection: Connection) -> None:
    """An event that is sent again after it was handled has no second effect."""
    assert settle(connection, "f-1", [event(2, "e1")]) == []
    feeds.set_outcomes(connection, "f-1", [(2, Outcome.ONBOARDED, "")])
    assert settle(connection, "f-2", [event(2, "e2"), event(3, "e1")]) == [(3, "unchanged")]
    assert [line for line, _ in feeds.people_of(connection, "f-2")] == [2]
    assert feeds.outcome_counts(connection, "f-2") == {"pending": 1, "unchanged": 1}


@pytest.mark.parametrize("outcome", [Outcome.PENDING, Outcome.FAILED, Outcome.REFUSED])
def test_event_without_effect_is_tried_again(connection: Connection, outcome: Outcome) -> None:
    """An event of which nothing came, because a run died or a line failed, is not lost when it is sent again."""
    settle(connection, "f-1", [event(2, "e1")])
    feeds.set_outcomes(connection, "f-1", [(2, outcome, "so")])
    assert settle(connection, "f-2", [event(7, "e1")]) == []
    feeds.set_outcomes(connection, "f-2", [(7, Outcome.ONBOARDED, "")])
    assert settle(connection, "f-3", [event(2, "e1")]) == [(2, "unchanged")]


@pytest.mark.parametrize("outcome", ["planned", Outcome.UNCHANGED, Outcome.WAITING])
def test_event_of_a_dry_run_is_news(connection: Connection, outcome: str) -> None:
    """What a dry run said has had no effect, also what would change nothing in the tenant; it may be corrected."""
    settle(connection, "f-1", [event(2, "e1"), event(3, "e2")], "dry run")
    feeds.set_outcomes(connection, "f-1", [(2, outcome, ""), (3, outcome, "")])
    assert settle(connection, "f-2", [event(2, "e1"), event(3, "e2", "Finance")]) == []
    feeds.set_outcomes(connection, "f-2", [(2, Outcome.UNCHANGED, ""), (3, Outcome.WAITING, "")])
    assert settle(connection, "f-3", [event(2, "e1")], "dry run") == [(2, "unchanged")]


def test_event_of_a_dry_run_whose_plan_was_applied_is_unchanged(connection: Connection) -> None:
    """The plan of a dry run may be applied later: the event has had its effect then."""
    settle(connection, "f-1", [event(2, "e1")], "dry run")
    feeds.set_outcomes(connection, "f-1", [(2, Outcome.ONBOARDED, "")])
    assert settle(connection, "f-2", [event(2, "e1")]) == [(2, "unchanged")]


def test_words_of_a_dry_run_count_for_nobody_of_whom_others_are_known(connection: Connection) -> None:
    """Drift and explanations look at what was carried out; a preview may look at people of a dry run alone."""
    record(connection, "f-1", [event(2, "", "Sales")])
    record(connection, "f-2", [event(2, "", "Finance"), person(3, employee_id="0002")], days=1, request="dry run")
    for feed_id in ("f-1", "f-2"):
        feeds.accept(connection, feed_id)
    found = feed_people.everybody(connection)
    assert [(feed_id, each.employee_id, each.department) for feed_id, _, each in found] == [
        ("f-1", "0001", "Sales"),
        ("f-2", "0002", ""),
    ]


def test_event_id_with_other_content_is_refused(connection: Connection) -> None:
    """An id that says something else than before is refused and acted upon no more."""
    settle(connection, "f-1", [event(2, "e1")])
    assert settle(connection, "f-2", [event(2, "e1", "Finance"), event(3, "e3")]) == [(2, "refused")]
    assert [line for line, _ in feeds.people_of(connection, "f-2")] == [3]
    [row] = feeds.rows_with(connection, "f-2", ["refused"], 5)
    assert row.reason == "event e1 said something else in feed f-1, line 2 ; send a correction as a new event"


def test_events_of_one_feed_are_compared_too(connection: Connection) -> None:
    """Within a feed a repetition counts once, and a contradiction not at all."""
    long = "x" * 3000
    events = [event(2, "e1"), event(3, "e1"), event(4, "e2"), event(5, "e2", "HR"), event(6, long), person(7)]
    assert settle(connection, "f-1", events) == [(3, "unchanged"), (4, "refused"), (5, "refused")]
    feeds.set_outcomes(connection, "f-1", [(6, Outcome.WAITING, "licence")])
    assert settle(connection, "f-2", [event(2, "e2"), event(3, long)]) == [(3, "unchanged")]


def test_check_of_events_is_safe_to_repeat(connection: Connection) -> None:
    """Checking the same feed again settles the same rows and no more."""
    events = [event(2, "e1"), event(3, "e1"), event(4, "e2")]
    assert settle(connection, "f-1", events) == [(3, "unchanged")]
    again = feeds.check_events(connection, "f-1", events)
    assert [(row.line, row.outcome) for row in again] == [(3, "unchanged")]
    assert [line for line, _ in feeds.people_of(connection, "f-1")] == [2, 4]
