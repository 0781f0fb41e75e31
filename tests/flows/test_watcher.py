"""The watched drop folder: what is claimed, when a run starts, and what survives an outage or a crash."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.catalog import feed_parameters
from deployments.watcher import Outage, Outcome, Standing, Watcher
from flows import lifecycle
from tasks.stage import InProcess
from tasks.work import working_on
from tests.fakes.calling import FakeCalling
from tests.fakes.flow_site import ACTOR, MAPPING, TEMPLATES, FlowSite

HEADER = "Id,Department,Country,Status,Last\n"
PEOPLE = MAPPING.replace('Status = "status"', 'Status = "status"\nLast = "termination_date"') + 'Gone = "terminated"\n'
SUPPORT = TEMPLATES.replace('"phones"', '"support"').replace('"Sales"', '"Support"').replace('= "AT" }', '= "DE" }')


class Prefect:
    """Runs in memory: the same key finds the same run, and the server can be away."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        self.feeds: dict[str, str] = {}
        self.outcome = Outcome.OPEN
        self.is_away = False

    def start(self, feed: Path, key: str) -> str:
        """Start or find a run."""
        self._answer()
        assert feed.is_file()
        run_id = self.ids.setdefault(key, f"run-{len(self.ids) + 1}")
        self.feeds.setdefault(run_id, feed.read_text())
        return run_id

    def standing(self, run_id: str) -> Standing:
        """Tell how every run stands."""
        self._answer()
        return Standing(self.outcome, "feed refused: no such column")

    def _answer(self) -> None:
        if self.is_away:
            raise Outage("connection refused")


@pytest.fixture
def prefect() -> Prefect:
    """Give runs in memory."""
    return Prefect()


@pytest.fixture
def watcher(tmp_path: Path, prefect: Prefect) -> Watcher:
    """Watch an empty folder."""
    return Watcher(tmp_path, prefect)


def drop(watcher: Watcher, text: str = "id,name\n1,Ada\n", name: str = "workday.csv") -> Path:
    """Put a file into the drop folder."""
    path = watcher.folder / name
    path.write_text(text)
    return path


def look(watcher: Watcher, times: int = 2) -> None:
    """Let the watcher look a few times."""
    for _ in range(times):
        watcher.look()


def names(folder: Path) -> list[str]:
    """Name the files of a folder as they were dropped."""
    return sorted(path.name.split(".", 2)[2] for path in folder.iterdir() if not path.name.endswith(".reason.txt"))


def test_a_file_starts_a_run_once_it_is_stable(watcher: Watcher, prefect: Prefect) -> None:
    """A file seen twice with the same size and time is claimed and its run started."""
    drop(watcher)
    look(watcher, 1)
    assert prefect.ids == {}
    look(watcher, 1)
    assert list(prefect.feeds.values()) == ["id,name\n1,Ada\n"]
    assert names(watcher.processing) == ["workday.csv"]


def test_a_growing_file_is_left_alone(watcher: Watcher, prefect: Prefect) -> None:
    """A file that changed since the last look is not claimed."""
    for count in range(5):
        drop(watcher, "row\n" * (count + 1))
        look(watcher, 1)
    assert prefect.ids == {}


def test_a_rewritten_file_of_the_same_size_is_left_alone(watcher: Watcher, prefect: Prefect) -> None:
    """A new modification time alone says that somebody is still writing."""
    for count in range(4):
        os.utime(drop(watcher), ns=(count * 10**9, count * 10**9))
        look(watcher, 1)
    assert prefect.ids == {}


@pytest.mark.parametrize(
    "name", [".workday.csv", "~lock.csv", "workday.csv.part", "workday.TMP", "workday.csv.filepart"]
)
def test_unfinished_names_are_ignored(watcher: Watcher, prefect: Prefect, name: str) -> None:
    """Hidden and temporary names belong to a transfer that is still going on."""
    drop(watcher, name=name)
    look(watcher, 3)
    assert prefect.ids == {}


def test_empty_files_links_and_folders_are_ignored(watcher: Watcher, prefect: Prefect, tmp_path: Path) -> None:
    """Only a real file with content can be a feed."""
    drop(watcher, "")
    (watcher.folder / "folder.csv").mkdir()
    (tmp_path / "link.csv").symlink_to("/etc/hostname")
    look(watcher, 3)
    assert prefect.ids == {}


def test_a_finished_run_moves_its_file_to_done(watcher: Watcher, prefect: Prefect) -> None:
    """The file of a completed run leaves for `done/`."""
    drop(watcher)
    look(watcher)
    prefect.outcome = Outcome.DONE
    look(watcher, 1)
    assert (names(watcher.processing), names(watcher.done)) == ([], ["workday.csv"])


def test_a_refused_run_moves_its_file_with_the_reason(watcher: Watcher, prefect: Prefect) -> None:
    """The file of a failed run leaves for `refused/`, and a text beside it says why."""
    prefect.outcome = Outcome.REFUSED
    drop(watcher)
    look(watcher)
    reason = next(watcher.refused.glob("*.reason.txt")).read_text()
    assert names(watcher.refused) == ["workday.csv"]
    assert "run-1: feed refused: no such column" in reason


def test_the_same_content_again_starts_no_second_run(watcher: Watcher, prefect: Prefect) -> None:
    """A file with the content of a finished one is done at once, under whatever name."""
    prefect.outcome = Outcome.DONE
    for name in ("monday.csv", "tuesday.csv"):
        drop(watcher, name=name)
        look(watcher)
    assert len(prefect.ids) == 1
    assert names(watcher.done) == ["monday.csv", "tuesday.csv"]


