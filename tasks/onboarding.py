"""The stages of onboarding: read a feed, check it, plan it, apply a chunk, record. Each takes ids and may run twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from config.errors import InputRefused
from config.site_policy import read_mapping
from connectors import hr
from datasets.checks import rules_for
from datasets.feeds import BadRow, GoodRow, blast_radius, count_leavers, count_number_changes
from datasets.people import Person
from engine import departures, feeds, guards, outcomes, plan_store, requests, template_versions
from engine.apply import Chunk, apply_chunk, start
from engine.departing import EFFECTIVE
from engine.guards import Guard, TooMuch
from engine.lives import Lives
from engine.moments import by_moment
from engine.observe import Row
from engine.plan_store import StoredLine
from engine.requests import Actor
from engine.resolve import Planning, resolve
from engine.runtime import Runtime, utc_now
from tasks.presets import CHUNK, READ
from tasks.quality import check_people
from tasks.stage import stage
from tasks.work import Work, open_work

_DISBELIEVED = "nothing was changed: correct the export, or raise the limit under feed in the settings for one run"


@stage(READ)
def open_request(kind: str, actor: Actor, parameters: Mapping[str, JsonValue], flow_run_id: str | None) -> str:
    """Write the request row: the first act of every run. A run that is started again finds its own."""
    with open_work() as work, work.database.write() as connection:
        return requests.open_request(
            connection, kind, actor, parameters=parameters, flow_run_id=flow_run_id, now=utc_now()
        )


@stage(READ)
def read_feed(request_id: str, feed: str, mapping: str) -> str:
    """Read the feed file into our database, bad rows into quarantine; gives the feed's id."""
    with open_work() as work:
        rules = read_mapping(Path(mapping), work.settings.site)
        read = hr.open_feed(Path(feed), rules)
        rows = list(read.rows())
        feed_id = f"f-{request_id.removeprefix('r-')}"
        with work.database.write() as connection:
            feeds.record_feed(
                connection,
                feed_id=feed_id,
                name=read.name,
                digest=read.digest,
                kind=rules.kind,
                request_id=request_id,
                now=utc_now(),
                people=[(row.line, row.person) for row in rows if isinstance(row, GoodRow)],
                bad=[row for row in rows if isinstance(row, BadRow)],
            )
            if rules.kind == "events":
                feeds.check_events(connection, feed_id, feeds.people_of(connection, feed_id))
            requests.warn(connection, request_id, read.warnings)
    return feed_id


@stage(READ)
def check_feed(request_id: str, feed_id: str) -> None:
    """Check the feed as a whole; one that is not believed raises an alert and InputRefused, nothing is written."""
    with open_work() as work:
        reasons = _doubts(work, feed_id)
        with work.database.write() as connection:
            cause = f"feed refused: {feeds.load(connection, feed_id).name}"
            if not reasons:
                feeds.accept(connection, feed_id)
                if requests.clear_alert(connection, cause, utc_now()):
                    requests.note(connection, request_id, alert=_alert(cause, "cleared"))
                return
            message = f"the feed is not believed: {'; '.join(reasons)}"
            is_new = requests.raise_alert(connection, cause, message, request_id, utc_now())
            requests.note(connection, request_id, alert=_alert(cause, "raised" if is_new else "stands"))
    raise InputRefused(message, remedy=_DISBELIEVED)


def _alert(cause: str, state: str) -> dict[str, JsonValue]:
    return {"cause": cause, "state": state}


