"""The parts of the demo that need no servers: its feed, its figures, its folder."""

from __future__ import annotations

import csv
import json
import os
from datetime import date
from pathlib import Path

import pytest

from config.errors import InputRefused
from datasets.users import DirectoryUser
from deployments.demo_feed import COLUMNS, HIRES, Feed, Kind, compose, write_feed
from deployments.demo_report import Call, CallEffect, Report, read_calls, tenant_view
from deployments.stage import MARK, claimed

TODAY = date(2026, 11, 24)


def people(count: int, first: int = 1) -> list[DirectoryUser]:
    """Make directory users."""
    return [
        DirectoryUser(id=f"id{n}", user_principal_name=f"p{n}@x", usage_location="AT", employee_id=f"{n:08d}")
        for n in range(first, first + count)
    ]


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    """Write a feed about a hundred people."""
    return write_feed(tmp_path / "feed.csv", compose(people(80), people(20, 200), TODAY))


def give(number: str, before: str | None, after: str | None, seq: int = 1) -> Call:
    """Make a call that gives a number to somebody, or takes it away."""
    effect = CallEffect(object=f"number:{number}", attribute="assignmentTargetId", before=before, after=after)
    return Call(seq=seq, write=True, effects=[effect])


def report(**changes: object) -> Report:
    """Make a report in which everything is well."""
    values = {"rows": 3, "counts": {"onboarded": 2, "waiting": 1}, "verified": 2, "numbers_assigned": 2}
    values |= {"tenant_numbers": 2, "duplicate_numbers": 0, "repeat_writes": 0, "flow_run_ids": []}
    values |= {"lab_log": "log", "setup_s": 1.0, "run_s": 1.0}
    return Report(**(values | changes))  # type: ignore[arg-type] # test values by name


def test_the_feed_has_every_kind_of_row(feed: Feed) -> None:
    """At least sixty rows: hires, people with a number, future hires, missing accounts, and a dozen mistakes."""
    kinds = {kind: len(feed.lines_of(kind)) for kind in Kind}
    assert len(feed.rows) >= 60
    assert kinds[Kind.HIRE] == HIRES
    assert min(kinds.values()) >= 3
    assert len(set(feed.lines_of(Kind.BAD).values())) >= 12


def test_planted_rows_lie_on_the_lines_the_feed_names(feed: Feed) -> None:
    """The line an editor shows is the line the feed names."""
    rows = list(csv.reader(feed.path.read_text(encoding="utf-8").splitlines()))
    line = next(line for line, why in feed.lines_of(Kind.BAD).items() if why == "a formula")
    assert rows[line - 1][COLUMNS.index("Preferred_Name")].startswith("=")
    assert len(rows) == len(feed.rows) + 1


def test_the_second_of_two_equal_rows_is_the_wrong_one(feed: Feed) -> None:
    """The planted duplicate comes after the row it repeats."""
    line = next(line for line, why in feed.lines_of(Kind.BAD).items() if why == "the same row twice")
    values = [row.values for row in feed.rows]
    assert values.index(values[line - 2]) < line - 2


def test_the_same_seed_writes_the_same_feed() -> None:
    """A demo can be repeated."""
    assert compose(people(80), people(20), TODAY) == compose(people(80), people(20), TODAY)


def test_a_number_given_twice_is_a_duplicate() -> None:
    """A number given to a second person without being freed counts, one that was freed does not."""
    twice = tenant_view([give("+1", None, "a"), give("+1", "a", "b")])
    freed = tenant_view([give("+1", None, "a"), give("+1", "a", None), give("+1", None, "b")])
    assert (set(twice.duplicates), set(freed.duplicates)) == ({"+1"}, set())
    assert (set(freed.numbers), freed.writes) == ({"+1"}, 3)


def test_a_half_written_line_is_left_for_later(tmp_path: Path) -> None:
    """The log is read while the lab writes it."""
    whole = give("+1", None, "a", seq=7).model_dump_json()
    (tmp_path / "calls").write_text(f"{whole}\n{whole[:20]}")
    assert [call.seq for call in read_calls(tmp_path / "calls")] == [7]
    assert list(read_calls(tmp_path / "calls", after_seq=7)) == []


def test_the_json_line_names_every_outcome() -> None:
    """Zero counts are there too, and all of them add up to the rows."""
    line = json.loads(report().as_json())
    counts = ("onboarded", "planned_ahead", "waiting", "unchanged", "quarantined", "refused", "failed", "unknown")
    assert sum(line[name] for name in counts) == line["rows"]
    assert "counts" not in line


@pytest.mark.parametrize(
    "wrong",
    [
        {"rows": 4},
        {"duplicate_numbers": 1},
        {"repeat_writes": 1},
        {"tenant_numbers": 3},
        {"disagreements": ["request r-1 …"]},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_report_with_a_fault_is_not_sound(wrong: dict[str, object]) -> None:
    """Each of the things the demo proves can fail it."""
    assert report().is_sound
    assert not report(**wrong).is_sound


def test_a_strangers_folder_is_not_emptied(tmp_path: Path) -> None:
    """A folder with something in it that no demo made is refused and left as it is."""
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputRefused, match="--folder"), claimed(tmp_path):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_folder_of_an_earlier_demo_is_emptied(tmp_path: Path) -> None:
    """A second demo starts from nothing: the tenant of the first is gone as well."""
    with claimed(tmp_path / "demo") as folder:
        (folder / "callwright.db").write_text("old")
    with claimed(tmp_path / "demo") as folder:
        assert [path.name for path in folder.iterdir()] == [MARK]
        assert folder.stat().st_mode & 0o777 == 0o700


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    """While one demo runs, a second one on its folder is refused by process id."""
    with claimed(tmp_path / "demo") as folder, pytest.raises(InputRefused, match=str(os.getpid())), claimed(folder):
        pass