def test_what_was_said_before_something_else_is_news_again(watcher: Watcher, prefect: Prefect) -> None:
    """A wrong export was read, and yesterday's good one is dropped again: it takes effect once more, and once."""
    prefect.outcome = Outcome.DONE
    for text in ("id\n1\n", "id\n2\n", "id\n1\n", "id\n1\n"):
        drop(watcher, text)
        look(watcher, 3)
    assert list(prefect.feeds.values()) == ["id\n1\n", "id\n2\n", "id\n1\n"]
    prefect.outcome = Outcome.OPEN
    drop(watcher, "id\n3\n", "wrong.csv")
    look(watcher)
    drop(watcher, "id\n1\n")
    look(watcher)
    assert list(prefect.feeds.values())[3:] == ["id\n3\n", "id\n1\n"]


def test_a_refused_file_dropped_again_is_tried_again(watcher: Watcher, prefect: Prefect) -> None:
    """After a refusal the same content gets a new run: the cause may have been elsewhere."""
    prefect.outcome = Outcome.REFUSED
    for _ in range(2):
        drop(watcher)
        look(watcher)
    assert len(prefect.ids) == 2


def test_an_outage_loses_nothing(watcher: Watcher, prefect: Prefect) -> None:
    """Files that arrive while the server is away are claimed, and run when it is back."""
    prefect.is_away = True
    drop(watcher, "a", "a.csv")
    drop(watcher, "b", "b.csv")
    look(watcher, 4)
    assert prefect.ids == {}
    prefect.is_away, prefect.outcome = False, Outcome.DONE
    look(watcher, 1)
    assert names(watcher.done) == ["a.csv", "b.csv"]


def test_a_restarted_watcher_finds_its_runs(watcher: Watcher, prefect: Prefect) -> None:
    """A watcher that died after claiming starts no second run."""
    drop(watcher)
    look(watcher)
    prefect.outcome = Outcome.DONE
    look(again := Watcher(watcher.folder, prefect), 1)
    assert len(prefect.ids) == 1
    assert names(again.done) == ["workday.csv"]


def test_a_crashed_run_is_started_again_three_times_at_most(watcher: Watcher, prefect: Prefect) -> None:
    """A run whose process died is no fault of the file: it is repeated, but not for ever."""
    prefect.outcome = Outcome.CRASHED
    drop(watcher)
    look(watcher, 10)
    assert [key[-2:] for key in prefect.ids] == [":1", ":2", ":3"]
    assert names(watcher.refused) == ["workday.csv"]


def test_two_watchers_share_a_folder(watcher: Watcher, prefect: Prefect) -> None:
    """Two watchers on one folder start one run for one file."""
    other = Watcher(watcher.folder, prefect)
    drop(watcher)
    for each in (watcher, other, watcher, other):
        each.look()
    prefect.outcome = Outcome.DONE
    look(watcher, 1)
    look(other, 1)
    assert len(prefect.ids) == 1
    assert names(watcher.done) == ["workday.csv"]


def test_a_strangers_file_in_processing_is_left_alone(watcher: Watcher, prefect: Prefect) -> None:
    """A file that somebody put into `processing/` by hand is not a claim."""
    (watcher.processing / "notes.txt").write_text("mine")
    look(watcher, 3)
    assert prefect.ids == {}


class InMemory(Prefect):
    """Runs that are carried out at once, on a tenant in memory, with the parameters that a deployment would get."""

    def __init__(self, site: FlowSite) -> None:
        super().__init__()
        self.site, self.summaries, self.outcome = site, list[dict[str, Any]](), Outcome.DONE

    def start(self, feed: Path, key: str) -> str:
        """Carry out a lifecycle run of a feed, once for each key."""
        if key not in self.ids:
            asked: Any = feed_parameters(feed, Path("people"), "drop folder")["request"]
            request = lifecycle.LifecycleRequest(**asked)
            with working_on(self.site.tenant.systems()):
                self.summaries.append(lifecycle.story(request, InProcess(), ACTOR))
        return super().start(feed, key)


def test_dropped_files_drive_joiners_movers_and_leavers(at_site: FlowSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank 16, M52: one dropped file hires, moves and lets go, each is counted; a second drop changes nothing."""
    monkeypatch.setenv("CALLWRIGHT_FEED__LEAVERS_PERCENT", "100")
    FakeCalling(at_site.tenant)
    (at_site.folder / "mappings" / "people.toml").write_text(PEOPLE, encoding="utf-8")
    (at_site.folder / "templates.toml").write_text(f"{TEMPLATES}\n{SUPPORT}", encoding="utf-8")
    at_site.tenant.policy_ids["TenantDialPlan", "DE"] = "p-de"
    runs = InMemory(at_site)
    watcher = Watcher(at_site.folder / "drop", runs)
    drop(watcher, f"{HEADER}00001,Sales,AT,Active,\n00002,Sales,AT,Active,\n")
    look(watcher)
    last_day = datetime.now(UTC).date() - timedelta(days=20)
    feed = f"{HEADER}00001,Support,AT,Active,\n00002,Sales,AT,Gone,{last_day}\n00003,Sales,AT,Active,\n"
    drop(watcher, feed)
    look(watcher)
    assert [each["people"] for each in runs.summaries] == [{"joiners": 2}, {"movers": 1, "leavers": 1, "joiners": 1}]
    assert sorted(at_site.phones()) == ["id-1", "id-3"]
    assert at_site.tenant.users["id-1"].policies["TenantDialPlan"] == "DE"
    writes = len(at_site.tenant.writes())
    drop(watcher, feed + "\n")
    look(watcher)
    assert "people" not in runs.summaries[2]
    assert len(at_site.tenant.writes()) == writes
    assert names(watcher.done) == ["workday.csv"] * 3
