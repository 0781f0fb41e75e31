"""The one place that sets Prefect's environment: demo, tests and deployments all take it from here.

Every variable of the caller's own Prefect set-up is dropped: a profile or a forgotten export cannot change a run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
HEARTBEAT_S = 30
STARTUP_TIMEOUT_S = 120
POLL_S = 2

# Names are those of Prefect 3.8; each deviates from its default for the reason given.
TUNING: Mapping[str, str] = {
    # With the defaults (1, 1, 5 s) task runs are recorded at 25/s and a short run loses most of them.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1",
    # Nothing is told to anybody outside.
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # A run without its server must fail, not start a private one whose history nobody sees.
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(STARTUP_TIMEOUT_S),
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_CLI_COLORS": "false",
    # The journal is the memory; persisted results would hold personal data a second time.
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    "PREFECT_RUNNER_POLL_FREQUENCY": str(POLL_S),
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "callwright",
    # Kept in memory (the default), leases die with a restart of the server, and then so do the runs that hold them.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    # Ninety days of events instead of seven; heartbeats keep their own seven.
    "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P90D",
}
OURS = ("PREFECT_", "CALLWRIGHT_", "DO_NOT_TRACK")


@dataclass(frozen=True)
class Place:
    """Where a private Prefect lives: its folder (home, database, log) and its port."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        """Give the address of the pages."""
        return f"http://{HOST}:{self.port}"

    @property
    def api_url(self) -> str:
        """Give the address of the API."""
        return f"{self.url}/api"

    def environment(self) -> dict[str, str]:
        """Give Prefect's whole environment for this place: the same for server, runner, flow runs and clients."""
        return {
            **TUNING,
            "PREFECT_HOME": str(self.folder),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_SERVER_API_HOST": HOST,
            "PREFECT_SERVER_API_PORT": str(self.port),  # with `--port` alone the pages keep asking :4200
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{self.folder / 'prefect.db'}",
        }


def clean_environment() -> dict[str, str]:
    """Give the caller's environment without settings of Prefect or of ours, and the project on its path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, "PYTHONPATH": str(PROJECT)}


def child_environment(place: Place, **more: str) -> dict[str, str]:
    """Give a child process the environment of a place, and nothing of the caller's own set-up."""
    return {**clean_environment(), **place.environment(), **more}


def complete(environment: Mapping[str, str]) -> dict[str, str]:
    """Give the tuning variables that an environment with a server of its own does not set yet."""
    return {name: value for name, value in TUNING.items() if name not in environment}


@contextmanager
def settings_of(place: Place, **more: str) -> Iterator[None]:
    """Use a place's settings inside this process, whatever was set when Prefect was first imported."""
    from prefect import settings

    names = {name: value for name, value in (place.environment() | more).items() if name != "DO_NOT_TRACK"}
    before = os.environ.get("DO_NOT_TRACK")
    os.environ["DO_NOT_TRACK"] = "1"
    try:
        with settings.temporary_settings({getattr(settings, name): value for name, value in names.items()}):
            yield
    finally:
        os.environ.pop("DO_NOT_TRACK") if before is None else os.environ.update(DO_NOT_TRACK=before)
