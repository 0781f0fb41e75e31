"""Evidence packs prove themselves elsewhere: with Python alone, without our code and without our database."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from config.errors import InputRefused
from config.site_approvals import ApprovalRules
from connectors.database import Database
from datasets.checks import QualityReport, RuleFailure, rules_for
from datasets.feeds import BadRow
from datasets.tables.metadata import metadata
from engine import approvals, feeds, plan_store, requests
from engine.apply import Chunk, apply_chunk, start
from engine.audit_heads import export_heads
from engine.evidence import pack
from engine.journal import write_manifest
from engine.runtime import Runtime
from tests.fakes.plans import define_pool, fresh, runtime_on, store_plan


@pytest.fixture
def runtime(database: Database) -> Runtime:
    """Give a runtime on which an approved plan was applied and sealed, on each database."""
    tenant = fresh(licence_delay_s=0)
    made = runtime_on(database, tenant)
    define_pool(made)
    store_plan(made, tenant, ["id-1", "id-2"])
    with database.read() as connection:
        seen = plan_store.header(connection, "p-1").hash
    ada = approvals.Person("oid", "ada@example.com", verified=True)
    rules = ApprovalRules(kinds=("assign_number",))
    approvals.approve(database, "p-1", seen, ada, reason="checked", rules=rules, now=made.now())
    start(made, "p-1", rules)
    apply_chunk(made, Chunk("p-1", 1, 2))
    with database.write() as connection:
        write_manifest(connection, "r-1", ["p-1"], made.now())
        requests.close_request(connection, "r-1", "finished", {"counts": {"onboarded": 2}}, made.now())
    return made


def unpacked(runtime: Runtime, folder: Path) -> Path:
    """Write a pack and unpack it elsewhere, with the heads of the day beside it."""
    with runtime.database.read() as connection:
        told = pack(connection, "r-1", folder / "evidence.zip", runtime.now())
        export_heads(connection, folder / "heads.jsonl", runtime.now())
    assert told["entries"] == 21
    with zipfile.ZipFile(folder / "evidence.zip") as archive:
        archive.extractall(folder / "elsewhere")
    return folder / "elsewhere"


def checked(folder: Path, *more: str) -> tuple[int, str]:
    """Run the pack's own script with Python alone."""
    command = [sys.executable, "-I", "-S", str(folder / "verify.py"), *more]
    ran = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=60, check=False, env={})
    return ran.returncode, ran.stdout + ran.stderr


def test_a_pack_proves_itself_elsewhere(runtime: Runtime, tmp_path: Path) -> None:
    """With our database gone the script finds no fault; the files say who, what, why, before and after."""
    folder = unpacked(runtime, tmp_path)
    metadata.drop_all(runtime.database.engine)
    (tmp_path / "evidence.zip").unlink()
    code, told = checked(folder)
    assert (code, told.startswith("0 faults")) == (0, True), told
    assert checked(folder, "--heads", str(tmp_path / "heads.jsonl"))[0] == 0
    assert json.loads((folder / "approvals.json").read_text())[0]["reason"] == "checked"
    assert "+431234500" in (folder / "before_after.csv").read_text()


def test_a_pack_holds_what_the_quality_suite_said(runtime: Runtime, tmp_path: Path) -> None:
    """The rules that were asked, what they said and on which lines, and the rows that were not understood."""
    failure = RuleFailure(rule="employee ids are unique", column="employee_id", count=2, lines=(2, 3))
    with runtime.database.write() as connection:
        head = feeds.FeedHead(
            feed_id="f-1", name="hr", digest="d", kind="snapshot", request_id="r-1", now=runtime.now()
        )
        feeds.record_feed(connection, people=[], bad=[BadRow(4, "Hire_Date", "is no date")], **head)
        report = QualityReport(passed=False, failures=(failure,))
        feeds.keep_quality(connection, "f-1", report, rules_for("snapshot"))
    (feed,) = json.loads((unpacked(runtime, tmp_path) / "quality.json").read_text())
    said = feed["quality"]
    assert (said["passed"], said["failures"][0]["lines"]) == (False, [2, 3])
    assert "event ids are unique" not in [rule["name"] for rule in said["rules"]]
    assert [(row["line"], row["reason"]) for row in feed["quarantined"]] == [(4, "is no date")]


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("entries.jsonl", '"result":"verified"', '"result":"failed"', "was altered"),
        ("entries.jsonl", "+431234500", "+431234599", "payload or effects were altered"),
        ("plans.json", '"Vienna"', '"Graz"', "is not as it was stored"),
        ("approvals.json", '"plan_hash": "', '"plan_hash": "0', "is of another plan"),
        ("manifests.json", '"note": ""', '"note": "x"', "was altered"),
        ("before_after.csv", "AT", "DE", "is not as the manifest says"),
    ],
    ids=["result", "number", "plan", "approval", "link", "table"],
)
def test_an_altered_pack_is_found_out(
    runtime: Runtime, tmp_path: Path, name: str, old: str, new: str, told: str
) -> None:
    """Whatever is altered in an unpacked folder is named, even if its manifest is corrected as well."""
    folder = unpacked(runtime, tmp_path)
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    code, said = checked(folder)
    assert code == 1
    assert told in said
    assert f"{name} is not as the manifest says" in said


def test_a_forged_chain_does_not_fit_exported_heads(runtime: Runtime, tmp_path: Path) -> None:
    """A chain made anew from the beginning is sound by itself; heads noted elsewhere tell."""
    folder = unpacked(runtime, tmp_path)
    heads = tmp_path / "heads.jsonl"
    line = json.loads(heads.read_text())
    heads.write_text(json.dumps(line | {"digest": "f" * 64}))
    code, told = checked(folder, "--heads", str(heads))
    assert (code, "is not as it was exported" in told) == (1, True)


def test_an_unknown_run_is_refused(runtime: Runtime, tmp_path: Path) -> None:
    """There is no evidence of what never was; a folder that is not there is named."""
    with runtime.database.read() as connection:
        for run, file in (("r-9", tmp_path / "x.zip"), ("r-1", tmp_path / "nowhere" / "x.zip")):
            with pytest.raises(InputRefused):
                pack(connection, run, file, runtime.now())
