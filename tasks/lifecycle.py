"""The stages of people's lives: plan a feed of joiners, movers and leavers, take due steps, delete users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from engine import deleting, departures, feeds, guards, outcomes, requests
from engine.guards import Guard, TooMuch
from engine.lives import Lives
from engine.moments import by_moment
from engine.observe import Row
from engine.resolve import Planning, resolve
from engine.runtime import Runtime, utc_now
from tasks.onboarding import believed
from tasks.presets import READ
from tasks.stage import stage
from tasks.work import Work, open_work

KIND, HR_EVENT, RETRY = "lifecycle", "hr-event", "quarantine-retry"
_STEPS_REFUSED = "leaver's steps refused"


@stage(READ)
def plan_lifecycle(request_id: str, feed_id: str, dry_run: bool) -> str:
    """Plan joiners, movers and leavers of a feed and store the plan; gives its id.

    A feed that would do more than the limits allow raises an alert and InputRefused; nothing is written.
    """
    with open_work() as work, work.runtime() as runtime:
        with work.database.read() as connection:
            feed = feeds.load(connection, feed_id)
            rows = [Row(feed_id, line, person) for line, person in feeds.people_of(connection, feed_id)]
        told = by_moment(rows, runtime.now())
        guard = _guard(work, request_id, feed.rows, feed.kind)
        with believed(work, request_id, feed_id):
            plan_id = _planned(work, runtime, request_id, told.now, guard, later=told.later, dry_run=dry_run)
        with work.database.write() as connection:
            outcomes.unchanged(connection, told.older)
    return plan_id


def _guard(work: Work, request_id: str, rows: int, kind: Literal["snapshot", "events"]) -> Guard:
    """Give the guard of a feed; events that came over HTTP are counted with those of the day before.

    Rows of the quarantine were chosen by a person: how many they are says nothing about a share.
    """
    with work.database.read() as connection:
        asked = requests.load(connection, request_id).kind
        if asked != HR_EVENT:
            return Guard(work.settings.feed, rows, "events" if asked == RETRY else kind)
        before = guards.reach_within_a_day(connection, HR_EVENT, request_id, utc_now())
    remedy = "look at the HR system, or raise the limit under feed for a day"
    return Guard(work.settings.feed, rows, kind, "events of one day", before, remedy=remedy)


def _planned(
    work: Work,
    runtime: Runtime,
    request_id: str,
    rows: Sequence[Row],
    guard: Guard,
    *,
    later: Sequence[Row] = (),
    dry_run: bool = False,
) -> str:
    with work.database.read() as connection:
        says_parts = requests.load(connection, request_id).kind == HR_EVENT
    lives = Lives(runtime, work.site, grace_days=work.settings.wait.grace_days, says_parts=says_parts)
    planning = Planning(dry_run=dry_run, lives=lives, guard=guard, later=later)
    resolved = resolve(runtime, work.site, request_id, rows, waits=work.waits, planning=planning)
    with work.database.write() as connection:
        outcomes.unchanged(connection, resolved.unchanged)
        requests.warn(connection, request_id, resolved.warnings)
        if resolved.reach.leavers:
            requests.note(connection, request_id, begin_to_leave=resolved.reach.leavers)
        if says_parts:
            requests.note(connection, request_id, reach=resolved.reach._asdict())
    return resolved.plan_id


@stage(READ)
def plan_steps(request_id: str) -> list[str]:
    """Plan what is due today for everybody who leaves, and the deletions whose days are over; gives the plans.

    More than the limits allow in one night raises an alert and InputRefused.
    """
    with open_work() as work, work.runtime() as runtime:
        with work.database.read() as connection:
            rows = [Row(each.feed_id, each.line, each.person) for each in departures.people_leaving(connection)]
        guard = guards.of_a_night(work.settings.feed, len(rows))
        try:
            made = [
                _planned(work, runtime, request_id, rows, guard),
                deleting.plan_due(runtime, request_id, guard=guard),
            ]
        except TooMuch as error:
            with work.database.write() as connection:
                requests.raise_alert(connection, _STEPS_REFUSED, str(error), request_id, utc_now())
            raise
        with work.database.write() as connection:
            requests.clear_alert(connection, _STEPS_REFUSED, utc_now())
    return made


@stage(READ)
def plan_deletion(request_id: str, user: str, targets: list[str], after_days: int, *, dry_run: bool) -> str:
    """Plan the first step of a deletion and remember the second; gives the plan's id."""
    with open_work() as work, work.runtime() as runtime:
        named = () if "all" in targets else tuple(targets)
        asked = deleting.Deletion(user, named, after_days, work.settings.wait.grace_days, dry_run)
        return deleting.plan_deletion(runtime, request_id, asked)
