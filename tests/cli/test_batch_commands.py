"""The batch commands on a hybrid lab over the real protocols: make, examine, plan, run, stop, try again, take back."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.catalogue import E5
from lab.records import User
from tests.fakes.command_line import Ran, Run
from tests.fakes.hybrid_lab import HybridLab

pytestmark = pytest.mark.slow
MOVE = "Move-CsUser"
PAUSE = {"retry_after_s": 1, "grace_s": 0.6}  # calls that were on their way may be slow on a busy machine
KEEP = ("--set", "numbers=Keep", "--set", "canary_size=0", "--set", "emergency_gate=warn")


def make(run: Run, users: list[User], *more: str) -> Ran:
    """Make a batch of users."""
    named = [word for user in users for word in ("--users", user.upn)]
    return run("batch", "create", "b", "--from", "users", *named, *KEEP, *more)


def finish(run: Run, visits: int = 40) -> dict[str, Any]:
    """Run a batch until it waits for nothing."""
    for _ in range(visits):
        found: dict[str, Any] = run("batch", "run", "b", "--json").json
        if found["state"] != "waiting" and found["state"] != "running":
            return found
        time.sleep(0.06)
    pytest.fail(f"the batch did not end: {found}")


def moves(hybrid: HybridLab, since: int) -> list[str]:
    """Give whom a move changed since a call."""
    calls = hybrid.lab.calls.since(since)
    return [str(call["target"]) for call in calls if call["operation"] == MOVE and call["effects"]]


def test_a_batch_of_a_file_is_examined_planned_run_and_taken_back(hybrid: HybridLab, run: Run, folder: Path) -> None:
    """Rows by UPN, id and SIP; who is nobody is told; everybody is moved once and then taken back (M41, M50)."""
    users = hybrid.homed(3)
    rows = [users[0].upn, users[1].id, f"sip:{users[2].upn}", "nobody@contoso.example", users[0].id]
    (folder / "people.csv").write_text("\n".join(["UPN,Remark", *(f"{row},x" for row in rows)]), encoding="utf-8")
    made = run("batch", "create", "b", "--from", "file", "--users", "people.csv", *KEEP, "--json")
    assert made.json["counts"] == {"ready": 3, "not_found": 1, "duplicate": 1}
    examined = run("batch", "preflight", "b", "--file", "all.xlsx", "--json")
    assert examined.json["counts"] == {"may_move": 3, "blocked": 0, "not_in_tenant": 2}
    assert (folder / "all.xlsx").exists()
    planned = run("batch", "plan", "b")
    plan_id = run("batch", "show", "b", "--json").json["plan_id"]
    assert f"next: ./callwright plan show {plan_id}, then ./callwright batch run 'b'" in planned.out
    assert run("plan", "show", plan_id).code == 0
    assert hybrid.lab.tenant.skype[str(users[0].text("onPremisesSamAccountName")).casefold()].pool
    before = len(hybrid.lab.calls.since())
    done = finish(run)
    assert len(set(moves(hybrid, before))) == len(moves(hybrid, before)) == 3
    assert done["counts"] == {"migrated": 3, "not_found": 1, "duplicate": 1}
    assert (done["unreachable"]["users"], done["unreachable"]["still"]) == (3, 0)
    lists = run("batch", "checklist", "b", "--json").json
    assert [(row["licence"], row["moved"], row["end"]) for row in lists[:3]] == [("ok", "done", "migrated")] * 3
    assert "line cleared" in run("batch", "checklist", "b", "--user", users[0].upn).out
    assert run("batch", "checklist", "b", "--file", "lists.csv").code == 0
    assert len((folder / "lists.csv").read_text(encoding="utf-8").splitlines()) == 6
    assert run("batch", "list", "--json").json[0]["state"] == "finished"
    assert run("batch", "run", "b").code == 0
    assert "contacts and meetings do not come back" in run("batch", "undo", "b", "--wave", "1", "--yes").out
    for _ in range(40):
        run("continue")
        shown = run("batch", "show", "b", "--json").json
        if shown["counts"].get("undone") == 3:
            break
        time.sleep(0.06)
    assert shown["counts"]["undone"] == 3
    assert run("audit", "verify").code == 0


def test_a_row_may_name_a_user_by_a_sip_address_of_its_own(hybrid: HybridLab, run: Run) -> None:
    """Graph finds the user whose SIP address is neither UPN nor mail address; the address of nobody is told."""
    tenant = hybrid.lab.tenant
    of_servers = {user_id for name, user_id in tenant.by_sam.items() if name in tenant.skype}
    user = next(each for each in tenant.users.values() if each.id not in of_servers and each.licences)
    tenant.put_voice(replace(tenant.voice(user.id), sip_address="sip:voice.of@sip.example"))
    names = ("--users", "sip:Voice.Of@sip.example", "--users", "nobody@sip.example")
    made = run("batch", "create", "b", "--from", "users", *names, *KEEP, "--json")
    assert made.json["counts"] == {"ready": 1, "not_found": 1}
    assert user.upn in run("batch", "show", "b", "--state", "ready").out


def test_a_batch_of_a_nested_group(hybrid: HybridLab, run: Run) -> None:
    """The members of a group are its users, each once."""
    group = next(group for group in hybrid.lab.tenant.groups.values() if len(group.members) > 2)
    made = run("batch", "create", "b", "--from", "group", "--users", group.id, "--json")
    assert made.json["counts"]["ready"] >= 1
    assert run("batch", "discard", "b", "--yes").code == 0
    assert run("batch", "list", "--json").json == []


def test_who_fails_is_tried_again_and_nobody_else(hybrid: HybridLab, run: Run) -> None:
    """One move is refused by the server: the batch says who and why; retry moves that one."""
    users = hybrid.homed(4)
    make(run, users, "--set", "error_budget_percent=50")
    broken: dict[str, Any] = {"name": "error", "match": {"operation": MOVE, "target": "*"}, "times": 1, "after": 1}
    hybrid.lab.faults.add({**broken, "code": "BadRequest", "message": "this user is broken", "status": 400})
    first = finish(run)
    assert first["counts"] == {"migrated": 3, "failed": 1}
    assert run("batch", "show", "b", "--state", "failed", "--json").json["users"][0]["reason"]
    hybrid.lab.faults.clear()
    run("batch", "retry", "b")
    assert finish(run)["counts"] == {"migrated": 4}


def test_a_storm_of_throttling_is_waited_for(hybrid: HybridLab, run: Run) -> None:
    """While Graph says to wait, no call is sent; afterwards everybody is moved."""
    users = hybrid.homed(3)
    make(run, users)
    match: dict[str, Any] = {"operation": "u*", "target": "*"}
    hybrid.lab.faults.add({"name": "throttle", "match": match, "rate_per_s": 5, "burst": 4, **PAUSE})
    assert finish(run)["counts"] == {"migrated": 3}
    (seen,) = hybrid.lab.faults.listed()
    assert seen["played"]
    assert seen["early"] == 0


def test_a_batch_is_approved_whole(hybrid: HybridLab, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three waves go after one approval by command, and the batch says who gave it and whether it holds."""
    shutil.copytree(os.environ["CALLWRIGHT_SITE"], folder / "site")
    (folder / "site" / "approvals.toml").write_text('kinds = ["move_to_teams"]\nallow_unverified = true\n')
    monkeypatch.setenv("CALLWRIGHT_SITE", str(folder / "site"))
    make(run, hybrid.homed(3), "--set", "wave_size=1")
    assert "needs an approval" in run("batch", "plan", "b", "--json").json["needs_approval"]
    waiting = run("batch", "run", "b")
    assert (waiting.code, "./callwright batch approve 'b' for all of its waves" in waiting.out) == (0, True), (
        waiting.out
    )
    assert run("batch", "approve", "b", "--reason", "x").code == 1  # nobody says yes
    told = run("batch", "approve", "b", "--reason", "change 4711", "--name", "ada", "--yes")
    assert "batch b is approved by ada for 72 hours" in told.out
    assert finish(run)["counts"] == {"migrated": 3}
    (given,) = run("batch", "show", "b", "--json").json["approvals"]
    assert (given["by"], given["users"], given["it"]) == ("ada (unverified)", 3, "holds")
    assert "change 4711" in run("batch", "show", "b").out


