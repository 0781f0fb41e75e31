"""What the migration promises, row by row: prerequisites before users, a checklist for each, bad numbers set aside."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from connectors import sheets
from datasets.checklists import short
from deployments.server import PrefectServer
from engine import batches as rows
from engine import checklists
from flows import migration
from tasks.work import working_on
from tests.fakes.batch_site import NAME, BatchSite, batch_site
from tests.fakes.flow_site import FlowSite

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

pytestmark = pytest.mark.slow

POLICIES: dict[str, Any] = {"policies": {"dial_plan": "AT", "voice_routing": "Vienna"}}


@pytest.fixture
def site(at_site: FlowSite) -> BatchSite:
    """Give a site with four users on the server."""
    return batch_site(at_site.folder, 4)


def checklist(site: BatchSite, user: str = "") -> list[dict[str, str]]:
    """Give the checklists of the batch."""
    database = site.database
    with database.read() as connection:
        found = checklists.of_batch(connection, rows.find(connection, NAME).id, user=user)
    database.close()
    return found


def task_runs(client: SyncPrefectClient, flow_run_id: str) -> list[Any]:
    """Give the task runs of a flow run in the order of their beginnings, once all are recorded."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.client.schemas.sorting import TaskRunSort

    flow = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run_id)]))
    for _ in range(100):
        found = client.read_task_runs(flow_run_filter=flow, sort=TaskRunSort.EXPECTED_START_TIME_ASC)
        if any(run.name.startswith("checklist") for run in found) and all(run.end_time for run in found):
            break
        time.sleep(0.2)
    return sorted(found, key=lambda run: run.start_time)


def run_in_prefect(site: BatchSite) -> str:
    """Move the batch as a flow run; gives the run's id."""
    with working_on(site.tenant.systems()):
        state = migration.run_batch(migration.BatchRequest(batch=NAME, requested_by="tess"), return_state=True)
    return str(state.state_details.flow_run_id)


def test_prerequisites_are_verified_before_any_user_is_moved(
    site: BatchSite, in_prefect: PrefectServer, prefect_client: SyncPrefectClient
) -> None:
    """In the task graph the plan of each wave, which verifies policies and usages, has ended before its users (M51)."""
    site.create(wave_size=2, **POLICIES)
    runs = task_runs(prefect_client, run_in_prefect(site))
    assert [*site.moved().values()] == [1] * 4
    graph = [run for run in runs if run.name.startswith(("plan wave", "move lines"))]
    assert [run.name.split()[0] for run in graph] == ["plan", "move", "plan", "move"]
    assert all(plan.end_time <= move.start_time for plan, move in ((graph[0], graph[1]), (graph[2], graph[3])))


def test_missing_prerequisites_move_nobody(
    site: BatchSite, in_prefect: PrefectServer, prefect_client: SyncPrefectClient
) -> None:
    """A usage that no voice route carries ends the run after its plan: no task moves anybody (M48, M51)."""
    site.create(**POLICIES)
    site.tenant.hybrid.routed.clear()
    runs = task_runs(prefect_client, run_in_prefect(site))
    assert any(run.name.startswith("plan wave") for run in runs)
    assert not any(run.name.startswith("move lines") for run in runs)
    assert (site.moved(), site.tenant.writes()) == ({}, [])
    assert {each.state for each in site.standings()} == {"refused"}


