"""Whoever comes back inside the grace period gets the old number, and Teams is told first that it may be given out."""

from __future__ import annotations

from sqlalchemy import insert

from connectors.database import Database
from datasets.people import Person
from datasets.tables.requests import requests
from engine import plan_store
from engine.apply import apply_chunk, chunks, start
from engine.number_acts import plan_release
from engine.observe import Row
from engine.resolve import Waits, resolve
from engine.runtime import Runtime
from tests.fakes.numbering import FakeNumbering
from tests.fakes.plans import fresh, runtime_on
from tests.fakes.sites import site
from tests.fakes.tenant import START

PERSON = Person.model_validate({"employee_id": "00001", "department": "Sales", "usage_location": "AT"})


def carry_out(runtime: Runtime, plan_id: str) -> list[str]:
    """Apply a plan and name the kinds of its changes."""
    start(runtime, plan_id)
    for chunk in chunks(runtime, plan_id, 1):
        apply_chunk(runtime, chunk)
    with runtime.database.read() as connection:
        lines = plan_store.load_lines(connection, plan_id)
    return [stored.change.kind for line in lines for stored in line.changes]


def hired(runtime: Runtime) -> list[str]:
    """Read the person's feed row and carry it out."""
    resolved = resolve(runtime, site(), "r-1", [Row("f-1", 2, PERSON)], waits=Waits())
    return carry_out(runtime, resolved.plan_id)


def test_a_rehire_gets_the_number_that_rests(sqlite: Database) -> None:
    """M58: the block that we wrote to Teams is lifted in the same line, before the number goes out again."""
    tenant = fresh(2, licence_delay_s=0)
    numbering = FakeNumbering(tenant)
    runtime = runtime_on(sqlite, tenant)
    with sqlite.write() as connection:
        row = {"kind": "onboarding", "actor_kind": "os_user", "actor_name": "t", "actor_verified": False}
        connection.execute(insert(requests).values(id="r-1", **row, parameters={}, state="open", created_at=START))
    hired(runtime)
    number = str(tenant.users["id-1"].number)
    carry_out(runtime, plan_release(runtime, site(), "r-1", "id-1", None, grace_days=30))
    assert (tenant.users["id-1"].number, numbering.block_of(number)) == (None, "BlockedUntil")
    tenant.clock.sleep(86400)
    kinds = hired(runtime)
    assert kinds.index("lift_block") == kinds.index("assign_number") - 1
    assert (tenant.users["id-1"].number, numbering.block_of(number)) == (number, "NotBlocked")
