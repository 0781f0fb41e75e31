"""Unassigned ranges of on-premises servers against the pools: what no pool has, what nobody would answer."""

from __future__ import annotations

import pytest

from datasets.inventory import Span
from datasets.number_audit import Owned
from datasets.unassigned_ranges import UnassignedRange, range_differences


def owned(start: str, end: str, kind: str = "onPremises") -> Owned:
    """Give a range of a pool."""
    return Owned(Span.read(start, end).run, "local", kind)


def told(start: str, end: str) -> UnassignedRange:
    """Give a range of the servers."""
    return UnassignedRange(name="Vienna", start=start, end=end)


@pytest.mark.parametrize(
    ("ranges", "pools", "expected"),
    [
        pytest.param([told("+43100", "+43199")], [owned("+43100", "+43199")], [], id="alike"),
        pytest.param([told("+43100", "+43199")], [owned("+43100", "+43199", "directRouting")], [], id="ported"),
        pytest.param(
            [told("+43100", "+43199")],
            [owned("+43120", "+43129")],
            [("unassigned_range_unknown", "+43100"), ("unassigned_range_unknown", "+43130")],
            id="around a pool",
        ),
        pytest.param(
            [told("+43100", "+43119"), told("+43110", "+43129")],
            [owned("+43100", "+43199")],
            [("unassigned_range_missing", "+43130")],
            id="two that overlap",
        ),
        pytest.param(
            [told("+43100;ext=10", "+43100;ext=19")],
            [owned("+43100;ext=10", "+43100;ext=12")],
            [("unassigned_range_unknown", "+43100;ext=13")],
            id="extensions",
        ),
        pytest.param([told("4310", "4319")], [], [("unassigned_range_unknown", "4310")], id="without a plus"),
        pytest.param([], [owned("+43100", "+43199")], [("unassigned_range_missing", "+43100")], id="none"),
        pytest.param(None, [owned("+43100", "+43199")], [], id="no servers"),
    ],
)
def test_ranges_and_pools_are_compared(
    ranges: list[UnassignedRange] | None, pools: list[Owned], expected: list[tuple[str, str]]
) -> None:
    """Each stretch that differs is named once with its first number, and what to do about it."""
    found = range_differences(ranges, pools)
    assert [(each.cause, each.number) for each in found] == expected
    assert all(each.remedy and each.fix is None for each in found)


def test_the_size_of_ranges_does_not_matter() -> None:
    """Ten thousand million numbers are two comparisons, not ten thousand million."""
    wide = told("+430000000000", "+439999999999")
    (found,) = range_differences([wide], [owned("+430000000000", "+439999999998")])
    assert found.number == "+439999999999"
