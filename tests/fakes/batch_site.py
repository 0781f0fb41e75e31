"""A site with a Skype for Business Server in memory, and the stories of batches as functions."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.database import Database
from connectors.errors import Invalid
from engine import batches as rows
from engine.batch_sources import SourceKind
from engine.runtime import Runtime
from flows import batches, continue_waiting, migration
from flows.batches import ControlAct, Then
from tasks.stage import InProcess
from tasks.work import working_on
from tests.fakes.fake_skype import FakeSkype
from tests.fakes.flow_site import ACTOR
from tests.fakes.tenant import SKU, FakeClock, FakeTenant

FIRST_LINE = 431234600
NAME = "everybody"


@dataclass
class BatchSite:
    """What a test of a batch works with."""

    folder: Path
    tenant: FakeTenant
    skype: FakeSkype

    @property
    def database(self) -> Database:
        """Give our database; close it yourself."""
        return Database(f"sqlite:///{self.folder / 'ours.db'}")

    @contextmanager
    def runtime(self) -> Iterator[Runtime]:
        """Give a process that works on the site beside the stories."""
        with closing(self.database) as database:
            yield Runtime(database, self.tenant.systems())

    def create(self, *, users: str = "", then: Then = Then.NOTHING, **options: Any) -> dict[str, Any]:
        """Make a batch of named users, everybody unless they are named."""
        named = users or ",".join(user.upn for user in self.tenant.users.values())
        chosen = {"canary_size": 0, "concurrency": 1, "emergency_gate": "warn", **options}
        asked = batches.CreateRequest(name=NAME, users_from=SourceKind.USERS, users=named, then=then, **chosen)
        return self._told(lambda run: batches.create_story(asked, run, ACTOR))

    def preflight(self, file: str = "") -> dict[str, Any]:
        """Examine the batch."""
        asked = migration.PreflightRequest(batch=NAME, file=file)
        return self._told(lambda run: migration.preflight_story(asked, run, ACTOR))

    def run(self, *, dry_run: bool = False) -> dict[str, Any]:
        """Go on with the batch."""
        asked = migration.BatchRequest(batch=NAME, dry_run=dry_run)
        return self._told(lambda run: migration.run_story(asked, run, ACTOR))

    def advance(self) -> dict[str, Any]:
        """Go on with every batch, as the clock does."""
        asked = migration.AdvanceRequest()
        return self._told(lambda run: migration.advance_story(asked, run, ACTOR))

    def control(self, act: ControlAct, **more: Any) -> dict[str, Any]:
        """Pause, resume or cancel."""
        asked = batches.ControlRequest(batch=NAME, act=act, **more)
        return self._told(lambda run: batches.control_story(asked, run, ACTOR))

    def retry(self, wave: int = 0, *, dry_run: bool = False) -> dict[str, Any]:
        """Try again for those who failed."""
        asked = batches.RetryRequest(batch=NAME, wave=wave, dry_run=dry_run)
        return self._told(lambda run: batches.retry_story(asked, run, ACTOR))

    def undo(self, wave: int, *, dry_run: bool = False) -> dict[str, Any]:
        """Take a wave back."""
        asked = migration.UndoRequest(batch=NAME, wave=wave, dry_run=dry_run)
        return self._told(lambda run: migration.undo_story(asked, run, ACTOR))

    def go_on(self, visits: int = 5) -> list[dict[str, Any]]:
        """Continue what waits, a few times; gives the summaries."""
        asked = continue_waiting.ContinueRequest(requested_by="tess")
        return [self._told(lambda run: continue_waiting.story(asked, run, ACTOR)) for _ in range(visits)]

    def break_users(self, *ids: str, at: str = "move") -> None:
        """Have a step of these users refused: their move, unless another is named."""
        broken = {self.tenant.users[each].upn for each in ids} | set(ids)

        def refuse(name: str, target: str) -> None:
            if at in name and target in broken:
                raise Invalid("this user is broken ; look at it")

        self.tenant.before = refuse

    def mend(self) -> None:
        """Have everything work again."""
        self.tenant.before = lambda name, target: None

    def moved(self) -> Counter[str]:
        """Count the moves of each user to Teams."""
        return Counter(user for user, target in self.skype.moves)

    def snapshot(self) -> dict[str, object]:
        """Give everything about the users here and there; a copy, which stays as it is."""
        users = {key: vars(user) | {"licensed_at": None} for key, user in self.tenant.users.items()}
        return copy.deepcopy({"cloud": users, "server": dict(self.skype.people)})

    def standings(self, *states: str) -> list[rows.Standing]:
        """List users with how they stand."""
        database = self.database
        with database.read() as connection:
            found = rows.standings(connection, rows.find(connection, NAME).id, states=states)
        database.close()
        return found

    def _told(self, story: Callable[[InProcess], dict[str, Any]]) -> dict[str, Any]:
        with working_on(self.tenant.systems()):
            return story(InProcess())


def batch_site(folder: Path, users: int, **delays: float) -> BatchSite:
    """Give a site whose users are licensed and homed on the server with a line each."""
    tenant = FakeTenant(FakeClock(datetime.now(UTC)), users, licence_delay_s=0)
    tenant.skype = FakeSkype(tenant, **delays)
    for number, user in enumerate(tenant.users.values()):
        user.skus, user.licensed_at = (SKU,), tenant.clock.now() - timedelta(days=1)
        user.usage_location = "AT"
        tenant.skype.home(user.id, f"tel:+{FIRST_LINE + number}")
    return BatchSite(folder, tenant, tenant.skype)
