"""Policies that many users of a wave get alike: one operation for all who were moved, and nobody else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from connectors.database import Database
from connectors.errors import Ambiguous, Busy, Invalid
from datasets.batches import BatchNumbers, BatchOptions, PolicyBatches
from datasets.policy_operations import LARGEST
from engine.plan import ChangeState, LineState
from engine.plan_store import StoredLine
from engine.policy_batch_plan import OBJECT, POLICY_BATCH, POLICY_DIRECT
from engine.policy_batch_work import AT_ONCE
from engine.preflight import examine
from engine.proof import verify
from tests.fakes.crashes import CrashingDatabase, Points, crash_tenant, run_until_crash
from tests.fakes.databases import in_memory, with_tables
from tests.fakes.migration_site import POLICIES, Deployment, deployment
from tests.fakes.policy_batches import FakePolicyBatches

pytestmark = pytest.mark.slow

MANY = 24
MOVED = BatchOptions(numbers=BatchNumbers.NONE, policies=POLICIES)


@pytest.fixture
def memory() -> Iterator[Database]:
    """Give a database in memory: what PostgreSQL and files have to do with it the first test shows."""
    made = in_memory()
    yield made
    made.close()


@pytest.fixture
def site(memory: Database) -> Deployment:
    """Give a deployment of users who are homed on the server."""
    return homed(memory)


def homed(database: Database, users: int = MANY, **delays: float) -> Deployment:
    """Give a deployment whose users are homed on the server, with a line each."""
    site = deployment(database, users=users, **delays)
    for number, user in enumerate(site.tenant.users):
        site.skype.home(user, f"tel:+43123{4600 + number}")
    return site


def batches_of(site: Deployment, **more: float) -> FakePolicyBatches:
    """Let the tenant carry out policy operations; what the runtime sees is made anew."""
    made = FakePolicyBatches(site.tenant, **more)  # type: ignore[arg-type]
    object.__setattr__(site.runtime, "systems", site.tenant.systems())
    return made


def everybody(site: Deployment) -> tuple[str, ...]:
    """Give the ids of all users."""
    return tuple(site.tenant.users)


def calls(site: Deployment) -> Counter[str]:
    """Count the writes by name."""
    return Counter(name for name, _ in site.tenant.writes())


def of_users(lines: list[StoredLine]) -> list[StoredLine]:
    """Leave out the lines for many."""
    return [line for line in lines if not line.object.startswith(OBJECT)]


def test_many_users_get_two_policies_by_two_operations(database: Database) -> None:
    """Two calls instead of one for each; every user has both policies, seen by reading, and nothing is left open."""
    site = homed(database)
    made = batches_of(site)
    lines = site.migrate(MOVED, *everybody(site))
    assert {line.state for line in lines} == {LineState.VERIFIED}
    assert (len(lines), lines[-1].success) == (MANY + 1, "policies_given")
    assert calls(site) == {"move_user": MANY, "begin_policy_operation": 2}
    assert [len(each.users) for each in made.placed.values()] == [MANY, MANY]
    assert all(user.policies.items() >= POLICIES.items() for user in site.tenant.users.values())
    with site.runtime.database.read() as connection:
        assert verify(connection).faults == []


def test_nobody_gets_a_policy_who_was_not_moved(site: Deployment) -> None:
    """One of many cannot be moved: that user is in no operation and keeps what was, the others have it all."""
    made = batches_of(site)
    broken = site.tenant.users["id-7"].upn

    def refuse(name: str, target: str) -> None:
        if name == "move_user" and target in (broken, "id-7"):
            raise Invalid("this user is broken ; look at it")

    site.tenant.before = refuse
    lines = of_users(site.migrate(MOVED, *everybody(site)))
    assert Counter(line.state for line in lines) == {LineState.VERIFIED: MANY - 1, LineState.FAILED: 1}
    assert all("id-7" not in each.users and len(each.users) == MANY - 1 for each in made.placed.values())
    assert "OnlineVoiceRoutingPolicy" not in site.tenant.users["id-7"].policies


def test_one_for_whom_the_operation_fails_gets_a_call_of_their_own(site: Deployment) -> None:
    """The operation says why it gave one user nothing; the user's own call gives it, the others need none."""
    batches_of(site).refused["id-3"] = "User not found"
    plan_id = site.plan(MOVED, *everybody(site))
    found = site.apply(plan_id)[2]
    assert (found.condition, found.reason.partition(": ")[2]) == (POLICY_DIRECT, "User not found")
    assert {line.state for line in site.settle(plan_id)} == {LineState.VERIFIED}
    assert calls(site)["grant_policies"] == 1
    assert site.tenant.users["id-3"].policies.items() >= POLICIES.items()


