"""Rehearse a batch on the command line: the same users, options and numbers, against a lab loaded from a snapshot.

Our own database and the tenant are only read; everything else happens in a folder that is gone afterwards.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import acts, batch_acts, opened, output
from cli.children import ROOT
from cli.exits import DependencyMissing, FinishedWithFailures
from config.errors import InputRefused

PREFIX = "CALLWRIGHT_"
OPEN_STATES = ("running", "waiting", "ready")
SHOWN = 50


def rehearse(
    batch: batch_acts.Name,
    snapshot: Annotated[Path, typer.Option(help="A snapshot of the tenant, as 'snapshot' writes it.")],
    visits: Annotated[int, typer.Option(min=1, max=10_000, help="Visits before what still waits is reported.")] = 200,
    as_json: batch_acts.Json = False,
) -> None:
    """Move the batch in a stand-in of the tenant, and say what would fail and how long it would take."""
    if not snapshot.is_file():
        raise InputRefused(f"{snapshot} is no file", where="--snapshot", remedy="write one with ./callwright snapshot")
    with tempfile.TemporaryDirectory(prefix="callwright-rehearsal-") as folder, acts.quietly():
        found = _rehearsed(batch, snapshot.resolve(), Path(folder), visits)
    if as_json:
        output.as_json(found)
    else:
        _tell(found)
    if found["not_done"] or found["missing"]:
        raise FinishedWithFailures(f"{len(found['not_done'])} users would not be done ; see the reasons above")


def _tell(found: Mapping[str, Any]) -> None:
    facts = {name: value for name, value in found.items() if name not in ("not_done", "reasons")}
    output.pairs(facts, title="rehearsal")
    columns = ("check", "users", "blocks", "for example", "remedy")
    output.show(found["reasons"], columns, json_wanted=False, title="reasons", empty="nothing stands in the way")
    shown = found["not_done"][:SHOWN]
    output.show(
        shown, ("user", "wave", "state", "reason"), json_wanted=False, title="not done", empty="all would be done"
    )


def _rehearsed(batch: str, snapshot: Path, folder: Path, visits: int) -> dict[str, Any]:
    from config.settings import read_settings
    from connectors import schema
    from connectors.database import Database
    from engine import rehearsal
    from engine.opening import open_systems

    site = _site_without_approvals(read_settings().site, folder)
    with opened.database() as ours, _lab(snapshot, folder) as endpoints, _pointed_at(endpoints, site, folder):
        settings = read_settings()
        theirs = Database(settings.database_address())
        try:
            schema.upgrade(theirs)
            rehearsal.copy_numbers(ours, theirs, batch)
            with open_systems(settings, theirs) as systems:
                _, missing = rehearsal.copy_batch(ours, theirs, systems.graph, batch)
            return {**_moved(batch, visits, theirs), "missing": missing}
        finally:
            theirs.close()


def _moved(batch: str, visits: int, theirs: Any) -> dict[str, Any]:
    """Examine and move the batch until nothing is open, resuming where the error budget would have paused it."""
    from datasets.batch_steps import spoken
    from engine import batches
    from tasks.batches import TROUBLED

    examined = batch_acts.start_here(batch_acts.PREFLIGHT, {"batch": batch})
    began, pauses = time.monotonic(), list[str]()
    found = batch_acts.start_here(batch_acts.RUN, {"batch": batch})
    for _ in range(visits):
        if found["state"] == "paused":
            pauses.append(found["why"])
            found = batch_acts.start_here(batch_acts.CONTROL, {"batch": batch, "act": "resume"})
        elif found["state"] in OPEN_STATES:
            time.sleep(0.1)
            found = batch_acts.start_here(batch_acts.RUN, {"batch": batch})
        else:
            break
    with theirs.read() as connection:
        open_users = batches.standings(connection, found["batch_id"], states=TROUBLED)
    return {
        "batch": batch,
        "counts": found["counts"],
        "would_pause": pauses,
        "would_take": f"about {spoken(examined['eta_s'])} with {examined['sessions']} sessions, and replication on top",
        "eta_s": examined["eta_s"],
        "calls": examined["calls"],
        "rehearsed_in_s": round(time.monotonic() - began, 1),
        "reasons": examined["reasons"],
        "not_done": [each._asdict() for each in open_users],
        "unchecked": examined["unchecked"],
    }


def _site_without_approvals(site: Path, folder: Path) -> Path:
    """Copy the site policy without the rules of approvals: nobody has to approve a rehearsal."""
    return Path(shutil.copytree(site, folder / "site", ignore=shutil.ignore_patterns("approvals.toml")))


@contextmanager
def _lab(snapshot: Path, folder: Path) -> Iterator[Mapping[str, object]]:
    """Start a lab of the snapshot; it ends with us. Raises DependencyMissing."""
    command = [sys.executable, "-m", "lab", "--snapshot", str(snapshot), "--folder", str(folder / "lab")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert started.stdout is not None
        line = started.stdout.readline()
        if not line:
            _, said = started.communicate(timeout=30)
            raise DependencyMissing(f"the lab did not start: {said.strip().splitlines()[-1] if said.strip() else '?'}")
        yield json.loads(line)
    finally:
        started.terminate()
        started.communicate(timeout=30)


@contextmanager
def _pointed_at(endpoints: Mapping[str, object], site: Path, folder: Path) -> Iterator[None]:
    """Have the settings of this process point at the lab while the block runs."""
    from config.lab_site import sections_of

    values: dict[str, object] = {
        f"{section}__{name}": value
        for section, found in sections_of(endpoints).items()
        for name, value in found.items()
    }
    values |= {"DATABASE_URL": f"sqlite:///{folder / 'rehearsal.db'}", "SITE": site, "DROP_FOLDER": folder / "drop"}
    values |= {"SETTINGS": _settings_file(folder), "WAIT__POLL_S": 0.1, "WAIT__LAG_WINDOW_S": 0.5}
    before = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}
    named = {f"{PREFIX}{name.upper()}": str(value) for name, value in values.items()}
    os.environ.update(named)
    try:
        yield
    finally:
        for name in named:
            del os.environ[name]
        os.environ.update(before)


def _settings_file(folder: Path) -> Path:
    """Make an empty settings file, so that the one of this folder is not read."""
    file = folder / "rehearsal.toml"
    file.write_text("", encoding="utf-8")
    return file
