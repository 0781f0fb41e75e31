"""Kills through a served Prefect deployment: the run, its runner, the Prefect server or our database dies in mid-run.

Every run must come to a final, truthful state, the next run goes on where the journal ends, and nothing is lost.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from prefect import get_client
from sqlalchemy import select, update

from config.settings import read_settings
from datasets.tables.leases import leases
from datasets.tables.requests import requests
from deployments.automations import register_automations
from deployments.children import Child
from deployments.environment import HEARTBEAT_S, child_environment, settings_of
from deployments.runs import standing_of, start_run
from deployments.server import PrefectServer
from deployments.watcher import Outage, Outcome
from engine.opening import open_systems
from engine.reconcile import reconcile
from engine.runtime import Runtime
from lab.server import Lab
from tests.fakes.databases import PrivatePostgres, start_postgres
from tests.fakes.kill_server import LIMITS
from tests.fakes.kill_site import SEED, Site

SCRIPT = """
import sys
from pathlib import Path
from deployments.catalog import ONBOARDING, PLAN_APPLY
from deployments.serve import serve_catalog
serve_catalog((ONBOARDING, PLAN_APPLY), feeds="onboarding", drop_folder=Path(sys.argv[1]), mapping=Path("workday"))
"""
SHORT = {"CALLWRIGHT_WAIT__POLL_S": "0.001", "CALLWRIGHT_WAIT__LAG_WINDOW_S": "0.001"}
SILENT_S = 4  # a run that gives no sign of life for three times this long is marked as crashed
T = TypeVar("T")
pytestmark = pytest.mark.slow


def until(question: Callable[[], T], timeout_s: float = 240) -> T:
    """Ask until the answer is true."""
    give_up_at = time.monotonic() + timeout_s
    while not (answer := question()):
        assert time.monotonic() < give_up_at, "waited in vain"
        time.sleep(0.02)
    return answer


class Served:
    """A site whose plans are applied by a served deployment, and the means to kill every part of it."""

    def __init__(self, site: Site, server: PrefectServer, folder: Path, postgres: PrivatePostgres | None) -> None:
        self.site, self.server, self.postgres = site, server, postgres
        self.rng = random.Random(SEED)
        (folder / "drop").mkdir()
        command = [sys.executable, "-P", "-c", SCRIPT, str(folder / "drop")]
        env = child_environment(server.place, **site.environment, **SHORT)
        self.runner = Child("serve", command, log=folder / "serve.log", folder=folder, env=env)

    def serve(self) -> None:
        """Start the runner and wait until its deployment is there."""
        self.runner.start()
        body = {"deployments": {"name": {"any_": ["plan-apply"]}}}
        url = f"{self.server.place.api_url}/deployments/count"
        until(lambda: self.runner.pid and httpx.post(url, json=body).text != "0")

    def notice_silence_after(self, heartbeat_s: int) -> None:
        """Have runs without a sign of life marked as crashed after three times this long."""
        with get_client(sync_client=True) as client:
            register_automations(client, heartbeat_s)

    def start(self) -> str:
        """Start a run that applies the latest plan."""
        parameters = {"request": {"plan_id": self.site.last, "requested_by": "a test"}}
        return start_run("plan-apply/plan-apply", parameters)

    def wait_for_calls(self, run_id: str) -> None:
        """Wait until the run has sent a few calls, or has ended already."""
        seen, few = len(self.site.lab.calls.since()), self.rng.randint(2, 14)
        until(lambda: len(self.site.lab.calls.since(seen)) >= few or self.has_ended(run_id))

    def has_ended(self, run_id: str) -> bool:
        """Tell whether Prefect has a final state for the run; a server that is away knows nothing."""
        try:
            return standing_of(run_id).outcome is not Outcome.OPEN
        except Outage:
            return False

    def kill(self, what: str, run_id: str) -> None:
        """Kill a part, and bring the server or the database back."""
        match what:
            case "run":
                kill_processes(run_id)
            case "runner":
                os.kill(self.runner.pid or 0, signal.SIGKILL)
                kill_processes(run_id)
            case "server":
                os.kill(self.server.child.pid or 0, signal.SIGKILL)
                self.server.child.start()
                self.server.wait()
            case "database":
                assert self.postgres is not None
                self.postgres.crash()
                time.sleep(0.5)  # real sessions fail for a moment
                self.postgres.start_again()
                self.site.database.engine.dispose()

    def bury(self, run_id: str) -> None:
        """Wait for the run's final state, and let the leases of the dead process be over."""
        until(lambda: self.has_ended(run_id))
        until(lambda: not processes_of(run_id))
        if self.runner.pid is None:
            self.serve()
        with self.site.database.write() as connection:
            connection.execute(update(leases).values(expires=self.site.now() - timedelta(seconds=1)))

    def is_truthful(self, run_id: str) -> bool:
        """Tell whether Prefect and our record agree: completed there if and only if it was closed here."""
        with self.site.database.read() as connection:
            query = select(requests.c.state).where(requests.c.flow_run_id == run_id)
            states = set(connection.execute(query).scalars())
        if standing_of(run_id).outcome is Outcome.DONE:
            return bool(states) and states <= {"finished", "waiting"}
        return states <= {"open", "failed", "finished", "waiting"}  # it may die between its last act and its end

    def left_behind(self) -> list[str]:
        """Settle what dead processes left, and give what is still open."""
        with open_systems(read_settings()) as systems:
            reconcile(Runtime(self.site.database, systems.for_engine(), LIMITS, self.site.now, lambda _: None))
        with self.site.database.read() as connection:
            still = select(requests.c.id).where(requests.c.state == "open", requests.c.flow_run_id.is_not(None))
            return list(connection.execute(still).scalars())