def test_one_whose_own_call_fails_too_fails_alone(site: Deployment) -> None:
    """Whoever cannot have the policies at all fails with the reason, and nobody else does."""
    batches_of(site).refused["id-3"] = "User not found"

    def refuse(name: str, target: str) -> None:
        if (name, target) == ("grant_policies", "id-3"):
            raise Invalid("the licence does not allow this policy ; give another one")

    site.tenant.before = refuse
    lines = of_users(site.migrate(MOVED, *everybody(site)))
    assert [line.object for line in lines if line.state == LineState.FAILED] == ["user:id-3"]
    assert "does not allow" in lines[2].reason


def test_users_wait_for_the_operation_without_being_asked_about(site: Deployment) -> None:
    """While Teams works on it everybody waits and only the operation is polled; nothing is sent a second time."""
    batches_of(site, delay_s=300)
    plan_id = site.plan(MOVED, *everybody(site))
    site.settle(plan_id, visits=2)
    site.tenant.calls.clear()
    lines = site.settle(plan_id, visits=5)
    assert {(line.state, line.condition) for line in of_users(lines)} == {(LineState.WAITING, POLICY_BATCH)}
    assert {name for name, _, _ in site.tenant.calls} == {"policies.operation"}
    assert {line.state for line in site.settle(plan_id)} == {LineState.VERIFIED}
    assert calls(site) == {}


def test_replication_that_lags_is_waited_for(memory: Database) -> None:
    """The operation is over and reads still show the old state: nobody is given it again within the lag window."""
    site = homed(memory)
    batches_of(site)
    site.tenant.lag_s = 20
    assert {line.state for line in site.migrate(MOVED, *everybody(site))} == {LineState.VERIFIED}
    assert calls(site)["grant_policies"] == 0


def test_what_somebody_changed_meanwhile_is_not_overwritten(site: Deployment) -> None:
    """A policy was changed while others were being moved: no operation has that user, whose own line says so."""
    made = batches_of(site)

    def change(name: str, target: str) -> None:
        if name == "move_user" and len(calls(site)) == 1 and calls(site)["move_user"] == MANY:
            site.tenant.users["id-2"].policies["TenantDialPlan"] = "DE"

    site.tenant.after = change
    lines = of_users(site.migrate(MOVED, *everybody(site)))
    assert all("id-2" not in each.users for each in made.placed.values())
    assert (lines[1].state, "TenantDialPlan of user2" in lines[1].reason) == (LineState.REFUSED, True)
    assert site.tenant.users["id-2"].policies["TenantDialPlan"] == "DE"


def test_what_an_operation_only_says_is_not_believed(site: Deployment) -> None:
    """One who does not show the policies after the lag window gets them by a call of their own."""
    made = batches_of(site)
    give = made._give

    def skip_one(placed: object) -> None:
        placed.users.remove("id-9")  # type: ignore[attr-defined]
        give(placed)  # type: ignore[arg-type]

    made._give = skip_one  # type: ignore[method-assign]
    assert {line.state for line in site.migrate(MOVED, *everybody(site))} == {LineState.VERIFIED}
    assert calls(site)["grant_policies"] == 1


def test_a_lost_reply_starts_no_second_operation(site: Deployment) -> None:
    """The operation was accepted and the answer lost: it is found by its name, and followed."""
    made = batches_of(site)

    def lose(name: str, _target: str) -> None:
        if name == "begin_policy_operation":
            site.tenant.after = lambda name, target: None
            raise Ambiguous("the reply was lost")

    site.tenant.after = lose
    assert {line.state for line in site.migrate(MOVED, *everybody(site))} == {LineState.VERIFIED}
    assert [each.policy_type for each in made.placed.values()] == sorted(POLICIES)
    assert calls(site)["grant_policies"] == 0


