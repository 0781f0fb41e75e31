"""Migration of single users: the order of changes for every number source, waits, and what is not done twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connectors.database import Database
from connectors.errors import OnPremisesNumber
from datasets.batches import BatchNumbers, BatchOptions
from engine import inventory, plan_store
from engine.apply import discard
from engine.history import done_in
from engine.outages import unreachable
from engine.plan import LineState
from tests.fakes.fake_skype import ONLINE
from tests.fakes.migration_site import LINE, NUMBER, POLICIES, Deployment, deployment
from tests.fakes.tenant import FakeUser

KEEP = BatchOptions(policies=POLICIES)
WHOLE = (
    "move_to_teams",
    "await_teams_only",
    "clear_on_premises_line",
    "await_line_release",
    "assign_number",
    "set_policies",
    "write_directory",
)


@pytest.fixture
def site(sqlite: Database) -> Deployment:
    """Give three users, the first of whom is homed on the server with a line; the cloud follows at once."""
    made = deployment(sqlite)
    made.skype.home("id-1", LINE)
    return made


def kinds(site: Deployment, plan_id: str, line: int = 1) -> tuple[str, ...]:
    """Give the kinds of change of a line, in order."""
    return tuple(change.change.kind for change in site.lines(plan_id)[line - 1].changes)


def user(site: Deployment, number: int = 1) -> FakeUser:
    """Give a user of the tenant."""
    return site.tenant.users[f"id-{number}"]


def test_a_user_is_moved_in_the_documented_order(site: Deployment) -> None:
    """Move, TeamsOnly seen, line cleared, sync seen, number, policies, write-back (M41, M47, M50)."""
    plan_id = site.plan(KEEP.model_copy(update={"write_back": ("telephoneNumber",)}), "id-1")
    assert kinds(site, plan_id) == WHOLE
    (line,) = site.settle(plan_id)
    assert (line.state, line.success) == (LineState.VERIFIED, "migrated")
    assert (user(site).number, user(site).number_source, user(site).enterprise_voice) == (NUMBER, "online", True)
    assert {**POLICIES}.items() <= user(site).policies.items()
    assert site.skype.people["user1@lab.test"].home == ONLINE
    assert site.state_of(NUMBER) == "assigned"


def test_what_shows_already_is_not_done_again(site: Deployment) -> None:
    """A second wave over the same users changes nothing: their line is unchanged (M41)."""
    site.migrate(KEEP, "id-1")
    before = site.tenant.writes()
    (line,) = site.lines(site.plan(KEEP, "id-1"))
    assert (line.state, line.reason) == (LineState.UNCHANGED, "already as the batch wants it")
    assert site.tenant.writes() == before


def test_a_user_of_the_cloud_is_planned_without_a_move(site: Deployment) -> None:
    """Somebody who never was on the server gets number and policies only."""
    options = BatchOptions(numbers=BatchNumbers.NUMBER_RANGE, pool="vienna", policies=POLICIES)
    plan_id = site.plan(options, "id-2")
    assert kinds(site, plan_id) == ("assign_number", "set_policies")
    assert site.settle(plan_id)[0].state == LineState.VERIFIED
    assert user(site, 2).number == "+431234500"


@pytest.mark.parametrize(
    ("source", "attribute"),
    [
        pytest.param(BatchNumbers.HOME, "home_phone", id="Home (M42)"),
        pytest.param(BatchNumbers.MOBILE, "mobile", id="Mobile (M43)"),
        pytest.param(BatchNumbers.IP_PHONE, "ip_phone", id="IpPhone (M45)"),
        pytest.param(BatchNumbers.PHONE, "telephone_number", id="Phone (M46)"),
    ],
)
def test_the_number_comes_from_the_directory(site: Deployment, source: BatchNumbers, attribute: str) -> None:
    """Each attribute of the directory, in any writing, becomes the number; the line is cleared (M42, M43, M45, M46)."""
    setattr(user(site), attribute, "01 234507")
    (line,) = site.migrate(BatchOptions(numbers=source), "id-1")
    assert line.state == LineState.VERIFIED
    assert user(site).number == "+431234507"
    assert site.skype.people["user1@lab.test"].line_uri is None


def test_a_wave_claims_its_block_at_once(site: Deployment) -> None:
    """Numbers of a range are given from the lowest, each once; of the old line the owner keeps nothing (M44)."""
    options = BatchOptions(numbers=BatchNumbers.NUMBER_RANGE, pool="vienna")
    plan_id = site.plan(options, "id-1", "id-2", "id-3")
    with site.runtime.database.read() as connection:
        claimed = [row.number.e164 for row in inventory.claimed_by(connection, plan_id)]
    assert claimed == ["+431234500", "+431234502", "+431234503"]
    assert {line.state for line in site.settle(plan_id)} == {LineState.VERIFIED}
    assert sorted(site.tenant.owners()) == claimed
    assert site.state_of(NUMBER) == "grace"
    with site.runtime.database.read() as connection:
        assert inventory.violations(connection) == []


def test_a_number_may_stay_with_the_directory(site: Deployment) -> None:
    """KeepOnPremises moves the user, leaves the line alone and waits for the voice that the move brings along."""
    plan_id = site.plan(BatchOptions(numbers=BatchNumbers.ON_PREMISES, policies=POLICIES), "id-1")
    assert kinds(site, plan_id) == ("move_to_teams", "await_teams_only", "await_voice", "set_policies")
    assert site.settle(plan_id)[0].state == LineState.VERIFIED
    assert (user(site).number, user(site).number_source) == (NUMBER, "onPremises")
    assert site.skype.people["user1@lab.test"].line_uri == LINE


def test_a_batch_without_numbers_touches_none(site: Deployment) -> None:
    """With the source none the user is moved and keeps the line as it is."""
    plan_id = site.plan(BatchOptions(numbers=BatchNumbers.NONE), "id-1")
    assert kinds(site, plan_id) == ("move_to_teams", "await_teams_only")
    assert site.settle(plan_id)[0].state == LineState.VERIFIED
    assert site.skype.people["user1@lab.test"].line_uri == LINE


def test_a_number_of_teams_is_sticky(site: Deployment) -> None:
    """A user of the cloud who has a number keeps it, whatever the source says."""
    user(site, 2).number, user(site, 2).enterprise_voice = "+431234509", True
    options = BatchOptions(numbers=BatchNumbers.NUMBER_RANGE, pool="vienna")
    assert site.lines(site.plan(options, "id-2"))[0].state == LineState.UNCHANGED


def test_replication_is_waited_for_and_not_slept_for(sqlite: Database) -> None:
    """A move that Teams does not show and a line that is not synchronised are waiting lines; then they go on."""
    site = deployment(sqlite, sync_delay_s=100, move_delay_s=60)
    site.skype.home("id-1", LINE)
    plan_id = site.plan(KEEP, "id-1")
    (line,) = site.apply(plan_id)
    assert (line.state, line.condition) == (LineState.WAITING, "teams_only")
    site.tenant.clock.sleep(60)
    (line,) = site.apply(plan_id)
    assert (line.state, line.condition) == (LineState.WAITING, "line_released")
    assert site.settle(plan_id)[0].state == LineState.VERIFIED
    assert [name for name, _ in site.tenant.writes()] == [
        "move_user",
        "set_line_uri",
        "assign_number",
        "grant_policies",
    ]


def test_a_wait_that_does_not_end_fails_with_what_to_do(sqlite: Database) -> None:
    """A synchronisation that never comes ends the line, names the remedy and gives the number back to its owner."""
    site = deployment(sqlite, sync_delay_s=10**6)
    site.skype.home("id-1", LINE)
    plan_id = site.plan(KEEP, "id-1")
    site.apply(plan_id)
    site.tenant.clock.sleep(25 * 3600)
    (line,) = site.apply(plan_id)
    assert line.state == LineState.FAILED
    assert "Start-ADSyncSyncCycle" in line.reason


@pytest.mark.parametrize("line", [LINE, LINE.replace("tel:", "TEL:")])
def test_a_wave_that_stopped_half_way_is_finished_by_the_next(sqlite: Database, line: str) -> None:
    """Who was moved and whose line was cleared gets the old number by the next plan, without another move (M41)."""
    site = deployment(sqlite, sync_delay_s=10**6)
    site.skype.home("id-1", line)
    plan_id = site.plan(KEEP, "id-1")
    site.apply(plan_id)
    site.tenant.clock.sleep(25 * 3600)
    site.apply(plan_id)
    site.tenant.clock.sleep(10**6)
    again = site.plan(KEEP, "id-1")
    assert "move_to_teams" not in kinds(site, again)
    assert site.settle(again)[0].state == LineState.VERIFIED
    assert (user(site).number, len(site.skype.moves)) == (NUMBER, 1)


def test_a_move_that_only_says_yes_is_not_done(site: Deployment) -> None:
    """A server that accepts a move and does nothing fails the line; nothing after the move is sent."""
    site.tenant.ignored = {("move_user", "id-1")}
    (line,) = site.migrate(KEEP, "id-1")
    assert (line.state, "never took effect" in line.reason) == (LineState.FAILED, True)
    assert site.tenant.writes() == []
    assert site.state_of(NUMBER) == "assigned"


def test_a_failed_policy_leaves_the_user_undone(site: Deployment) -> None:
    """Who lacks the dial plan of the batch is failed, not migrated; the next plan has only that (M47)."""
    plan_id = site.plan(BatchOptions(policies={"TenantDialPlan": "AT"}), "id-1")
    known = site.tenant.policy_ids.pop(("TenantDialPlan", "AT"))
    (line,) = site.settle(plan_id)
    assert (line.state, user(site).number) == (LineState.FAILED, NUMBER)
    site.tenant.policy_ids["TenantDialPlan", "AT"] = known
    again = site.plan(BatchOptions(policies={"TenantDialPlan": "AT"}), "id-1")
    assert kinds(site, again) == ("set_policies",)
    assert site.settle(again)[0].state == LineState.VERIFIED


def test_a_number_that_only_seems_assigned_is_not_done(site: Deployment) -> None:
    """Teams says yes and assigns nothing: the line fails, and the number stays with its owner (false success)."""
    site.tenant.ignored = {("assign_number", "id-1")}
    (line,) = site.migrate(KEEP, "id-1")
    assert (line.state, "never took effect" in line.reason) == (LineState.FAILED, True)
    assert site.state_of(NUMBER) == "assigned"


def test_a_waiting_line_reads_only_what_it_waits_for(sqlite: Database) -> None:
    """While Teams does not show the move, a visit asks Teams alone: the server has better things to do."""
    site = deployment(sqlite, move_delay_s=600)
    site.skype.home("id-1", LINE)
    plan_id = site.plan(KEEP, "id-1")
    site.apply(plan_id)
    site.tenant.clock.sleep(60)
    first = len(site.tenant.calls)
    site.apply(plan_id)
    assert [name for name, _, _ in site.tenant.calls[first:]] == ["teams.voice_user"]


def test_a_number_that_teams_has_not_let_go_of_everywhere_is_waited_for(site: Deployment) -> None:
    """The list of numbers shows the release before the assignment heard of it: the refusal is waited out (#9347)."""
    refusals = iter((True, True))

    def refuse(name: str, _target: str) -> None:
        if name == "assign_number" and next(refusals, False):
            raise OnPremisesNumber("The user already has a telephone number set in the on-premises Active Directory")

    site.tenant.before = refuse
    plan_id = site.plan(KEEP, "id-1")
    (line,) = site.apply(plan_id)
    assert (line.state, line.condition) == (LineState.WAITING, "line_released")
    assert site.settle(plan_id)[0].state == LineState.VERIFIED
    assert user(site).number == NUMBER


def test_one_user_of_many_fails_and_the_others_are_moved(site: Deployment) -> None:
    """A refused move is one failed line with the server's words."""
    site.skype.home("id-2", "tel:+431234502")
    site.skype.home("id-3", "tel:+431234503")
    plan_id = site.plan(KEEP, "id-1", "id-2", "id-3")
    site.tenant.hybrid.plan_ids["id-2"] = ()
    states = [line.state for line in site.settle(plan_id)]
    assert states == [LineState.VERIFIED, LineState.FAILED, LineState.VERIFIED]
    assert "Plan 2" in site.lines(plan_id)[1].reason


def test_the_time_without_calls_is_on_record(sqlite: Database) -> None:
    """From the moment the move was accepted until the number was seen: 160 seconds, as the cloud took."""
    site = deployment(sqlite, sync_delay_s=100, move_delay_s=60)
    site.skype.home("id-1", LINE)
    plan_id = site.plan(KEEP, "id-1")
    site.apply(plan_id)
    with site.runtime.database.read() as connection:
        assert [each.until for each in unreachable(connection, [plan_id])] == [None]
    site.settle(plan_id)
    with site.runtime.database.read() as connection:
        (found,) = unreachable(connection, [plan_id])
        moved, given = (
            each.at for each in done_in(connection, [plan_id]) if each.kind in ("move_to_teams", "assign_number")
        )
    assert (found.since, found.until) == (moved, given)
    assert found.seconds is not None
    assert timedelta(seconds=found.seconds) >= timedelta(seconds=160)


def test_discarding_a_wave_leaves_the_numbers_with_their_owners(site: Deployment) -> None:
    """A wave that is not started gives its claims back: a kept number stays assigned to who has it on the server."""
    plan_id = site.plan(KEEP, "id-1")
    assert site.state_of(NUMBER) == "claimed"
    discard(site.runtime.database, plan_id, site.runtime.now())
    assert site.state_of(NUMBER) == "assigned"
    with site.runtime.database.read() as connection:
        assert plan_store.header(connection, plan_id).state == "discarded"
