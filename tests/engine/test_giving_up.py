"""A job that is being applied is given up: what has begun is finished, the rest never begins."""

from __future__ import annotations

from datetime import timedelta

from connectors.database import Database
from datasets.numbering import PhoneNumber
from engine import inventory, plan_store
from engine.apply import Chunk, apply_chunk, start
from engine.bulk_edit import Terms, plan_bulk_edit
from engine.giving_up import give_up_plan
from engine.leases import acquire
from tests.fakes.plans import apply_all, define_pool, fresh, open_request, runtime_on
from tests.fakes.sites import site
from tests.fakes.tenant import SKU, START


def test_what_has_begun_is_finished_and_the_rest_is_given_up(database: Database) -> None:
    """One is done, one is taken by somebody at this moment and goes on, one is discarded and the number free again."""
    tenant = fresh(3)
    for user in tenant.users.values():
        user.skus, user.licensed_at, user.usage_location = (SKU,), START - timedelta(days=1), "AT"
    runtime = runtime_on(database, tenant)
    open_request(database)
    define_pool(runtime)
    wanted = {name: {"number": "pool:vienna"} for name in tenant.users}
    plan_id = plan_bulk_edit(runtime, site(), "r-1", wanted, Terms(timedelta(hours=1), 30))
    start(runtime, plan_id)
    apply_chunk(runtime, Chunk(plan_id, 1, 1))
    with database.write() as connection:
        assert acquire(connection, "object", "user:id-2", "other", now=runtime.now(), ttl=runtime.lease)
    give_up_plan(runtime, plan_id, "the job was cancelled")
    assert states(database, plan_id) == ["verified", "planned", "discarded"]
    tenant.clock.sleep(2 * runtime.lease.total_seconds())
    apply_all(runtime, plan_id)
    assert states(database, plan_id) == ["verified", "verified", "discarded"]
    assert sorted(number for number in tenant.owners()) == ["+431234500", "+431234501"]
    with database.read() as connection:
        assert inventory.find(connection, PhoneNumber.from_e164("+431234502")) is None
        assert plan_store.header(connection, plan_id).state == "settled"


def test_a_job_that_nobody_started_is_given_up_whole(database: Database) -> None:
    """Nothing is left of it but its record."""
    runtime = runtime_on(database, fresh(1))
    open_request(database)
    define_pool(runtime)
    wanted = {"id-1": {"usage_location": "AT"}}
    plan_id = plan_bulk_edit(runtime, site(), "r-1", wanted, Terms(timedelta(hours=1), 30))
    give_up_plan(runtime, plan_id, "the job was cancelled")
    assert states(database, plan_id) == ["discarded"]


def states(database: Database, plan_id: str) -> list[str]:
    """Give the states of a plan's lines."""
    with database.read() as connection:
        return [str(line.state) for line in plan_store.load_lines(connection, plan_id)]