def test_an_operation_that_never_was_is_sent_again(site: Deployment) -> None:
    """The request got lost: after the lag window and two looks it is sent under a new name."""
    made = batches_of(site)
    lost: list[str] = []

    def lose(name: str, _target: str) -> None:
        if name == "begin_policy_operation" and not lost:
            lost.append(name)
            raise Ambiguous("the connection broke")

    site.tenant.before = lose
    assert {line.state for line in site.migrate(MOVED, *everybody(site))} == {LineState.VERIFIED}
    assert sorted(each.name.rpartition(".")[2] for each in made.placed.values()) == ["1", "2"]


def test_an_operation_that_does_not_end_is_given_up(site: Deployment) -> None:
    """After too long users get their policies one by one, and the line for all says why."""
    object.__setattr__(site.runtime, "limits", replace(site.runtime.limits, policy_give_up_s=60))
    batches_of(site, delay_s=10 * 86400)
    plan_id = site.plan(MOVED, *everybody(site))
    *users, many = site.settle(plan_id, visits=20)
    assert {line.state for line in users} == {LineState.VERIFIED}
    assert (many.state, "not over after 1 minutes" in many.reason) == (LineState.FAILED, True)
    assert calls(site)["grant_policies"] == MANY


def test_a_tenant_without_operations_gives_policies_one_by_one(site: Deployment) -> None:
    """An operation that is refused costs nobody the policies: everybody gets a call of their own."""
    batches_of(site)

    def refuse(name: str, _target: str) -> None:
        if name == "begin_policy_operation":
            raise Invalid("The policy is not found")

    site.tenant.before = refuse
    *users, many = site.migrate(MOVED, *everybody(site))
    assert {line.state for line in users} == {LineState.VERIFIED}
    assert (many.state, many.reason) == (LineState.FAILED, "The policy is not found")


def test_a_busy_tenant_is_asked_again_later(site: Deployment) -> None:
    """Operations of others fill the tenant: ours wait for a place and are sent then, once each."""
    made = batches_of(site, delay_s=100, at_once=1)
    assert {line.state for line in site.migrate(MOVED, *everybody(site))} == {LineState.VERIFIED}
    assert len(made.placed) == 2


def test_no_more_operations_are_under_way_than_a_few(memory: Database) -> None:
    """Five policies for all: three operations at a time, the others when these are over."""
    site = homed(memory)
    made = batches_of(site, delay_s=15)
    names = ("TeamsCallingPolicy", "CallingLineIdentity", "TeamsEmergencyCallingPolicy")
    site.tenant.policy_ids |= {(name, "x"): f"p-{name}" for name in names}
    seen = []
    site.tenant.after = lambda name, target: seen.append(sum(not each.is_over for each in made.placed.values()))
    options = MOVED.model_copy(update={"policies": {**POLICIES, **dict.fromkeys(names, "x")}})
    assert {line.state for line in site.migrate(options, *everybody(site))} == {LineState.VERIFIED}
    assert (len(made.placed), max(seen)) == (5, AT_ONCE)


def test_few_users_are_given_policies_one_by_one(memory: Database) -> None:
    """Below twenty an operation saves too little: the plan has no line for all."""
    site = homed(memory, 19)
    batches_of(site)
    assert len(site.migrate(MOVED, *everybody(site))) == 19
    assert calls(site) == {"move_user": 19, "grant_policies": 19}


def test_a_batch_may_want_no_operations(site: Deployment) -> None:
    """With `never` everybody gets a call of their own."""
    batches_of(site)
    options = MOVED.model_copy(update={"policy_batches": PolicyBatches.NEVER})
    site.migrate(options, *everybody(site))
    assert calls(site) == {"move_user": MANY, "grant_policies": MANY}


def test_a_type_that_teams_gives_to_nobody_together_is_given_one_by_one(site: Deployment) -> None:
    """Only some policy types can be given by an operation."""
    batches_of(site)
    site.tenant.policy_ids["OnlineVoicemailPolicy", "x"] = "p-x"
    options = MOVED.model_copy(update={"policies": {**POLICIES, "OnlineVoicemailPolicy": "x"}})
    assert len(site.plan(options, *everybody(site))) > 0
    site.migrate(options, *everybody(site))
    assert calls(site)["begin_policy_operation"] == 0


