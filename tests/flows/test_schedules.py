"""Every schedule of the catalog, seen running: made by the clock, under the actor "schedule", with what it is for."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from sqlalchemy import select

from cli import prefect_runs
from datasets.inventory import NumberState
from datasets.tables.requests import requests
from deployments.catalog import CATALOG, HEADS, TIMEZONE
from deployments.children import Child
from deployments.environment import child_environment
from deployments.server import PrefectServer
from engine import inventory
from engine.proof import verify
from lab.server import Lab
from lab.settings import Settings
from tests.fakes.scheduled_site import BATCH, RESERVED, RESTING, Due, ScheduledSite, scheduled, served
from tests.fakes.waiting import until

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

SCRIPT = """
import sys
from pathlib import Path
from deployments.serve import serve_catalog
from tests.fakes.scheduled_site import MAPPING, served
folder = Path(sys.argv[1])
serve_catalog(served(folder), feeds="lifecycle", drop_folder=folder / "drop", mapping=MAPPING, at_once=2)
"""
GIVE_UP_S, DONE = 600, StateType.COMPLETED
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScheduledSite]:
    """Give a site with half of its people on servers, and the settings that point at it."""
    wanted = Settings()
    wanted.change({"hybrid_share": 0.5, "module_version": "8.0.0"})
    with Lab(folder=tmp_path / "lab", users=60, seed=11, settings=wanted) as lab:
        made = ScheduledSite(lab, tmp_path)
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        with closing(made.database):
            yield made


@pytest.fixture
def due(site: ScheduledSite) -> Due:
    """Give every schedule something to do, before any of them can come due by its own hour."""
    return site.prepare()


@pytest.fixture
def serving(site: ScheduledSite, in_prefect: PrefectServer, prefect_client: SyncPrefectClient) -> Iterator[Child]:
    """Serve every scheduled deployment beside the site; forgets the deployments afterwards."""
    environment = child_environment(in_prefect.place, **site.environment)
    command = [sys.executable, "-P", "-c", SCRIPT, str(site.folder)]
    child = Child("serve", command, log=site.folder / "serve.log", folder=site.folder / "work", env=environment)
    names = {each.name for each in served(site.folder)}
    with child:
        child.wait_until(lambda: names <= {each.name for each in prefect_client.read_deployments()}, GIVE_UP_S)
        yield child
    for each in prefect_client.read_deployments():
        if each.name in names:
            prefect_client.delete_deployment(each.id)


def fire(client: SyncPrefectClient, names: set[str], every_s: int, *, in_s: int) -> dict[str, UUID]:
    """Have the declared schedules of these deployments come due in a moment, and again; gives deployments by name."""
    found = {each.name: each for each in client.read_deployments() if each.name in names}
    for each in found.values():
        (schedule,) = each.schedules
        often = IntervalSchedule(
            interval=timedelta(seconds=every_s), anchor_date=datetime.now(UTC) + timedelta(seconds=in_s)
        )
        client.update_deployment_schedule(each.id, schedule.id, schedule=often)
    return {name: each.id for name, each in found.items()}


def calm(client: SyncPrefectClient, deployment: UUID) -> None:
    """Switch the schedule of a deployment off; runs that were made already go on."""
    (schedule,) = client.read_deployment(deployment).schedules
    client.update_deployment_schedule(deployment, schedule.id, active=False)


def runs_of(client: SyncPrefectClient, deployment: UUID) -> list[FlowRun]:
    """Give the runs that the clock made for a deployment and whose moment has come, in their order."""
    body = {"deployments": {"id": {"any_": [str(deployment)]}}, "sort": "EXPECTED_START_TIME_ASC"}
    found = [FlowRun.model_validate(each) for each in client.request("POST", "/flow_runs/filter", json=body).json()]
    now = datetime.now(UTC)
    return [run for run in found if run.auto_scheduled and run.expected_start_time and run.expected_start_time <= now]


def ended(client: SyncPrefectClient, deployments: Mapping[str, UUID]) -> dict[str, list[FlowRun]]:
    """Wait until the clock has made a run of each deployment, stop it there, and give the runs once they are over."""
    give_up_at, going, runs = time.monotonic() + GIVE_UP_S, dict(deployments), dict[str, list[FlowRun]]()
    while time.monotonic() < give_up_at:
        runs = {name: runs_of(client, each) for name, each in deployments.items()}
        for name in [name for name in going if runs[name]]:
            calm(client, going.pop(name))
        if not going and all(run.state and run.state.is_final() for found in runs.values() for run in found):
            return runs
        time.sleep(0.5)
    raise AssertionError({name: [run.state_name for run in found] for name, found in runs.items()})


def summary_of(site: ScheduledSite, run: FlowRun) -> dict[str, Any]:
    """Give what our record says of a run; fails unless the clock asked for it and it ended well."""
    with site.database.read() as connection:
        row = connection.execute(select(requests).where(requests.c.flow_run_id == str(run.id))).one()
    assert (row.actor_kind, row.actor_name, row.actor_verified) == ("schedule", "schedule", False), row.kind
    assert row.state in ("finished", "waiting"), (row.kind, row.summary)
    return dict(row.summary)


@pytest.mark.nightly
def test_every_schedule_runs_and_does_what_it_is_for(
    site: ScheduledSite, due: Due, serving: Child, prefect_client: SyncPrefectClient
) -> None:
    """All at once: each has a completed run of the clock with a request of its own, does its work, nothing doubles."""
    catalog = scheduled(site.folder)
    runs = ended(prefect_client, fire(prefect_client, {each.name for each in catalog}, every_s=180, in_s=20))
    assert set(runs) == {each.name for each in CATALOG if each.cron}
    firsts = {name: found[0] for name, found in runs.items()}
    assert {name: run.state for name, run in firsts.items() if run.state_type != DONE} == {}
    told = {name: summary_of(site, run) for name, run in firsts.items()}
    changed_what_was_due(site, due, told)
    with site.database.read() as connection:
        assert inventory.violations(connection) == []
        assert verify(connection).faults == []


def changed_what_was_due(site: ScheduledSite, due: Due, told: Mapping[str, Mapping[str, Any]]) -> None:
    """Fail unless each schedule did its work."""
    assert {user.id for user in due.hires} <= set(site.numbers())
    account = site.lab.tenant.find_ad_user(due.leaver.text("onPremisesSamAccountName") or "")
    assert account is not None
    assert not account.enabled  # where it is mastered
    assert due.leaver.id not in site.numbers()
    assert [site.state(number) for number in (RESERVED, RESTING)] == [NumberState.FREE, NumberState.FREE]
    assert told["cache-sync"]["degraded"] == []
    assert told["drift"]["read"]["users"] >= 1
    assert told["number-usage"]["pools"] >= 9
    assert (site.folder / "work" / told["journal-heads"]["file"]).is_file()
    assert [each["batch"] for each in told["batch-advance"]["batches"]] == [BATCH]


def test_a_run_of_the_clock_gives_way_to_the_one_before(
    site: ScheduledSite, serving: Child, prefect_client: SyncPrefectClient
) -> None:
    """A schedule that comes due while its last run goes on is cancelled; no two runs of it overlap."""
    (deployment,) = (each.id for each in prefect_client.read_deployments() if each.name == HEADS.name)

    def states() -> Counter[StateType | None]:
        return Counter(run.state_type for run in runs_of(prefect_client, deployment))

    def told() -> str:
        return f"{states()}, and the process said:\n{serving.log.read_text(errors='replace')[-4000:]}"

    def is_cancelled() -> bool:
        (schedule,) = prefect_client.read_deployment(deployment).schedules
        if isinstance(schedule.schedule, CronSchedule):  # whoever serves registers anew when a busy server refused
            fire(prefect_client, {HEADS.name}, every_s=1, in_s=1)
        return states()[StateType.CANCELLED] > 0

    until(is_cancelled, GIVE_UP_S, every_s=0.5, told=told)
    calm(prefect_client, deployment)  # before hundreds have come due: a server on SQLite loses its way under them
    until(lambda: set(states()) <= {DONE, StateType.CANCELLED} and states()[DONE], GIVE_UP_S, every_s=0.5, told=told)
    done = sorted(times_of(run) for run in runs_of(prefect_client, deployment) if run.state_type == DONE)
    assert all(before[1] <= later[0] for before, later in pairwise(done))


def times_of(run: FlowRun) -> tuple[datetime, datetime]:
    """Give from when to when a run went on."""
    assert run.start_time is not None
    assert run.end_time is not None
    return run.start_time, run.end_time


def test_the_schedules_on_the_server_are_those_declared(
    site: ScheduledSite,
    serving: Child,
    in_prefect: PrefectServer,
    prefect_client: SyncPrefectClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each is there once, with the catalog's cron and zone, and has a run to come; the doctor names one without."""
    monkeypatch.setenv("PREFECT_API_URL", in_prefect.place.api_url)
    shown = {each.name: each for each in prefect_client.read_deployments()}
    for each in scheduled(site.folder):
        (found,) = shown[each.name].schedules
        assert found.active
        assert isinstance(found.schedule, CronSchedule)
        assert (found.schedule.cron, found.schedule.timezone) == (each.cron, TIMEZONE)
    until(lambda: prefect_runs.idle_schedules() == [], GIVE_UP_S, every_s=0.5)
    (heads,) = (each for each in shown.values() if each.name == HEADS.name)
    body = {"deployments": {"id": {"any_": [str(heads.id)]}}}
    for run in prefect_client.request("POST", "/flow_runs/filter", json=body).json():
        prefect_client.delete_flow_run(UUID(run["id"]))
    assert prefect_runs.idle_schedules() == [HEADS.name]