@pytest.mark.parametrize(
    ("source", "attribute"),
    [
        pytest.param("Home", "home_phone", id="Home (M42)"),
        pytest.param("Mobile", "mobile", id="Mobile (M43)"),
        pytest.param("IpPhone", "ip_phone", id="IpPhone (M45)"),
        pytest.param("Phone", "telephone_number", id="Phone (M46)"),
    ],
)
def test_a_bad_number_is_set_aside_and_the_others_go(site: BatchSite, source: str, attribute: str) -> None:
    """Of four people one has words in the attribute and one nothing: both are told why, two are moved (M42, M45)."""
    for user, text in zip(site.tenant.users.values(), ("+431234507", "call my wife", "01 234508", ""), strict=True):
        setattr(user, attribute, text or None)
    site.create(numbers=source)
    assert site.run()["counts"] == {"migrated": 2, "refused": 2}
    words, nothing = site.standings("refused")
    assert ("call my wife" in words.reason, f"has no {source} number" in nothing.reason) == (True, True)
    assert {user.number for user in site.tenant.users.values() if user.number_source == "online"} == {
        "+431234507",
        "+431234508",
    }
    assert [row["number"] for row in checklist(site)] == ["ok", "blocked", "ok", "blocked"]


def test_a_private_mobile_is_warned_of_and_moved(site: BatchSite) -> None:
    """A mobile in no pool of ours is worth a look in preflight, plan and checklist, and blocks nobody (M43)."""
    for number, user in enumerate(site.tenant.users.values()):
        user.mobile = f"+43664123456{number}"
    site.create(numbers="Mobile")
    found = site.preflight()
    outside = next(each for each in found["reasons"] if each["check"] == "number_outside")
    assert (outside["users"], outside["blocks"]) == (4, False)
    assert site.run()["counts"] == {"migrated": 4}
    assert {row["number"] for row in checklist(site)} == {"look"}


def test_a_number_outside_of_the_pool_or_of_somebody_else_is_refused(site: BatchSite) -> None:
    """With a pool named, membership and owner are checked: one is outside, one is another's, two are moved (M49)."""
    users = [*site.tenant.users.values()]
    for user, text in zip(users, ("+431234507", "+4317654321", "+431234507", "+431234509"), strict=True):
        user.home_phone = text
    site.create(numbers="Home", pool="vienna")
    assert site.run()["counts"] == {"migrated": 2, "refused": 2}
    outside, taken = site.standings("refused")
    assert ("is not in pool vienna" in outside.reason, "+431234507" in taken.reason) == (True, True)


def test_every_user_has_a_checklist(site: BatchSite, tmp_path: Path) -> None:
    """Licence, sync, SIP, voice, mailbox and location, then move, number, policies and end, user by user (M50)."""
    site.tenant.hybrid.unsynchronised.add("id-2")
    site.tenant.hybrid.without_mail.add("id-3")
    site.create(numbers="Keep", error_budget_percent=100, **POLICIES)
    file = tmp_path / "preflight.csv"
    site.preflight(str(file))
    before = [cells for _, cells in sheets.rows_of(file)]
    assert [before[2][before[0].index(name)] for name in ("licence", "sync", "mailbox")] == ["ok", "blocked", "ok"]
    site.break_users("id-4")
    site.run()
    one, two, three, four = checklist(site)
    assert [one[name] for name in ("licence", "sync", "SIP", "voice", "mailbox")] == ["ok"] * 5
    assert [one[name] for name in ("moved", "line cleared", "numbered", "policies set", "end")] == [
        "done", "done", "done", "done", "migrated"
    ]  # fmt: skip
    assert (two["sync"], two["moved"], two["end"]) == ("blocked", "–", "refused")
    assert (three["mailbox"], three["end"]) == ("look", "migrated")
    assert (four["moved"], four["numbered"], four["end"]) == ("failed", "to do", "failed")
    assert short(two)["checked"].startswith("sync: blocked")
    assert [row["user"] for row in checklist(site, "USER3")] == ["user3@lab.test"]


def test_who_is_not_planned_yet_has_no_marks(site: BatchSite) -> None:
    """Before its wave is planned a user's checklist is empty, and somebody unknown is told as such."""
    site.create(users="id-1, nobody@lab.test")
    ready, lost = checklist(site)
    assert (ready["licence"], ready["moved"], ready["end"]) == ("", "", "ready")
    assert lost["end"] == "not found"
