"""The arithmetic under the inventory: runs, joins and cuts, against counting on fingers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from datasets.inventory import Position, Run, joined, runs_of
from datasets.numbering import PhoneNumber
from engine.inventory_intervals import split

ends = st.tuples(st.integers(0, 30), st.integers(0, 6))
runs = ends.map(lambda pair: Run(0, 0, pair[0], pair[0] + pair[1]))


def fingers(*counted: Run) -> list[int]:
    """Count every position of the runs."""
    return [n for run in counted for n in range(run.first, run.last + 1)]


@given(runs, st.lists(runs))
def test_cut_run_has_every_number_once_in_the_right_part(run: Run, withheld: list[Run]) -> None:
    """The parts of a run are in order, complete, as long as can be, and withheld where they should be."""
    parts = list(split(run, list(joined(sorted(withheld)))))
    assert fingers(*(part for part, _ in parts)) == fingers(run)
    kept = set(fingers(*withheld))
    assert all((n not in kept) == is_free for part, is_free in parts for n in fingers(part))
    assert all(one[1] != other[1] for one, other in pairwise(parts))


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_positions_join_into_the_fewest_runs(plain: set[int], extensions: set[int]) -> None:
    """Neighbours of one space become one run; spaces are never mixed."""
    positions = {Position(0, 0, n) for n in plain} | {Position(431, 2, n) for n in extensions}
    found = list(runs_of(positions))
    assert {Position(*run[:2], n) for run in found for n in fingers(run)} == positions
    assert all(a[:2] != b[:2] or b.first > a.last + 1 for a, b in pairwise(found))


@given(st.integers(10, 10**15 - 1), st.none() | st.from_regex(r"[0-9]{1,10}", fullmatch=True))
def test_number_survives_being_stored_as_integers(base: int, extension: str | None) -> None:
    """Integers inside, text at every edge: nothing of a number is lost between them, no leading zero either."""
    number = PhoneNumber(base, extension)
    assert Position.of(number).number == number