def processes_of(run_id: str) -> list[int]:
    """Find the processes of a flow run by the environment that the runner gives them."""
    found = list[int]()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"PREFECT__FLOW_RUN_ID={run_id}".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def kill_processes(run_id: str) -> None:
    """Kill the processes of a flow run."""
    for pid in processes_of(run_id):
        os.kill(pid, signal.SIGKILL)


def play(served: Served, kinds: list[str]) -> None:
    """Kill a part in each run, in turn; then finish and compare everything with everything."""
    with settings_of(served.server.place, PREFECT_LOGGING_TO_API_ENABLED="false"):
        served.serve()
        for what in kinds:
            if served.site.is_settled():
                served.site.next_plan()
            served.notice_silence_after(SILENT_S if what == "runner" else HEARTBEAT_S)
            run_id = served.start()
            served.wait_for_calls(run_id)
            served.kill(what, run_id)
            served.bury(run_id)
            assert served.is_truthful(run_id), what
        for _ in range(5):
            if not served.site.is_settled():
                run_id = served.start()
                served.bury(run_id)
        assert served.site.is_settled()
        assert served.left_behind() == []
        assert served.site.contradictions() == []


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Give a lab of forty people."""
    with Lab(folder=tmp_path / "lab", users=40, seed=7) as running:
        yield running


def use(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    """Let this process work on the site, too."""
    for name, value in (site.environment | SHORT).items():
        monkeypatch.setenv(name, value)


def test_a_killed_run_is_crashed_and_the_next_one_goes_on(
    lab: Lab, in_prefect: PrefectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose process is killed in mid-plan ends as crashed; the next run settles the plan (M83)."""
    site = Site(lab, tmp_path, f"sqlite:///{tmp_path / 'callwright.db'}")
    use(monkeypatch, site)
    served = Served(site, in_prefect, tmp_path, None)
    try:
        play(served, ["run"])
    finally:
        served.runner.stop()
        site.database.close()


@pytest.mark.nightly
@pytest.mark.postgres
@pytest.mark.timeout(3600)
def test_twenty_five_kills_through_a_served_deployment(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run, runner, Prefect server and database are killed 25 times in turn: every run ends truthfully, 0 lost (M83)."""
    postgres = start_postgres()
    try:
        site = Site(lab, tmp_path, postgres.new_empty())
        use(monkeypatch, site)
        with PrefectServer(tmp_path / "prefect") as server:
            served = Served(site, server, tmp_path, postgres)
            try:
                play(served, (["run", "runner", "server", "database"] * 7)[:25])
            finally:
                served.runner.stop()
        site.database.close()
    finally:
        postgres.stop()
