"""The catalog of deployments and the door that serves it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deployments.catalog import CATALOG, for_site
from deployments.serve import main


def test_serving_without_a_server_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without PREFECT_API_URL the process ends with code 2 and one line."""
    monkeypatch.setattr(os, "environ", {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"})
    assert main(["--mapping", str(tmp_path), "--drop-folder", str(tmp_path)]) == 2
    assert "PREFECT_API_URL" in capsys.readouterr().err


def test_the_nightly_run_needs_a_feed() -> None:
    """Without a feed at a fixed place there is no nightly deployment; with one it carries the parameters."""
    without = [each.name for each in for_site(Path("m"), None)]
    with_feed = {each.name: each for each in for_site(Path("m"), Path("/hr/feed.csv"))}
    assert "onboarding-nightly" not in without
    assert with_feed["onboarding-nightly"].parameters["request"]["feed"] == "/hr/feed.csv"  # type: ignore[index] # plain data
    assert set(with_feed) == {each.name for each in CATALOG}


def test_every_deployment_explains_itself() -> None:
    """Names are unique, descriptions are sentences, and what the clock starts gives way."""
    assert len({each.name for each in CATALOG}) == len(CATALOG)
    assert all(each.description.endswith(".") and each.tags for each in CATALOG)
    assert all(each.collision == "CANCEL_NEW" for each in CATALOG if each.cron)
