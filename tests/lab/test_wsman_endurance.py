"""Many clients with mixed calls and faults: every call is accounted for, and the lab's memory stays flat."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from pypsrp.exceptions import WinRMTransportError, WSManFaultError
from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.wsman import WSMan

from lab.records import Json
from tests.fakes.powershell_end import PowerShellEnd, script
from tests.fakes.wsman_replay import Replay

pytestmark = pytest.mark.slow

CLIENTS = 8
LANES = 4  # connections that share the calls of the test of memory
FAULTS: list[dict[str, Json]] = [
    {"name": "drop_reply", "match": {"operation": "WSMan-Receive"}, "probability": 0.01},
    {"name": "cut_reply", "match": {"operation": "WSMan-Receive"}, "probability": 0.01},
    {"name": "unavailable", "match": {"operation": "WSMan-Command"}, "probability": 0.01},
    {"name": "throttle", "match": {"operation": "WSMan-Command"}, "retry_after_s": 0, "probability": 0.01},
    {"name": "kill_shell", "match": {"operation": "WSMan-Command"}, "probability": 0.01},
]
LOST = (requests.RequestException, WinRMTransportError, WSManFaultError)


@dataclass
class Client:
    """A stock client that opens a new pool when the old one is lost; each call writes one line with its own number."""

    end: PowerShellEnd
    number: int
    calls: int
    outcomes: Counter[str] = field(default_factory=Counter)
    answered: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Make all calls."""
        chosen = random.Random(self.number)
        connection, pool = self._open()
        for turn in range(self.calls):
            key = f"{self.number}-{turn}"
            try:
                self._one(pool, key, chosen.choice(["cmdlet", "script", "input", "rows"]))
                self.answered.append(key)
            except LOST as error:
                (self.refused if _was_refused(error) else self.lost).append(key)
                self.outcomes[type(error).__name__] += 1
                self._drop(connection, pool)
                connection, pool = self._open()
        self._drop(connection, pool)

    def _one(self, pool: RunspacePool, key: str, kind: str) -> None:
        shell = PowerShell(pool)
        if kind == "cmdlet":
            shell.add_cmdlet("Get-ADUser").add_parameter("Identity", key).add_parameter("ErrorAction", "Ignore")
        elif kind == "script":
            shell.add_script("param($K) Get-ADUser $K -ErrorAction Ignore; $K").add_argument(key)
        elif kind == "input":
            shell.add_cmdlet("Get-ADUser").add_parameter("ErrorAction", "Ignore")
        else:
            shell.add_script("param($R) foreach ($k in $R) { Get-ADUser $k -ErrorAction Ignore; $k }").add_argument(
                [key]
            )
        shell.invoke(iter_of(key) if kind == "input" else None)
        expected = [key] if kind in ("script", "rows") else []
        assert shell.output == expected, (kind, key, shell.output, shell.streams.error)
        shell.close()

    def _open(self) -> tuple[WSMan, RunspacePool]:
        while True:
            connection = self.end.client()
            pool = RunspacePool(connection)
            try:
                pool.open()
            except LOST:
                self.outcomes["open failed"] += 1
                self._drop(connection, pool)
            else:
                return connection, pool

    def _drop(self, connection: WSMan, pool: RunspacePool) -> None:
        try:
            pool.close()
        except LOST:
            self.outcomes["close failed"] += 1
        connection.close()


def iter_of(key: str) -> Any:
    """Give one object as pypsrp wants its input: from a generator."""
    yield key


def _was_refused(error: Exception) -> bool:
    """Tell whether the lab said no before it did anything: HTTP 429 and 503, or a shell that is gone."""
    return isinstance(error, WinRMTransportError) or getattr(error, "code", 0) == 2150858843


