"""The matrix of user types holds for bulk edits too: nobody is given a policy that has no effect on them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert

from config.user_types import APPLICABLE, POLICY_TYPES, UserType
from connectors.database import Database
from datasets.tables.requests import requests
from engine import plan_store
from engine.bulk_edit import Terms, plan_bulk_edit
from engine.runtime import Runtime
from tests.fakes.plans import fresh, runtime_on
from tests.fakes.sites import site
from tests.fakes.tenant import START, FakeTenant


@pytest.fixture
def tenant() -> FakeTenant:
    """Give a tenant that has a policy of every type; the second of its users is homed on premises."""
    made = fresh(2)
    made.policy_ids = {(kind, "Some"): f"p-{kind}" for kind in POLICY_TYPES}
    made.users["id-2"].account_type = "sfbOnPremUser"
    return made


@pytest.fixture
def runtime(sqlite: Database, tenant: FakeTenant) -> Runtime:
    """Give a runtime with a request to plan for."""
    with sqlite.write() as connection:
        row = {"kind": "bulk-edit", "actor_kind": "os_user", "actor_name": "tests", "actor_verified": False}
        connection.execute(insert(requests).values(id="r-1", **row, parameters={}, state="open", created_at=START))
    return runtime_on(sqlite, tenant)


def states(runtime: Runtime, value: str | None, kind: str) -> dict[str, tuple[str, str]]:
    """Plan one policy for both users; gives state and reason of each."""
    wanted = {name: {f"policy:{kind}": value} for name in ("id-1", "id-2")}
    plan_id = plan_bulk_edit(runtime, site(), "r-1", wanted, Terms(timedelta(hours=1), 30))
    with runtime.database.read() as connection:
        return {line.object: (str(line.state), line.reason) for line in plan_store.load_lines(connection, plan_id)}


@pytest.mark.parametrize("kind", sorted(POLICY_TYPES))
def test_m61_a_bulk_edit_gives_what_applies_and_names_what_does_not(runtime: Runtime, kind: str) -> None:
    """M61, M92: a cloud user gets every policy, one homed on premises only those that apply to them."""
    found = states(runtime, "Some", kind)
    assert found["user:id-1"][0] == "planned"
    if kind in APPLICABLE[UserType.HYBRID_ON_PREMISES]:
        assert found["user:id-2"][0] == "planned"
    else:
        assert found["user:id-2"][0] == "refused"
        assert f"{kind} does not apply to user type hybrid_on_premises ; move the user first" in found["user:id-2"][1]


def test_a_policy_may_always_be_taken_away(runtime: Runtime, tenant: FakeTenant) -> None:
    """What somebody should never have had is cleared like anything else."""
    tenant.users["id-2"].policies["TenantDialPlan"] = "Some"
    assert states(runtime, None, "TenantDialPlan")["user:id-2"][0] == "planned"
