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
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import acts, batch_acts, opened, output
from cli.children import ROOT
from cli.exits import DependencyMissing, FinishedWithFailures
from config.errors import InputRefused

if TYPE_CHECKING:
    from config.settings import Settings
    from connectors.database import Database

PREFIX = "CALLWRIGHT_"
OPEN_STATES = ("running", "waiting", "ready")
SHOWN = 50
LEAST = 3  # sessions that the lab takes anyway
# What a site decides of its endpoints, whatever answers there; and of waiting, as far as it decides about numbers.
KEPT: Mapping[str, Sequence[str]] = {
    "ocs_powershell": ("sessions", "oldest_builds", "oldest_module", "bypass_voice_check", "move_deadline_s"),
    "powershell": ("sessions",),
    "chunk": ("smallest", "largest"),
    "wait": ("claim_hours", "grace_days"),
}


def rehearse(
    batch: batch_acts.Name,
    snapshot: Annotated[Path, typer.Option(help="A snapshot of the tenant, as 'snapshot' writes it.")],
    file: Annotated[Path | None, typer.Option(help="CSV or XLSX file for everybody; default: one in reports.")] = None,
    visits: Annotated[int, typer.Option(min=1, max=10_000, help="Visits before what still waits is reported.")] = 200,
    as_json: batch_acts.Json = False,
) -> None:
    """Move the batch in a stand-in of the tenant, and say what would fail and how long it would take."""
    if not snapshot.is_file():
        raise InputRefused(f"{snapshot} is no file", where="--snapshot", remedy="write one with ./callwright snapshot")
    with tempfile.TemporaryDirectory(prefix="callwright-rehearsal-") as folder, acts.quietly():
        found = _rehearsed(batch, snapshot.resolve(), Path(folder), visits, file)
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


def _rehearsed(batch: str, snapshot: Path, folder: Path, visits: int, file: Path | None) -> dict[str, Any]:
    from config.settings import read_settings
    from connectors import schema
    from connectors.database import Database
    from engine import batches, rehearsal
    from engine.opening import open_systems
    from engine.runtime import utc_now
    from engine.service_times import service_times

    ours_set = read_settings()
    site = _site_without_approvals(ours_set.site, folder)
    with opened.database() as ours, _lab(snapshot, folder, ours_set) as endpoints:
        with ours.read() as connection:
            found, measured = batches.find(connection, batch), service_times(connection, utc_now())
        path = file or ours_set.drop_folder.parent / "reports" / f"rehearsal-{found.id}.csv"
        with _pointed_at(endpoints, site, folder, ours_set):
            settings = read_settings()
            theirs = Database(settings.database_address())
            try:
                schema.upgrade(theirs)
                rehearsal.copy_numbers(ours, theirs, batch)
                with open_systems(settings, theirs) as systems:
                    made, missing = rehearsal.copy_batch(ours, theirs, systems.graph, batch)
                sessions = min(_sessions(settings), made.options.concurrency)
                told = {**moved(batch, visits, theirs), **_takes(theirs, made.id, sessions, measured)}
                _write_report(path, theirs, made.id, measured)
                return {**told, "missing": missing, "file": str(path)}
            finally:
                theirs.close()


def moved(batch: str, visits: int, theirs: Database) -> dict[str, Any]:
    """Examine and move the batch until nothing is open, resuming where the error budget would have paused it."""
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
        "rehearsed_in_s": round(time.monotonic() - began, 1),
        "reasons": examined["reasons"],
        "not_done": [each._asdict() for each in open_users],
        "unchecked": examined["unchecked"],
    }