def _doubts(work: Work, feed_id: str) -> list[str]:
    """Say why the feed as a whole is not believed: against the last accepted one, and by the suite of rules."""
    with work.database.read() as connection:
        feed, people = feeds.load(connection, feed_id), feeds.people_of(connection, feed_id)
        previous = feeds.previous_feed(connection, feed.name)
        before = dict(_by_id(feeds.people_of(connection, previous.id))) if previous else {}
        if feed.kind == "events":  # the event before this one was about somebody else
            known = departures.known(connection, (person.employee_id for _, person in people))
            before |= {name: each.person for name, each in known.items()}
    now = dict(_by_id(people))
    reasons = blast_radius(
        previous.rows if previous else None,
        feed.rows,
        count_leavers(before, now),
        count_number_changes(before, now),
        work.settings.feed,
        kind=feed.kind,
    )
    report = check_people(people, kind=feed.kind)
    with work.database.write() as connection:
        feeds.keep_quality(connection, feed_id, report, rules_for(feed.kind))
    return reasons + [f"rule {rule.rule} fails in {rule.count} rows ({rule.column})" for rule in report.failures]


def _by_id(people: Iterable[tuple[int, Person]]) -> Iterator[tuple[str, Person]]:
    return ((person.employee_id, person) for _, person in people)


@stage(READ)
def plan_onboarding(request_id: str, feed_id: str, dry_run: bool) -> str:
    """Plan everybody of a feed and store the plan; gives its id.

    A feed that would do more than the limits allow raises an alert and InputRefused; nothing is written.
    """
    with open_work() as work, work.runtime() as runtime:
        with work.database.read() as connection:
            feed = feeds.load(connection, feed_id)
            rows = [Row(feed_id, line, person) for line, person in feeds.people_of(connection, feed_id)]
        told, guard = by_moment(rows, runtime.now()), Guard(work.settings.feed, feed.rows, feed.kind)
        planning = Planning(dry_run=dry_run, guard=guard, later=told.later)
        with believed(work, request_id, feed_id):
            resolved = resolve(runtime, work.site, request_id, told.now, waits=work.waits, planning=planning)
        with work.database.write() as connection:
            outcomes.unchanged(connection, [*resolved.unchanged, *told.older])
            requests.warn(connection, request_id, resolved.warnings)
    return resolved.plan_id


@contextmanager
def believed(work: Work, request_id: str, feed_id: str) -> Iterator[None]:
    """Take back that a feed was accepted when its plan does too much, and raise the alert of one refused at once."""
    try:
        yield
    except TooMuch as error:
        with work.database.write() as connection:
            feeds.reject(connection, feed_id)
            cause = f"feed refused: {feeds.load(connection, feed_id).name}"
            is_new = requests.raise_alert(connection, cause, str(error), request_id, utc_now())
            requests.note(connection, request_id, alert=_alert(cause, "raised" if is_new else "stands"))
        raise


@stage(READ)
def cut(plan_id: str) -> list[tuple[str, int, int]]:
    """Start a plan and cut what is due into chunks."""
    with open_work() as work, work.runtime() as runtime:
        with work.database.read() as connection:
            template_versions.refuse_moved(connection, plan_id, work.site.templates)
        start(runtime, plan_id, work.site.approvals)
        sessions = work.settings.powershell.sessions if work.settings.powershell else 3
        return [(chunk.plan_id, chunk.first, chunk.last) for chunk in work.chunks(runtime, plan_id, sessions)]


@stage(CHUNK, "apply lines {first} to {last}")
def apply_part(plan_id: str, first: int, last: int) -> dict[str, int]:
    """Apply a chunk of a stored plan; it continues where the journal ends. Counts lines by state."""
    with open_work() as work, work.runtime() as runtime:
        return dict(apply_chunk(runtime, Chunk(plan_id, first, last)))


@stage(READ)
def record(request_id: str, feed_id: str | None, plan_ids: list[str], *, is_visit: bool = False) -> dict[str, Any]:
    """Settle what the run came to: outcomes of rows, the request's summary, the manifest of the journal."""
    with open_work() as work, work.database.write() as connection:
        return outcomes.record(
            connection, request_id, feed_id=feed_id, plan_ids=plan_ids, now=utc_now(), is_visit=is_visit
        )


@stage(READ)
def give_up(request_id: str, message: str, state: str) -> dict[str, JsonValue]:
    """Close a request that could not be carried out; gives its summary."""
    summary: dict[str, JsonValue] = {"request_id": request_id, "message": message}
    with open_work() as work, work.database.write() as connection:
        return requests.close_request(connection, request_id, state, summary, utc_now())


