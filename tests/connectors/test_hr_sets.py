"""Rules across rows, against a plain model that keeps everything in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.hr_sets import LOOP, STRANGER, SetWatch
from connectors.hr_text import Record

Row = tuple[str, str | None, str]

NAMES = st.sampled_from([f"person {number}" for number in range(12)])
ROWS = st.lists(st.tuples(NAMES, st.none() | NAMES, st.sampled_from(["one text", "another"])), max_size=40)


def records(rows: list[Row]) -> list[Record]:
    """Give the records of rows; equal rows have equal texts, as in a file."""
    return [(line, f"{key}|{manager}|{text}", [], "") for line, (key, manager, text) in enumerate(rows, start=2)]


def told(rows: list[Row], longest_part: int) -> dict[int, set[str]]:
    """Give what is told about each line."""
    found: dict[int, set[str]] = {}
    with SetWatch(longest_part) as watch:
        for line, (key, manager, _) in enumerate(rows, start=2):
            watch.see(line, key, manager)
        for verdict in watch.verdicts(lambda: records(rows)):
            reason = "repeated" if verdict.is_duplicate else verdict.reason
            found.setdefault(verdict.record[0], set()).add(reason)
    return found


def expected(rows: list[Row]) -> Iterator[tuple[int, str]]:
    """Say the same by comparing everything with everything."""
    everybody = records(rows)
    keys = [key for key, _, _ in rows]
    bosses = {key: manager for key, manager, _ in reversed(rows)}
    for (line, text, _, _), (key, manager, _) in zip(everybody, rows, strict=True):
        texts = [other[1] for other, other_key in zip(everybody, keys, strict=True) if other_key == key]
        is_first = key not in keys[: line - 2]
        if len(texts) > 1 and (len(set(texts)) > 1 or not is_first):
            yield line, "repeated"
        if manager and manager not in bosses:
            yield line, STRANGER
        if keys.count(key) == 1 and _comes_back(key, bosses):
            yield line, LOOP
        assert text


def _comes_back(start: str, bosses: dict[str, str | None]) -> bool:
    seen = set()
    at = bosses[start]
    while at is not None and at in bosses and at not in seen and at != start:
        seen.add(at)
        at = bosses[at]
    return at == start and bool(seen)


@pytest.mark.parametrize("longest_part", [3, 10_000], ids=["in a file", "in memory"])
@given(rows=ROWS)
def test_rows_are_judged_like_by_the_plain_model(longest_part: int, rows: list[Row]) -> None:
    """Duplicates, strangers and loops are those that comparing everything with everything finds."""
    keys = [key for key, _, _ in rows]
    wanted: dict[int, set[str]] = {}
    for line, reason in expected(rows):
        wanted.setdefault(line, set()).add(reason)
    found = told(rows, longest_part)
    for line, (key, manager, _) in enumerate(rows, start=2):
        if keys.count(key) > 1 or manager == key:
            # Which of several rows of one id counts for a loop does not matter: all but equal ones are refused.
            assert ("repeated" in found.get(line, ())) == ("repeated" in wanted.get(line, ()))
        elif len(keys) == len(set(keys)):
            assert found.get(line, set()) == wanted.get(line, set())


def test_equal_rows_beyond_memory_are_found() -> None:
    """A feed larger than its parts in memory still finds the two rows that are equal, far apart."""
    rows: list[Row] = [(f"id {number % 4999}", None, "text") for number in range(5000)]
    assert told(rows, 30) == {5001: {"repeated"}}
