"""A lab, a database and a plan for a few people that is taken back and forth for ever, for workers that are killed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import insert

from config.settings import read_settings
from connectors import schema
from connectors.database import Database
from datasets.inventory import Pool, Span
from datasets.numbering import PhoneNumber
from datasets.tables.requests import requests
from engine import inventory, plan_store
from engine.change import Change, Effect
from engine.opening import open_systems
from engine.plan import Line, Plan
from engine.proof import verify
from engine.rollback import Choice, Terms, plan_rollback
from engine.runtime import Runtime
from lab.records import User
from lab.server import Lab
from tests.fakes.checkout import ROOT
from tests.fakes.independent_checker import check
from tests.fakes.kill_server import LIMITS
from tests.fakes.lab_environment import environment_of
from tests.fakes.lab_people import ready

SEED = 20260308


class Site:
    """A lab and a database with a first plan; its clock may be ahead of the real one."""

    def __init__(self, lab: Lab, folder: Path, database_url: str) -> None:
        self.lab, self.url, self.ahead_s, self.kills = lab, database_url, 0.0, 0
        self.rng = random.Random(SEED)
        self.environment = environment_of(lab.endpoints, folder) | {"CALLWRIGHT_DATABASE_URL": database_url}
        self.database = Database(database_url)
        schema.upgrade(self.database)
        self.last = self._first_plan(ready(lab.tenant, 6))

    def _first_plan(self, people: list[User]) -> str:
        now = self.now()
        with self.database.write() as connection:
            row = {"id": "r-1", "kind": "x", "actor_kind": "os_user", "actor_name": "x", "actor_verified": False}
            connection.execute(insert(requests).values(row | {"parameters": {}, "state": "open", "created_at": now}))
            inventory.define_pool(connection, Pool(name="v", spans=(Span.read("+431934601200", "+431934601299"),)))
            numbers = inventory.claim(
                connection, "v", len(people), plan_id="p-0", owner_ids=[f"user:{u.id}" for u in people],
                until=now + timedelta(days=999), now=now,
            )  # fmt: skip
            lines = tuple(self._line(user, number) for user, number in zip(people, numbers, strict=True))
            plan_store.save(connection, Plan(id="p-0", request_id="r-1", lines=lines), now)
        return "p-0"

    def _line(self, user: User, number: PhoneNumber) -> Line:
        obj, old = f"user:{user.id}", user.text("usageLocation")
        new = "CH" if old != "CH" else "AT"
        effects = [Effect(object=f"number:{number.e164}", attribute="owner", after=user.id)]
        effects.append(Effect(object=obj, attribute="number", after=number.e164))
        if not self.lab.tenant.voice(user.id).enterprise_voice:
            effects.append(Effect(object=obj, attribute="enterprise_voice", before=False, after=True))
        located = (Effect(object=obj, attribute="usage_location", before=old, after=new),)
        given = {"user_id": user.id, "number": number.e164, "number_type": "directRouting", "location_id": None}
        changes = (
            Change(
                kind="set_usage_location", target=obj, parameters={"user_id": user.id, "country": new}, effects=located
            ),
            Change(kind="assign_number", target=obj, parameters=given, effects=tuple(effects)),
        )
        return Line(object=obj, label=user.upn, changes=changes)

    def now(self) -> datetime:
        """Give the moment as the next worker sees it."""
        return datetime.now(UTC) + timedelta(seconds=self.ahead_s)

    def is_settled(self) -> bool:
        """Tell whether the latest plan has come to its end."""
        with self.database.read() as connection:
            return bool(plan_store.header(connection, self.last).state == "settled")

    def next_plan(self) -> None:
        """Plan to take the latest plan back: that is a plan like any other, and can be repeated for ever."""
        with open_systems(read_settings()) as systems:
            runtime = Runtime(self.database, systems.for_engine(), LIMITS, self.now, lambda _: None)
            self.last = plan_rollback(runtime, "r-1", Choice(self.last), Terms(claim=timedelta(days=999)))

    def contradictions(self) -> list[str]:
        """Compare the lab's log with our journal, and the journal with itself."""
        found = check(self.url, Path(str(self.lab.endpoints["call_log"])))
        with self.database.read() as connection:
            return [*found, *verify(connection).faults, *inventory.violations(connection)]


class Server:
    """The fork server's process; with `largest_file` no file of its workers may grow beyond so many bytes."""

    def __init__(self, environment: Mapping[str, str], *, largest_file: int | None = None) -> None:
        command = [sys.executable, "-m", "tests.fakes.kill_server"]
        whole = {**os.environ, **environment, "PYTHONPATH": str(ROOT)}
        if largest_file is not None:
            whole["LARGEST_FILE"] = str(largest_file)
        self._process = subprocess.Popen(
            command,
            env=whole,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._line() == "ready"

    def start(self, ahead_s: float) -> int:
        """Fork a worker and give its process id."""
        assert self._process.stdin
        self._process.stdin.write(f"{ahead_s}\n")
        self._process.stdin.flush()
        return int(self._line())

    def ended(self) -> int:
        """Wait for the worker and give its exit code; minus the signal when it was killed."""
        return int(self._line())

    def is_alive(self, pid: int) -> bool:
        """Tell whether the worker still runs; the server reaps it as soon as it ends."""
        return Path(f"/proc/{pid}").exists()

    def stop(self) -> None:
        """End the server."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()