def _takes(theirs: Database, batch_id: str, sessions: int, measured: Mapping[str, float]) -> dict[str, Any]:
    """Say how long it would take: the calls that were planned, with the site's sessions and what it measured."""
    from datasets.batch_steps import spoken
    from engine.rehearsal import estimate_of

    found = estimate_of(theirs, batch_id, sessions, measured)
    known = [f"{kind} {seconds:.1f} s" for kind, seconds in sorted(measured.items()) if kind in found.calls]
    return {
        "would_take": f"about {spoken(found.eta_s)} with {sessions} sessions, and replication on top",
        "eta_s": round(found.eta_s, 1),
        "sessions": sessions,
        "calls": dict(found.calls),
        "times": f"measured here: {', '.join(known)}" if known else "assumed: nothing of it was measured here so far",
    }


def _write_report(path: Path, theirs: Database, batch_id: str, measured: Mapping[str, float]) -> None:
    """Write how everybody would end, with their checklists and the seconds of their calls."""
    from connectors import sheets
    from engine import batches, checklists
    from engine.rehearsal import seconds_of

    seconds = seconds_of(theirs, batch_id, measured)
    with theirs.read() as connection:
        objects = {label: f"user:{key}" for key, label in batches.users_of(connection, batch_id)}
        rows = checklists.of_batch(connection, batch_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    people = [
        [*(row[name] for name in checklists.COLUMNS), str(round(seconds.get(objects.get(row["user"], ""), 0.0), 1))]
        for row in rows
    ]
    sheets.write_sheet(path, [*checklists.COLUMNS, "seconds of calls"], people)


def _sessions(settings: Settings) -> int:
    from engine.migration_terms import WaveTerms

    return WaveTerms.of(settings).sessions


def _site_without_approvals(site: Path, folder: Path) -> Path:
    """Copy the site policy without the rules of approvals: nobody has to approve a rehearsal."""
    return Path(shutil.copytree(site, folder / "site", ignore=shutil.ignore_patterns("approvals.toml")))


@contextmanager
def _lab(snapshot: Path, folder: Path, ours: Settings) -> Iterator[Mapping[str, object]]:
    """Start a lab of the snapshot that takes the sessions of the site; it ends with us. Raises DependencyMissing."""
    sessions = max(LEAST, *(each.sessions for each in (ours.ocs_powershell, ours.powershell) if each is not None))
    command = [sys.executable, "-m", "lab", "--snapshot", str(snapshot), "--folder", str(folder / "lab")]
    command += ["--set", f"shells_per_user={sessions}", "--set", f"shells_per_tenant={3 * sessions}"]
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
def _pointed_at(endpoints: Mapping[str, object], site: Path, folder: Path, ours: Settings) -> Iterator[None]:
    """Have the settings of this process point at the lab while the block runs; what the site decides is kept."""
    from config.lab_site import sections_of

    sections = sections_of(endpoints)
    values: dict[str, object] = {
        f"{section}__{name}": value for section, found in sections.items() for name, value in found.items()
    }
    values |= _kept(ours, {*sections, "chunk"})
    values |= {"DATABASE_URL": f"sqlite:///{folder / 'rehearsal.db'}", "SITE": site, "DROP_FOLDER": folder / "drop"}
    values |= {"SETTINGS": _settings_file(folder), "WAIT__POLL_S": 0.1, "WAIT__LAG_WINDOW_S": 0.5}
    before = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}
    named = {f"{PREFIX}{name.upper()}": _text(value) for name, value in values.items()}
    os.environ.update(named)
    try:
        yield
    finally:
        for name in named:
            del os.environ[name]
        os.environ.update(before)


def _kept(ours: Settings, there: Collection[str]) -> dict[str, object]:
    """Give what of our settings holds for the lab, too, in the sections that it has."""
    return {
        f"{section}__{name}": getattr(mine, name)
        for section, names in KEPT.items()
        if section in there and (mine := getattr(ours, section)) is not None
        for name in names
    }


def _text(value: object) -> str:
    return json.dumps(value) if isinstance(value, tuple) else str(value)


def _settings_file(folder: Path) -> Path:
    """Make an empty settings file, so that the one of this folder is not read."""
    file = folder / "rehearsal.toml"
    file.write_text("", encoding="utf-8")
    return file
