"""Undo of a wave: everybody is back on their pool with number and policies as before, and the undo can be undone."""

from __future__ import annotations

import copy

import pytest

from connectors.database import Database
from datasets.batches import BatchNumbers, BatchOptions
from engine import inventory
from engine.plan import LineState
from engine.proof import verify
from engine.restore import Whose, plan_restore
from engine.rollback import Terms
from tests.fakes.migration_site import LINE, NUMBER, POLICIES, Deployment, deployment

SOURCES = [
    pytest.param(BatchOptions(policies=POLICIES), id="Keep"),
    pytest.param(BatchOptions(numbers=BatchNumbers.ON_PREMISES, policies=POLICIES), id="KeepOnPremises"),
    pytest.param(BatchOptions(numbers=BatchNumbers.NUMBER_RANGE, pool="vienna", policies=POLICIES), id="NumberRange"),
    pytest.param(BatchOptions(numbers=BatchNumbers.HOME, write_back=("telephoneNumber",)), id="Home"),
]


@pytest.fixture
def site(database: Database) -> Deployment:
    """Give a user with a line, one of another pool without voice, and one of the cloud, on each database."""
    made = deployment(database)
    made.skype.home("id-1", LINE)
    made.skype.home("id-2", None, voice=False, pool="pool2.lab.test")
    made.tenant.users["id-1"].home_phone = "+431234507"
    made.tenant.users["id-1"].policies = {"TenantDialPlan": "AT"}
    return made


@pytest.mark.parametrize("options", SOURCES)
def test_undo_of_a_wave_equals_the_snapshot_before_it(site: Deployment, options: BatchOptions) -> None:
    """Homes, lines, numbers, voice, policies and directory are what they were (M24, M41).

    A number that no plan touched is none of the inventory's: nobody has told it who has it.
    """
    before = copy.deepcopy(site.snapshot())
    plan_id = site.plan(options, "id-1", "id-2")
    assert {line.state for line in site.settle(plan_id)} <= {LineState.VERIFIED, LineState.REFUSED}
    assert site.snapshot() != before
    lines = site.undo(plan_id)
    assert [line.reason for line in lines if line.state != LineState.VERIFIED] == []
    assert site.snapshot() == before
    assert site.state_of(NUMBER) == ("free" if options.numbers is BatchNumbers.ON_PREMISES else "assigned")
    with site.runtime.database.read() as connection:
        assert inventory.violations(connection) == []
        assert verify(connection).faults == []


def test_the_undo_can_be_undone(site: Deployment) -> None:
    """Undo of the undo moves the user again and gives the number back to Teams."""
    plan_id = site.plan(BatchOptions(policies=POLICIES), "id-1")
    site.settle(plan_id)
    site.tenant.clock.sleep(3600)
    after = copy.deepcopy(site.snapshot())
    lines = site.undo(site.undo(plan_id)[0].plan_id)
    assert [line.state for line in lines] == [LineState.VERIFIED]
    assert site.snapshot() == after
    assert site.state_of(NUMBER) == "assigned"


def test_the_moment_before_a_wave_can_be_restored(site: Deployment) -> None:
    """Restore goes the same way as undo: the user is on the pool again, with line, number and policies."""
    before, moment = copy.deepcopy(site.snapshot()), site.runtime.now()
    site.tenant.clock.sleep(60)
    site.migrate(BatchOptions(policies=POLICIES), "id-1")
    site.tenant.clock.sleep(3600)
    plan_id = plan_restore(site.runtime, site.request(), Whose(("id-1",)), moment, Terms())
    assert [line.state for line in site.settle(plan_id)] == [LineState.VERIFIED]
    assert site.snapshot() == before


def test_a_number_that_changed_since_keeps_the_user_in_teams(site: Deployment) -> None:
    """Half an undo would leave a user without a number: nothing is done, and the reason is told."""
    plan_id = site.plan(BatchOptions(policies=POLICIES), "id-1")
    site.settle(plan_id)
    site.tenant.users["id-1"].number = "+431234509"
    (line,) = site.undo(plan_id)
    assert line.state == LineState.REFUSED
    assert "stays where they are: number is '+431234509' now" in line.reason
    assert site.skype.people["user1@lab.test"].registrar_pool is None


def test_an_undo_waits_for_the_cloud_to_follow(sqlite: Database) -> None:
    """The user is back when Teams shows it: until then the line waits for the synchronisation."""
    made = deployment(sqlite, sync_delay_s=100, move_delay_s=60)
    made.skype.home("id-1", LINE)
    plan_id = made.plan(BatchOptions(), "id-1")
    made.settle(plan_id)
    (line,) = made.undo(plan_id)
    assert line.state == LineState.VERIFIED
    assert made.tenant.users["id-1"].account_type == "sfbOnPremUser"
    assert (made.tenant.users["id-1"].number, made.tenant.users["id-1"].number_source) == (NUMBER, "onPremises")
