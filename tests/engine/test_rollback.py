"""Rollback: what a run changed is taken back as far as nobody changed it since; a rollback can be taken back too."""

from __future__ import annotations

from datetime import timedelta

import pytest

from config.errors import InputRefused
from connectors.database import Database
from connectors.errors import Unsupported
from datasets.inventory import NumberState
from datasets.numbering import PhoneNumber
from engine import inventory, plan_store
from engine.apply import discard
from engine.audit import AuditFilter, log
from engine.change import Effect
from engine.invert import invert
from engine.journal import Entry, append_closed
from engine.kinds import KINDS
from engine.plan import Line, LineState, Plan
from engine.plan_diff import against_live, between
from engine.plan_store import StoredLine
from engine.proof import verify
from engine.rollback import Choice, Terms, plan_rollback
from engine.runtime import Runtime
from engine.writers import write
from tests.fakes.plans import apply_all, change_of, define_pool, fresh, runtime_on, store_plan
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
    """Give a runtime on which users 1 and 2 were onboarded by plan p-1, on each database."""
    made = runtime_on(database, tenant)
    define_pool(made)
    store_plan(made, tenant, ["id-1", "id-2"], usage_location="DE")
    apply_all(made)
    made.sleep(3600)
    return made


def undo(runtime: Runtime, choice: Choice) -> str:
    """Plan and apply a rollback; gives the plan's id."""
    plan_id = plan_rollback(runtime, "r-1", choice, Terms())
    apply_all(runtime, plan_id)
    runtime.sleep(3600)
    return plan_id


def lines(runtime: Runtime, plan_id: str) -> list[StoredLine]:
    """Load the lines of a plan."""
    with runtime.database.read() as connection:
        return plan_store.load_lines(connection, plan_id)


def state_of(runtime: Runtime, number: PhoneNumber) -> NumberState:
    """Read the state of a number."""
    with runtime.database.read() as connection:
        return inventory.state_of(connection, number)


def test_a_run_is_taken_back_whole(runtime: Runtime, tenant: FakeTenant) -> None:
    """Both users are as they were, their numbers rest, and the rollback is in the record (M24)."""
    plan_id = undo(runtime, Choice("p-1"))
    for user in (tenant.users["id-1"], tenant.users["id-2"]):
        assert (user.number, user.enterprise_voice, user.policies, user.skus) == (None, False, {}, ())
        assert (user.telephone_number, user.usage_location) == (None, "DE")
    assert state_of(runtime, NUMBER) == NumberState.GRACE
    assert {line.state for line in lines(runtime, plan_id)} == {LineState.VERIFIED}
    with runtime.database.read() as connection:
        done = [e for e in log(connection, AuditFilter(run=plan_id)) if e["result"] == "verified"]
        assert inventory.violations(connection) == []
        assert verify(connection).faults == []
    assert {entry["kind"] for entry in done} == {
        *("set_usage_location", "unassign_number", "set_policies", "write_directory", "remove_licence")
    }


def test_a_rollback_is_taken_back_by_a_rollback(runtime: Runtime, tenant: FakeTenant) -> None:
    """Undo of the undo gives the old numbers back out of their grace period (M24)."""
    before = {key: vars(user) | {"licensed_at": None} for key, user in tenant.users.items()}
    undo(runtime, Choice(undo(runtime, Choice("p-1"))))
    assert {key: vars(user) | {"licensed_at": None} for key, user in tenant.users.items()} == before
    assert state_of(runtime, NUMBER) == NumberState.ASSIGNED


def test_one_of_several_changes_is_taken_back_and_the_others_stay(runtime: Runtime, tenant: FakeTenant) -> None:
    """Of a run with five changes one attribute is chosen; everything else stays (M25)."""
    undo(runtime, Choice("p-1", lines=(1,), attributes=("TenantDialPlan",)))
    user, other = tenant.users["id-1"], tenant.users["id-2"]
    assert user.policies == {"OnlineVoiceRoutingPolicy": "Vienna"}
    assert (user.number, user.telephone_number) == ("+431234500", "+431234500")
    assert other.policies == {"OnlineVoiceRoutingPolicy": "Vienna", "TenantDialPlan": "AT"}


def test_one_change_is_taken_back_by_its_name(runtime: Runtime, tenant: FakeTenant) -> None:
    """Change 1.5 is the write-back; only that goes (M24)."""
    undo(runtime, Choice("p-1", changes=("1.5",)))
    assert tenant.users["id-1"].telephone_number is None
    assert tenant.users["id-1"].number == "+431234500"
    assert tenant.users["id-2"].telephone_number == "+431234501"


def test_what_somebody_changed_since_is_named_and_stays(runtime: Runtime, tenant: FakeTenant) -> None:
    """A policy changed outside is reported and left; the rest of the user is taken back (M24)."""
    tenant.users["id-1"].policies["TenantDialPlan"] = "DE"
    plan_id = undo(runtime, Choice("p-1", lines=(1,)))
    assert tenant.users["id-1"].policies == {"TenantDialPlan": "DE"}
    assert tenant.users["id-1"].number is None
    refused = next(line for line in lines(runtime, plan_id) if line.state == LineState.REFUSED)
    assert "policy:TenantDialPlan is 'DE' now, changed outside Callwright" in refused.reason


def test_what_moves_after_planning_is_refused_when_it_is_applied(runtime: Runtime, tenant: FakeTenant) -> None:
    """Between preview and apply somebody sets another dial plan: that line is refused by name (M24)."""
    plan_id = plan_rollback(runtime, "r-1", Choice("p-1", attributes=("TenantDialPlan",)), Terms())
    tenant.users["id-1"].policies["TenantDialPlan"] = "DE"
    apply_all(runtime, plan_id)
    states = [(line.state, "TenantDialPlan" in line.reason) for line in lines(runtime, plan_id)]
    assert states == [(LineState.REFUSED, True), (LineState.VERIFIED, False)]
    assert tenant.users["id-1"].policies["TenantDialPlan"] == "DE"


