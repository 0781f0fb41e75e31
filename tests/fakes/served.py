"""A site whose runs are started on a served Prefect deployment, and the means to kill every part of it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, TypeVar

import httpx
from prefect import get_client
from sqlalchemy import select, update

from config.settings import read_settings
from connectors.database import Database
from datasets.tables.leases import leases
from datasets.tables.requests import requests
from deployments.automations import register_automations
from deployments.children import Child
from deployments.environment import HEARTBEAT_S, child_environment
from deployments.runs import standing_of, start_run
from deployments.server import NO_TLS, PrefectServer
from deployments.watcher import Outage, Outcome
from engine.opening import open_systems
from engine.reconcile import reconcile
from engine.runtime import Runtime
from lab.server import Lab
from tests.fakes.databases import PrivatePostgres
from tests.fakes.kill_server import LIMITS
from tests.fakes.waiting import until

SCRIPT = """
import sys
from pathlib import Path
from deployments.catalog import {names}
from deployments.serve import serve_catalog
serve_catalog(({names},), feeds="onboarding", drop_folder=Path(sys.argv[1]), mapping=Path("workday"))
"""
SHORT = {"CALLWRIGHT_WAIT__POLL_S": "0.001", "CALLWRIGHT_WAIT__LAG_WINDOW_S": "0.001"}
SILENT_S = 4  # a run that gives no sign of life for three times this long is marked as crashed
T = TypeVar("T")


class ServedSite(Protocol):
    """What is worked on: a lab, our database, and the settings of both."""

    lab: Lab
    database: Database
    environment: dict[str, str]

    def now(self) -> datetime:
        """Give the moment as the next worker sees it."""


@dataclass(frozen=True)
class Script:
    """What is served: constants of the catalog; the last deployment that has to be there; how many calls a run gets."""

    names: str
    last: str
    calls: tuple[int, int] = (2, 14)


class Served:
    """A site with a served deployment; every part of it can be killed."""

    def __init__(
        self, site: ServedSite, server: PrefectServer, folder: Path, script: Script, postgres: PrivatePostgres | None
    ) -> None:
        self.site, self.server, self.postgres, self.script = site, server, postgres, script
        self.rng = random.Random(20260308)
        (folder / "drop").mkdir()
        command = [sys.executable, "-P", "-c", SCRIPT.format(names=script.names), str(folder / "drop")]
        env = child_environment(server.place, **site.environment, **SHORT)
        self.runner = Child("serve", command, log=folder / "serve.log", folder=folder, env=env)

    def serve(self) -> None:
        """Start the runner and wait until its deployments are there."""
        self.runner.start()
        until(lambda: self.runner.pid and self._is_deployed())

    def _is_deployed(self) -> bool:
        body = {"deployments": {"name": {"any_": [self.script.last]}}}
        url = f"{self.server.place.api_url}/deployments/count"
        with contextlib.suppress(httpx.TimeoutException):  # a busy machine may need longer
            return httpx.post(url, json=body, timeout=30, verify=NO_TLS).text != "0"
        return False

    def notice_silence_after(self, heartbeat_s: int) -> None:
        """Have runs without a sign of life marked as crashed after three times this long."""
        with get_client(sync_client=True) as client:
            register_automations(client, heartbeat_s)

    def killed_run(self, parts: Sequence[str], deployment: str, request: Mapping[str, object]) -> str:
        """Start a run and kill parts in the middle of it; gives its id once it has come to a final state."""
        self.notice_silence_after(SILENT_S if "host" in parts else HEARTBEAT_S)
        run_id = start_run(deployment, {"request": request})
        for part in parts:
            self.wait_for_calls(run_id)
            self.kill(part, run_id)
        self.bury(run_id)
        return run_id

    def whole_run(self, deployment: str, request: Mapping[str, object]) -> str:
        """Start a run and let it come to its end; gives its id."""
        run_id = start_run(deployment, {"request": request})
        self.bury(run_id)
        return run_id

    def wait_for_calls(self, run_id: str) -> None:
        """Wait until the run has sent a few calls, or has ended already."""
        seen, few = len(self.site.lab.calls.since()), self.rng.randint(*self.script.calls)
        until(lambda: len(self.site.lab.calls.since(seen)) >= few or self.has_ended(run_id))

    def has_ended(self, run_id: str) -> bool:
        """Tell whether Prefect has a final state for the run; a server that is away knows nothing."""
        try:
            return standing_of(run_id).outcome is not Outcome.OPEN
        except Outage:
            return False

    def kill(self, what: str, run_id: str) -> None:
        """Kill a part, and bring the server or the database back. A `host` is the runner with its run."""
        match what:
            case "run":
                kill_processes(run_id)
            case "runner":
                os.kill(self.runner.pid or 0, signal.SIGKILL)
            case "host":
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

    def left_behind(self, ahead: timedelta = timedelta()) -> list[str]:
        """Settle what dead processes left, as somebody would so much later; gives the requests that are still open."""
        with open_systems(read_settings()) as systems:
            settling = Runtime(
                self.site.database, systems.for_engine(), LIMITS, lambda: self.site.now() + ahead, lambda _: None
            )
            reconcile(settling)
        with self.site.database.read() as connection:
            still = select(requests.c.id).where(requests.c.state == "open", requests.c.actor_kind != "os_user")
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
