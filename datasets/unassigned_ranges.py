"""Unassigned ranges of on-premises servers, compared with the pools of the inventory. Pure.

Such a range says which numbers belong to the site: a call to one that nobody has is answered there. It may overlap with
others, and the documentation allows numbers without a plus; those cannot be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from config.errors import InputRefused
from datasets.inventory import Run, Span, joined, parts_beside
from datasets.number_audit import Difference, Owned
from datasets.number_remedies import REMEDIES
from datasets.number_types import ON_PREMISES
from datasets.record import Record


class UnassignedRange(Record):
    """One range as the servers show it, without `tel:`."""

    identity: ClassVar[tuple[str, ...]] = ("name",)

    name: str
    start: str
    end: str

    @property
    def span(self) -> Span | None:
        """Give the range; None when it is not written as numbers with their country code."""
        try:
            return Span.read(self.start, self.end)
        except InputRefused:
            return None


def range_differences(ranges: Sequence[UnassignedRange] | None, owned: Sequence[Owned]) -> list[Difference]:
    """Say which unassigned ranges no pool has, and which ranges of on-premises pools the servers would not answer."""
    if ranges is None:
        return []
    return [*_unknown(ranges, owned), *_uncovered(ranges, owned)]


def _unknown(ranges: Sequence[UnassignedRange], owned: Sequence[Owned]) -> Iterator[Difference]:
    held = [each.run for each in owned]
    for each in ranges:
        if each.span is None:
            found = f"unassigned range {each.name} from {each.start} to {each.end} cannot be compared"
            yield _difference("unassigned_range_unknown", each.start, each.name, found)
            continue
        for part in parts_beside(each.span, held):
            found = f"{part} of the unassigned range {each.name} are in no pool"
            yield _difference("unassigned_range_unknown", str(part.start), each.name, found)


def _uncovered(ranges: Sequence[UnassignedRange], owned: Sequence[Owned]) -> Iterator[Difference]:
    answered = list(joined(sorted(each.span.run for each in ranges if each.span)))
    for each in owned:
        if each.kind != ON_PREMISES:
            continue
        for part in parts_beside(Span.of(each.run), _near(answered, each.run)):
            found = f"{part} of pool {each.pool} are in no unassigned range: callers of a free number hear nothing"
            yield _difference("unassigned_range_missing", str(part.start), each.pool, found)


def _near(runs: Sequence[Run], run: Run) -> list[Run]:
    return [each for each in runs if each[:2] == run[:2]]


def _difference(cause: str, number: str, who: str, found: str) -> Difference:
    return Difference(cause=cause, number=number, who=who, found=found, remedy=REMEDIES[cause])
