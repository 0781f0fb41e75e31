"""Calling settings are changed, taken back and restored like everything else of a user's voice state."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import JsonValue

from connectors.database import Database
from datasets.calling_settings import CallingGroup, Settings, in_order
from engine import plan_store
from engine.change import Effect
from engine.plan import Line, LineState, Plan
from engine.proof import verify
from engine.restore import Whose, plan_restore
from engine.rollback import Choice, Terms, plan_rollback
from engine.runtime import Runtime
from tests.fakes.calling import FakeCalling
from tests.fakes.plans import apply_all, change_of, fresh, runtime_on, store_plan
from tests.fakes.tenant import FakeTenant

GROUP: Settings = {"CallGroupOrder": "InOrder", "CallGroupTargets": ["sip:user2@lab.test"]}
TO_GROUP: Settings = {"IsForwardingEnabled": True, "ForwardingType": "Simultaneous", "ForwardingTargetType": "Group"}
OFF: Settings = {"IsForwardingEnabled": False}


@pytest.fixture
def tenant() -> FakeTenant:
    """Give a tenant whose calling settings can be reached."""
    made = fresh()
    FakeCalling(made)
    return made


@pytest.fixture
def calling(tenant: FakeTenant) -> FakeCalling:
    """Give its calling settings."""
    assert isinstance(tenant.calling, FakeCalling)
    return tenant.calling


@pytest.fixture
def runtime(database: Database, tenant: FakeTenant) -> Runtime:
    """Give a runtime on which the first user got a call group and forwarding to it, on each database."""
    made = runtime_on(database, tenant)
    store_plan(made, tenant, [], plan_id="p-0")
    assert tenant.calling is not None
    before = tenant.calling.settings("id-1")
    assert before is not None
    wanted: dict[CallingGroup, Settings] = {"call_group": GROUP, "forwarding": TO_GROUP}
    changes = []
    for group, values in wanted.items():
        effect = Effect(object="user:id-1", attribute=f"calling:{group}", before=before[group], after=values)
        parameters: dict[str, JsonValue] = {"group": group, "settings": values}
        changes.append(change_of("set_calling_settings", "user:id-1", parameters, effect))
    line = Line(object="user:id-1", label="user1@lab.test", changes=tuple(changes))
    with database.write() as connection:
        plan_store.save(connection, Plan(id="p-1", request_id="r-1", lines=(line,)), made.now())
    made.sleep(3600)
    apply_all(made)
    made.sleep(3600)
    return made


def apply(runtime: Runtime, plan_id: str) -> list[plan_store.StoredLine]:
    """Apply a plan and give its lines."""
    apply_all(runtime, plan_id)
    runtime.sleep(3600)
    with runtime.database.read() as connection:
        assert verify(connection).faults == []
        return plan_store.load_lines(connection, plan_id)


def test_a_change_of_calling_settings_is_undone_and_the_undo_too(runtime: Runtime, calling: FakeCalling) -> None:
    """Back to what was read before, then forward again; forwarding goes before the group that it needs."""
    after = calling.settings("id-1")
    assert after is not None
    assert (after["forwarding"], after["call_group"]) == (TO_GROUP, GROUP)
    undo = plan_rollback(runtime, "r-1", Choice("p-1"), Terms())
    (line,) = apply(runtime, undo)
    assert [stored.change.parameters["group"] for stored in line.changes] == ["forwarding", "call_group"]
    undone = calling.settings("id-1")
    assert undone is not None
    assert (undone["forwarding"], undone["call_group"]["CallGroupTargets"]) == (OFF, [])
    apply(runtime, plan_rollback(runtime, "r-1", Choice(undo), Terms()))
    assert calling.settings("id-1") == after


def test_calling_settings_of_a_moment_are_restored(runtime: Runtime, calling: FakeCalling) -> None:
    """The user forwards elsewhere since; the state of the moment comes back, and later that of before."""
    elsewhere: Settings = TO_GROUP | {"ForwardingTargetType": "SingleTarget", "ForwardingTarget": "+431"}
    calling.groups["id-1"]["forwarding"] = elsewhere
    for hours, wanted in ((0.5, TO_GROUP), (9.0, OFF)):
        moment = runtime.now() - timedelta(hours=hours)
        (line,) = apply(runtime, plan_restore(runtime, "r-1", Whose(("id-1",)), moment, Terms()))
        assert (line.state, line.success) == (LineState.VERIFIED, "restored")
        now = calling.settings("id-1")
        assert now is not None
        assert now["forwarding"] == wanted


def test_what_somebody_changed_since_stays_with_a_rollback(runtime: Runtime, calling: FakeCalling) -> None:
    """Only the group that is still as the run left it is taken back; the other one is named."""
    muted: Settings = {"IsForwardingEnabled": True, "ForwardingType": "Immediate", "ForwardingTargetType": "Voicemail"}
    calling.groups["id-1"]["forwarding"] = muted
    done, refused = apply(runtime, plan_rollback(runtime, "r-1", Choice("p-1"), Terms()))
    assert (done.state, refused.state) == (LineState.VERIFIED, LineState.REFUSED)
    assert "calling:forwarding is" in refused.reason
    now = calling.settings("id-1")
    assert now is not None
    assert (now["forwarding"], now["call_group"]["CallGroupTargets"]) == (muted, [])


def test_without_powershell_the_line_says_so(runtime: Runtime, tenant: FakeTenant) -> None:
    """Calling settings that cannot be reached are named, and nothing is written."""
    tenant.calling = None
    away = Runtime(runtime.database, tenant.systems(), runtime.limits, runtime.now, runtime.sleep)
    (line,) = apply(away, plan_rollback(away, "r-1", Choice("p-1"), Terms()))
    assert line.state == LineState.REFUSED
    assert "is None now" in line.reason


@pytest.mark.parametrize(
    ("wanted", "order"),
    [
        ({"forwarding": TO_GROUP, "call_group": GROUP}, ["call_group", "forwarding"]),
        ({"call_group": GROUP, "forwarding": OFF}, ["forwarding", "call_group"]),
    ],
    ids=["on", "off"],
)
def test_no_group_refers_to_what_is_not_there(wanted: dict[CallingGroup, JsonValue], order: list[str]) -> None:
    """Off first, then the call group, then what rings it."""
    assert list(in_order(wanted)) == order
