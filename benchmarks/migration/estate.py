"""An estate to migrate: a stand-in tenant whose users are homed on premises, a Prefect server, and our own database."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.labs import PROJECT, lab_process
from config.lab_site import as_toml, sections_of
from deployments.environment import child_environment
from deployments.server import PrefectServer

SITE = PROJECT / "config" / "sample"
Call = Mapping[str, Any]


@dataclass(frozen=True)
class Estate:
    """A tenant and what works on it; `environment` is what a worker process needs."""

    folder: Path
    control_url: str
    environment: Mapping[str, str]
    call_log: Path

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Ask the control port of the tenant."""
        address = f"{self.control_url}{path}"
        return httpx.request(method, address, json=body, timeout=60, trust_env=False).raise_for_status().json()

    def calls(self, since: int = 0) -> list[Call]:
        """Give the calls of the tenant's log after a sequence number."""
        answer = self.control("GET", f"/calls?since={since}")
        found: list[Call] = answer if isinstance(answer, list) else answer["calls"]
        return found

    def last_call(self) -> int:
        """Give the sequence number of the last call."""
        return max((int(call["seq"]) for call in self.calls()), default=0)

    def add_fault(self, name: str, operation: str, target: str = "*", **parameters: object) -> int:
        """Have something go wrong; gives the fault's id."""
        body = {"name": name, "match": {"operation": operation, "target": target}, **parameters}
        return int(self.control("POST", "/faults", body)["id"])

    def remove_faults(self) -> list[dict[str, Any]]:
        """Let nothing go wrong any more; gives what was there."""
        answer = self.control("GET", "/faults")
        found: list[dict[str, Any]] = answer if isinstance(answer, list) else answer["faults"]
        httpx.delete(f"{self.control_url}/faults", timeout=60, trust_env=False).raise_for_status()
        return found

    def worker(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a process that plans or applies."""
        command = [sys.executable, "-P", "-m", "benchmarks.migration.worker", *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(self.environment))

    def answer_of(self, *arguments: str) -> dict[str, Any]:
        """Run a worker to its end and give what it says."""
        process = self.worker(*arguments)
        said = process.communicate()[0]
        if process.returncode:
            raise RuntimeError(f"the worker ended with {process.returncode}: {said}")
        answer: dict[str, Any] = json.loads(said.splitlines()[-1])
        return answer


@contextmanager
def estate(users: int, sessions: int, *options: str) -> Iterator[Estate]:
    """Start everything in a folder of its own and stop it at the end; more options are the tenant's."""
    with tempfile.TemporaryDirectory(prefix="callwright-migration-") as name:
        folder = Path(name)
        server = PrefectServer(_made(folder / "prefect"))
        people = ("--users", str(users), "--hybrid", "1", "--seed", "1")
        quota = ("--set", f"shells_per_user={2 * sessions}", "--set", f"shells_per_tenant={4 * sessions}")
        with lab_process(folder / "lab", *people, *quota, *options) as (_, endpoints), server:
            settings = folder / "callwright.toml"
            sections = sections_of(endpoints)
            sections["powershell"]["sessions"] = sessions
            # An endpoint of the servers is in the sections of an estate that has servers.
            sections["ocs_powershell"]["sessions"] = sessions
            settings.write_text(as_toml(sections, database_url=f"sqlite:///{folder / 'ours.db'}", site=str(SITE)))
            environment = child_environment(server.place, CALLWRIGHT_SETTINGS=str(settings))
            yield Estate(folder, str(endpoints["control_url"]), environment, Path(str(endpoints["call_log"])))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