def test_an_undo_gives_everybody_the_policies_of_before(site: Deployment) -> None:
    """Each user's own change knows what was there before, also where the policies came by an operation."""
    batches_of(site)
    site.tenant.users["id-4"].policies["TenantDialPlan"] = "DE"
    site.tenant.policy_ids["TenantDialPlan", "DE"] = "p-de"
    before = {key: dict(user.policies) for key, user in site.tenant.users.items()}
    lines = site.migrate(MOVED, *everybody(site))
    undone = site.undo(lines[0].plan_id)
    assert {line.state for line in undone} == {LineState.VERIFIED}
    assert len(undone) == MANY
    now = {key: dict(user.policies) for key, user in site.tenant.users.items()}
    assert [now[key].get("TenantDialPlan") for key in now] == [before[key].get("TenantDialPlan") for key in before]


def test_those_who_are_ready_do_not_wait_for_those_who_are_not(memory: Database) -> None:
    """Three of many are late: the others have their policies before, and the three get them by calls of their own."""
    site = homed(memory)
    made = batches_of(site)
    late = {name for n in range(1, 4) for name in (f"id-{n}", site.tenant.users[f"id-{n}"].upn)}
    site.tenant.before = lambda name, target: _busy(name, target, late)
    plan_id = site.plan(MOVED, *everybody(site))
    site.settle(plan_id, visits=3)
    assert [len(each.users) for each in made.placed.values()] == [MANY - 3] * 2
    site.tenant.before = lambda name, target: None
    assert {line.state for line in site.settle(plan_id, visits=800)} == {LineState.VERIFIED}
    assert calls(site)["grant_policies"] == 3


def _busy(name: str, target: str, late: set[str]) -> None:
    if name == "move_user" and target in late:
        raise Busy("the server is busy")


def test_a_round_holds_no_more_than_teams_takes() -> None:
    """The largest wave fits into one operation."""
    assert BatchOptions.model_fields["wave_size"].metadata[-1].le <= LARGEST


def test_the_calls_of_a_wave_are_estimated(site: Deployment) -> None:
    """Preflight counts two operations instead of a call for each; without operations it counts the calls."""
    for has, counted in ((False, {"set_policies": MANY}), (True, {"assign_policy_batch": 2})):
        if has:
            batches_of(site)
        found = examine(site.runtime, site.site, MOVED, everybody(site), site.terms).estimate.calls
        assert {kind: n for kind, n in found.items() if "polic" in kind} == counted


def test_a_plan_says_who_gets_what_together(site: Deployment) -> None:
    """The line for all names the policies; each user's change is last and has the values before and after."""
    batches_of(site)
    lines = site.lines(site.plan(MOVED, *everybody(site)))
    assert lines[-1].label == f"{MANY} users: OnlineVoiceRoutingPolicy Vienna, TenantDialPlan AT"
    own = lines[0].changes[-1]
    assert (own.change.kind, own.state, own.change.waits_for) == ("set_policies", ChangeState.PLANNED, POLICY_BATCH)
    assert [effect.after for effect in own.change.effects] == ["Vienna", "AT"]


def test_a_process_may_die_at_any_point_once() -> None:
    """Wherever it dies, each policy is given by one operation and to everybody; nobody needs a second call."""
    for point in range(1, 1000, 11):
        points = Points()
        database = with_tables(CrashingDatabase("sqlite://", points))
        site = deployment(database, users=20)
        made = batches_of(site, delay_s=5)
        plan_id = site.plan(MOVED, *everybody(site))
        crash_tenant(site.tenant, points)
        points.passed = 0
        points.arm(point)
        died = run_until_crash(lambda: site.settle(plan_id, visits=4))  # noqa: B023 - called here
        points.disarm()
        for _ in range(0 if not died else 60):
            site.tenant.clock.sleep(site.runtime.limits.lease_s + 1)
            lines = site.apply(plan_id)
            if {line.state for line in lines} == {LineState.VERIFIED}:
                break
        assert {line.state for line in site.lines(plan_id)} == {LineState.VERIFIED}, point
        assert sorted(each.policy_type for each in made.placed.values()) == sorted(POLICIES), point
        assert (calls(site)["grant_policies"], len({each.name for each in made.placed.values()})) == (0, 2)
        with database.read() as connection:
            assert verify(connection).faults == []
        database.close()
        if not died:
            break
    assert point > 100
