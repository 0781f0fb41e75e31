"""Policies that thousands of users get alike, in rounds that are far apart and visits that take long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.database import Database
from connectors.errors import Busy
from engine import leases
from engine.plan import LineState
from engine.policy_batch_plan import OBJECT
from tests.engine.test_policy_rounds import MANY, MOVED, batches_of, calls, everybody, homed
from tests.fakes.migration_site import POLICIES

pytestmark = pytest.mark.slow


def test_an_operation_that_waits_for_its_place_is_not_late(sqlite: Database) -> None:
    """Of five policies of a second round two wait for a place: the first round, long ago, is no reason to give up."""
    site = homed(sqlite, users=2 * MANY)
    object.__setattr__(site.runtime, "limits", replace(site.runtime.limits, policy_give_up_s=300))
    made = batches_of(site, delay_s=15)
    names = ("TeamsCallingPolicy", "CallingLineIdentity", "TeamsEmergencyCallingPolicy")
    site.tenant.policy_ids |= {(name, "x"): f"p-{name}" for name in names}
    late = {name for n in range(1, MANY + 1) for name in (f"id-{n}", site.tenant.users[f"id-{n}"].upn)}

    def busy(name: str, target: str) -> None:
        if name == "move_user" and target in late:
            raise Busy("the server is busy")

    site.tenant.before = busy
    plan_id = site.plan(
        MOVED.model_copy(update={"policies": {**POLICIES, **dict.fromkeys(names, "x")}}), *everybody(site)
    )
    site.settle(plan_id, visits=20)
    site.tenant.before = lambda name, target: None
    assert {(line.state, line.reason) for line in site.settle(plan_id)} == {(LineState.VERIFIED, "")}
    assert (len(made.placed), calls(site)["grant_policies"]) == (10, 0)


def test_a_long_look_keeps_its_line(sqlite: Database) -> None:
    """Users are read and recorded a hundred at a time: who looks at thousands holds the line to the end."""
    site = homed(sqlite, users=9 * MANY)
    batches_of(site, delay_s=15)
    plan_id = site.plan(MOVED, *everybody(site))
    taken: list[bool] = []

    def take_over(name: str, _target: str) -> None:
        """Let the look take its time, and another process try to take the line at its end."""
        if name != "teams.voice_users":
            return
        site.tenant.clock.sleep(site.runtime.limits.lease_s * 0.6)
        with sqlite.read() as connection:
            obj = f"{OBJECT}{plan_id}:1"
            taken.append(leases.holder_of(connection, "object", obj, now=site.runtime.now()) is None)

    site.apply(plan_id)
    site.tenant.clock.sleep(60)
    site.tenant.before = take_over
    site.settle(plan_id)
    assert len(taken) > 2
    assert not any(taken)
