"""Restore: users get the state of a moment, whoever changed it since; what cannot come back is named."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from config.errors import InputRefused
from connectors.database import Database
from datasets.inventory import NumberState
from datasets.numbering import PhoneNumber
from engine import inventory, plan_store, retention
from engine.plan import LineState
from engine.plan_store import StoredLine
from engine.proof import verify
from engine.restore import Whose, plan_restore
from engine.rollback import Choice, Terms, plan_rollback
from engine.runtime import Runtime
from tests.fakes.plans import apply_all, define_pool, fresh, runtime_on, store_plan
from tests.fakes.tenant import FakeTenant

NUMBER = PhoneNumber.from_e164("+431234500")


@pytest.fixture
def tenant() -> FakeTenant:
    """Give a tenant of three users in Germany whose licences take effect at once."""
    made = fresh(licence_delay_s=0)
    for user in made.users.values():
        user.usage_location = "DE"
    return made


@pytest.fixture
def runtime(database: Database, tenant: FakeTenant) -> Runtime:
    """Give a runtime on which two users were onboarded and, an hour later, taken back."""
    made = runtime_on(database, tenant)
    define_pool(made)
    store_plan(made, tenant, ["id-1", "id-2"], usage_location="DE")
    made.sleep(3600)
    apply_all(made)
    made.sleep(3600)
    apply_all(made, plan_rollback(made, "r-1", Choice("p-1"), Terms()))
    made.sleep(3600)
    return made


def hours_ago(runtime: Runtime, hours: float) -> datetime:
    """Give a moment past."""
    return runtime.now() - timedelta(hours=hours)


def restore(runtime: Runtime, whose: Whose, moment: datetime) -> list[StoredLine]:
    """Plan and apply a restore; gives the plan's lines."""
    plan_id = plan_restore(runtime, "r-1", whose, moment, Terms())
    apply_all(runtime, plan_id)
    runtime.sleep(3600)
    with runtime.database.read() as connection:
        return plan_store.load_lines(connection, plan_id)


def test_a_user_gets_the_whole_state_of_a_moment(runtime: Runtime, tenant: FakeTenant) -> None:
    """Number, Enterprise Voice, policies, licence, location and write-back are as they were; others stay."""
    (line,) = restore(runtime, Whose(("user1@lab.test",)), hours_ago(runtime, 1.5))
    user = tenant.users["id-1"]
    assert (line.state, line.success) == (LineState.VERIFIED, "restored")
    assert (user.number, user.enterprise_voice, user.telephone_number) == (NUMBER.e164, True, NUMBER.e164)
    assert user.policies == {"OnlineVoiceRoutingPolicy": "Vienna", "TenantDialPlan": "AT"}
    assert (user.usage_location, len(user.skus), tenant.users["id-2"].number) == ("AT", 1, None)
    with runtime.database.read() as connection:
        assert inventory.state_of(connection, NUMBER) == NumberState.ASSIGNED
        assert verify(connection).faults == []


def test_everybody_gets_the_state_of_a_moment_and_back(runtime: Runtime, tenant: FakeTenant) -> None:
    """The tenant as it was between the two runs, and then as it was before both."""
    restore(runtime, Whose(everybody=True), hours_ago(runtime, 1.5))
    assert [user.number for user in tenant.users.values()] == ["+431234500", "+431234501", None]
    restore(runtime, Whose(everybody=True), hours_ago(runtime, 10))
    assert [user.number for user in tenant.users.values()] == [None, None, None]
    assert {user.usage_location for user in tenant.users.values()} == {"DE"}


def test_what_somebody_changed_since_is_restored_too(runtime: Runtime, tenant: FakeTenant) -> None:
    """A restore is to the moment, not back along our own changes: an outside change is undone as well."""
    tenant.users["id-1"].policies["TenantDialPlan"] = "DE"
    restore(runtime, Whose(("id-1",)), hours_ago(runtime, 1.5))
    assert tenant.users["id-1"].policies["TenantDialPlan"] == "AT"


def test_a_number_conflict_is_listed_with_alternatives(runtime: Runtime, tenant: FakeTenant) -> None:
    """Somebody else has the number: they are named, free ones are offered, and the rest is restored."""
    with runtime.database.write() as connection:
        inventory.record_assigned(connection, NUMBER, owner="user:id-3", now=runtime.now())
    tenant.users["id-3"].number = NUMBER.e164
    done, refused = restore(runtime, Whose(("id-1",)), hours_ago(runtime, 1.5))
    assert (done.state, refused.state) == (LineState.VERIFIED, LineState.REFUSED)
    assert "is assigned by user:id-3" in refused.reason
    assert "free in pool vienna: +4312345" in refused.reason
    assert tenant.users["id-1"].policies["TenantDialPlan"] == "AT"
    assert tenant.users["id-1"].number is None


def test_what_was_erased_is_named(runtime: Runtime, tenant: FakeTenant) -> None:
    """After retention the record does not hold the values; the line says so instead of guessing."""
    retention.erase(runtime.database, runtime.now(), request_id="r-e", reason="date", now=runtime.now())
    (line,) = restore(runtime, Whose(("id-1",)), hours_ago(runtime, 1.5))
    assert (line.state, "was erased" in line.reason) == (LineState.REFUSED, True)
    assert tenant.users["id-1"].number is None


def test_wrong_questions_are_refused(runtime: Runtime) -> None:
    """Nobody named, nobody known, or a moment to come: one line, nothing planned."""
    for whose, hours in ((Whose(), 1.0), (Whose(("nobody",)), 1.0), (Whose(("id-1",)), -1.0)):
        with pytest.raises(InputRefused):
            plan_restore(runtime, "r-1", whose, hours_ago(runtime, hours), Terms())
