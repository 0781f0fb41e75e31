"""Drift as Prefect runs it: what differs is a table, and the plan is applied when the run may."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from engine.requests import Actor
from flows import drift, onboarding
from lab.server import Lab
from tasks.stage import InProcess
from tests.fakes.lab_environment import environment_of
from tests.fakes.onboarding_site import as_text, hire, untouched

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

pytestmark = pytest.mark.slow
TESTS = Actor(kind="os_user", name="tests")


def test_drift_runs_in_prefect_and_mends_a_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_client: SyncPrefectClient
) -> None:
    """A scheduled run only plans; one that may apply gives the policy again, and both show the difference."""
    with Lab(folder=tmp_path / "lab", users=60, seed=11) as lab:
        for name, value in environment_of(lab.endpoints, tmp_path).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CALLWRIGHT_WAIT__LAG_WINDOW_S", "0.1")
        user = next(untouched(lab))
        feed = tmp_path / "hires.csv"
        feed.write_text(as_text([hire(user)]), "utf-8")
        request = onboarding.OnboardingRequest(feed=str(feed), mapping="workday")
        onboarding.story(request, InProcess(), TESTS)
        lab.tenant.grant_policy(user.id, "TenantDialPlan", "DP-Berlin")
        planned: Any = drift.compare(drift.DriftRequest(requested_by="schedule"))
        assert lab.tenant.voice(user.id).policies["TenantDialPlan"] == "DP-Berlin"
        applied: Any = drift.compare(drift.DriftRequest(dry_run=False))
        assert lab.tenant.voice(user.id).policies["TenantDialPlan"] == "DP-Vienna"
    assert planned["then"]["converges"] == 1
    assert applied["counts"]["converged"] == 1
    key = ArtifactFilter(key=ArtifactFilterKey(any_=["drift-differences"]))
    (table, *_) = prefect_client.read_artifacts(artifact_filter=key)
    assert "DP-Berlin" in str(table.data)
