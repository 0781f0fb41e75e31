"""Skype for Business Server's own endpoint, on the stand-in tenant."""

from __future__ import annotations

from pathlib import Path

from connectors.skype import SkypeServer
from datasets.inventory import Span
from datasets.unassigned_ranges import UnassignedRange
from lab import objects
from lab.server import Lab
from tests.fakes.shell_site import endpoint_of, shell_of

MORE = {"NumberRangeStart": "tel:+43316200;ext=10", "NumberRangeEnd": "tel:+43316200;ext=19"}


def test_unassigned_ranges_are_read_as_numbers(tmp_path: Path) -> None:
    """Every range comes with its name and ends, extensions too; what cannot be a span of numbers is not made one."""
    with Lab(folder=tmp_path / "lab", users=5, seed=2) as lab:
        objects.store(lab.tenant, "UnassignedNumber", "Graz", {**MORE, "ExUmAutoAttendantPhoneNumber": "tel:+43316900"})
        objects.store(lab.tenant, "UnassignedNumber", "Old", {"NumberRangeStart": "4310", "NumberRangeEnd": "4319"})
        with SkypeServer(shell_of(endpoint_of(lab.endpoints, "ocs_powershell"))) as server:
            found = {each.name: each for each in server.unassigned_ranges()}
            assert [finding.ok for finding in server.probe()] == [True]
    assert found["Graz"] == UnassignedRange(name="Graz", start="+43316200;ext=10", end="+43316200;ext=19")
    assert found["Graz"].span == Span.read("+43316200;ext=10", "+43316200;ext=19")
    assert found["Old"].span is None
