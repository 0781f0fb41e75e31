"""Undo of a wave by its form: read first, then applied; after a retry; what cannot come back is named."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from config.errors import InputRefused
from engine import inventory, plan_store
from engine.apply import discard
from engine.moving import NOT_RESTORED
from flows import migration
from tasks.work import working_on
from tests.fakes.artifacts import artifacts_of
from tests.fakes.batch_site import NAME, BatchSite, batch_site
from tests.fakes.flow_site import FlowSite

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

pytestmark = pytest.mark.slow

POLICIES: dict[str, Any] = {"policies": {"dial_plan": "AT", "voice_routing": "Vienna"}}
KEEP: dict[str, Any] = {"numbers": "Keep", **POLICIES}
RANGE: dict[str, Any] = {"numbers": "NumberRange", "pool": "vienna", **POLICIES}


@pytest.fixture
def site(at_site: FlowSite) -> BatchSite:
    """Give a site with three users on the server."""
    return batch_site(at_site.folder, 3)


def states(site: BatchSite) -> dict[str, str]:
    """Give how everybody stands."""
    return {each.user: each.state for each in site.standings()}


def undone(site: BatchSite, wave: int) -> dict[str, Any]:
    """Take a wave back and wait for what has to follow."""
    told = site.undo(wave)
    site.go_on()
    return told


def test_undo_after_a_retry_equals_the_snapshot_before(site: BatchSite) -> None:
    """Who was moved in one wave and got the number in another is taken back whole, with the wave they are in now."""
    before = site.snapshot()
    site.create(error_budget_percent=50, **RANGE)
    site.break_users("id-2", at="assign_number")
    assert site.run()["counts"] == {"migrated": 2, "failed": 1}
    site.mend()
    retried = site.retry()
    assert retried["counts"] == {"migrated": 3}
    assert (retried["unreachable"]["users"], retried["unreachable"]["still"]) == (3, 0)
    moved = site.snapshot()
    undone(site, 1)
    assert states(site) == {"user1@lab.test": "undone", "user2@lab.test": "migrated", "user3@lab.test": "undone"}
    assert site.snapshot()["cloud"]["id-2"] == moved["cloud"]["id-2"]  # type: ignore[index]
    undone(site, 2)
    assert set(states(site).values()) == {"undone"}
    assert site.snapshot() == before


def failed_at_the_number(site: BatchSite, options: dict[str, Any]) -> dict[str, object]:
    """Move everybody but one, who fails at the number; gives the site as it was before."""
    before = site.snapshot()
    site.create(error_budget_percent=100, **options)
    site.break_users("id-2", at="assign_number")
    site.run()
    return before


@pytest.mark.parametrize("options", [KEEP, RANGE], ids=["Keep", "NumberRange"])
def test_who_was_taken_back_stays_where_they_are(site: BatchSite, options: dict[str, Any]) -> None:
    """A plan that waits to go on with them has to be discarded first, and the batch that goes on leaves them alone."""
    before = failed_at_the_number(site, options)
    site.mend()
    plan_id = site.retry(dry_run=True)["plan_id"]
    with pytest.raises(InputRefused, match=f"plan discard {plan_id}"):
        site.undo(2)
    with site.runtime() as runtime:
        discard(runtime.database, plan_id, runtime.now())
    undone(site, 2)
    for _ in range(2):
        assert site.run()["counts"] == {"migrated": 2, "undone": 1}
    assert site.snapshot()["server"]["user2@lab.test"] == before["server"]["user2@lab.test"]  # type: ignore[index]
    assert site.moved()["user2@lab.test"] == 2  # there and back


@pytest.mark.parametrize("options", [KEEP, RANGE], ids=["Keep", "NumberRange"])
def test_half_of_a_move_is_taken_back_with_the_wave_of_a_retry(site: BatchSite, options: dict[str, Any]) -> None:
    """Who was moved and failed at the number is taken back, also where the retry did nothing for them."""
    before = failed_at_the_number(site, options)
    site.retry()
    undone(site, 2)
    assert states(site)["user2@lab.test"] == "undone"
    assert site.snapshot()["server"]["user2@lab.test"] == before["server"]["user2@lab.test"]  # type: ignore[index]


def test_a_dry_run_and_the_undo_after_it_are_one_plan(site: BatchSite) -> None:
    """What was read is what is applied, numbers of a range included: an approval of it would hold."""
    before = site.snapshot()
    site.create(**RANGE)
    site.run()
    read = site.undo(1, dry_run=True)
    assert read["counts"] == {"planned": 3}
    assert site.undo(1, dry_run=True)["plan_id"] == read["plan_id"]
    assert undone(site, 1)["plan_id"] == read["plan_id"]
    assert set(states(site).values()) == {"undone"}
    assert site.snapshot() == before


def test_an_undo_that_was_read_too_long_ago_is_planned_anew(site: BatchSite) -> None:
    """Somebody changed a policy meanwhile: another plan says so, and the one before is discarded with its claims."""
    site.create(**RANGE)
    site.run()
    first = site.undo(1, dry_run=True)["plan_id"]
    site.tenant.users["id-1"].policies["TenantDialPlan"] = "DE"
    second = site.undo(1, dry_run=True)["plan_id"]
    assert second != first
    with closing(site.database) as database, database.read() as connection:
        assert plan_store.header(connection, first).state == "discarded"
        assert inventory.claimed_by(connection, first) == []
        assert len(inventory.claimed_by(connection, second)) == 3


def test_a_second_undo_changes_nothing(site: BatchSite) -> None:
    """Nothing is left to take back, and those who were taken back still read so."""
    site.create(**RANGE)
    site.run()
    undone(site, 1)
    after, writes = site.snapshot(), site.tenant.writes()
    assert site.undo(1, dry_run=True)["counts"] == {}
    assert undone(site, 1)["counts"] == {}
    assert (set(states(site).values()), site.snapshot(), site.tenant.writes()) == ({"undone"}, after, writes)


@pytest.mark.parametrize("options", [KEEP, RANGE], ids=["Keep", "NumberRange"])
def test_an_undo_that_failed_at_the_move_is_taken_further(site: BatchSite, options: dict[str, Any]) -> None:
    """The line is on the server again and the user is not: the next undo moves them and takes nothing twice."""
    before = site.snapshot()
    site.create(**options)
    site.run()
    site.break_users("id-1", at="move")
    undone(site, 1)
    assert states(site)["user1@lab.test"] != "undone"
    site.mend()
    undone(site, 1)
    assert set(states(site).values()) == {"undone"}
    assert site.snapshot() == before


def test_what_cannot_come_back_is_named(site: BatchSite, prefect_client: SyncPrefectClient) -> None:
    """Summary and plan say that contacts and meetings stay in Teams, before anything is done and afterwards."""
    site.create(**POLICIES)
    site.run()
    assert site.undo(1, dry_run=True)["warnings"] == [NOT_RESTORED]
    with working_on(site.tenant.systems()):
        request = migration.UndoRequest(batch=NAME, wave=1, dry_run=True, requested_by="tess")
        state = migration.undo_wave(request, return_state=True)
    shown = artifacts_of(prefect_client, str(state.state_details.flow_run_id))
    assert NOT_RESTORED in shown["batch-undo-plan"]["description"]
    assert "move to pool" in shown["batch-undo-plan"]["data"]
    assert NOT_RESTORED in shown["batch-undo-summary"]["data"]
    assert site.undo(1)["warnings"] == [NOT_RESTORED]


def test_users_of_the_cloud_lose_nothing(site: BatchSite) -> None:
    """Who was in Teams before has contacts and meetings still, so there is nothing to warn of."""
    site.skype.people.clear()
    for user in site.tenant.users.values():
        user.account_type, user.number, user.number_source = "user", None, "online"
    site.create(**RANGE)
    assert site.run()["counts"] == {"migrated": 3}
    assert "warnings" not in site.undo(1, dry_run=True)
