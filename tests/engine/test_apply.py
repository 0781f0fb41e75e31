"""Applying plans on the tenant in memory: what is written, what is recorded, and what happens on bad days."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import pytest
from sqlalchemy import select

from config.errors import InputRefused
from connectors.database import Database
from connectors.errors import Ambiguous, Busy, Invalid, Unreachable
from datasets.inventory import NumberState
from datasets.numbering import PhoneNumber
from datasets.tables.journal import journal
from datasets.tables.plans import plan_lines
from engine import inventory, plan_store
from engine.apply import discard
from engine.outcomes import end_what_expired
from engine.runtime import Runtime
from tests.fakes.plans import apply_all, continue_until_settled, define_pool, fresh, runtime_on, store_plan
from tests.fakes.tenant import FakeTenant


@pytest.fixture
def tenant() -> FakeTenant:
    """Give a tenant of three users whose licences take a minute."""
    return fresh()


@pytest.fixture
def runtime(database: Database, tenant: FakeTenant) -> Runtime:
    """Give a runtime with a pool, on each database."""
    made = runtime_on(database, tenant)
    define_pool(made)
    return made


def line_states(runtime: Runtime, plan_id: str = "p-1") -> list[tuple[str, str]]:
    """Read state and reason of each line."""
    c = plan_lines.c
    with runtime.database.read() as connection:
        rows = connection.execute(select(c.state, c.reason).where(c.plan_id == plan_id).order_by(c.line))
        return [(row.state, row.reason) for row in rows]


def number_state(runtime: Runtime, number: str) -> NumberState:
    """Read the state of a number."""
    with runtime.database.read() as connection:
        return inventory.state_of(connection, PhoneNumber.from_e164(number))


def test_a_line_waits_for_its_licence_and_then_finishes(runtime: Runtime, tenant: FakeTenant) -> None:
    """A run ends truthfully as waiting, and a later visit makes a working user of it."""
    store_plan(runtime, tenant, ["id-1"])
    apply_all(runtime)
    assert line_states(runtime)[0][0] == "waiting"
    assert continue_until_settled(runtime, tenant) == "settled"
    user = tenant.users["id-1"]
    assert (user.number, user.enterprise_voice, user.telephone_number) == ("+431234500", True, "+431234500")
    assert number_state(runtime, "+431234500") == NumberState.ASSIGNED


def test_every_write_has_an_intent_before_and_an_outcome_after(runtime: Runtime, tenant: FakeTenant) -> None:
    """The journal holds one intent and one verified outcome for each of the five calls."""
    store_plan(runtime, tenant, ["id-1"])
    apply_all(runtime)
    continue_until_settled(runtime, tenant)
    with runtime.database.read() as connection:
        query = select(journal.c.change, journal.c.phase, journal.c.result).order_by(journal.c.at, journal.c.seq)
        rows = [tuple(row) for row in connection.execute(query)]
    expected = [(seq, *pair) for seq in range(1, 6) for pair in (("intent", ""), ("outcome", "verified"))]
    assert rows == expected
    assert len(tenant.writes()) == 5


def test_a_second_apply_of_a_settled_plan_writes_nothing(runtime: Runtime, tenant: FakeTenant) -> None:
    """Applying again is safe: nothing is sent twice."""
    store_plan(runtime, tenant, ["id-1", "id-2"])
    apply_all(runtime)
    continue_until_settled(runtime, tenant)
    before = tenant.writes()
    apply_all(runtime)
    assert tenant.writes() == before


def test_a_lost_reply_is_settled_by_reading_and_not_repeated(runtime: Runtime, tenant: FakeTenant) -> None:
    """A number whose assignment lost its reply is found by reading; there is one write."""
    tenant.licence_delay_s = 0
    lost = iter([True])

    def drop(name: str, target: str) -> None:
        if name == "assign_number" and next(lost, False):
            raise Ambiguous("the connection was closed after the request was sent")

    tenant.after = drop
    store_plan(runtime, tenant, ["id-1"])
    apply_all(runtime)
    assert line_states(runtime) == [("verified", "")]
    assert tenant.writes().count(("assign_number", "id-1")) == 1


def test_a_write_that_never_arrived_is_sent_again_after_the_window(runtime: Runtime, tenant: FakeTenant) -> None:
    """Absence counts after the lag window and in two reads; until then the line is unknown and keeps its number."""
    tenant.licence_delay_s = 0
    lost = iter([True])

    def lose(name: str, target: str) -> None:
        if name == "assign_number" and next(lost, False):
            raise Ambiguous("timed out")

    tenant.before = lose
    store_plan(runtime, tenant, ["id-1"])
    apply_all(runtime)
    assert line_states(runtime)[0][0] == "unknown"
    assert number_state(runtime, "+431234500") == NumberState.CLAIMED
    assert continue_until_settled(runtime, tenant) == "settled"
    assert line_states(runtime) == [("verified", "")]
    assert tenant.writes().count(("assign_number", "id-1")) == 1


def test_false_success_fails_the_line_and_gives_the_number_back(runtime: Runtime, tenant: FakeTenant) -> None:
    """A system that says yes and does nothing is found out by reading."""
    tenant.licence_delay_s = 0
    tenant.ignored.add(("assign_number", "id-1"))
    store_plan(runtime, tenant, ["id-1"])
    apply_all(runtime)
    assert line_states(runtime)[0][0] == "unknown"
    continue_until_settled(runtime, tenant)
    state, reason = line_states(runtime)[0]
    assert state == "failed"
    assert "never took effect" in reason
    assert number_state(runtime, "+431234500") == NumberState.FREE


def test_lagging_reads_do_not_cause_a_second_write(runtime: Runtime, tenant: FakeTenant) -> None:
    """With reads that lag twenty seconds each write is still sent once."""
    tenant.licence_delay_s, tenant.lag_s = 0, 20
    store_plan(runtime, tenant, ["id-1"])
    apply_all(runtime)
    assert continue_until_settled(runtime, tenant) == "settled"
    assert line_states(runtime) == [("verified", "")]
    assert len(tenant.writes()) == len(set(tenant.writes())) == 5


def test_one_failing_user_does_not_stop_the_others(runtime: Runtime, tenant: FakeTenant) -> None:
    """A refusal for one user ends that line with its reason; the rest go on."""
    tenant.licence_delay_s = 0

    def refuse(name: str, target: str) -> None:
        if (name, target) == ("set_usage_location", "id-2"):
            raise Invalid("could not set the usage location of user2@lab.test: not accepted")

    tenant.before = refuse
    store_plan(runtime, tenant, ["id-1", "id-2", "id-3"])
    apply_all(runtime)
    assert [state for state, _ in line_states(runtime)] == ["verified", "failed", "verified"]
    assert number_state(runtime, "+431234501") == NumberState.FREE


def test_a_busy_user_is_tried_again_and_then_waits(runtime: Runtime, tenant: FakeTenant) -> None:
    """The answer "Service is unavailable" is repeated a few times and then parked, not failed."""

    def busy(name: str, target: str) -> None:
        if name == "set_usage_location":
            raise Busy("Service is unavailable. Please try again")

    tenant.before = busy
    store_plan(runtime, tenant, ["id-1"])
    apply_all(runtime)
    state, reason = line_states(runtime)[0]
    assert state == "waiting"
    assert "unavailable" in reason
    tenant.before = lambda name, target: None
    assert continue_until_settled(runtime, tenant) == "settled"
    assert line_states(runtime) == [("verified", "")]


def test_an_unreachable_system_parks_the_lines_and_is_reported(runtime: Runtime, tenant: FakeTenant) -> None:
    """When the tenant is gone the chunk raises, its lines wait, and a later visit finishes them."""

    def gone(name: str, target: str) -> None:
        raise Unreachable("graph did not answer")

    store_plan(runtime, tenant, ["id-1", "id-2"])
    tenant.before = gone
    with pytest.raises(Unreachable):
        apply_all(runtime)
    assert {state for state, _ in line_states(runtime)} == {"waiting"}
    tenant.before = lambda name, target: None
    assert continue_until_settled(runtime, tenant) == "settled"
    assert line_states(runtime) == [("verified", ""), ("verified", "")]


def test_a_stale_line_is_refused_by_name(runtime: Runtime, tenant: FakeTenant) -> None:
    """A user whom somebody changed since the plan is refused; the reason names the attribute and the user."""
    store_plan(runtime, tenant, ["id-1", "id-2"])
    tenant.users["id-1"].usage_location = "DE"
    apply_all(runtime)
    state, reason = line_states(runtime)[0]
    assert state == "refused"
    assert "usage_location of user1@lab.test is now 'DE'" in reason
    assert not [target for _, target in tenant.writes() if target == "id-1"]
    assert number_state(runtime, "+431234500") == NumberState.FREE


def test_a_number_held_by_a_stranger_is_recorded_and_planned_anew(runtime: Runtime, tenant: FakeTenant) -> None:
    """The line waits to be planned with another number; the inventory knows the holder from now on."""
    store_plan(runtime, tenant, ["id-1"])
    tenant.users["id-3"].number = "+431234500"
    apply_all(runtime)
    state, reason = line_states(runtime)[0]
    assert (state, "held by somebody else" in reason) == ("waiting", True)
    assert number_state(runtime, "+431234500") == NumberState.ASSIGNED
    with runtime.database.read() as connection:
        assert [line.condition for line in plan_store.lines_to_replan(connection, runtime.now())] == ["replan"]
    assert tenant.double_owners == 0


def test_a_licence_that_never_replicates_fails_with_a_remedy(runtime: Runtime, tenant: FakeTenant) -> None:
    """After the give-up time the line fails, says what to do, and its number is free again."""
    tenant.licence_delay_s = 10**9
    store_plan(runtime, tenant, ["id-1"])
    apply_all(runtime)
    tenant.clock.sleep(runtime.limits.licence_give_up_s + 1)
    apply_all(runtime)
    state, reason = line_states(runtime)[0]
    assert state == "failed"
    assert "admin centre" in reason
    assert number_state(runtime, "+431234500") == NumberState.FREE


def test_a_plan_is_not_discarded_while_another_process_starts_it(runtime: Runtime, tenant: FakeTenant) -> None:
    """Whoever moves a plan keeps others from it until that is committed, so claims of a started plan stay."""
    store_plan(runtime, tenant, ["id-1"])
    with ThreadPoolExecutor(1) as other:
        with runtime.database.write() as connection:
            assert plan_store.locked_header(connection, "p-1").state == "planned"
            plan_store.set_plan_state(connection, "p-1", "applying")
            discarding = other.submit(discard, runtime.database, "p-1", runtime.now())
            wait([discarding], timeout=0.3)
        with pytest.raises(InputRefused, match="is applying"):
            discarding.result()
    assert number_state(runtime, "+431234500") == NumberState.CLAIMED


def test_claims_do_not_expire_under_a_plan_that_is_just_being_started(runtime: Runtime, tenant: FakeTenant) -> None:
    """Expiry waits for the process that starts the plan, and then leaves its claims alone."""
    store_plan(runtime, tenant, ["id-1"])

    def expire() -> None:
        with runtime.database.write() as connection:
            end_what_expired(connection, runtime.now() + timedelta(days=3))

    with ThreadPoolExecutor(1) as other:
        with runtime.database.write() as connection:
            assert plan_store.locked_header(connection, "p-1").state == "planned"
            plan_store.set_plan_state(connection, "p-1", "applying")
            expiring = other.submit(expire)
            wait([expiring], timeout=0.3)
        expiring.result()
    assert number_state(runtime, "+431234500") == NumberState.CLAIMED
