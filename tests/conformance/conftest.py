"""One stand-in tenant for the whole suite, without faults at the start of each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.lab_control import LabControl


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Start a tenant and give its endpoints."""
    from lab.server import Lab

    folder: Path = tmp_path_factory.mktemp("lab")
    with Lab(folder=folder, users=20, seed=1) as lab:
        yield dict(lab.endpoints)


@pytest.fixture
def control(endpoints: dict[str, Any]) -> Iterator[LabControl]:
    """Give the control port."""
    control = LabControl(endpoints["control_url"])
    yield control
    control.close()
