"""Requests of runs that work on batches are closed when their process died; names of batches fit their column."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from config.errors import InputRefused
from connectors.database import Database
from datasets.batches import BatchOptions
from engine import batches, plan_store, requests
from engine.batches import Member
from engine.plan import Plan
from engine.reconcile import reconcile
from engine.requests import Actor
from engine.runtime import utc_now
from tests.fakes.plans import fresh, runtime_on

ACTOR = Actor(kind="schedule", name="schedule")


def opened(database: Database, batch: str) -> str:
    """Open the request of the clock for a batch."""
    with database.write() as connection:
        said: dict[str, JsonValue] = {"batch": batch, "dry_run": False}
        return requests.open_request(
            connection, "batch-advance", ACTOR, parameters=said, flow_run_id=None, now=utc_now()
        )


def test_the_request_of_a_dead_run_is_closed_with_what_its_batch_came_to(database: Database) -> None:
    """The run died before it recorded anything, others finished the wave: its request does not stay open."""
    with database.write() as connection:
        made_by = requests.open_request(
            connection, "batch-run", ACTOR, parameters={"batch": "b"}, flow_run_id="run-1", now=utc_now()
        )
        member = Member(1, "u", "id-1", "u")
        batch = batches.create(connection, "b", {}, BatchOptions(), [member], by="t", now=utc_now())
        plan_store.save(connection, Plan(id="p-1", request_id=made_by, lines=()), utc_now())
        batches.note_plan(connection, batch, 1, "p-1")
    died = opened(database, "b")
    reconcile(runtime_on(database, fresh(1)))
    with database.read() as connection:
        assert requests.load(connection, died).state == "open"
    with database.write() as connection:
        plan_store.set_plan_state(connection, "p-1", "settled")
    reconcile(runtime_on(database, fresh(1)))
    with database.read() as connection:
        assert requests.load(connection, died).state == "finished"


def test_a_name_that_is_too_long_is_refused(database: Database) -> None:
    """A database that keeps to its columns would break off with an error of its own."""
    members = [Member(1, "ada", "id-1", "ada")]
    with database.write() as connection, pytest.raises(InputRefused, match="use 120 at most"):
        batches.create(connection, "x" * 121, {}, BatchOptions(), members, by="t", now=utc_now())