def run_clients(tmp_path: Path, calls: int) -> list[Client]:
    """Let eight clients make their calls side by side under five percent of faults; checks the accounts."""
    with PowerShellEnd(tmp_path, users=4) as end:
        end.parts.settings.shells_per_user = end.parts.settings.shells_per_tenant = 10_000
        for fault in FAULTS:
            end.parts.faults.add(fault)
        clients = [Client(end, number, calls) for number in range(CLIENTS)]
        _side_by_side([client.run for client in clients])
        end.parts.faults.clear()
        lines: list[Any] = end.parts.calls.since(0)
        done = Counter(line["parameters"]["Identity"] for line in lines)
        with end.pool() as pool:
            assert script(pool, "'alive'").output == ["alive"]
        end.close_shells()
    for client in clients:
        assert len(client.answered) + len(client.lost) + len(client.refused) == calls
        assert [done[key] for key in client.answered] == [1] * len(client.answered)
        assert [done[key] for key in client.refused] == [0] * len(client.refused)
        assert all(done[key] <= 1 for key in client.lost)
    return clients


def _side_by_side(works: list[Callable[[], None]]) -> None:
    failures: list[BaseException] = []

    def guard(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=guard, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_every_call_is_accounted_for(tmp_path: Path) -> None:
    """8 clients, 50 calls each: answered means done once, refused never, lost at most once."""
    clients = run_clients(tmp_path, 50)
    assert sum(len(client.answered) for client in clients) > 300
    assert any(client.refused or client.lost for client in clients)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_every_call_of_eight_thousand_is_accounted_for(tmp_path: Path) -> None:
    """The same with 1,000 calls for each client."""
    clients = run_clients(tmp_path, 1000)
    lost, refused = sum(len(client.lost) for client in clients), sum(len(client.refused) for client in clients)
    print(f"answered {8000 - lost - refused}, refused {refused}, lost {lost}")
    assert min(lost, refused) > 50


@contextmanager
def running_lab(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Run a lab in a process of its own; gives its process id and what it printed."""
    command = [sys.executable, "-m", "lab", "--users", "20", "--folder", str(folder), "--set", "allow_unencrypted=true"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.pid, json.loads(process.stdout.readline())
        finally:
            process.terminate()  # not SIGINT: who runs the tests in the background has that ignored
            process.wait(30)


def resident_mb(process_id: int) -> float:
    """Read how much memory a process holds."""
    text = Path(f"/proc/{process_id}/status").read_text(encoding="ascii")
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS:")).split()[1]) / 1024


def grown_mb(folder: Path, *, warm: int, calls: int) -> float:
    """Make some calls, then many more; tells how much memory the lab took for those."""
    with running_lab(folder) as (process_id, printed):
        end = printed["powershell"]
        word = Path(end["password_file"]).read_text(encoding="utf-8")
        connection = WSMan(
            end["server"],
            port=end["http_port"],
            ssl=False,
            auth="basic",
            encryption="never",
            username=end["username"],
            password=word,
            no_proxy=True,
        )
        with connection, RunspacePool(connection, max_runspaces=LANES) as pool:
            replays = [Replay(pool, "Get-ADDomain") for _ in range(LANES)]
            _side_by_side([partial(replay.repeat, warm // LANES) for replay in replays])
            before = resident_mb(process_id)
            print(f"{before:.1f} MB after {warm} calls")
            for tenth in range(1, 11):
                _side_by_side([partial(replay.repeat, calls // LANES // 10) for replay in replays])
                after = resident_mb(process_id)
                print(f"{after:.1f} MB after {warm + calls * tenth // 10} calls", flush=True)
    return after - before


def test_memory_is_flat_over_hundreds_of_calls(tmp_path: Path) -> None:
    """Two hundred calls take less than two megabytes of the lab's memory."""
    assert grown_mb(tmp_path, warm=100, calls=200) < 2


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_memory_is_flat_over_a_hundred_thousand_calls(tmp_path: Path) -> None:
    """A hundred thousand calls take less than five megabytes of the lab's memory."""
    assert grown_mb(tmp_path, warm=2_000, calls=98_000) < 5
