"""Serving with a real Prefect server: forms, schedules, collisions, crashes, and an outage in the middle."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.exceptions import ObjectNotFound

from deployments.automations import ZOMBIES, register_automations
from deployments.catalog import Deployed, feed_parameters
from deployments.children import Child
from deployments.environment import Place, child_environment, settings_of
from deployments.runs import standing_of, start_run, wait_for_run
from deployments.serve import deployment_of, keep_choices, retire_the_other
from deployments.server import NO_TLS, PrefectServer
from deployments.watcher import Outcome
from tests.fakes.waiting import until

FLOW = "tests.fakes.placeholder_flows:remember"
ONE = Deployed(name="onboarding", flow=FLOW, description="Reads a *feed*.", tags=("voice",), cron="0 2 * * *")
LIFE = Deployed(name="lifecycle", flow=FLOW, description="Reads a feed of lives.", tags=("voice",))
GIVES_WAY = Deployed(name="gives-way", flow=FLOW, description="Gives way.", collision="CANCEL_NEW")
SCRIPT = """
import sys
from pathlib import Path
from deployments.serve import serve_catalog
from tests.flows.test_serving import GIVES_WAY, LIFE, ONE
folder, mapping = Path(sys.argv[1]), Path("mapping.toml")
serve_catalog((ONE, LIFE, GIVES_WAY), feeds="lifecycle", drop_folder=folder, mapping=mapping, poll_s=0.5)
"""
T = TypeVar("T")
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Serving:
    """A serve process with its drop folder."""

    drop: Path
    child: Child

    @property
    def hold(self) -> Path:
        """Give the file that makes runs wait."""
        return self.drop / ".hold"

    def started(self) -> list[str]:
        """Give the process id and feed of every run that began."""
        log = self.drop / ".started"
        return log.read_text().splitlines() if log.exists() else []


def serve_process(place: Place, folder: Path) -> Serving:
    """Describe a serve process for the placeholder flows."""
    drop = folder / "drop"
    (drop / "processing").mkdir(parents=True)
    command = [sys.executable, "-P", "-c", SCRIPT, str(drop)]
    return Serving(drop, Child("serve", command, log=folder / "log", folder=folder, env=child_environment(place)))


def start(serving: Serving, text: str, deployment: str = "onboarding", key: str | None = None) -> str:
    """Start a run of a placeholder deployment on a feed with this text."""
    feed = serving.drop / "processing" / f"{text}.txt"
    feed.write_text(text)
    return start_run(f"placeholder/{deployment}", feed_parameters(feed, Path("m"), "a test"), key=key)


def deployments_of(server: PrefectServer) -> int:
    """Count the placeholder's deployments on a server."""
    body = {"flows": {"name": {"any_": ["placeholder"]}}}
    return int(httpx.post(f"{server.place.api_url}/deployments/count", json=body, verify=NO_TLS).text)


