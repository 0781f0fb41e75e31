"""Waves whose users get the same policies by operations: held, cancelled, with a next wave, refused by the tenant."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

import pytest

from config.site_policy import read_approvals
from connectors.errors import Invalid
from engine import approvals, batch_approvals, batches, plan_store
from engine.policy_batch_plan import SMALLEST
from flows.batches import ControlAct
from tests.fakes.batch_site import NAME, BatchSite, batch_site
from tests.fakes.flow_site import FlowSite
from tests.fakes.policy_batches import FakePolicyBatches

pytestmark = pytest.mark.slow

MANY = 24
OPTIONS: dict[str, Any] = {"numbers": "none", "policies": {"dial_plan": "AT", "voice_routing": "Vienna"}}
GIVEN = {"OnlineVoiceRoutingPolicy": "Vienna", "TenantDialPlan": "AT"}


def site_of(at_site: FlowSite, users: int = MANY, **delays: float) -> tuple[BatchSite, FakePolicyBatches]:
    """Give a site with so many users on the server, and the operations of its tenant."""
    site = batch_site(at_site.folder, users)
    return site, FakePolicyBatches(site.tenant, **delays)  # type: ignore[arg-type]


def have_policies(site: BatchSite) -> set[str]:
    """Name the users who have the policies of the batch."""
    return {key for key, user in site.tenant.users.items() if user.policies.items() >= GIVEN.items()}


def moved(site: BatchSite) -> set[str]:
    """Name the users who were moved."""
    names = set(site.moved())
    return {key for key, user in site.tenant.users.items() if {key, user.upn} & names}


def test_a_wave_is_finished_in_one_run_where_operations_are_quick(at_site: FlowSite) -> None:
    """Operations start when twenty are ready, the last few get calls of their own; the batch is finished."""
    site, made = site_of(at_site)
    site.create(**OPTIONS)
    summary = site.run()
    assert (summary["state"], summary["counts"]) == ("finished", {"migrated": MANY})
    given = [set(each.users) for each in made.placed.values()]
    alone = {user for name, user in site.tenant.writes() if name == "grant_policies"}
    assert (len(given), given[0]) == (2, given[1])
    assert (given[0] | alone, given[0] & alone, len(given[0]) >= SMALLEST) == (moved(site), set(), True)


def test_an_operation_that_takes_its_time_holds_no_other_wave(at_site: FlowSite) -> None:
    """The first wave waits for Teams, the second is moved meanwhile; a later visit finds both done."""
    site, made = site_of(at_site, 2 * MANY, delay_s=900)
    site.create(wave_size=MANY, **OPTIONS)
    assert site.run()["counts"] == {"waiting": 2 * MANY}
    assert len(moved(site)) == 2 * MANY
    for _ in range(3):
        site.tenant.clock.sleep(1000)
        site.go_on(2)
    assert {each.state for each in site.standings()} == {"migrated"}
    assert len(made.placed) == 4  # two for each wave


def stop_after(site: BatchSite, moves: int, act: ControlAct) -> None:
    """Have the batch paused or cancelled when so many users were moved; moves that begin meanwhile wait for that."""
    at_work = Lock()

    def wait(name: str, _target: str) -> None:
        if "move" in name:
            with at_work:
                pass

    def stop(name: str, _target: str) -> None:
        if "move" in name and len(site.moved()) >= moves:
            with at_work:
                if site.tenant.after is stop:
                    site.tenant.after = lambda name, target: None
                    site.control(act)

    site.tenant.before, site.tenant.after = wait, stop


def plan_states(site: BatchSite) -> list[str]:
    """Give the states of the plans of the batch."""
    with closing(site.database) as database, database.read() as connection:
        ids = batches.plans_of(connection, batches.find(connection, NAME).id)
        return [plan_store.header(connection, each).state for each in ids]


@pytest.mark.parametrize("moves", [5, 30])
@pytest.mark.parametrize("act", [ControlAct.PAUSE, ControlAct.CANCEL])
def test_who_was_moved_has_the_policies_and_nobody_else(at_site: FlowSite, act: ControlAct, moves: int) -> None:
    """A batch that is stopped in the middle gives policies to who was moved, whatever their number, and to no other."""
    site, _ = site_of(at_site, 2 * MANY)
    site.create(wave_size=2 * MANY, **OPTIONS)
    stop_after(site, moves, act)
    site.run()
    site.go_on(3)
    assert moves <= len(moved(site)) < 2 * MANY
    assert have_policies(site) == moved(site)
    rest = "planned" if act is ControlAct.PAUSE else "discarded"
    assert Counter(each.state for each in site.standings()) == {
        "migrated": len(moved(site)), rest: 2 * MANY - len(moved(site))
    }  # fmt: skip
    assert plan_states(site) == ["applying" if act is ControlAct.PAUSE else "settled"]


def test_a_window_that_ends_lets_policies_follow(at_site: FlowSite) -> None:
    """Users who were moved before the window ended get their policies after it."""
    site, _ = site_of(at_site, MANY, delay_s=600)
    site.create(window_end=(datetime.now(UTC) + timedelta(hours=1)).isoformat(), **OPTIONS)
    site.run()
    database = site.database
    with database.write() as connection:
        ended = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        connection.exec_driver_sql("UPDATE batches SET window_end = ?", (f"{ended[:26]}Z",))
    database.close()
    site.tenant.clock.sleep(1000)
    site.go_on(2)
    assert len(have_policies(site)) == MANY
    assert {each.state for each in site.standings()} == {"migrated"}


def test_an_operation_that_is_refused_is_no_failure_of_a_user(at_site: FlowSite) -> None:
    """The tenant takes no operation: everybody gets the policies one by one, and no budget is touched."""
    site, _ = site_of(at_site)
    site.create(error_budget_percent=1, **OPTIONS)

    def refuse(name: str, _target: str) -> None:
        if name == "begin_policy_operation":
            raise Invalid("operations are not for you")

    site.tenant.before = refuse
    summary = site.run()
    assert (summary["state"], summary["counts"]) == ("finished", {"migrated": MANY})
    assert len(have_policies(site)) == MANY


def test_a_wave_is_taken_back_with_its_policies(at_site: FlowSite) -> None:
    """Undo removes what the operations gave, for everybody."""
    site, _ = site_of(at_site)
    site.create(**OPTIONS)
    site.run()
    site.undo(1)
    site.go_on()
    assert {each.state for each in site.standings()} == {"undone"}
    assert have_policies(site) == set()


def test_the_form_offers_no_operations(at_site: FlowSite) -> None:
    """With `never` each user's policies are a call of their own, at once."""
    site, made = site_of(at_site)
    site.create(policy_batches="never", **OPTIONS)
    assert site.run()["counts"] == {"migrated": MANY}
    assert made.placed == {}


