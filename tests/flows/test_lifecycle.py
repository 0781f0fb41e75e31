"""The story of a lifecycle feed and of the nightly steps: planned, applied, recorded, or refused as a whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from config.errors import InputRefused
from connectors.database import Database
from datasets.tables.feeds import feed_rows
from datasets.tables.plans import plan_lines
from engine import departures, requests
from flows import lifecycle, quarantine_retry
from tasks.stage import InProcess
from tasks.work import working_on
from tests.fakes.calling import FakeCalling
from tests.fakes.flow_site import ACTOR, FlowSite

pytestmark = pytest.mark.slow

MAPPING = """name = "people"
[columns]
Id = "employee_id"
Department = "department"
Country = "usage_location"
Status = "status"
Last = "termination_date"
At = "effective_at"
[values.status]
Active = "active"
Gone = "terminated"
"""
TODAY = datetime.now(UTC).date()


def told(at_site: FlowSite, story: Callable[[InProcess], dict[str, Any]]) -> dict[str, Any]:
    """Tell a story on the site's tenant."""
    with working_on(at_site.tenant.systems()):
        return story(InProcess())


def lived(at_site: FlowSite, *rows: str, country: str = "AT", at: str = "", dry_run: bool = False) -> dict[str, Any]:
    """Carry out a feed of these rows: id, status, last day; all in a country, and taking effect at a moment."""
    FakeCalling(at_site.tenant)
    (at_site.folder / "mappings" / "people.toml").write_text(MAPPING, encoding="utf-8")
    cells = [f"{each.split(',')[0]},Sales,{country},{','.join(each.split(',')[1:])},{at}" for each in rows]
    path = at_site.folder / "people.csv"
    path.write_text("\n".join(["Id,Department,Country,Status,Last,At", *cells, ""]), encoding="utf-8")
    request = lifecycle.LifecycleRequest(feed=str(path), mapping="people", dry_run=dry_run, requested_by="tess")
    return told(at_site, lambda run: lifecycle.story(request, run, ACTOR))


def leaving(at_site: FlowSite) -> list[str]:
    """Name who leaves."""
    database = Database(f"sqlite:///{at_site.folder / 'ours.db'}")
    with database.read() as connection:
        found = [each.subject for each in departures.listed(connection)]
    database.close()
    return found