@pytest.fixture(scope="module")
def module_serving(prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Serve three deployments of the placeholder for this module."""
    serving = serve_process(prefect_server.place, tmp_path_factory.mktemp("serving"))
    with serving.child:
        until(lambda: deployments_of(prefect_server) == 3)
        yield serving


@pytest.fixture
def serving(module_serving: Serving, in_prefect: PrefectServer) -> Serving:
    """Let this test talk to the server that the module's deployments are served on."""
    module_serving.hold.unlink(missing_ok=True)
    return module_serving


def test_the_form_shows_titles_and_help(serving: Serving, prefect_client: SyncPrefectClient) -> None:
    """The server knows each parameter with its title, help and default, and refuses unknown ones."""
    schema = prefect_client.read_deployment_by_name("placeholder/onboarding").parameter_openapi_schema
    assert schema is not None
    request = schema["definitions"]["Request"]
    assert request["properties"]["dry_run"]["description"] == "Stop after the plan."
    assert request["additionalProperties"] is False


def test_a_dropped_file_becomes_one_completed_run(serving: Serving, prefect_client: SyncPrefectClient) -> None:
    """A file in the drop folder ends in `done/` after its run, which is one of the deployment that was chosen."""
    (serving.drop / "a.csv").write_text("dropped")
    until(lambda: list((serving.drop / "done").glob("*.a.csv")))
    assert [line.split()[1] for line in serving.started()].count("dropped") == 1
    of_a_file = [run for run in prefect_client.read_flow_runs() if (run.idempotency_key or "").startswith("feed:")]
    chosen = prefect_client.read_deployment_by_name("placeholder/lifecycle").id
    assert {run.deployment_id for run in of_a_file} == {chosen}


def test_a_failing_run_leaves_file_and_reason_in_refused(serving: Serving) -> None:
    """The reason beside a refused file carries what the flow said."""
    (serving.drop / "b.csv").write_text("bad")
    reason = until(lambda: list((serving.drop / "refused").glob("*.b.csv.reason.txt")))[0]
    assert "line 1: bad row" in reason.read_text()


def test_the_same_key_starts_one_run(serving: Serving) -> None:
    """Starting twice with one key gives one run."""
    first = start(serving, "once", key="the-key")
    assert start(serving, "once", key="the-key") == first
    assert wait_for_run(first, timeout_s=240).outcome is Outcome.DONE


def test_runs_of_people_wait_and_runs_of_the_clock_give_way(serving: Serving) -> None:
    """While one run goes on, a second one waits or is cancelled, as its deployment says."""
    serving.hold.touch()
    runs = {name: [start(serving, f"{name}-{i}", name) for i in (1, 2)] for name in ("onboarding", "gives-way")}
    first, second = runs["gives-way"]
    until(lambda: Outcome.REFUSED in {standing_of(first).outcome, standing_of(second).outcome})
    assert {standing_of(run).outcome for run in runs["onboarding"]} == {Outcome.OPEN}
    serving.hold.unlink()
    assert {wait_for_run(run, timeout_s=240).outcome for run in runs["onboarding"]} == {Outcome.DONE}


def test_a_killed_run_of_a_file_is_started_again(serving: Serving) -> None:
    """A run whose process is killed crashes, and its file gets a second run."""
    serving.hold.touch()
    (serving.drop / "c.csv").write_text("killed")
    line = until(lambda: [line for line in serving.started() if line.endswith(" killed")])[0]
    serving.hold.unlink()
    os.kill(int(line.split()[0]), signal.SIGKILL)
    done = until(lambda: list((serving.drop / "done").glob("*.c.csv")))
    assert done[0].name.split(".")[1] == "2"


def test_registering_again_keeps_what_a_person_paused(serving: Serving, prefect_client: SyncPrefectClient) -> None:
    """A paused deployment and a paused schedule stay so after the next start of the serving process."""
    deployment = prefect_client.read_deployment_by_name("placeholder/onboarding")
    prefect_client.update_deployment(deployment.id, DeploymentUpdate(paused=True))
    again = deployment_of(ONE)
    keep_choices(prefect_client, again)
    again.apply()
    assert prefect_client.read_deployment(deployment.id).paused
    prefect_client.update_deployment(deployment.id, DeploymentUpdate(paused=False))


def test_the_nightly_run_of_another_choice_goes_away(serving: Serving, prefect_client: SyncPrefectClient) -> None:
    """Served with another `--feeds`, the nightly run of before is deleted; served with none, both stay."""
    names = ("lifecycle-nightly", "onboarding-nightly")
    for name in names:
        deployment_of(replace(ONE, name=name)).apply()
    ids = [prefect_client.read_deployment_by_name(f"placeholder/{name}").id for name in names]
    retire_the_other(prefect_client, {"onboarding", "lifecycle"})
    assert {prefect_client.read_deployment(each).name for each in ids} == set(names)
    retire_the_other(prefect_client, {"lifecycle", "lifecycle-nightly"})
    assert prefect_client.read_deployment(ids[0]).name == "lifecycle-nightly"
    with pytest.raises(ObjectNotFound):
        prefect_client.read_deployment(ids[1])
    prefect_client.delete_deployment(ids[0])


def test_the_zombie_automation_is_registered_once(serving: Serving, prefect_client: SyncPrefectClient) -> None:
    """Registering again changes nothing; a changed heartbeat changes the one automation."""
    register_automations(prefect_client, 30)
    (before,) = prefect_client.read_automations_by_name(ZOMBIES)
    register_automations(prefect_client, 30)
    (same,) = prefect_client.read_automations_by_name(ZOMBIES)
    register_automations(prefect_client, 60)
    (changed,) = prefect_client.read_automations_by_name(ZOMBIES)
    register_automations(prefect_client, 30)
    assert same.id == before.id == changed.id
    assert changed.trigger != before.trigger


def test_a_file_dropped_during_an_outage_is_processed_after_it(tmp_path: Path) -> None:
    """Server away, file dropped, server back: the file ends in `done/` and was run once."""
    server = PrefectServer(tmp_path / "prefect")
    serving = serve_process(server.place, tmp_path)
    with server, serving.child:
        until(lambda: deployments_of(server) == 3)
        server.stop()
        (serving.drop / "a.csv").write_text("late")
        until(lambda: list((serving.drop / "processing").glob("*.a.csv")))
        server.start()
        server.wait()
        until(lambda: list((serving.drop / "done").glob("*.a.csv")))
    assert len(serving.started()) == 1


def test_a_runs_place_in_the_queue_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    """After a restart run and lease are still known, so the run is not ended for want of it."""
    server = PrefectServer(tmp_path / "prefect")
    serving = serve_process(server.place, tmp_path)
    serving.hold.touch()
    with server, serving.child, settings_of(server.place):
        until(lambda: deployments_of(server) == 3)
        run_id = start(serving, "held")
        until(serving.started)
        lease = httpx.get(f"{server.place.api_url}/flow_runs/{run_id}").json()["state"]["state_details"][
            "deployment_concurrency_lease_id"
        ]
        server.stop()
        server.start()
        server.wait()
        url = f"{server.place.api_url}/v2/concurrency_limits/leases/{lease}/renew"
        assert httpx.post(url, json={"lease_duration": 300}).is_success
        serving.hold.unlink()
        assert wait_for_run(run_id, timeout_s=240).outcome is Outcome.DONE


def test_a_file_survives_the_death_of_runner_and_run(tmp_path: Path) -> None:
    """Serving process and run killed at once: the silent run is marked crashed, and the next start runs the file."""
    server = PrefectServer(tmp_path / "prefect")
    serving = serve_process(server.place, tmp_path)
    serving.hold.touch()
    with server, serving.child, settings_of(server.place), get_client(sync_client=True) as client:
        until(lambda: deployments_of(server) == 3)
        register_automations(client, 4)  # instead of thirty seconds, so that the test need not wait for minutes
        (serving.drop / "a.csv").write_text("orphan")
        line = until(serving.started)[0]
        for pid in (serving.child.pid, int(line.split()[0])):
            os.kill(pid or 0, signal.SIGKILL)
        until(lambda: crashed_runs_of(server) == 1)
        serving.hold.unlink()
        serving.child.start()
        until(lambda: list((serving.drop / "done").glob("*.2.a.csv")))


def crashed_runs_of(server: PrefectServer) -> int:
    """Count the crashed runs of a server."""
    body = {"flow_runs": {"state": {"type": {"any_": ["CRASHED"]}}}}
    return int(httpx.post(f"{server.place.api_url}/flow_runs/count", json=body, verify=NO_TLS).text)