@stage(READ)
def replan(request_id: str) -> list[str]:
    """Plan anew whoever waits for an account, another plan, another number or a moment; gives the new plans' ids.

    What would do more than the limits allow waits on, with a warning and an alert.
    """
    with open_work() as work:
        with work.database.write() as connection:
            outcomes.end_what_expired(connection, utc_now(), request_id)
        with work.database.read() as connection:
            waiting = _one_news_each(plan_store.lines_to_replan(connection, utc_now()))
        made, refused = list[str](), set[str | None]()
        if waiting:
            with work.runtime() as runtime:
                for part in _parts(waiting):
                    condition = part[0].condition
                    try:
                        made.append(_replanned(work, runtime, request_id, part))
                    except TooMuch as error:
                        refused.add(condition)
                        _refuse(work, request_id, _cause(condition), str(error))
        with work.database.write() as connection:
            for condition in {*plan_store.PLANNED_ANEW} - refused:
                requests.clear_alert(connection, _cause(condition), utc_now())
    return made


def _cause(condition: str | None) -> str:
    return "news of a later day is not believed" if condition == EFFECTIVE else f"not planned anew: {condition}"


def _refuse(work: Work, request_id: str, cause: str, message: str) -> None:
    with work.database.write() as connection:
        requests.raise_alert(connection, cause, message, request_id, utc_now())
        requests.warn(connection, request_id, [message])


def _one_news_each(waiting: Sequence[StoredLine]) -> list[StoredLine]:
    """Leave of several news of one person that are due the first: the next visit plans the others by what it left."""
    firsts: dict[JsonValue, StoredLine] = {}
    for line in sorted(waiting, key=lambda each: str(each.not_before)):  # all are UTC
        if line.condition == EFFECTIVE:
            firsts.setdefault(line.source["employee_id"], line)
    return [line for line in waiting if line.condition != EFFECTIVE or firsts[line.source["employee_id"]] is line]


def _parts(waiting: Sequence[StoredLine]) -> list[list[StoredLine]]:
    """Part what is planned in different ways, and lives by what they wait for: one part refused keeps no other waiting.

    News of later days come last: they are newer than whatever else waits of the same people.
    """
    parts: dict[tuple[bool, bool, str], list[StoredLine]] = {}
    for line in waiting:
        life = bool(line.source.get("life"))
        key = (life, line.condition == EFFECTIVE, str(line.condition) if life else "")
        parts.setdefault(key, []).append(line)
    return [parts[key] for key in sorted(parts)]


def _replanned(work: Work, runtime: Runtime, request_id: str, waiting: Sequence[StoredLine]) -> str:
    """Plan waiting lines anew, those of lifecycle feeds with what is known of the people's lives.

    Raises TooMuch when that would do more than the limits allow: they wait on.
    """
    with work.database.read() as connection:
        rows = [outcomes.row_of(connection, line) for line in waiting]
    is_life = bool(waiting[0].source.get("life"))
    lives = Lives(runtime, work.site, grace_days=work.settings.wait.grace_days) if is_life else None
    planning = Planning(waiting, lives=lives, guard=guards.of_a_visit(work.settings.feed, len(rows)))
    resolved = resolve(runtime, work.site, request_id, rows, waits=work.waits, planning=planning)
    with work.database.write() as connection:
        outcomes.unchanged(connection, resolved.unchanged)
        requests.warn(connection, request_id, resolved.warnings)
    return resolved.plan_id


@stage(READ)
def due_plans() -> list[str]:
    """List the plans with something due."""
    with open_work() as work, work.database.read() as connection:
        return plan_store.due_plans(connection, utc_now())


@stage(READ)
def troubles(plan_ids: list[str]) -> list[tuple[str, str, str, str]]:
    """List what needs a look in these plans: who, state, reason, feed line."""
    with open_work() as work, work.database.read() as connection:
        return [(each.who, each.state, each.reason, each.feed_line) for each in outcomes.troubles(connection, plan_ids)]
