"""What a run shows on the Prefect pages, and that showing never stops a run."""

from __future__ import annotations

from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from pydantic import JsonValue

from deployments.children import free_port
from deployments.server import PrefectServer
from flows.presentation import (
    ALERT,
    CHUNK_APPLIED,
    MOST_FAILURES,
    Failure,
    Progress,
    flow_run_id,
    show_failures,
    show_summary,
    summary_text,
    tell_alert,
    tell_chunk_applied,
)
from tests.fakes.artifacts import artifacts_of
from tests.fakes.waiting import until

SUMMARY: dict[str, JsonValue] = {
    "request_id": "r-1",
    "plan_id": "p-1",
    "verified": 2,
    "counts": {"onboarded": 2, "planned_ahead": 0, "waiting": 1, "quarantined": 1, "failed": 0},
}


@flow(name="shows-everything")
def shows_everything(failures: int) -> str:
    """Show progress, an event, failures and a summary."""
    progress = Progress("onboarding", total=4)
    for _ in range(2):
        progress.advance(2)
    tell_chunk_applied("p-1", "p-1:1-2", {"verified": 2})
    show_failures("onboarding", [Failure(f"ada{i}@x", "failed", "number taken", str(i)) for i in range(failures)])
    show_summary("onboarding", SUMMARY)
    return flow_run_id() or ""


@pytest.mark.slow
def test_a_run_shows_progress_failures_and_summary(prefect_client: SyncPrefectClient) -> None:
    """Three artifacts belong to the run; the progress is at its end, the table holds the reasons."""
    shown = artifacts_of(prefect_client, shows_everything(3))
    assert shown["onboarding-progress"]["data"] == 100.0
    assert shown["onboarding-progress"]["description"] == "4 of 4 lines"
    assert "number taken" in shown["onboarding-failures"]["data"]
    assert shown["onboarding-failures"]["description"] == "3 failed: who, and why."
    assert shown["onboarding-summary"]["description"] == "2 onboarded, 1 waiting, 1 quarantined"
    assert "| onboarded | 2 |" in shown["onboarding-summary"]["data"]


@pytest.mark.slow
def test_the_table_of_failures_stays_readable(prefect_client: SyncPrefectClient) -> None:
    """More failures than anybody reads are cut, and the table says so."""
    shown = artifacts_of(prefect_client, shows_everything(MOST_FAILURES + 5))["onboarding-failures"]
    assert shown["data"].count("number taken") == MOST_FAILURES
    assert f"The first {MOST_FAILURES} of {MOST_FAILURES + 5}." in shown["description"]


@pytest.mark.slow
def test_the_worst_comes_first(prefect_client: SyncPrefectClient) -> None:
    """What failed stands above what only waits, so that a cut table loses the least."""

    @flow
    def shows() -> str:
        show_failures(
            "onboarding", [Failure("ada@x", "waiting", "licence"), Failure("bob@x", "failed", "number taken")]
        )
        return flow_run_id() or ""

    table = artifacts_of(prefect_client, shows())["onboarding-failures"]["data"]
    assert table.index("bob@x") < table.index("ada@x")


@pytest.mark.slow
def test_no_failures_make_no_table(prefect_client: SyncPrefectClient) -> None:
    """A run without failures has no empty table."""
    assert "onboarding-failures" not in artifacts_of(prefect_client, shows_everything(0))


@pytest.mark.slow
def test_an_applied_chunk_is_an_event(prefect_client: SyncPrefectClient) -> None:
    """The event names plan, chunk and counts and is tied to the run."""
    run_id = shows_everything(0)
    which = {"filter": {"event": {"name": [CHUNK_APPLIED]}}}
    events = until(lambda: [e for e in _events(prefect_client, which) if run_id in str(e["related"])])
    assert events[0]["resource"]["prefect.resource.id"] == "callwright.plan.p-1"
    assert events[0]["payload"] == {"chunk": "p-1:1-2", "counts": {"verified": 2}}


def _events(client: SyncPrefectClient, which: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.request("POST", "/events/filter", json=which).json()["events"]
    return found


@pytest.mark.slow
def test_an_alert_is_an_event_once(prefect_client: SyncPrefectClient) -> None:
    """An alert that was raised or cleared is an event with the run's words or its cause; one that stands is none."""

    @flow
    def alerts() -> None:
        for state in ("raised", "stands", "cleared"):
            summary: dict[str, JsonValue] = {
                "request_id": f"r-{state}",
                "message": "shrank" if state == "raised" else None,
                "alert": {"cause": "feed x", "state": state},
            }
            tell_alert(summary)

    alerts()
    which = {"filter": {"event": {"prefix": [f"{ALERT}."]}}}
    resource = {"resource": {"id": ["callwright.alert.feed x"]}}
    both = {"filter": which["filter"] | resource}
    until(lambda: len(_events(prefect_client, both)) == 2)
    told = {event["event"]: event["payload"] for event in _events(prefect_client, both)}
    assert told == {
        f"{ALERT}.raised": {"request_id": "r-raised", "message": "shrank"},
        f"{ALERT}.cleared": {"request_id": "r-cleared", "message": "feed x"},
    }


def test_a_run_that_was_refused_says_why() -> None:
    """The summary of a run without lines holds its message, its alert and its warnings."""
    alert: dict[str, JsonValue] = {"cause": "feed refused: hr", "state": "raised"}
    text = summary_text("onboarding", {"message": "it shrank", "alert": alert, "warnings": ["a guess"]})
    assert "it shrank" in text
    assert "- alert raised: feed refused: hr" in text
    assert "- warning: a guess" in text
    assert "nothing to do" not in text


def test_outside_of_a_run_nothing_is_shown() -> None:
    """The same story runs in a plain process without a server."""
    assert shows_everything.fn(3) == ""


@pytest.mark.slow
def test_a_server_that_goes_away_does_not_stop_the_showing(in_prefect: PrefectServer) -> None:
    """What cannot be shown is given up with a warning, the rest is not even tried, and the flow goes on."""
    away = {PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}
    reached = []

    @flow
    def outlives() -> None:
        with temporary_settings(away):
            progress = Progress("onboarding", total=1)
            progress.advance(1)
            show_summary("onboarding", SUMMARY)
        reached.append("end")

    outlives()
    assert reached == ["end"]


def test_the_summary_leads_on() -> None:
    """Zero counts are left out, words are plain, and the commands name plan and request."""
    text = summary_text("onboarding", SUMMARY)
    assert text.index("onboarded") < text.index("waiting") < text.index("quarantined")
    assert "planned ahead" not in text
    assert "$ ./callwright plan show p-1" in text
    assert "$ ./callwright audit log --run r-1" in text
    assert "$ ./callwright quarantine list" in text
    assert "There was nothing to do." in summary_text("continue-waiting", {"counts": {}})


def test_the_summary_of_a_dry_run_says_so() -> None:
    """What is only planned is not called waiting, and the numbers it keeps can be given back."""
    text = summary_text("onboarding", SUMMARY | {"dry_run": True, "counts": {"planned": 3}})
    assert text.startswith("# Onboarding: dry run")
    assert "| planned | 3 | the plan says what would be done; nothing was sent |" in text
    assert "$ ./callwright plan discard p-1" in text
