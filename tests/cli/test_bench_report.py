"""The last line of a benchmark."""

from __future__ import annotations

import json
import math

import pytest

from benchmarks.report import Goal, report, wants_json


@pytest.mark.parametrize(
    ("goal", "ok"),
    [
        (Goal("a", 1.0, 1.0, "<="), True),
        (Goal("a", 1.1, 1.0, "<="), False),
        (Goal("a", 1.0, 1.0, ">="), True),
        (Goal("a", 0.9, 1.0, ">="), False),
        (Goal("a", math.nan, 1.0, "<="), False),
        (Goal("a", math.inf, 1.0, ">="), True),
    ],
)
def test_goal_holds_on_its_bound(goal: Goal, ok: bool) -> None:
    """A goal holds on its bound, and a value that is no number never holds."""
    assert goal.ok is ok


def test_last_line_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    """The last line is the JSON object that design §10 promises, after a table for people."""
    code = report("feed", [Goal("parse_vs_csv", 6.5, 8.0)], {"rows": 100_000})
    lines = capsys.readouterr().out.strip().splitlines()
    last = json.loads(lines[-1])
    assert code == 0
    assert last["bench"] == "feed"
    assert last["goals"] == [{"name": "parse_vs_csv", "value": 6.5, "goal": 8.0, "op": "<=", "ok": True}]
    assert last["context"]["rows"] == 100_000
    assert "parse_vs_csv" in lines[1]


def test_a_missed_goal_fails_the_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    """One missed goal, or none measured at all, gives exit code 1."""
    assert report("feed", [Goal("a", 1, 2), Goal("b", 3, 2)], as_json=True) == 1
    assert report("feed", [], as_json=True) == 1
    assert len(capsys.readouterr().out.strip().splitlines()) == 2


def test_json_is_asked_for_by_option() -> None:
    """The option --json leaves only the last line."""
    assert wants_json(["--json"])
    assert not wants_json([])
