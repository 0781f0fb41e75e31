"""What a run came to: the outcome of every feed row, the summaries of the requests concerned, the journal's manifest.

A row's outcome is that of the newest line that answers it; a later visit corrects it, also in the first run's summary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, cast

from pydantic import JsonValue
from sqlalchemy import Connection, select

from datasets.inventory import NumberState, Taken
from datasets.people import Person
from datasets.tables.feeds import feed_rows
from datasets.tables.feeds import feeds as feeds_table
from datasets.tables.journal import journal
from datasets.tables.plans import plans
from engine import batch_alerts, batch_gates, departures, feeds, inventory, plan_store, requests
from engine.departing import EFFECTIVE
from engine.journal import write_manifest
from engine.life import with_news
from engine.observe import Row
from engine.plan import OPEN_LINES, LineState
from engine.plan_store import StoredLine

_OUTCOMES = {
    LineState.PLANNED: "waiting",
    LineState.WAITING: "waiting",
    LineState.UNKNOWN: "unknown",
    LineState.FAILED: "failed",
    LineState.REFUSED: "refused",
    LineState.DISCARDED: "refused",
}
LOOK_AT = (LineState.FAILED, LineState.REFUSED, LineState.UNKNOWN, LineState.WAITING)


# What a lifecycle run is about, by what a line is called once it is done.
_PARTS = {
    "onboarded": "joiners",
    "planned_ahead": "joiners",
    "moved": "movers",
    "on_leave": "absences",
    "returned": "returners",
    "leaving": "leavers",
    "left": "leavers",
}
DONE = ("onboarded", "planned_ahead", "moved", "returned", "on_leave", "leaving", "left")


class Trouble(NamedTuple):
    """A line that is not done, for people."""

    who: str
    state: str
    reason: str
    feed_line: str


def row_of(connection: Connection, line: StoredLine) -> Row:
    """Give the feed row that a waiting line answers; it has been waiting since its first line was planned.

    Time until its words take effect is no waiting: whoever has no account then is given as long as everybody.
    """
    since = line.source.get("waiting_since")
    created = plan_store.header(connection, line.plan_id).created_at
    feed_id, number = str(line.source["feed_id"]), int(str(line.source["feed_line"]))
    person, news = _person(connection, feed_id, number), cast("list[str] | None", line.source.get("news"))
    known = None if news is None else departures.known(connection, [person.employee_id]).get(person.employee_id)
    return Row(
        feed_id,
        number,
        person if news is None or known is None else with_news(person, news, known.person),
        None if line.condition == EFFECTIVE else datetime.fromisoformat(str(since)) if since else created,
        None if news is None else tuple(news),
    )


def _person(connection: Connection, feed_id: str, line: int) -> Person:
    query = select(feed_rows.c.person).where(feed_rows.c.feed_id == feed_id, feed_rows.c.line == line)
    return Person.model_validate(connection.execute(query).scalar_one())


def unchanged(connection: Connection, rows: Iterable[tuple[Row, str]]) -> None:
    """Record rows for which nothing has to be done."""
    by_feed: dict[str, list[tuple[int, str, str]]] = {}
    for row, reason in rows:
        by_feed.setdefault(row.feed_id, []).append((row.line, "unchanged", reason))
    for feed_id, outcomes in by_feed.items():
        feeds.set_outcomes(connection, feed_id, outcomes)


def record(
    connection: Connection,
    request_id: str,
    *,
    feed_id: str | None,
    plan_ids: Sequence[str],
    now: datetime,
    is_visit: bool = False,
) -> dict[str, JsonValue]:
    """Bring rows, requests and manifest up to date and give the summary of this request.

    A visit to plans of others counts what it moved on and what waits in them, not what had ended before it.
    """
    lines = [line for plan_id in plan_ids for line in plan_store.load_lines(connection, plan_id)]
    started = [name for name in plan_ids if plan_store.header(connection, name).state != "planned"]
    _set_row_outcomes(connection, lines, started)
    for plan_id in plan_ids:
        plan_store.settle_plan_if_done(connection, plan_id)
    write_manifest(connection, request_id, plan_ids, now)
    batch_alerts.note(connection, request_id, plan_ids)
    told = _visited(connection, request_id, lines) if is_visit else lines
    counts = _line_counts(told) if feed_id is None else feeds.outcome_counts(connection, feed_id)
    summary = _summary(request_id, plan_ids, counts, told)
    if people := people_of(told):
        summary["people"] = people
    if is_visit:
        summary["still_waiting"] = plan_store.count_parked(connection)
    whole = requests.close_request(connection, request_id, _state(counts), summary, now)
    for name in sorted({str(line.source["feed_id"]) for line in lines if "feed_id" in line.source} - {feed_id}):
        _refresh(connection, name, now)
    return whole


def _visited(connection: Connection, request_id: str, lines: Sequence[StoredLine]) -> list[StoredLine]:
    """Leave the lines that are open or have an entry since the request was opened."""
    since, ids = requests.load(connection, request_id).created_at, sorted({line.plan_id for line in lines})
    query = select(journal.c.plan_id, journal.c.line).where(journal.c.plan_id.in_(ids), journal.c.at >= since)
    moved = {(row.plan_id, row.line) for row in connection.execute(query.distinct())}
    return [line for line in lines if line.state in OPEN_LINES or (line.plan_id, line.line) in moved]


def _summary(
    request_id: str, plan_ids: Sequence[str], counts: Counter[str], lines: Sequence[StoredLine]
) -> dict[str, JsonValue]:
    return {
        "request_id": request_id,
        "plan_id": plan_ids[0] if plan_ids else None,
        "counts": dict(counts),
        "verified": sum(line.state == LineState.VERIFIED for line in lines),
    }


def people_of(lines: Sequence[StoredLine]) -> dict[str, JsonValue]:
    """Count joiners, movers and leavers of lifecycle lines that change something, however far each has come."""
    about = [line for line in lines if line.source.get("life") and line.changes]
    return dict(Counter(_PARTS[line.success] for line in about if line.success in _PARTS))


def _set_row_outcomes(connection: Connection, lines: Sequence[StoredLine], started: Collection[str]) -> None:
    by_feed: dict[str, list[tuple[int, str, str]]] = {}
    for line in lines:
        outcome = outcome_of(line, is_started=line.plan_id in started)
        if outcome is not None and "feed_id" in line.source:
            place = by_feed.setdefault(str(line.source["feed_id"]), [])
            place.append((int(str(line.source["feed_line"])), outcome, line.reason))
    for feed_id, outcomes in by_feed.items():
        feeds.set_outcomes(connection, feed_id, outcomes)


def outcome_of(line: StoredLine, *, is_started: bool = True) -> str | None:
    """Give what a line means for its row; None when a newer line answers the row. A dry run starts no plan."""
    if line.state == LineState.PLANNED and not is_started:
        return "planned"
    if line.state == LineState.VERIFIED:
        return line.success
    if line.state == LineState.PLANNED and "feed_id" not in line.source:
        return "planned"  # no row waits for it: it is applied with its plan, or not at all
    if line.state == LineState.UNCHANGED and "feed_id" not in line.source:
        return "unchanged"
    return _OUTCOMES.get(line.state)


def _line_counts(lines: Sequence[StoredLine]) -> Counter[str]:
    return Counter(outcome for line in lines if (outcome := outcome_of(line)) is not None)


def _state(counts: Counter[str]) -> str:
    return "waiting" if counts["waiting"] or counts["unknown"] else "finished"


def _refresh(connection: Connection, feed_id: str, now: datetime) -> None:
    """Correct the summary of the run that brought the feed, after a later visit moved its rows on."""
    request_id = connection.execute(
        select(feeds_table.c.request_id).where(feeds_table.c.id == feed_id)
    ).scalar_one_or_none()
    if request_id is None:
        return
    counts = feeds.outcome_counts(connection, feed_id)
    summary = dict(requests.load(connection, request_id).summary or {}) | {"counts": dict(counts)}
    summary["verified"] = sum(counts[name] for name in DONE)
    requests.close_request(connection, request_id, _state(counts), summary, now)


def troubles(connection: Connection, plan_ids: Iterable[str]) -> list[Trouble]:
    """List the lines of plans that failed, were refused, wait or are unknown, with their reasons."""
    lines = (line for plan_id in plan_ids for line in plan_store.load_lines(connection, plan_id))
    return [
        Trouble(line.label, line.state.value, line.reason, str(line.source.get("feed_line", "")))
        for line in lines
        if line.state in LOOK_AT
    ]


def end_what_expired(connection: Connection, now: datetime, request_id: str | None = None) -> list[Taken]:
    """End claims whose time is over; those of plans being applied stay. Reservations and grace have their own flows.

    A plan that was never started loses its claims, and with them its point: it is discarded. That of a batch lasts as
    long as its window at least, and its wave is planned anew; the summary of a request that is named says so.
    """
    # A plan that is being started at this moment is waited for, and one that ends here cannot be started meanwhile.
    connection.execute(select(plans.c.id).where(plans.c.state == "planned").order_by(plans.c.id).with_for_update())
    applying = set(connection.execute(select(plans.c.id).where(plans.c.state == "applying")).scalars())
    kept = applying | batch_gates.waits_for_window(connection, now)
    ended = inventory.expire(connection, now, lambda row: row.plan_id in kept, states=(NumberState.CLAIMED,))
    claimed = {row.plan_id for row in ended if row.plan_id}
    for plan_id in sorted(claimed):
        _discard(connection, plan_id)
        inventory.give_back_plan(connection, plan_id, now)
        batch_alerts.plan_expired(connection, plan_id, request_id, now)
    return ended


def _discard(connection: Connection, plan_id: str) -> None:
    for line in plan_store.load_lines(connection, plan_id):
        if line.state == LineState.PLANNED:
            line.state, line.reason = LineState.DISCARDED, "the plan was not applied before its claims expired"
            plan_store.set_line(connection, line)
    plan_store.set_plan_state(connection, plan_id, "discarded")
