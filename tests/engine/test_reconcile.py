"""Reconcile: claims, streams, plans and requests of dead processes come to a truthful end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from connectors.database import Database
from datasets.inventory import NumberState
from datasets.numbering import PhoneNumber
from datasets.tables.journal import journal_streams
from datasets.tables.leases import leases
from datasets.tables.plans import plans
from datasets.tables.requests import requests
from engine import inventory
from engine.proof import verify
from engine.reconcile import reconcile
from engine.runtime import Runtime
from tests.fakes.plans import apply_all, define_pool, fresh, runtime_on, store_plan
from tests.fakes.tenant import FakeTenant

FREE, HELD = PhoneNumber.from_e164("+431234550"), PhoneNumber.from_e164("+431234551")


@pytest.fixture
def tenant() -> FakeTenant:
    """Give a tenant whose licences take effect at once."""
    return fresh(licence_delay_s=0)


@pytest.fixture
def runtime(database: Database, tenant: FakeTenant) -> Runtime:
    """Give a runtime with one plan that was applied and one that was not, on each database."""
    made = runtime_on(database, tenant)
    define_pool(made)
    for plan_id, user in (("p-1", "id-1"), ("p-2", "id-2")):
        store_plan(made, tenant, [user], plan_id=plan_id)
    apply_all(made)
    return made


def states(runtime: Runtime) -> dict[str, str]:
    """Read the states of plans and requests."""
    with runtime.database.read() as connection:
        rows = [*connection.execute(select(plans.c.id, plans.c.state))]
        rows += [*connection.execute(select(requests.c.id, requests.c.state))]
    return {row[0]: row[1] for row in rows}


def test_claims_of_plans_that_ended_are_settled_by_reading(runtime: Runtime, tenant: FakeTenant) -> None:
    """A number nobody holds is free again; one that the tenant shows is assigned; a living plan keeps its claim."""
    now, until = runtime.now(), runtime.now() + timedelta(days=9)
    with runtime.database.write() as connection:
        for number, plan_id in ((FREE, "p-1"), (HELD, "p-gone")):
            inventory.claim_named(connection, number, plan_id=plan_id, owner="user:id-3", until=until, now=now)
    tenant.users["id-3"].number = HELD.e164
    runtime.sleep(3600)
    assert reconcile(runtime)["claims"] == 2
    with runtime.database.read() as connection:
        assert inventory.state_of(connection, FREE) == NumberState.FREE
        assert inventory.state_of(connection, HELD) == NumberState.ASSIGNED
        assert [row.number.e164 for row in inventory.claimed_by(connection, "p-2")] == ["+431234501"]
        assert inventory.violations(connection) == []
    assert reconcile(runtime)["claims"] == 0


def test_claims_of_a_plan_in_the_making_stay(runtime: Runtime) -> None:
    """A plan is stored after its claims; until then its numbers are offered to nobody, and after an hour it is dead."""
    now, until = runtime.now(), runtime.now() + timedelta(days=9)
    with runtime.database.write() as connection:
        inventory.claim_named(connection, FREE, plan_id="p-new", owner="user:id-3", until=until, now=now)
    runtime.sleep(3599)
    assert reconcile(runtime)["claims"] == 0
    runtime.sleep(1)
    assert reconcile(runtime)["claims"] == 1


def test_streams_plans_and_requests_of_a_dead_run_are_closed(runtime: Runtime) -> None:
    """A run that died after its last line leaves nothing open."""
    runtime.sleep(10 * 86400)
    with runtime.database.write() as connection:
        connection.execute(update(plans).where(plans.c.id == "p-1").values(state="applying"))
        connection.execute(update(plans).where(plans.c.id == "p-2").values(state="discarded"))
    found = reconcile(runtime)
    assert (found["plans"], found["streams"], found["requests"]) == (1, 1, 1)
    assert states(runtime) == {"p-1": "settled", "p-2": "discarded", "r-1": "finished"}
    with runtime.database.read() as connection:
        unsealed = select(func.count()).where(journal_streams.c.manifest_id.is_(None))
        assert connection.execute(unsealed).scalar_one() == 0
        assert connection.execute(select(func.count()).select_from(leases)).scalar_one() == 0
        assert verify(connection).faults == []


def test_a_request_that_planned_nothing_fails_after_a_day(runtime: Runtime) -> None:
    """Until then it may be a run that is only slow."""
    with runtime.database.write() as connection:
        row = {"id": "r-2", "kind": "onboarding", "actor_kind": "os_user", "actor_name": "x", "actor_verified": False}
        more = {"parameters": {}, "state": "open", "created_at": runtime.now()}
        connection.execute(requests.insert().values(row | more))
    assert reconcile(runtime)["requests"] == 0
    runtime.sleep(2 * 86400)
    reconcile(runtime)
    assert states(runtime)["r-2"] == "failed"


def test_a_dead_run_of_a_stored_plan_is_closed_with_what_the_plan_came_to(runtime: Runtime) -> None:
    """It made no plan of its own: it is open as long as the plan that it applied is, and not a day longer."""
    with runtime.database.write() as connection:
        for name, plan_id in (("r-2", "p-1"), ("r-3", "p-2")):
            row = {"id": name, "kind": "plan-apply", "actor_kind": "os_user", "actor_name": "x"}
            more = {"actor_verified": False, "parameters": {"plan_id": plan_id}, "state": "open"}
            connection.execute(requests.insert().values(row | more | {"created_at": runtime.now()}))
    reconcile(runtime)
    assert (states(runtime)["r-2"], states(runtime)["r-3"]) == ("finished", "open")