def test_preflight_counts_operations(at_site: FlowSite) -> None:
    """The estimate has two operations in place of a call for each user."""
    site, _ = site_of(at_site)
    site.create(**OPTIONS)
    calls = site.preflight()["calls"]
    assert (calls["assign_policy_batch"], calls.get("set_policies")) == (2, None)


EDITS = {
    "nothing": ("", ""),
    "another policy": ('"policy_name": "Vienna"', '"policy_name": "Other"'),
    "somebody else": ('"lines": [1, ', '"lines": [99, '),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_approved_batch_gives_its_users_together_what_each_gets(at_site: FlowSite, what: str) -> None:
    """A wave that is planned after the approval of its batch may use operations, for its users and policies only."""
    (at_site.folder / "approvals.toml").write_text('kinds = ["set_policies"]\n', encoding="utf-8")
    site, _ = site_of(at_site)
    site.create(**OPTIONS)
    ada, now = approvals.Person("ada", "ada", verified=True), datetime.now(UTC)
    rules = read_approvals(at_site.folder)
    with closing(site.database) as database:
        with database.read() as connection:
            seen = batch_approvals.scope_of(connection, batches.find(connection, NAME).id)
        batch_approvals.approve(database, NAME, seen, ada, reason="x", rules=rules, now=now)
    plan_id = site.run(dry_run=True)["plan_id"]
    with closing(site.database) as database, database.write() as connection:
        edit = "UPDATE plan_changes SET parameters = replace(parameters, ?, ?) WHERE kind = 'assign_policy_batch'"
        connection.exec_driver_sql(edit, EDITS[what])
        header, lines = plan_store.header(connection, plan_id), plan_store.load_lines(connection, plan_id)
        new = (plan_store.current_hash(plan_id, header.request_id, lines), plan_id)
        connection.exec_driver_sql("UPDATE plans SET hash = ? WHERE id = ?", new)
        if what == "nothing":
            approvals.require(connection, plan_id, rules, now)
        else:
            with pytest.raises(approvals.ApprovalMissing, match="is not what each of these users gets"):
                approvals.require(connection, plan_id, rules, now)
