"""Processes that move one batch at the same time, and die: nobody is moved twice, nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, update

from connectors.database import Database
from connectors.errors import Busy
from datasets.tables.leases import leases
from engine import inventory
from engine.proof import verify
from lab.records import User
from tests.fakes.batch_kills import BatchKills, roomy_lab, written_twice
from tests.fakes.checkout import ROOT
from tests.fakes.command_line import Run
from tests.fakes.hybrid_lab import HybridLab, point_shortly_at
from tests.fakes.waiting import until

pytestmark = pytest.mark.slow
MOVE = "Move-CsUser"
# Room for sessions of the dead: the endpoint keeps them until they are idle for long.
HYBRID = {"users": 60, "shells_per_user": 20, "shells_per_tenant": 40}
PEOPLE = 6


@pytest.fixture
def hybrid(hybrid: HybridLab) -> HybridLab:
    """Let each move take a while, so that the processes meet."""
    hybrid.lab.faults.add({"name": "latency", "match": {"operation": MOVE, "target": "*"}, "seconds": 0.4})
    return hybrid


def make(run: Run, users: list[User], concurrency: int = 2) -> None:
    """Make a batch of users and plan its wave."""
    named = [word for user in users for word in ("--users", user.upn)]
    options = ("canary_size=0", f"concurrency={concurrency}", "emergency_gate=warn")
    chosen = [word for option in options for word in ("--set", option)]
    run("batch", "create", "b", "--from", "users", *named, *chosen)
    assert run("batch", "plan", "b").code == 0


def mover(folder: Path, name: str = "b") -> subprocess.Popen[bytes]:
    """Start a process that runs the batch."""
    command = [sys.executable, "-P", "-m", "cli", "batch", "run", name]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def moved(hybrid: HybridLab, since: int) -> Counter[str]:
    """Count how often a move changed each user."""
    calls = hybrid.lab.calls.since(since)
    return Counter(str(call["target"]) for call in calls if call["operation"] == MOVE and call["effects"])


def finish(run: Run) -> dict[str, int]:
    """Run the batch until it waits for nothing; gives its users by state."""
    for _ in range(40):
        found = run("batch", "run", "b", "--json").json
        if found["state"] == "finished":
            break
        time.sleep(0.06)
    counts: dict[str, int] = found["counts"]
    return counts


def seen_at_work(folder: Path, movers: list[subprocess.Popen[bytes]]) -> set[int]:
    """Wait for the end of processes; gives the ids of all that had a session on an endpoint meanwhile."""
    seen, query = set[int](), select(leases.c.holder).where(leases.c.kind == "session").distinct()
    with closing(Database(f"sqlite:///{folder / 'callwright.db'}")) as database:
        while any(each.poll() is None for each in movers):
            with database.read() as connection:
                seen |= {int(holder.split(":")[1]) for holder in connection.execute(query).scalars()}
            time.sleep(0.05)
    return seen


def check_books(folder: Path) -> None:
    """Fail unless inventory and journal are sound."""
    with closing(Database(f"sqlite:///{folder / 'callwright.db'}")) as database, database.read() as connection:
        assert inventory.violations(connection) == []
        assert list(verify(connection).faults) == []


def held_up(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Stop a process between its transactions: in the middle of one it would shut everybody else out."""
    with closing(Database(f"sqlite:///{folder / 'callwright.db'}", wait_for_writer_s=0.2)) as database:
        while True:
            process.send_signal(signal.SIGSTOP)
            with suppress(Busy), database.write():
                return
            process.send_signal(signal.SIGCONT)
            time.sleep(0.05)


def test_two_processes_move_one_batch(
    hybrid: HybridLab, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are at work at once and both move users; nobody is touched by both, and the wave has one plan (M41)."""
    for end in ("SMALLEST", "LARGEST"):
        monkeypatch.setenv(f"CALLWRIGHT_CHUNK__{end}", "1")
    make(run, hybrid.homed(PEOPLE + 2), concurrency=1)
    before = len(hybrid.lab.calls.since())
    first = mover(folder)
    until(lambda: len(moved(hybrid, before)) >= 1)
    held_up(first, folder)  # it is in the middle of two users, and keeps them
    of_first = len(moved(hybrid, before)) + 2
    second = mover(folder)
    until(lambda: len(moved(hybrid, before)) > of_first)
    assert (first.poll(), second.poll()) == (None, None)
    first.send_signal(signal.SIGCONT)
    assert [each.wait(timeout=240) for each in (first, second)] == [0, 0]
    assert finish(run) == {"migrated": PEOPLE + 2}
    assert list(moved(hybrid, before).values()) == [1] * (PEOPLE + 2)
    assert written_twice(hybrid.lab.calls.since(before)) == {}
    assert len(run("batch", "show", "b", "--json").json["waves"]) == 1
    check_books(folder)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_two_processes_never_touch_one_user(
    run: Run, folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten batches of twenty in two waves, two processes on each: both worked, every write was sent once (M41).

    A process that comes while the other plans the next wave gives way to it with exit code 3.
    """
    url, together, codes = f"sqlite:///{folder / 'callwright.db'}", 0, set[int]()
    for end in ("SMALLEST", "LARGEST"):
        monkeypatch.setenv(f"CALLWRIGHT_CHUNK__{end}", "2")
    with roomy_lab(tmp_path_factory.mktemp("roomy"), 400) as lab:
        site = BatchKills(lab, folder, url, wave_size=10)
        point_shortly_at(lab, folder, monkeypatch)
        for _ in range(10):
            site.next_batch(20)
            assert run("batch", "plan", site.last).code == 0
            while not site.is_settled():
                movers = [mover(folder, site.last) for _ in range(2)]
                together += {each.pid for each in movers} <= seen_at_work(folder, movers)
                codes |= {each.returncode for each in movers}
        assert codes <= {0, 3}
        assert together > 0
        assert written_twice(lab.calls.since()) == {}
        assert site.contradictions() == []
        site.database.close()


def test_a_killed_process_is_taken_over(hybrid: HybridLab, run: Run, folder: Path) -> None:
    """A process dies in the middle; when its leases are over others finish, and nobody moves twice (M41)."""
    make(run, hybrid.homed(PEOPLE))
    before = len(hybrid.lab.calls.since())
    victim = mover(folder)
    until(lambda: len(moved(hybrid, before)) >= 2)
    victim.kill()
    victim.wait(timeout=240)
    time.sleep(0.5)  # what was on its way when it died arrives
    with closing(Database(f"sqlite:///{folder / 'callwright.db'}")) as database, database.write() as connection:
        connection.execute(update(leases).values(expires=datetime.now(UTC)))
    assert victim.returncode == -9
    assert finish(run) == {"migrated": PEOPLE}
    assert list(moved(hybrid, before).values()) == [1] * PEOPLE
    check_books(folder)
