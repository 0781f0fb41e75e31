"""A contest: stored plans about people of a real lab, for processes that apply them at the same time.

Everything is real but the plans, which are written here so that two of them want to serve the same people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from config.settings import Settings, read_settings
from connectors.database import Database
from datasets.inventory import Pool, Span
from datasets.tables.journal import journal
from datasets.tables.plans import plan_lines
from deployments.demo_report import read_calls, tenant_view
from engine import inventory, plan_store
from engine.apply import Chunk, apply_chunk
from engine.change import Change, Effect
from engine.conditions import PHONE_SYSTEM
from engine.opening import open_systems
from engine.plan import Line, Plan
from engine.requests import Actor, open_request
from engine.runtime import Runtime, utc_now
from lab.server import Lab
from tasks.work import Work
from tests.fakes.lab_control import LabControl
from tests.fakes.lab_environment import environment_of
from tests.fakes.tenant import SKU

ROUTING = "OnlineVoiceRoutingPolicy"
POOL = Pool(name="contested", spans=(Span.read("+43720100000", "+43720100099"),))
ACTOR = Actor(kind="os_user", name="tests")
DAY = timedelta(days=1)


@dataclass
class Contest:
    """A lab, a database with plans, and the settings that bring processes to both."""

    lab: Lab
    control: LabControl
    database: Database
    environment: dict[str, str]
    settings: Settings
    users: Sequence[str]

    def store_plan(self, plan_id: str) -> None:
        """Store a plan that gives each of the people a number of its own choice, and a policy."""
        now = utc_now()
        with self.database.write() as connection:
            request = open_request(connection, "onboarding", ACTOR, parameters={}, flow_run_id=None, now=now)
            inventory.define_pool(connection, POOL)
            numbers = inventory.claim(
                connection, POOL.name, len(self.users), plan_id=plan_id, owner_ids=self.users, until=now + DAY, now=now
            )
            lines = tuple(_line(user, each.e164) for user, each in zip(self.users, numbers, strict=True))
            plan_store.save(connection, Plan(id=plan_id, request_id=request, lines=lines), now)

    def writes(self) -> Counter[tuple[str, str]]:
        """Count the lab's writes by operation and user, from the effects they really had."""
        found: Counter[tuple[str, str]] = Counter()
        for call in self.control.calls():
            objects = {each["object"] for each in call["effects"] if each["object"].startswith("user:")}
            found.update((call["operation"], each) for each in objects)
        return found

    def duplicates(self) -> frozenset[str]:
        """Give the numbers that the lab saw with two owners."""
        return tenant_view(read_calls(Path(str(self.lab.endpoints["call_log"])))).duplicates

    def states(self) -> Counter[tuple[str, str]]:
        """Count lines by plan and state."""
        with self.database.read() as connection:
            rows = connection.execute(select(plan_lines.c.plan_id, plan_lines.c.state)).all()
        return Counter((row.plan_id, row.state) for row in rows)

    def numbers(self) -> dict[str, str | None]:
        """Give the number that each of the people has in the lab."""
        with open_systems(self.settings) as systems:
            return {each.id: each.number for each in systems.teams.voice_users() if each.id in self.users}

    def intents(self) -> Counter[tuple[str, int, int]]:
        """Count the intents of each change in the journal."""
        c = journal.c
        with self.database.read() as connection:
            rows = connection.execute(select(c.plan_id, c.line, c.change).where(c.phase == "intent")).all()
        return Counter((row.plan_id, row.line, row.change) for row in rows)

    def finish(self, *plan_ids: str, after: timedelta = timedelta()) -> None:
        """Continue the plans in this process, some time later, until nothing is due any more."""
        for visit in range(1, 6):
            with Work(self.settings, self.database).runtime() as opened:
                runtime = replace(opened, now=_later(after * visit), limits=replace(opened.limits, poll_s=0.0))
                for plan_id in plan_ids:
                    _apply_all(runtime, plan_id)


def _later(by: timedelta):  # type: ignore[no-untyped-def] # a clock
    def now() -> datetime:
        return utc_now() + by

    return now


def _apply_all(runtime: Runtime, plan_id: str) -> None:
    apply_chunk(runtime, Chunk(plan_id, 1, 10_000))


def _line(user: str, number: str) -> Line:
    obj = f"user:{user}"
    give = {"user_id": user, "number": number, "number_type": "directRouting", "location_id": None}
    effects = (
        Effect(object=f"number:{number}", attribute="owner", after=user),
        Effect(object=obj, attribute="number", after=number),
        Effect(object=obj, attribute="enterprise_voice", before=False, after=True),
    )
    licence = Effect(object=obj, attribute=f"licence:{SKU}", before=False, after=True)
    grant = {"user_id": user, "policies": {ROUTING: "International"}}
    granted = Effect(object=obj, attribute=f"policy:{ROUTING}", after="International")
    return Line(
        object=obj,
        label=user,
        source={},
        changes=(
            Change(kind="assign_licence", target=obj, parameters={"user_id": user, "sku_id": SKU}, effects=(licence,)),
            Change(kind="assign_number", target=obj, parameters=give, effects=effects, waits_for=PHONE_SYSTEM),
            Change(kind="set_policies", target=obj, parameters=grant, effects=(granted,)),
        ),
    )


@contextmanager
def contest(folder: Path, database: Database, people: int) -> Iterator[Contest]:
    """Run a lab in which this many people have just got an account, and nothing else."""
    with (
        Lab(folder=folder / "lab", users=4, seed=5) as lab,
        closing(LabControl(str(lab.endpoints["control_url"]))) as control,
    ):
        environment = environment_of(lab.endpoints, folder)
        environment["CALLWRIGHT_DATABASE_URL"] = database.url.render_as_string(hide_password=False)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            settings = read_settings()
        users = [control.new_user(**_account(n))["id"] for n in range(people)]
        yield Contest(lab, control, database, environment, settings, users)


def _account(n: int) -> dict[str, str]:
    return {
        "userPrincipalName": f"hire{n}@contoso.example",
        "displayName": f"Hire {n}",
        "employeeId": f"7000{n}",
        "usageLocation": "AT",
    }
