"""A lab's site where every schedule has something to do: feeds, numbers whose time is over, a leaver, a batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connectors import schema
from connectors.database import Database
from datasets.batches import EmergencyGate
from datasets.inventory import NumberState
from datasets.numbering import PhoneNumber
from deployments.catalog import EVERYWHERE, LIFECYCLE, OF_FEEDS, Deployed, feed_parameters
from deployments.stage import site_settings
from engine import batch_control, departures, inventory
from engine import batches as batch_rows
from engine.batch_sources import SourceKind
from engine.requests import Actor
from engine.site_pools import define_site
from flows import batches, lifecycle, migration
from lab.records import User
from lab.server import Lab
from tasks.stage import InProcess
from tasks.work import open_work
from tests.fakes.lab_people import ready
from tests.fakes.onboarding_site import Cells, as_text, hire

TESTS = Actor(kind="os_user", name="tests")
BATCH = "by the clock"
RESERVED, RESTING = (PhoneNumber.from_e164(f"+43193460090{last}") for last in (1, 2))
MAPPING = Path("workday")
_AWAY = timedelta(days=30)


def scheduled(folder: Path) -> tuple[Deployed, ...]:
    """Give every deployment that has a schedule, with the nightly feeds of both choices in this folder."""
    nightly = [
        replace(each, parameters=feed_parameters(folder / f"{name}.csv", MAPPING, "schedule"))
        for name, (_, each) in OF_FEEDS.items()
    ]
    return (*nightly, *(each for each in EVERYWHERE if each.cron))


def served(folder: Path) -> tuple[Deployed, ...]:
    """Give what the tests serve: the schedules, and the deployment that a dropped file would start."""
    return (LIFECYCLE, *scheduled(folder))


@dataclass(frozen=True)
class Due:
    """Whom and what the schedules are to change."""

    hires: tuple[User, ...]
    leaver: User
    moving: User


class ScheduledSite:
    """A lab, our database and the settings that point at both; made ready by in-process runs."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        short = {"WAIT__POLL_S": "0.05", "WAIT__LAG_WINDOW_S": "0.1", "FEED__LEAVERS_PERCENT": "100"}
        more = {f"CALLWRIGHT_{name}": value for name, value in short.items()}
        self.environment = site_settings(folder, lab.endpoints) | more
        self.database = Database(self.environment["CALLWRIGHT_DATABASE_URL"])
        schema.upgrade(self.database)

    def prepare(self) -> Due:
        """Give every schedule something to do; the settings must be in the environment."""
        *hires, leaver = ready(self.lab.tenant, 3, among=lambda user: _is_of_a_feed(user) and not self._is_homed(user))
        self._leave(leaver)
        for name, user in zip(OF_FEEDS, hires, strict=True):
            self._feed(f"{name}.csv", hire(user))
        self._let_end()
        return Due(tuple(hires), leaver, self._batch())

    def numbers(self) -> dict[str, str]:
        """Give who has which number in the lab; fails when somebody has two."""
        held = [(row.target_id, number) for number, row in self.lab.tenant.numbers.items() if row.target_id]
        assert len(dict(held)) == len(held)
        return dict(held)

    def state(self, number: PhoneNumber) -> NumberState:
        """Give the state of a number in our inventory."""
        with self.database.read() as connection:
            return inventory.state_of(connection, number)

    def _is_homed(self, user: User) -> bool:
        """Tell whether somebody is on the servers."""
        known = self.lab.tenant.skype.get((user.text("onPremisesSamAccountName") or "").casefold())
        return known is not None and known.pool is not None

    def _feed(self, name: str, *rows: Cells) -> Path:
        path = self.folder / name
        path.write_text(as_text(rows), encoding="utf-8")
        return path

    def _leave(self, user: User) -> None:
        """Onboard somebody, have HR say that they left yesterday, and let a month go by for that date."""
        for more in ({}, {"Worker_Status": "Terminated", "Termination_Date": _day(timedelta(days=1))}):
            path = self._feed("leaver.csv", hire(user, **more))
            request = lifecycle.LifecycleRequest(feed=str(path), mapping=str(MAPPING), requested_by="tests")
            lifecycle.story(request, InProcess(), TESTS)
        with self.database.write() as connection:
            (known,) = departures.people_leaving(connection)
            past = known.person.model_copy(update={"termination_date": datetime.now(UTC).date() - _AWAY})
            kept = departures.Known(past, known.feed_id, known.line)
            departures.remember(connection, kept, datetime.now(UTC))

    def _let_end(self) -> None:
        """Keep a number back, and let another rest, until a moment that is over."""
        now = datetime.now(UTC)
        with open_work() as work, work.database.write() as connection:
            define_site(connection, work.site)
            until = now - timedelta(hours=1)
            inventory.reserve(connection, RESERVED, owner="person:1", reason="x", until=until, now=now - _AWAY)
            inventory.record_assigned(connection, RESTING, owner="user:gone", now=now - _AWAY)
            inventory.release(connection, RESTING, now - _AWAY, until, reason="x")

    def _batch(self) -> User:
        """Begin a batch whose window has not opened, and then let it have opened."""
        user = next(
            each for each in self.lab.tenant.users.values() if self._is_homed(each) and each.text("usageLocation")
        )
        later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        asked = batches.CreateRequest(
            name=BATCH,
            users_from=SourceKind.USERS,
            users=user.upn,
            then=batches.Then.NOTHING,
            emergency_gate=EmergencyGate.WARN,
            window_start=later,
        )
        batches.create_story(asked, InProcess(), TESTS)
        migration.run_story(migration.BatchRequest(batch=BATCH), InProcess(), TESTS)
        with self.database.write() as connection:
            opened = datetime.now(UTC) - timedelta(hours=1)
            batch_control.change_window(connection, batch_rows.find(connection, BATCH), opened, None)
        return user


def _is_of_a_feed(user: User) -> bool:
    return bool(user.text("employeeId") and user.text("onPremisesSamAccountName"))


def _day(ago: timedelta) -> str:
    return (datetime.now(UTC) - ago).date().isoformat()
