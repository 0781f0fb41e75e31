"""Everything the demo stands on: the lab, our database, a Prefect server and the served deployments, in one folder.

All of it runs as child processes of this one and ends with it; the folder stays for reading until the next start.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from config.errors import InputRefused
from config.lab_site import sections_of
from connectors import schema
from connectors.database import Database
from deployments.catalog import Feeds, for_site
from deployments.children import Child, free_port, require_free
from deployments.environment import PROJECT, Place, child_environment, clean_environment
from deployments.server import NO_TLS, PrefectServer

MARK = "demo.pid"
USUAL_PORT = 4200
LAB_TIMEOUT_S = 60.0
SERVE_TIMEOUT_S = 120.0
SAMPLE = PROJECT / "config" / "sample"
MAPPING = Path("workday")  # the name of one in the sample
FEEDS: Feeds = "onboarding"  # what the demo shows; a site that names nothing gets the whole lifecycle


@dataclass(frozen=True)
class Wishes:
    """What the caller of the demo asked for; port 0 means the usual one or any free one."""

    folder: Path
    users: int = 200
    seed: int = 1
    prefect_port: int = 0
    control_port: int = 0


@dataclass(frozen=True)
class Stage:
    """The set-up while it runs."""

    folder: Path
    lab: Mapping[str, object]
    place: Place
    environment: Mapping[str, str]
    setup_s: float
    children: tuple[Child, ...]

    def ended(self) -> Child | None:
        """Give a child that ended by itself, if one did."""
        return next((child for child in self.children if child.pid is None), None)

    @property
    def drop_folder(self) -> Path:
        """Give the watched folder."""
        return self.folder / "drop"

    @property
    def call_log(self) -> Path:
        """Give the lab's log of every call."""
        return Path(str(self.lab["call_log"]))

    @property
    def control_url(self) -> str:
        """Give the lab's control address."""
        return str(self.lab["control_url"])

    def write_exports(self) -> Path:
        """Write a file that lets another terminal talk to this set-up when it is sourced."""
        names = [name for name in self.environment if name.startswith("CALLWRIGHT_")] + ["PREFECT_API_URL"]
        path = self.folder / "environment.sh"
        lines = [f"export {name}={shlex.quote(self.environment[name])}\n" for name in sorted(names)]
        path.write_text("".join(lines), encoding="utf-8")
        return path


@contextmanager
def staged(wishes: Wishes, nightly_feed: Path | None = None) -> Iterator[Stage]:
    """Set everything up and take it down again; children are stopped by process id. Raises InputRefused."""
    began = time.monotonic()
    with claimed(wishes.folder) as folder, ExitStack() as children:
        server = PrefectServer(folder / "prefect", _prefect_port(wishes.prefect_port))
        children.callback(server.stop)
        server.start()  # the slowest of all: the rest is done while it starts
        lab_child = children.enter_context(_lab_child(wishes, folder))
        lab = _ready_line(lab_child)
        environment = child_environment(server.place, **site_settings(folder, lab))
        _make_database(environment["CALLWRIGHT_DATABASE_URL"])
        server.wait()
        serving = children.enter_context(_serve_child(folder, environment, nightly_feed))
        wanted = len(for_site(MAPPING, nightly_feed, FEEDS))
        serving.wait_until(lambda: _registered(server.place) >= wanted, SERVE_TIMEOUT_S)
        setup_s = time.monotonic() - began
        yield Stage(folder, lab, server.place, environment, setup_s, (lab_child, server.child, serving))


def _make_database(url: str) -> None:
    database = Database(url)
    try:
        schema.upgrade(database)
    finally:
        database.close()


def site_settings(folder: Path, lab: Mapping[str, object]) -> dict[str, str]:
    """Give our settings for a lab, as environment names."""
    settings: dict[str, object] = {
        "DATABASE_URL": f"sqlite:///{folder / 'callwright.db'}",
        "SITE": SAMPLE,
        "DROP_FOLDER": folder / "drop",
    }
    for section, values in sections_of(lab).items():
        settings |= {f"{section}__{name}".upper(): value for name, value in values.items()}
    return {f"CALLWRIGHT_{name}": str(value) for name, value in settings.items()}


@contextmanager
def claimed(folder: Path) -> Iterator[Path]:
    """Empty the folder and keep it for us. Raises InputRefused when it is not ours or another demo uses it."""
    folder = folder.resolve()
    mark = folder / MARK
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise InputRefused(f"{folder} is not empty and no demo made it", where="--folder", remedy="name another folder")
    if mark.exists() and (pid := _running(mark)):
        remedy = f"stop process {pid}, or name another --folder"
        raise InputRefused(f"a demo already uses {folder}", where="--folder", remedy=remedy)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    mark.write_text(str(os.getpid()))
    try:
        yield folder
    finally:
        mark.write_text("")


def _running(mark: Path) -> int | None:
    """Give the process that left the mark while it lives."""
    text = mark.read_text().strip()
    if not text.isdigit():
        return None
    try:
        os.kill(int(text), 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return int(text)


def _prefect_port(wished: int) -> int:
    if wished:
        return require_free(wished, "--prefect-port")
    try:
        return require_free(USUAL_PORT, "--prefect-port")
    except InputRefused:
        return free_port()


def _lab_child(wishes: Wishes, folder: Path) -> Child:
    if wishes.control_port:
        require_free(wishes.control_port, "--control-port")
    command = [sys.executable, "-P", "-m", "lab", "--users", str(wishes.users), "--seed", str(wishes.seed)]
    command += ["--control-port", str(wishes.control_port), "--folder", str(folder / "lab")]
    return Child("lab", command, log=folder / "lab.log", folder=folder, env=clean_environment())


def _ready_line(lab: Child) -> Mapping[str, object]:
    """Wait for the line in which the lab says where everything is."""
    found: list[dict[str, object]] = []

    def is_ready() -> bool:
        found.extend(json.loads(line) for line in _whole_lines(lab.log) if line.startswith('{"'))
        return bool(found)

    lab.wait_until(is_ready, LAB_TIMEOUT_S)
    return found[0]


def _whole_lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def _serve_child(folder: Path, environment: Mapping[str, str], feed: Path | None) -> Child:
    command = [sys.executable, "-P", "-m", "deployments.serve", "--mapping", str(MAPPING), "--poll-s", "1"]
    command += ["--feeds", FEEDS]
    command += ["--nightly-feed", str(feed)] if feed else []
    work = folder / "work"
    return Child("deployments", command, log=folder / "deployments.log", folder=work, env=environment)


def _registered(place: Place) -> int:
    try:
        return int(httpx.post(f"{place.api_url}/deployments/count", json={}, timeout=10, verify=NO_TLS).text)
    except (httpx.HTTPError, ValueError):
        return 0
