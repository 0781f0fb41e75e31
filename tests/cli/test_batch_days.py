"""Batches that stop half-way on a lab over the real protocols: the error budget is spent, the window ends."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.database import Database
from engine import batch_control, batches
from lab.records import User
from tests.fakes.command_line import Ran, Run
from tests.fakes.hybrid_lab import HybridLab

pytestmark = pytest.mark.slow
MOVE = "Move-CsUser"
HYBRID = {"users": 160}
CANARY, WAVE, REST = 5, 25, 3
UNDER_WAY = ("running", "waiting")


def make(run: Run, users: list[User], *options: str) -> Ran:
    """Make a batch of users who get no numbers."""
    named = [word for user in users for word in ("--users", user.upn)]
    chosen = [word for option in ("numbers=none", "emergency_gate=warn", *options) for word in ("--set", option)]
    return run("batch", "create", "b", "--from", "users", *named, *chosen)


def finish(run: Run, *words: str) -> dict[str, Any]:
    """Give a command that runs the batch, and run it until it is paused or finished."""
    found: dict[str, Any] = run("batch", *words, "b", "--json").json
    for _ in range(40):
        if found["state"] not in UNDER_WAY:
            break
        found = run("batch", "run", "b", "--json").json
    return found


def moved(hybrid: HybridLab, since: int) -> Counter[str]:
    """Count how often a move changed each user."""
    calls = hybrid.lab.calls.since(since)
    return Counter(str(call["target"]) for call in calls if call["operation"] == MOVE and call["effects"])


def sam(user: User) -> str:
    """Give the account name of a user, as the log has it."""
    return str(user.text("onPremisesSamAccountName"))


def test_eight_percent_failures_at_a_budget_of_five_pause_in_the_second_wave(hybrid: HybridLab, run: Run) -> None:
    """Two of the second wave's twenty-five fail: it pauses there, the third wave never begins; retry moves the two."""
    users = hybrid.homed(CANARY + WAVE + REST)
    make(run, users, f"canary_size={CANARY}", f"wave_size={WAVE}", "error_budget_percent=5")
    before = len(hybrid.lab.calls.since())
    broken = f"{sam(users[CANARY])}|{sam(users[CANARY + 9])}|sip:{users[CANARY].upn}|sip:{users[CANARY + 9].upn}"
    hybrid.lab.faults.add({"name": "move_fails", "match": {"target": broken}})
    paused = finish(run, "run")
    assert (paused["state"], paused["alert"]["state"]) == ("paused", "raised")
    assert paused["why"].startswith("wave 2: 2 of 25 users failed, more than 5 %")
    assert [wave["plan is"] for wave in paused["waves"]][2] is None
    assert not {sam(user) for user in users[CANARY + WAVE :]} & moved(hybrid, before).keys()
    hybrid.lab.faults.clear()
    assert finish(run, "resume")["counts"] == {"migrated": len(users) - 2, "failed": 2}
    assert finish(run, "retry")["counts"] == {"migrated": len(users)}
    assert set(moved(hybrid, before).values()) == {1}


def test_a_window_that_ends_in_the_middle_of_a_wave(hybrid: HybridLab, run: Run, folder: Path) -> None:
    """It ends when the first user has moved: who had begun is finished, nobody else begins before the next window."""
    users = hybrid.homed(12)
    end = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    make(run, users, "canary_size=0", "concurrency=1", f"window_end={end}")
    before = len(hybrid.lab.calls.since())
    hybrid.lab.faults.add({"name": "latency", "match": {"operation": MOVE, "target": "*"}, "seconds": 1})
    watcher = threading.Thread(target=end_window, args=(hybrid, folder, before))
    watcher.start()
    held = run("batch", "run", "b", "--json").json
    watcher.join()
    assert held["state"] == "waiting"
    assert held["why"].startswith("the window ended")
    begun = moved(hybrid, before)
    assert 0 < len(begun) < len(users)
    assert held["counts"] == {"migrated": len(begun), "planned": len(users) - len(begun)}
    hybrid.lab.faults.clear()
    resumed = run("batch", "resume", "b", "--window-end", end, "--json")
    assert resumed.json["counts"] == {"migrated": len(users)}
    assert set(moved(hybrid, before).values()) == {1}


def end_window(hybrid: HybridLab, folder: Path, since: int) -> None:
    """Wait for the first move, and let the window end."""
    while not moved(hybrid, since):
        threading.Event().wait(0.01)
    with closing(Database(f"sqlite:///{folder / 'callwright.db'}")) as database, database.write() as connection:
        batch_control.change_window(connection, batches.find(connection, "b"), None, datetime.now(UTC))
