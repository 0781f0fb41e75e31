"""Feed rows and the rules about whole feeds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.sections import FeedLimits
from datasets.feeds import BadRow, blast_radius, formula_safe, mask

LIMITS = FeedLimits()


@pytest.mark.parametrize(
    ("previous", "rows", "leavers", "changes", "words"),
    [
        pytest.param(None, 1000, 0, 0, [], id="first feed"),
        pytest.param(1000, 1000, 0, 0, [], id="same"),
        pytest.param(1000, 5000, 0, 0, [], id="grown"),
        pytest.param(1000, 800, 0, 0, [], id="exactly 20 % fewer"),
        pytest.param(1000, 799, 0, 0, ["799 rows"], id="one row fewer than 20 %"),
        pytest.param(1000, 600, 0, 0, ["600 rows"], id="40 % fewer"),
        pytest.param(1000, 0, 0, 0, ["0 rows"], id="nothing left"),
        pytest.param(0, 10, 0, 0, [], id="previous was empty"),
        pytest.param(1000, 1000, 25, 0, [], id="25 leavers"),
        pytest.param(1000, 1000, 26, 0, ["26 leavers in one feed: more than 25"], id="26 leavers"),
        pytest.param(1000, 1000, 1000, 0, ["1000 leavers"], id="everybody leaves"),
        pytest.param(100, 100, 10, 0, [], id="exactly 10 % leave"),
        pytest.param(100, 100, 11, 0, ["11 leavers among 100 rows: more than 10 %"], id="11 % leave"),
        pytest.param(1000, 1000, 0, 25, [], id="25 numbers"),
        pytest.param(1000, 1000, 0, 26, ["26 number changes"], id="26 numbers"),
        pytest.param(50, 50, 0, 5, [], id="10 % of numbers"),
        pytest.param(50, 50, 0, 6, ["6 number changes among 50"], id="12 % of numbers"),
        pytest.param(1000, 700, 26, 30, ["700 rows", "26 leavers", "30 number changes"], id="everything"),
    ],
)
def test_feed_is_believed_up_to_its_limits(
    previous: int | None, rows: int, leavers: int, changes: int, words: list[str]
) -> None:
    """A feed at a limit passes; one row, leaver or number beyond it stops everything, with the reason."""
    reasons = blast_radius(previous, rows, leavers, changes, LIMITS)
    assert len(reasons) == len(words)
    for reason, word in zip(reasons, words, strict=True):
        assert word in reason


def test_events_are_counted_not_shared() -> None:
    """A feed of events may be small and all leavers, as long as there are not too many."""
    assert blast_radius(1000, 3, 3, 0, LIMITS, kind="events") == []
    assert blast_radius(1000, 26, 26, 0, LIMITS, kind="events") == ["26 leavers in one feed: more than 25"]


def test_site_may_set_other_limits() -> None:
    """The limits are the site's."""
    assert blast_radius(100, 45, 0, 0, FeedLimits(shrink_percent=60)) == []
    assert blast_radius(100, 100, 1, 0, FeedLimits(leavers=0)) == ["1 leavers in one feed: more than 0"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("+43123456789", "+43…9"),
        ("AT", "AT"),
        ("Admin", "Ad…n"),
        ("x" * 200, "xxx… (200 characters)"),
        ("a\x07b", "a·b"),
    ],
)
def test_values_are_masked(value: str, shown: str) -> None:
    """A masked value can be recognised but not read."""
    assert mask(value) == shown


@given(st.text(max_size=300))
def test_mask_is_short_and_printable(value: str) -> None:
    """Whatever the value is, its masked view is short and can be printed."""
    assert len(mask(value)) < 40
    assert mask(value).isprintable()


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("+cmd|x", "'+cmd|x"),
        ("\t=1", "'\t=1"),
        ("+43 1 234", "+43 1 234"),
        ("+4312345;ext=12", "+4312345;ext=12"),
        ("Sales", "Sales"),
        ("", ""),
    ],
)
def test_exported_cells_are_no_formulas(text: str, safe: str) -> None:
    """A cell that a spreadsheet would run gets an apostrophe; phone numbers stay as they are."""
    assert formula_safe(text) == safe


def test_bad_row_reads_like_a_sentence() -> None:
    """A bad row names line, column and reason."""
    assert str(BadRow(7, "Hire_Date", "is no date")) == "line 7, column Hire_Date: is no date"
    assert str(BadRow(7, "", "has 3 cells")) == "line 7: has 3 cells"
