"""The private Prefect server: its settings, its life, and that it records every task run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient

from config.errors import InputRefused
from deployments.children import Child, free_port, require_free
from deployments.environment import TUNING, Place, child_environment, complete, settings_of
from deployments.server import PrefectServer
from tests.fakes.waiting import until

pytestmark = pytest.mark.slow


def test_every_tuning_name_is_a_setting_of_the_installed_prefect() -> None:
    """A variable Prefect does not know would be ignored silently, so each must change a setting."""
    script = (
        "from prefect.settings import get_current_settings\n"
        "print(*get_current_settings().to_environment_variables(exclude_unset=True, include_aliases=True))"
    )
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **TUNING}
    known = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True).stdout
    assert set(TUNING) - {"DO_NOT_TRACK"} <= set(known.split())


def test_a_child_never_inherits_the_callers_prefect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exported PREFECT_ variable of somebody else's set-up does not reach our processes."""
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "somebody:else")
    environment = child_environment(Place(tmp_path, 1234))
    assert "PREFECT_API_AUTH_STRING" not in environment
    assert environment["PREFECT_API_URL"] == "http://127.0.0.1:1234/api"


def test_own_settings_win_over_the_tuning() -> None:
    """A site that sets a variable itself keeps its value."""
    assert "PREFECT_FLOWS_HEARTBEAT_FREQUENCY" not in complete({"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "60"})


def test_settings_reach_a_process_that_has_imported_prefect(tmp_path: Path) -> None:
    """Entering a place changes Prefect's settings although Prefect was imported before."""
    from prefect.settings import get_current_settings

    with settings_of(Place(tmp_path, 1234)):
        assert get_current_settings().api.url == "http://127.0.0.1:1234/api"
    assert get_current_settings().api.url != "http://127.0.0.1:1234/api"


def test_pages_ask_the_servers_own_port(prefect_server: PrefectServer) -> None:
    """The pages talk to the private port, not to Prefect's default one."""
    answer = httpx.get(f"{prefect_server.place.url}/ui-settings")
    assert answer.json()["api_url"] == prefect_server.place.api_url


def test_every_task_run_is_recorded(prefect_client: SyncPrefectClient) -> None:
    """A short run of a hundred tasks leaves a hundred recorded task runs."""

    @task(cache_policy=NO_CACHE)
    def one() -> None: ...

    @flow
    def hundred() -> str:
        from prefect.runtime import flow_run

        for _ in range(100):
            one()
        return str(flow_run.id)

    which = {"flow_runs": {"id": {"any_": [hundred()]}}, "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    until(lambda: prefect_client.request("POST", "/task_runs/count", json=which).json() == 100, every_s=0.1)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A server that ends while starting is one line that names its log."""
    (tmp_path / "prefect.db").write_text("not a database, and long enough to be taken for a broken header " * 20)
    server = PrefectServer(tmp_path)
    with pytest.raises(InputRefused, match=r"ended while starting.*server\.log"), server:
        pass
    assert server.child.pid is None


def test_a_taken_port_is_refused_before_anything_starts(prefect_server: PrefectServer, tmp_path: Path) -> None:
    """Asking for a port somebody listens on names the option to change."""
    with pytest.raises(InputRefused, match="--prefect-port"):
        PrefectServer(tmp_path, prefect_server.place.port).start()
    assert require_free(free := free_port(), "--prefect-port") == free


def test_a_child_that_ignores_termination_is_killed(tmp_path: Path) -> None:
    """A process that does not go on request is gone after the grace time."""
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script]
    child = Child("sleeper", command, log=tmp_path / "log", folder=tmp_path, env=os.environ, grace_s=0.2)
    with child:
        child.wait_until(lambda: child.log.read_text() != "", 10)
    assert child.pid is None
    assert child.process is not None
    assert child.process.returncode == -9
