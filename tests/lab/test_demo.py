"""The whole demo as a user starts it: the lab, our database, a real Prefect server, deployments, and the feed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from deployments.children import Child
from deployments.environment import PROJECT, clean_environment

pytestmark = pytest.mark.slow
COUNTS = ("onboarded", "planned_ahead", "waiting", "unchanged", "quarantined", "refused", "failed", "unknown")


def demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the demo to its end."""
    command = [sys.executable, "-m", "deployments.demo", "--folder", str(folder), *options]
    return subprocess.run(
        command, cwd=PROJECT, env=clean_environment(), capture_output=True, text=True, timeout=280, check=False
    )


def descendants(pid: int) -> set[int]:
    """Give the process ids below a process."""
    below: set[int] = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        if parent == pid:
            below |= {int(path.parent.name)} | descendants(int(path.parent.name))
    return below


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the demo twice over the same feed, as `make demo ARGS="--once --json"` does."""
    folder = tmp_path_factory.mktemp("demo") / "here"
    result = demo(folder, "--once", "--json")
    assert result.returncode == 0, result.stderr[-2000:] + result.stdout[-2000:]
    figures: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return figures | {"folder": folder}


@pytest.mark.nightly
def test_every_row_of_the_feed_is_in_one_count(played: dict[str, Any]) -> None:
    """The counts of the first run and its continuations add up to the rows."""
    assert sum(played[name] for name in COUNTS) == played["rows"] >= 60
    assert played["onboarded"] >= 30
    assert played["planned_ahead"] >= 3
    assert played["quarantined"] >= 12
    assert played["waiting"] >= 3
    assert played["failed"] == played["unknown"] == 0


@pytest.mark.nightly
def test_the_tenant_saw_what_we_say(played: dict[str, Any]) -> None:
    """The numbers in our journal are those in the tenant's own log, each given once."""
    assert played["numbers_assigned"] == played["tenant_numbers"] >= 30
    assert played["duplicate_numbers"] == 0
    assert played["verified"] >= played["onboarded"]


@pytest.mark.nightly
def test_the_second_run_writes_nothing(played: dict[str, Any]) -> None:
    """The same feed again changes nothing anywhere."""
    assert played["repeat_writes"] == 0


@pytest.mark.nightly
def test_prefects_history_and_ours_agree(played: dict[str, Any]) -> None:
    """Every run is in both, in the same state."""
    assert len(played["flow_run_ids"]) >= 2
    assert played["disagreements"] == []


@pytest.mark.nightly
def test_the_demo_is_ready_soon(played: dict[str, Any]) -> None:
    """Setting up and both runs stay within the two minutes that are promised."""
    assert played["setup_s"] + played["run_s"] < 120


@pytest.mark.parametrize("at", [pytest.param("ready after", marks=pytest.mark.nightly), "Ctrl-C stops it all"])
def test_a_demo_plays_its_feed_until_ctrl_c_stops_every_child(tmp_path: Path, at: str) -> None:
    """A demo of few people reports what became of them; interrupted then or before, it leaves no process behind."""
    command = [sys.executable, "-m", "deployments.demo", "--folder", str(tmp_path / "demo"), "--users", "20"]
    log = tmp_path / "log"
    with Child("demo", command, log=log, folder=PROJECT, env=clean_environment(), grace_s=30) as child:
        child.wait_until(lambda: at in log.read_text(), 240)
        assert at == "ready after" or "0 numbers with two owners" in log.read_text()
        assert child.pid
        below = descendants(child.pid)
        assert len(below) >= 3
        os.kill(child.pid, signal.SIGINT)
        assert child.process
        child.process.wait(120)
    assert [pid for pid in below if Path(f"/proc/{pid}").exists() and not _is_ending(pid)] == []


def _is_ending(pid: int) -> bool:
    """Give a process that was orphaned a moment to be reaped."""
    give_up_at = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < give_up_at:
        time.sleep(0.1)
    return not Path(f"/proc/{pid}").exists()


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    """A port somebody listens on ends the demo before anything starts."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = demo(tmp_path / "demo", "--once", "--prefect-port", str(taken.getsockname()[1]))
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "--prefect-port" in result.stderr
