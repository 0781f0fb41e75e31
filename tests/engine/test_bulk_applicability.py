"""The matrix of user types holds for bulk edits too: nobody is given a policy that has no effect on them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from config.errors import InputRefused
from config.user_types import APPLICABLE, POLICY_TYPES, UserType
from connectors.database import Database
from engine import plan_store
from engine.bulk_edit import Terms, plan_bulk_edit
from engine.runtime import Runtime
from tests.fakes.plans import define_pool, fresh, open_request, runtime_on
from tests.fakes.sites import site
from tests.fakes.tenant import FakeTenant

TERMS = Terms(timedelta(hours=1), 30)


@pytest.fixture
def tenant() -> FakeTenant:
    """Give a tenant that has a policy of every type; the second of its users is homed on premises."""
    made = fresh(2)
    made.policy_ids = {(kind, "Some"): f"p-{kind}" for kind in POLICY_TYPES}
    made.users["id-2"].account_type = "sfbOnPremUser"
    return made


@pytest.fixture
def runtime(database: Database, tenant: FakeTenant) -> Runtime:
    """Give a runtime with a request to plan for."""
    open_request(database)
    return runtime_on(database, tenant)


def states(runtime: Runtime, value: str | None, kind: str) -> dict[str, tuple[str, str]]:
    """Plan one policy for both users; gives state and reason of each."""
    wanted = {name: {f"policy:{kind}": value} for name in ("id-1", "id-2")}
    plan_id = plan_bulk_edit(runtime, site(), "r-1", wanted, TERMS)
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


def test_one_user_under_several_names_gets_one_line(runtime: Runtime, tenant: FakeTenant) -> None:
    """Address in any case and object id: one number is claimed, one line is planned; names are asked for at once."""
    define_pool(runtime)
    names = ["user1@lab.test", "USER1@lab.test", "id-1", "user2@lab.test", "nobody@lab.test"]
    plan_id = plan_bulk_edit(runtime, site(), "r-1", {name: {"number": "pool:vienna"} for name in names}, TERMS)
    with runtime.database.read() as connection:
        lines = plan_store.load_lines(connection, plan_id)
    assert [line.object for line in lines] == ["user:id-1", "user:id-2", "user:nobody@lab.test"]
    asked = [name for name, _, _ in tenant.calls]
    assert (asked.count("graph.user"), asked.count("graph.users_named")) == (0, 1)


def test_one_user_cannot_get_two_different_things(runtime: Runtime) -> None:
    """Contradicting rows under two names refuse the whole edit: nobody could say which is meant."""
    wanted = {"id-1": {"usage_location": "AT"}, "user1@lab.test": {"usage_location": "DE"}}
    with pytest.raises(InputRefused, match=r"id-1 and user1@lab.test are one user"):
        plan_bulk_edit(runtime, site(), "r-1", wanted, TERMS)