def test_what_cannot_be_meant_is_refused(hybrid: HybridLab, run: Run) -> None:
    """Options that nobody knows, a batch that is not there, a file without a user: one line each, with a remedy."""
    for words in (
        ("batch", "create", "b", "--users", "x", "--set", "colour=red"),
        ("batch", "create", "b", "--users", "x", "--set", "numbers=NumberRange"),
        ("batch", "create", "b", "--users", "nobody at all"),
        ("batch", "run", "missing"),
        ("batch", "create", "b", "--from", "group", "--users", "no such group"),
        ("batch", "create", "b", "--from", "users", "--users", "nobody@contoso.example"),
        ("batch", "create", "b", "--from", "file", "--users", "missing.csv"),
    ):
        ran = run(*words)
        assert (ran.code, len(ran.err.splitlines())) == (2, 1), ran.err
        assert " ; " in ran.err


def test_a_batch_is_rehearsed_in_a_lab_of_a_snapshot(hybrid: HybridLab, run: Run, folder: Path) -> None:
    """The rehearsal says who would be done, who would not and why, and for how long; the tenant sees no write."""
    users = hybrid.homed(3)
    hybrid.lab.tenant.change_licences(users[2].id, add={}, remove=[E5])
    make(run, users)
    assert run("snapshot", str(folder / "tenant.jsonl")).code == 0
    run("batch", "plan", "b")
    before = len(hybrid.lab.calls.since())
    assert run("batch", "preflight", "b", "--json").json["counts"] == {"may_move": 2, "blocked": 1, "not_in_tenant": 0}
    ran = run("batch", "rehearse", "b", "--snapshot", str(folder / "tenant.jsonl"), "--json")
    assert ran.json["counts"] == {"migrated": 2, "refused": 1}, ran.json
    (missed,) = ran.json["not_done"]
    assert (missed["user"], "no licence with Teams" in missed["reason"]) == (users[2].upn, True)
    assert ran.code == 1
    assert (ran.json["calls"]["move_to_teams"], ran.json["eta_s"] > 0) == (2, True)
    assert ran.json["times"].startswith("assumed")
    report = Path(ran.json["file"]).read_text(encoding="utf-8").splitlines()
    assert (len(report), report[0].split(",")[-1], "no licence with Teams" in report[3]) == (
        4,
        "seconds of calls",
        True,
    )
    assert not [call for call in hybrid.lab.calls.since(before) if call["write"]]
    assert run("batch", "show", "b", "--json").json["counts"] == {"planned": 2, "refused": 1}


def test_a_rehearsal_has_the_sessions_and_the_server_of_the_site(
    hybrid: HybridLab, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot's server is too old for moves, as the real one is; the report is in the file that was named."""
    monkeypatch.setenv("CALLWRIGHT_OCS_POWERSHELL__SESSIONS", "5")
    monkeypatch.setenv("CALLWRIGHT_OCS_POWERSHELL__OLDEST_BUILDS", '["7.0.2046.385"]')
    monkeypatch.setattr(hybrid.lab.tenant.settings, "skype_build", "7.0.2046.123")
    make(run, hybrid.homed(2), "--set", "concurrency=8")
    assert run("snapshot", "tenant.jsonl").code == 0
    ran = run("batch", "rehearse", "b", "--snapshot", "tenant.jsonl", "--file", "rehearsal.xlsx", "--json")
    assert (ran.json["counts"], ran.json["sessions"]) == ({"refused": 2}, 5), ran.json
    assert {each["check"] for each in ran.json["reasons"] if each["blocks"]} == {"server_build"}
    assert "has build 7.0.2046.123, and moves need 7.0.2046.385" in ran.json["not_done"][0]["reason"]
    assert (folder / "rehearsal.xlsx").exists()