def test_a_number_taken_meanwhile_is_refused_by_name_with_alternatives(runtime: Runtime, tenant: FakeTenant) -> None:
    """After the rollback somebody else got the number: undoing the rollback names them and gives the rest back."""
    first = undo(runtime, Choice("p-1", lines=(1,)))
    with runtime.database.write() as connection:
        inventory.record_assigned(connection, NUMBER, owner="user:id-3", now=runtime.now())
    tenant.users["id-3"].number = NUMBER.e164
    second = undo(runtime, Choice(first))
    user = tenant.users["id-1"]
    assert (user.number, user.telephone_number) == (None, None)
    assert user.policies == {"OnlineVoiceRoutingPolicy": "Vienna", "TenantDialPlan": "AT"}
    refused = next(line for line in lines(runtime, second) if line.state == LineState.REFUSED)
    assert "is assigned by user:id-3" in refused.reason
    assert "free in pool vienna: +431234502" in refused.reason


def test_a_licence_is_not_taken_away_under_a_number(runtime: Runtime, tenant: FakeTenant) -> None:
    """Taking only the licence back would free the number: refused with the reason, nothing is sent."""
    before = tenant.writes()
    plan_id = undo(runtime, Choice("p-1", changes=("1.2",)))
    (line,) = lines(runtime, plan_id)
    assert (line.state, "would free number +431234500" in line.reason) == (LineState.REFUSED, True)
    assert tenant.writes() == before


def test_an_irreversible_change_is_never_offered_for_undo(runtime: Runtime) -> None:
    """The inverse of an irreversible kind is refused with the kind's own reason (M27)."""
    reserve = change_of("reserve_number", "user:id-1", {}, Effect(object="number:+431", attribute="reserved_for"))
    with pytest.raises(InputRefused, match=KINDS["reserve_number"].irreversible):
        invert(reserve)


@pytest.mark.parametrize("kind", ["reset_pin", "revoke_certificates", "delete_ad_user"])
def test_a_run_with_an_irreversible_act_names_it_and_takes_back_the_rest(
    runtime: Runtime, tenant: FakeTenant, kind: str
) -> None:
    """PIN, certificate and deletion stay done: the line says why, and nothing is sent for them (M27)."""
    effect = Effect(object="user:id-1", attribute="done", before=False, after=True)
    line = Line(object="user:id-1", label="user1@lab.test", changes=(change_of(kind, "user:id-1", {}, effect),))
    with runtime.database.write() as connection:
        plan_store.save(connection, Plan(id="p-9", request_id="r-1", lines=(line,)), runtime.now())
        done = Entry(runtime.now(), 1, 1, "user:id-1", "outcome", "verified", {"message": ""}, (effect,))
        append_closed(connection, "p-9", "1", [done], runtime.now())
    before = tenant.writes()
    (refused,) = lines(runtime, undo(runtime, Choice("p-9")))
    assert (refused.state, refused.changes, tenant.writes()) == (LineState.REFUSED, [], before)
    assert KINDS[kind].irreversible in refused.reason


def test_a_kind_without_a_writer_is_refused_in_words(tenant: FakeTenant) -> None:
    """What this version cannot send fails with what to do, not with a stack trace."""
    with pytest.raises(Unsupported, match="reset_pin cannot be sent by this version"):
        write(tenant.systems(), change_of("reset_pin", "user:id-1", {}), 1.0)


def test_a_run_that_changed_nothing_is_refused(runtime: Runtime) -> None:
    """An unknown run, or a choice that matches nothing, is an error of the input."""
    for choice in (Choice("r-nowhere"), Choice("p-1", lines=(9,)), Choice("p-1", attributes=("nonsense",))):
        with pytest.raises(InputRefused):
            plan_rollback(runtime, "r-1", choice, Terms())


def test_a_preview_writes_nothing_and_a_discarded_one_gives_numbers_back(runtime: Runtime, tenant: FakeTenant) -> None:
    """Planning the undo of an undo claims the number out of its grace period; discarding puts it back there."""
    first = undo(runtime, Choice("p-1", lines=(1,)))
    before = tenant.writes()
    plan_id = plan_rollback(runtime, "r-1", Choice(first), Terms(claim=timedelta(hours=1)))
    assert (tenant.writes(), state_of(runtime, NUMBER)) == (before, NumberState.CLAIMED)
    discard(runtime.database, plan_id, runtime.now())
    assert state_of(runtime, NUMBER) == NumberState.GRACE


def test_plans_are_compared_with_each_other_and_with_the_tenant(runtime: Runtime, tenant: FakeTenant) -> None:
    """Two plans differ in what they set; a plan differs from the tenant where somebody else changed it."""
    first = plan_rollback(runtime, "r-1", Choice("p-1", lines=(1,), attributes=("TenantDialPlan",)), Terms())
    second = plan_rollback(runtime, "r-1", Choice("p-1", attributes=("TenantDialPlan",)), Terms())
    one, two = lines(runtime, first), lines(runtime, second)
    assert between(one, one) == []
    redo = lines(runtime, "p-1")
    assert ("policy:TenantDialPlan", None, "AT") in {
        (row["attribute"], row["here"], row["there"]) for row in between(two, redo)
    }
    assert against_live(runtime, one) == []
    tenant.users["id-1"].policies["TenantDialPlan"] = "DE"
    (row,) = against_live(runtime, one)
    assert (row["user"], row["attribute"], row["here"], row["there"]) == (
        *("user1@lab.test", "policy:TenantDialPlan", "AT", "DE"),
    )
