"""A hybrid lab over the real protocols, and the engine's runtime on it: who is homed where, waves brought to an end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from config.settings import read_settings
from config.site_policy import SitePolicy, read_site
from connectors.database import Database
from datasets.batches import BatchOptions
from engine import plan_store
from engine.apply import Chunk, apply_chunk, start
from engine.migration_plan import plan_wave
from engine.migration_terms import WaveTerms
from engine.opening import open_systems
from engine.plan_store import StoredLine
from engine.requests import Actor, open_request
from engine.runtime import Limits, Runtime
from lab.catalogue import E5
from lab.records import User
from lab.server import Lab
from lab.settings import Settings
from tests.fakes.lab_environment import environment_of, skype_environment_of

LIMITS = Limits(lag_window_s=0.1, poll_s=0.05, look_again_s=(0.05,), retry_after_s=(0.05,), workers=3)


@dataclass(frozen=True)
class HybridLab:
    """A lab whose people are partly homed on the servers, and the runtime that works on it."""

    lab: Lab
    runtime: Runtime
    site: SitePolicy

    def homed(self, count: int, *, with_line: bool = True) -> list[User]:
        """Give licensed people of the servers, with or without a line, who were not moved yet."""
        tenant = self.lab.tenant
        found = [user for user in tenant.users.values() if self._is_homed(user, with_line=with_line)][:count]
        assert len(found) == count
        for user in found:
            tenant.change_licences(user.id, add={E5: ()}, remove=[])
        return [tenant.users[user.id] for user in found]

    def _is_homed(self, user: User, *, with_line: bool) -> bool:
        tenant, sam = self.lab.tenant, (user.text("onPremisesSamAccountName") or "").casefold()
        known = tenant.skype.get(sam)
        is_there = known is not None and known.pool is not None and bool(user.text("usageLocation"))
        return is_there and known is not None and known.enterprise_voice is with_line

    def line_of(self, user: User) -> str | None:
        """Give the line of a user of the servers."""
        account = self.lab.tenant.find_ad_user(user.text("onPremisesSamAccountName") or "")
        return account.attributes.get("msRTCSIP-Line") if account else None

    def request(self) -> str:
        """Open a request."""
        actor = Actor(kind="os_user", name="t")
        with self.runtime.database.write() as connection:
            return open_request(connection, "migration", actor, parameters={}, flow_run_id=None, now=self.runtime.now())

    def plan(self, options: BatchOptions, *users: User) -> str:
        """Plan a wave."""
        ids = [user.id for user in users]
        return plan_wave(self.runtime, self.site, options, ids, self.request(), WaveTerms())

    def visit(self, plan_id: str) -> list[StoredLine]:
        """Visit a plan once."""
        start(self.runtime, plan_id)
        apply_chunk(self.runtime, Chunk(plan_id, 1, 1000))
        return self.lines(plan_id)

    def lines(self, plan_id: str) -> list[StoredLine]:
        """Give the lines of a plan."""
        with self.runtime.database.read() as connection:
            return plan_store.load_lines(connection, plan_id)

    def settle(self, plan_id: str) -> list[StoredLine]:
        """Visit a plan until it is settled."""
        for _ in range(100):
            lines = self.visit(plan_id)
            with self.runtime.database.read() as connection:
                if plan_store.header(connection, plan_id).state == "settled":
                    return lines
            time.sleep(0.06)
        raise AssertionError([(line.state, line.reason) for line in lines])


def point_at(lab: Lab, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Point the settings at a hybrid lab, with a database in the folder."""
    for name, value in (environment_of(lab.endpoints, folder) | skype_environment_of(lab.endpoints)).items():
        patch.setenv(name, value)


def point_shortly_at(lab: Lab, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Point the settings at a hybrid lab, with a database in the folder and times for tests."""
    point_at(lab, folder, patch)
    patch.setenv("CALLWRIGHT_WAIT__POLL_S", "0.05")
    patch.setenv("CALLWRIGHT_WAIT__LAG_WINDOW_S", "0.1")


@contextmanager
def hybrid_lab(
    folder: Path, database: Database, patch: pytest.MonkeyPatch, *, users: int = 40, **settings: object
) -> Iterator[HybridLab]:
    """Start a lab with half of its people on the servers and open the engine on it."""
    wanted = Settings()
    wanted.change({"hybrid_share": 0.6, **settings})  # type: ignore[dict-item]  # plain values
    with Lab(folder=folder / "lab", users=users, seed=11, settings=wanted) as lab:
        point_at(lab, folder, patch)
        read = read_settings()
        with open_systems(read) as systems:
            runtime = Runtime(database, systems.for_engine(), LIMITS)
            yield HybridLab(lab, runtime, read_site(read.site))
