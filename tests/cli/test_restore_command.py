"""Restore, and the comparison of two plans, from the command line against a lab over the real protocols."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert

from connectors.database import Database
from datasets.tables.requests import requests
from engine import plan_store
from engine.change import Change, Effect
from engine.plan import Line, Plan
from lab import calling
from lab.records import User
from lab.server import Lab
from tests.fakes.command_line import Run
from tests.fakes.databases import upgraded_sqlite
from tests.fakes.lab_environment import environment_of
from tests.fakes.lab_people import ready

pytestmark = pytest.mark.slow
OFF = {"IsForwardingEnabled": False}
ON = {"IsForwardingEnabled": True, "ForwardingType": "Immediate", "ForwardingTargetType": "Voicemail"}


@pytest.fixture
def lab(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """Give a lab of its own and point the settings at it."""
    with Lab(folder=folder / "lab", users=24, seed=7) as running:
        short = {"CALLWRIGHT_WAIT__POLL_S": "0.1", "CALLWRIGHT_WAIT__LAG_WINDOW_S": "0.1"}
        for name, value in (environment_of(running.endpoints, folder) | short).items():
            monkeypatch.setenv(name, value)
        yield running


def store(folder: Path, user: User) -> None:
    """Store two plans for one user: forwarding with one country, and the same forwarding with another."""
    database = Database(upgraded_sqlite(folder / "callwright.db"))
    obj, now, old = f"user:{user.id}", datetime.now(UTC), user.text("usageLocation")
    with database.write() as connection:
        row = {"id": "r-1", "kind": "x", "actor_kind": "os_user", "actor_name": "x", "actor_verified": False}
        connection.execute(insert(requests).values(row | {"parameters": {}, "state": "open", "created_at": now}))
        for plan_id, country in (("p-1", "FR"), ("p-2", "IT")):
            located = Effect(object=obj, attribute="usage_location", before=old, after=country)
            forwarded = Effect.model_validate(
                {"object": obj, "attribute": "calling:forwarding", "before": OFF, "after": ON}
            )
            given = {"user_id": user.id, "country": country}
            calls = {"user_id": user.id, "group": "forwarding", "settings": ON}
            changes = (
                Change.model_validate(
                    {"kind": "set_usage_location", "target": obj, "parameters": given, "effects": (located,)}
                ),
                Change.model_validate(
                    {"kind": "set_calling_settings", "target": obj, "parameters": calls, "effects": (forwarded,)}
                ),
            )
            line = Line(object=obj, label=user.upn, changes=changes)
            plan_store.save(connection, Plan(id=plan_id, request_id="r-1", lines=(line,)), now)
    database.close()


def test_a_moment_is_restored_and_two_plans_are_compared(lab: Lab, folder: Path, run: Run) -> None:
    """Country and forwarding as they were before the run: previewed, applied, and named where it cannot be."""
    (user,) = ready(lab.tenant, 1)
    old = user.text("usageLocation")
    store(folder, user)
    differing = run("plan", "diff", "p-1", "p-2", "--json")
    assert differing.code == 1
    assert [(row["attribute"], row["here"], row["there"]) for row in differing.json] == [("usage_location", "FR", "IT")]
    assert run("plan", "diff", "p-1", "p-1", "--json").json == []
    before = datetime.now(UTC).isoformat()
    assert run("plan", "apply", "p-1", "--yes", "--json").json["verified"] == 1
    assert calling.of_user(lab.tenant, user.id).forwarding
    preview = run("restore", "--at", before, "--user", user.upn, "--dry-run", "--json")
    assert preview.json["counts"] == {"planned": 1}, preview.err
    assert calling.of_user(lab.tenant, user.id).forwarding
    done = run("restore", "--at", before, "--user", user.upn, "--yes", "--json")
    assert done.json["counts"] == {"restored": 1}, done.err
    assert not calling.of_user(lab.tenant, user.id).forwarding
    assert lab.tenant.users[user.id].text("usageLocation") == old
    assert run("restore", "--at", before, "--user", "nobody@lab.test", "--yes").code == 2
    assert run("restore", "--at", "yesterday", "--all").code == 2
    assert run("audit", "verify").code == 0