@pytest.fixture(autouse=True)
def _generous(at_site: FlowSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small feeds do much."""
    monkeypatch.setenv("CALLWRIGHT_FEED__LEAVERS_PERCENT", "100")


def test_one_feed_has_joiners_and_leavers(at_site: FlowSite) -> None:
    """Rank 16, M52: one run hires and lets go; the summary counts each, and a second run changes nothing."""
    lived(at_site, "00001,Active,", "00002,Active,")
    gone = f"00002,Gone,{TODAY - timedelta(days=20)}"
    summary = lived(at_site, "00001,Active,", gone, "00003,Active,")
    assert summary["counts"] == {"unchanged": 1, "left": 1, "onboarded": 1}
    assert sorted(at_site.phones()) == ["id-1", "id-3"]
    assert leaving(at_site) == ["person:00002"]
    writes = len(at_site.tenant.writes())
    lived(at_site, "00001,Active,", gone, "00003,Active,")
    assert len(at_site.tenant.writes()) == writes


def test_a_dry_run_takes_nothing_and_remembers_nobody(at_site: FlowSite) -> None:
    """A dry run says what would be done; no departure is recorded and nothing is sent."""
    lived(at_site, "00001,Active,")
    writes = len(at_site.tenant.writes())
    summary = lived(at_site, f"00001,Gone,{TODAY - timedelta(days=20)}", dry_run=True)
    assert (summary["counts"], leaving(at_site)) == ({"planned": 1}, [])
    assert len(at_site.tenant.writes()) == writes


def test_a_dry_run_counts_who_would_begin_to_leave(at_site: FlowSite) -> None:
    """Also last days that are to come, for which nothing is planned yet; the run itself says the same, once."""
    lived(at_site, *(f"0000{n},Active," for n in (1, 2, 3)))
    rows = [f"00001,Gone,{TODAY - timedelta(days=20)}", f"00002,Active,{TODAY + timedelta(days=9)}", "00003,Active,"]
    for dry_run in (True, True, False):
        assert lived(at_site, *rows, dry_run=dry_run)["begin_to_leave"] == 2
    assert "begin_to_leave" not in lived(at_site, *rows, dry_run=True)


def test_a_dry_run_of_too_many_leavers_is_refused_as_the_run_would_be(
    at_site: FlowSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of leavers binds a dry run, too: it says what the run would say."""
    lived(at_site, "00001,Active,", "00002,Active,")
    monkeypatch.setenv("CALLWRIGHT_FEED__LEAVERS", "1")
    rows = [f"0000{n},Active,{TODAY + timedelta(days=9)}" for n in (1, 2)]
    with pytest.raises(InputRefused, match="2 leavers in one feed: more than 1"):
        lived(at_site, *rows, dry_run=True)


def test_one_failure_does_not_stop_the_rest(at_site: FlowSite) -> None:
    """A leaver whose step fails is reported; the others' steps are taken."""
    lived(at_site, "00001,Active,", "00002,Active,")
    lines = [f"0000{n},Gone,{TODAY - timedelta(days=20)}" for n in (1, 2)]
    at_site.tenant.ignored.add(("unassign_number", "id-1"))
    summary = lived(at_site, *lines)
    assert summary["counts"]["left"] == 1
    assert sorted(at_site.phones()) == ["id-1"]


def test_a_feed_of_leavers_is_not_believed(at_site: FlowSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank 8: last days count like terminations; the feed is refused before anything is written, also a second time."""
    lived(at_site, "00001,Active,", "00002,Active,")
    monkeypatch.setenv("CALLWRIGHT_FEED__LEAVERS", "1")
    rows = [f"0000{n},Active,{TODAY + timedelta(days=1)}" for n in (1, 2)]
    for _ in range(2):
        with pytest.raises(InputRefused, match="2 leavers"):
            lived(at_site, *rows)
    assert leaving(at_site) == []


def days_go_by(at_site: FlowSite) -> None:
    """Have the days go by for HR's dates instead of for us: everybody who leaves left thirty days ago."""
    database = Database(f"sqlite:///{at_site.folder / 'ours.db'}")
    with database.write() as connection:
        for kept in departures.people_leaving(connection):
            past = kept.person.model_copy(update={"termination_date": TODAY - timedelta(days=30)})
            departures.remember(connection, departures.Known(past, kept.feed_id, kept.line), at_site.tenant.clock.now())
    database.close()


def test_the_nightly_steps_go_on_without_a_feed(at_site: FlowSite) -> None:
    """The steps of a recorded departure are taken when their day comes, by the schedule alone."""
    lived(at_site, "00001,Active,")
    lived(at_site, f"00001,Active,{TODAY - timedelta(days=2)}")
    number = at_site.phones()["id-1"]
    days_go_by(at_site)
    request = lifecycle.StepsRequest(requested_by="tess")
    summary = told(at_site, lambda run: lifecycle.steps_story(request, run, ACTOR))
    assert summary["counts"] == {"left": 1}
    assert (at_site.phones(), at_site.tenant.users["id-1"].enabled) == ({}, False)
    assert number not in at_site.tenant.owners()


def test_many_steps_in_one_night_raise_an_alert(at_site: FlowSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """More leavers than one night may take apart: nothing is changed, one line says so until a night goes through."""
    lived(at_site, "00001,Active,", "00002,Active,")
    lived(at_site, *(f"0000{n},Active,{TODAY - timedelta(days=2)}" for n in (1, 2)))
    days_go_by(at_site)
    monkeypatch.setenv("CALLWRIGHT_FEED__STEPS", "1")
    request = lifecycle.StepsRequest(requested_by="tess")
    writes = len(at_site.tenant.writes())
    with pytest.raises(InputRefused, match="2 people for whom leaver's steps are taken in one night: more than 1"):
        told(at_site, lambda run: lifecycle.steps_story(request, run, ACTOR))
    assert (len(at_site.tenant.writes()), alerts(at_site)) == (writes, ["leaver's steps refused"])
    monkeypatch.setenv("CALLWRIGHT_FEED__STEPS", "2")
    assert told(at_site, lambda run: lifecycle.steps_story(request, run, ACTOR))["counts"] == {"left": 2}
    assert alerts(at_site) == []


def alerts(at_site: FlowSite) -> list[str]:
    """Name the alerts that stand."""
    database = Database(f"sqlite:///{at_site.folder / 'ours.db'}")
    with database.read() as connection:
        found = [str(each.cause) for each in requests.standing_alerts(connection)]
    database.close()
    return found


def come_due(at_site: FlowSite) -> None:
    """Have the moment come for which HR announced news: it is moved instead of us."""
    database = Database(f"sqlite:///{at_site.folder / 'ours.db'}")
    with database.write() as connection:
        now = datetime.now(UTC)
        connection.execute(update(plan_lines).where(plan_lines.c.condition == "effective").values(not_before=now))
        for row in connection.execute(select(feed_rows).where(feed_rows.c.outcome == "waiting")).all():
            if "effective_at" in row.person:
                here = (feed_rows.c.feed_id == row.feed_id) & (feed_rows.c.line == row.line)
                said = row.person | {"effective_at": now.isoformat()}
                connection.execute(update(feed_rows).where(here).values(person=said))
    database.close()


def test_many_moves_of_one_day_are_refused_and_keep_nobody_waiting(
    at_site: FlowSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moves announced for a day are limited on that day; who waits for an account goes on, and so do they later."""
    monkeypatch.setenv("CALLWRIGHT_FEED__SHRINK_PERCENT", "99")
    lived(at_site, "00001,Active,", "00002,Active,", "00077,Active,")
    lived(at_site, "00001,Active,", "00002,Active,", country="DE", at=str(datetime.now(UTC) + timedelta(days=3)))
    come_due(at_site)
    at_site.tenant.users["id-5"].employee_id = "00077"
    monkeypatch.setenv("CALLWRIGHT_FEED__MOVES", "1")
    visit = at_site.go_on()
    assert visit["counts"]["onboarded"] == 1
    assert (
        "2 people who are given other values or go on leave in one visit: more than 1 ; nothing was changed"
        in visit["warnings"][0]
    )
    assert alerts(at_site) == ["news of a later day is not believed"]
    monkeypatch.setenv("CALLWRIGHT_FEED__MOVES", "2")
    assert at_site.go_on()["counts"] == {"moved": 2}
    assert alerts(at_site) == []


def test_a_deletion_wants_the_name_typed(at_site: FlowSite) -> None:
    """M82, M105: whoever does not type the name changes nothing; who does disables the user, and deletes nobody yet."""
    lived(at_site, "00001,Active,")
    asked: dict[str, Any] = {"user": "user1@lab.test", "targets": ["entra"], "dry_run": False}
    request = lifecycle.DeletionRequest(**asked, confirm="user2@lab.test")
    with pytest.raises(InputRefused, match="is not user1"):
        told(at_site, lambda run: lifecycle.deletion_story(request, run, ACTOR))
    assert at_site.tenant.users["id-1"].enabled
    typed = lifecycle.DeletionRequest(**asked, confirm="user1@lab.test")
    summary = told(at_site, lambda run: lifecycle.deletion_story(typed, run, ACTOR))
    assert summary["counts"] == {"disabled": 1}
    assert not at_site.tenant.users["id-1"].enabled
    assert leaving(at_site) == ["user:id-1"]


def test_a_leaver_of_the_quarantine_leaves(at_site: FlowSite) -> None:
    """A status that nobody understood is put right at the second try: the row takes effect as in its feed."""
    lived(at_site, "00001,Active,", "00002,Active,")
    lived(at_site, f"00001,Weg,{TODAY - timedelta(days=1)}", "00002,Active,")
    assert leaving(at_site) == []

    def again(words: str) -> dict[str, Any]:
        mapping = at_site.folder / "mappings" / "people.toml"
        mapping.write_text(f"{MAPPING}{words}", encoding="utf-8")
        rows = at_site.quarantined()
        return told(at_site, lambda run: quarantine_retry.story("people", rows, run, ACTOR))

    assert again("")["counts"] == {"quarantined": 1}
    again('Weg = "terminated"\n')
    assert leaving(at_site) == ["person:00001"]
