"""The flow that shows how full the pools are."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from connectors import schema
from connectors.database import Database
from datasets.inventory import Pool, Span
from datasets.number_usage import Usage, markdown
from datasets.tables.requests import alerts
from engine import inventory
from engine.requests import Actor
from flows.number_usage import story
from tasks.stage import InProcess

FULL = Usage(by="pool", group="a|b", free=1, withheld=2, claimed=0, assigned=7, reserved=0, grace=0, blocked=0)
EMPTY = FULL.model_copy(update={"group": "new", "free": 8, "assigned": 0})


def test_drawing_has_a_bar_for_each_pool() -> None:
    """A bar is as long as the used share of what may be given out; a name cannot break the table."""
    lines = markdown([FULL, EMPTY]).splitlines()
    assert lines[-2] == "| a\\|b | `██████████████████░░` 87.5 % | 1 | 10 |"
    assert lines[-1] == "| new | `░░░░░░░░░░░░░░░░░░░░` 0.0 % | 8 | 10 |"


def test_drawing_of_nothing_says_so() -> None:
    """Without pools there is a sentence instead of an empty table."""
    assert markdown([]) == "No pool is known yet."


def test_pool_that_runs_low_is_alerted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The story counts the pools and raises one alert however often it runs; it writes nothing else."""
    url = f"sqlite:///{tmp_path / 'callwright.db'}"
    monkeypatch.setenv("CALLWRIGHT_DATABASE_URL", url)
    database = Database(url)
    schema.upgrade(database)
    with database.write() as connection:
        inventory.define_pool(connection, Pool(name="p", spans=(Span.read("+43100", "+43103"),)))
    told = [story(InProcess(), Actor(kind="schedule", name="schedule")) for _ in range(2)]
    assert [(each["pools"], each["low"]) for each in told] == [(1, ["p"])] * 2
    with database.read() as connection:
        assert len(connection.execute(select(alerts)).all()) == 1
    database.close()
