"""Storms of throttling over waves in several processes: nobody calls while the credential was told to wait.

The tenant refuses by rate in every class of calls that a wave makes: users of Graph, Teams administration (also inside
of `$batch`), and the sessions of both PowerShell endpoints. It counts itself who called although told to wait.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cli.exits import DEPENDENCY, DONE
from connectors.database import Database
from engine import inventory
from engine.proof import verify
from lab.records import User
from lab.server import Lab
from lab.settings import Settings
from tests.fakes.checkout import ROOT
from tests.fakes.command_line import Run
from tests.fakes.hybrid_lab import point_shortly_at

pytestmark = pytest.mark.slow
PROCESSES, EACH = 3, 2
TEAMS = "userConfigurations.*|numberAssignments.*|operations.*|policy.*"
SHELL = "WSMan-Create|WSMan-Command|WSMan-Receive"
SLOW: dict[str, Any] = {"burst": 3, "retry_after_s": 1, "grace_s": 0.35}
KINDS = ("users.assignLicense", "Move-CsUser", "Set-CsUser", "numberAssignments.assign", "Set-ADUser")
OPTIONS = (
    "numbers=Keep",
    "licences=SPE_E5",
    "write_back=telephoneNumber",
    "canary_size=0",
    "concurrency=2",
    "emergency_gate=warn",
)
POLICY = ("--policy", "TenantDialPlan=DP-Vienna")


@pytest.fixture
def lab(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """Run a hybrid lab; each PowerShell endpoint has an account of its own."""
    settings = Settings()
    settings.change({"hybrid_share": 0.9, "shells_per_user": 20, "shells_per_tenant": 40})
    with Lab(folder=folder / "lab", users=40, seed=11, settings=settings, operators=2) as lab:
        point_shortly_at(lab, folder, monkeypatch)
        other = operator_of(lab)
        monkeypatch.setenv("CALLWRIGHT_OCS_POWERSHELL__USERNAME", other["username"])
        monkeypatch.setenv("CALLWRIGHT_OCS_POWERSHELL__PASSWORD", f"file:{other['password_file']}")
        yield lab


def operator_of(lab: Lab) -> dict[str, str]:
    """Give the second account that may open sessions."""
    host: Any = lab.endpoints["powershell"]
    found: dict[str, str] = host["operators"][0]
    return found


def unlicensed(lab: Lab) -> list[User]:
    """Give people of the servers who have a line and no licence."""
    tenant = lab.tenant
    names = [name for name, user in tenant.skype.items() if user.enterprise_voice]
    people = [user for name in names if (user := tenant.users[tenant.by_sam[name]]).text("usageLocation")]
    for user in people:
        tenant.change_licences(user.id, add={}, remove=[licence.sku_id for licence in user.licences])
    return [tenant.users[user.id] for user in people][: PROCESSES * EACH]


def throttle(lab: Lab) -> None:
    """Refuse by rate in every class of calls."""
    host: Any = lab.endpoints["powershell"]
    accounts = (host["username"], operator_of(lab)["username"])
    classes = [("users.*", "*", 0.5), (TEAMS, "*", 5), *((SHELL, account, 8) for account in accounts)]
    for operation, target, rate in classes:
        match = {"operation": operation, "target": target}
        lab.faults.add({"name": "throttle", "match": match, "rate_per_s": rate, **SLOW})


def mover(name: str) -> subprocess.Popen[bytes]:
    """Start a process that runs a batch."""
    command = [sys.executable, "-P", "-m", "cli", "batch", "run", name]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)


def test_no_call_of_any_class_arrives_while_the_credential_has_to_wait(lab: Lab, run: Run, folder: Path) -> None:
    """Three processes move a batch each through storms in four classes: 0 early calls, everybody done (M50)."""
    people = unlicensed(lab)
    for number in range(PROCESSES):
        named = [word for user in people[number * EACH :][:EACH] for word in ("--users", user.upn)]
        chosen = [word for option in OPTIONS for word in ("--set", option)]
        made = run("batch", "create", f"b{number}", "--from", "users", *named, *chosen, *POLICY, "--json")
        assert made.code == 0, made.err
    throttle(lab)
    for _ in range(10):
        movers = [mover(f"b{number}") for number in range(PROCESSES)]
        assert {each.wait(timeout=240) for each in movers} <= {DONE, DEPENDENCY}  # told to wait for longer than it may
        counts = [run("batch", "show", f"b{number}", "--json").json["counts"] for number in range(PROCESSES)]
        if all(set(each) == {"migrated"} for each in counts):
            break
        time.sleep(0.1)
    storms = lab.faults.listed()
    assert counts == [{"migrated": EACH}] * PROCESSES
    assert [storm["match"] for storm in storms if not storm["played"]] == []
    assert [storm for storm in storms if storm["early"]] == []
    check(lab, people, folder)


def check(lab: Lab, people: list[User], folder: Path) -> None:
    """Fail unless every kind of write was made, once for each user, and inventory and journal are sound."""
    done: list[dict[str, Any]] = [call for call in lab.calls.since() if call["effects"]]
    counted = Counter(call["operation"] for call in done)
    assert {kind: counted[kind] for kind in KINDS} == dict.fromkeys(KINDS, len(people))
    with closing(Database(f"sqlite:///{folder / 'callwright.db'}")) as database, database.read() as connection:
        assert inventory.violations(connection) == []
        assert list(verify(connection).faults) == []
