"""Every scheduled flow told twice at once: two deployments of a flow, or a command beside the clock, do no harm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select

from connectors.database import Database
from connectors.errors import Retryable
from datasets.inventory import NumberState
from datasets.numbering import PhoneNumber
from datasets.people import Person
from datasets.tables.requests import requests
from deployments.catalog import CATALOG
from engine import departures, inventory
from engine.proof import verify
from engine.requests import Actor
from flows import (
    cache_sync,
    continue_waiting,
    drift,
    grace_release,
    lifecycle,
    migration,
    number_sync,
    number_usage,
    onboarding,
    reconcile,
    record_keeping,
    reservation_expiry,
)
from tasks.stage import InProcess
from tasks.work import working_on
from tests.fakes.calling import FakeCalling
from tests.fakes.flow_site import FlowSite
from tests.fakes.numbering import FakeNumbering

pytestmark = pytest.mark.slow

CLOCK = Actor(kind="schedule", name="schedule")
RESERVED, RESTING = (PhoneNumber.from_e164(f"+43123450{last}") for last in (8, 9))
Story = Callable[[InProcess], Any]


def stories(feed: Path) -> dict[str, Story]:
    """Give the story of every deployment that has a schedule."""
    asked: Any = {"feed": str(feed), "mapping": "hr"}
    touched = cache_sync.CacheSyncRequest(only_touched=True)
    return {
        "onboarding-nightly": lambda run: onboarding.story(onboarding.OnboardingRequest(**asked), run, CLOCK),
        "lifecycle-nightly": lambda run: lifecycle.story(lifecycle.LifecycleRequest(**asked), run, CLOCK),
        "leaver-steps": lambda run: lifecycle.steps_story(lifecycle.StepsRequest(), run, CLOCK),
        "continue-waiting": lambda run: continue_waiting.story(continue_waiting.ContinueRequest(), run, CLOCK),
        "journal-heads": lambda run: record_keeping.heads_story(run, CLOCK),
        "retention": lambda run: record_keeping.story(record_keeping.RetentionRequest(), run, CLOCK),
        "reconcile": lambda run: reconcile.story(reconcile.ReconcileRequest(), run, CLOCK),
        "reservation-expiry": lambda run: reservation_expiry.story(reservation_expiry.ExpiryRequest(), run, CLOCK),
        "grace-release": lambda run: grace_release.story(grace_release.GraceRequest(), run, CLOCK),
        "number-sync": lambda run: number_sync.story(number_sync.SyncRequest(dry_run=False), run, CLOCK),
        "number-usage": lambda run: number_usage.story(run, CLOCK),
        "cache-sync": lambda run: cache_sync.story(cache_sync.CacheSyncRequest(), run, CLOCK),
        "cache-refresh": lambda run: cache_sync.story(touched, run, CLOCK),
        "drift": lambda run: drift.story(drift.DriftRequest(dry_run=False), run, CLOCK),
        "batch-advance": lambda run: migration.advance_story(migration.AdvanceRequest(), run, CLOCK),
    }


SENDING = ("onboarding-nightly", "lifecycle-nightly", "leaver-steps", "drift")
SCHEDULED = [each.name for each in CATALOG if each.cron]


def at_work(at_site: FlowSite) -> Path:
    """Give the site something to do for every schedule; gives the feed of tonight."""
    FakeCalling(at_site.tenant)
    FakeNumbering(at_site.tenant)
    at_site.onboard("00001", "00002")
    now = datetime.now(UTC)
    database = Database(f"sqlite:///{at_site.folder / 'ours.db'}")
    with database.write() as connection:
        (feed_id, line, person) = ("f-0", 2, _leaver(now))
        departures.remember(connection, departures.Known(person, feed_id, line), now)
        departures.begin(connection, ("person:00001", "one"), person.termination_date or now.date(), "r-x", now)
        until, then = now - timedelta(hours=1), now - timedelta(days=2)
        inventory.reserve(connection, RESERVED, owner="person:9", reason="x", until=until, now=then)
        inventory.record_assigned(connection, RESTING, owner="user:gone", now=then)
        inventory.release(connection, RESTING, then, until)
    database.close()
    at_site.tenant.users["id-2"].policies["TenantDialPlan"] = "By hand"
    return Path(at_site.feed("00002", "00003", "00004"))


def _leaver(now: datetime) -> Person:
    gone = now.date() - timedelta(days=20)
    return Person(employee_id="00001", department="Sales", usage_location="AT", termination_date=gone)


def twice_at_once(at_site: FlowSite, story: Story) -> list[Exception]:
    """Tell a story in two threads that begin together; gives what went wrong."""
    both = Barrier(2)

    def tell() -> Exception | None:
        with working_on(at_site.tenant.systems()):
            both.wait()
            try:
                story(InProcess())
            except Retryable as error:
                return error
        return None

    with ThreadPoolExecutor(2) as pool:
        told = [pool.submit(tell) for _ in range(2)]
        return [error for each in told if (error := each.result()) is not None]


@pytest.mark.parametrize("name", SCHEDULED)
def test_a_flow_beside_itself_does_everything_once(at_site: FlowSite, name: str) -> None:
    """Nothing is sent twice, no number doubled or leaked, the record is whole, and nothing is left to do."""
    story = stories(at_work(at_site))[name]
    before = Counter(at_site.tenant.writes())
    errors = twice_at_once(at_site, story)
    assert len(errors) < 2, errors  # one may be told that the other is at work: it is tried again, or gives way
    with working_on(at_site.tenant.systems()):
        story(InProcess())
    sent = Counter(at_site.tenant.writes()) - before
    assert [each for each, times in sent.items() if times > 1] == []
    assert sent or name not in SENDING
    at_site.phones()
    again = Counter(at_site.tenant.writes())
    with working_on(at_site.tenant.systems()):
        story(InProcess())
    assert Counter(at_site.tenant.writes()) == again
    database = Database(f"sqlite:///{at_site.folder / 'ours.db'}")
    with database.read() as connection:
        assert inventory.violations(connection) == []
        assert verify(connection).faults == []
        states = [inventory.state_of(connection, number) for number in (RESERVED, RESTING)]
        still = set(connection.execute(select(requests.c.state)).scalars())
    database.close()
    assert still <= {"finished", "waiting", "failed"}
    ends = {"reservation-expiry": 0, "grace-release": 1}
    assert name not in ends or states[ends[name]] == NumberState.FREE
