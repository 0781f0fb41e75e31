"""Batches on a tenant in memory: waves, canary, error budget, window, pause, retry, undo; nobody is moved twice."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from config.errors import InputRefused
from config.site_policy import read_approvals
from engine import approvals, plan_store, requests
from flows.batches import ControlAct, Then
from tests.fakes.batch_site import NAME, BatchSite, batch_site
from tests.fakes.flow_site import FlowSite

pytestmark = pytest.mark.slow

OPTIONS: dict[str, Any] = {"numbers": "Keep", "policies": {"dial_plan": "AT", "voice_routing": "Vienna"}}


@pytest.fixture
def at_server(at_site: FlowSite) -> BatchSite:
    """Give a site with six users on the server."""
    return batch_site(at_site.folder, 6)


def many(at_site: FlowSite, users: int) -> BatchSite:
    """Give a site with so many users on the server."""
    return batch_site(at_site.folder, users)


def test_a_batch_moves_wave_by_wave(at_server: BatchSite) -> None:
    """Canary and two waves, each with a plan of its own; everybody is moved once, with number and policies (M41)."""
    at_server.create(canary_size=1, wave_size=3, **OPTIONS)
    summary = at_server.run()
    assert summary["counts"] == {"migrated": 6}
    assert summary["state"] == "finished"
    assert [wave["migrated"] for wave in summary["waves"]] == [1, 3, 2]
    assert len({wave["plan"] for wave in summary["waves"]}) == 3
    assert set(at_server.moved().values()) == {1}


def test_a_dry_run_plans_the_next_wave_only(at_server: BatchSite) -> None:
    """The plan is there to be read, nobody is moved, and the run uses that very plan."""
    at_server.create(wave_size=3, **OPTIONS)
    plan_id = at_server.run(dry_run=True)["plan_id"]
    assert at_server.tenant.writes() == []
    assert at_server.run()["waves"][0]["plan"] == plan_id


def test_a_second_run_changes_nothing(at_server: BatchSite) -> None:
    """A batch that is finished stays as it is."""
    at_server.create(**OPTIONS)
    at_server.run()
    before = at_server.tenant.writes()
    assert at_server.run()["state"] == "finished"
    assert at_server.advance()["batches"] == []
    assert at_server.tenant.writes() == before


@pytest.mark.parametrize("act", [ControlAct.PAUSE, ControlAct.CANCEL])
def test_a_finished_batch_is_not_stopped(at_server: BatchSite, act: ControlAct) -> None:
    """There is nothing left to pause or to cancel; the line says what takes users back."""
    at_server.create(**OPTIONS)
    at_server.run()
    with pytest.raises(InputRefused, match=r"is finished ; .*batch undo"):
        at_server.control(act)
    assert at_server.run()["state"] == "finished"


def test_one_failure_does_not_stop_the_rest(at_server: BatchSite) -> None:
    """One of many fails with the reason, the others are moved; trying again takes only that one (M41)."""
    at_server.create(error_budget_percent=50, **OPTIONS)
    at_server.break_users("id-2")
    assert at_server.run()["counts"] == {"migrated": 5, "failed": 1}
    assert "broken" in at_server.standings("failed")[0].reason
    at_server.mend()
    assert at_server.retry()["counts"] == {"migrated": 6}
    assert set(at_server.moved().values()) == {1}


def test_eight_percent_failures_at_a_budget_of_five_pause_in_the_right_wave(at_site: FlowSite) -> None:
    """The second wave fails for two in twenty-five: the batch pauses there with an alert, the third never begins."""
    site = many(at_site, 75)
    site.create(wave_size=25, error_budget_percent=5, numbers="none")
    site.break_users("id-30", "id-40")
    summary = site.run()
    assert (summary["state"], summary["alert"]["state"]) == ("paused", "raised")
    assert summary["why"].startswith("wave 2: 2 of 25 users failed")
    first, second, third = [wave["plan is"] for wave in summary["waves"]]
    assert (first, second in ("applying", "settled"), third) == ("settled", True, None)  # who was at work is finished
    site.mend()
    resumed = site.control(ControlAct.RESUME)
    assert resumed["counts"] == {"migrated": 73, "failed": 2}
    assert "alert" not in resumed


def test_nothing_begins_outside_of_the_window(at_server: BatchSite) -> None:
    """A window that has ended, and one that has not opened, hold the batch; another window lets it go."""
    now = datetime.now(UTC)
    at_server.create(window_end=(now - timedelta(minutes=1)).isoformat(), **OPTIONS)
    summary = at_server.run()
    assert (summary["state"], at_server.moved()) == ("waiting", {})
    assert summary["why"].startswith("the window ended")
    later = (now + timedelta(hours=1)).isoformat()
    assert at_server.control(ControlAct.RESUME, window_end=later)["counts"] == {"migrated": 6}


def test_the_end_of_the_window_lets_the_line_in_flight_finish(at_site: FlowSite) -> None:
    """The window ends while the first users are being moved: they are finished, nobody else begins."""
    site = many(at_site, 40)
    site.create(window_end=(datetime.now(UTC) + timedelta(hours=1)).isoformat(), numbers="none")
    ended = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()

    def end(name: str, _target: str) -> None:
        if "move" in name:
            site.tenant.after = lambda name, target: None
            database = site.database
            with database.write() as connection:
                connection.exec_driver_sql("UPDATE batches SET window_end = ?", (f"{ended[:26]}Z",))
            database.close()

    site.tenant.after = end
    counts = site.run()["counts"]
    assert counts["migrated"] + counts["planned"] == 40
    assert counts["migrated"] == sum(site.moved().values())
    assert counts["planned"] > 0


def test_a_paused_batch_begins_nothing(at_server: BatchSite) -> None:
    """Paused, neither a run nor the schedule begins anything; resumed, it goes on."""
    at_server.create(**OPTIONS)
    at_server.control(ControlAct.PAUSE, reason="change freeze")
    with pytest.raises(InputRefused, match="paused: change freeze"):
        at_server.run()
    assert at_server.advance()["batches"] == []
    assert at_server.moved() == {}
    assert at_server.control(ControlAct.RESUME)["counts"] == {"migrated": 6}


def test_a_cancelled_batch_gives_the_rest_up(at_server: BatchSite) -> None:
    """Who was not begun stays on the server, and a plan that was made is discarded with its claims."""
    at_server.create(wave_size=3, **OPTIONS)
    at_server.run(dry_run=True)
    summary = at_server.control(ControlAct.CANCEL)
    assert (summary["state"], summary["counts"]) == ("cancelled", {"discarded": 3, "ready": 3})
    assert at_server.moved() == {}
    with pytest.raises(InputRefused, match="was cancelled"):
        at_server.run()


def test_rows_that_are_nobody_are_told_and_lose_nothing(at_server: BatchSite) -> None:
    """Unknown users and those named twice keep their row with the reason; the others are moved."""
    at_server.create(users="user1@lab.test, sip:USER2@lab.test, nobody@lab.test, id-1", **OPTIONS)
    assert [(each.row, each.state) for each in at_server.standings()] == [
        (1, "ready"), (2, "ready"), (3, "not_found"), (4, "duplicate")
    ]  # fmt: skip
    assert at_server.run()["counts"] == {"migrated": 2, "not_found": 1, "duplicate": 1}


def test_a_wave_is_taken_back(at_server: BatchSite) -> None:
    """Undo of the first wave brings its users back to the server as they were, and only those."""
    before = dict(at_server.skype.people)
    at_server.create(wave_size=3, **OPTIONS)
    at_server.run()
    at_server.undo(1)
    at_server.go_on()
    assert [each.state for each in at_server.standings()] == ["undone"] * 3 + ["migrated"] * 3
    assert [at_server.skype.people[f"user{n}@lab.test"] == before[f"user{n}@lab.test"] for n in (1, 2, 3, 4)] == [
        True, True, True, False
    ]  # fmt: skip


def test_what_waits_for_replication_does_not_hold_the_next_wave(at_site: FlowSite) -> None:
    """Users who are moved and wait for the directory synchronisation let the next wave begin; a canary does not."""
    site = batch_site(at_site.folder, 4, sync_delay_s=3600)
    site.create(wave_size=2, **OPTIONS)
    assert site.run()["counts"] == {"waiting": 4}


def test_a_canary_that_waits_holds_the_next_wave(at_site: FlowSite) -> None:
    """Nobody else is begun before the canary is settled."""
    site = batch_site(at_site.folder, 4, sync_delay_s=3600)
    site.create(canary_size=1, wave_size=3, **OPTIONS)
    assert site.run()["counts"] == {"waiting": 1, "ready": 3}
    site.tenant.clock.sleep(7200)
    assert site.advance()["batches"][0]["counts"] == {"migrated": 1, "waiting": 3}


def test_preflight_reports_everybody(at_server: BatchSite, tmp_path: Path) -> None:
    """Reasons are counted with their remedies; the file has a row for each user, blocked or not (M50)."""
    at_server.skype.build = "7.0.2046.100"
    at_server.create(**OPTIONS)
    file = tmp_path / "preflight.csv"
    found = at_server.preflight(str(file))
    assert found["counts"] == {"may_move": 0, "blocked": 6, "not_in_tenant": 0}
    reason = next(each for each in found["reasons"] if each["check"] == "server_build")
    assert reason["users"] == 6
    assert reason["remedy"]
    assert len(file.read_text(encoding="utf-8").splitlines()) == 7
    assert at_server.tenant.writes() == []


def test_a_wave_waits_for_its_approval(at_server: BatchSite) -> None:
    """Where the site wants moves approved nobody moves before; the clock asks nobody, and goes on afterwards."""
    rules = 'kinds = ["move_to_teams"]\nallow_unverified = true\n'
    (at_server.folder / "approvals.toml").write_text(rules, encoding="utf-8")
    at_server.create(**OPTIONS)
    summary = at_server.run()
    assert "needs an approval" in summary["needs_approval"]
    assert (at_server.advance()["batches"], at_server.moved()) == ([], {})
    with closing(at_server.database) as database:
        with database.read() as connection:
            seen = plan_store.header(connection, summary["plan_id"]).hash
        found = read_approvals(at_server.folder)
        who = approvals.Person("ada", "ada", verified=False)
        approvals.approve(database, summary["plan_id"], seen, who, reason="x", rules=found, now=datetime.now(UTC))
    assert at_server.advance()["batches"][0]["counts"] == {"migrated": 6}


def test_a_range_gives_each_number_once_and_the_rest_is_told(at_site: FlowSite) -> None:
    """Twelve users want a number of a range of ten: ten have one each, two are refused with the reason (M44)."""
    site = many(at_site, 12)
    site.create(wave_size=5, numbers="NumberRange", pool="vienna", then=Then.LAUNCH)
    assert site.standings("refused")
    assert Counter(each.state for each in site.standings()) == {"migrated": 10, "refused": 2}
    numbers = [user.number for user in site.tenant.users.values() if user.number_source == "online" and user.number]
    assert len(set(numbers)) == len(numbers) == 10
    assert all("no free number" in each.reason for each in site.standings("refused"))


def test_a_batch_can_be_launched_from_its_form(at_server: BatchSite) -> None:
    """One form makes the batch and moves it."""
    assert at_server.create(then=Then.LAUNCH, **OPTIONS)["counts"] == {"migrated": 6}


def test_an_alert_is_cleared_when_the_batch_goes_on(at_server: BatchSite) -> None:
    """The alert of a batch that paused itself stands until it is resumed."""
    at_server.create(**OPTIONS)
    at_server.break_users("id-1")
    at_server.run()
    database = at_server.database
    with database.read() as connection:
        assert [each.cause for each in requests.standing_alerts(connection)] == [f"batch paused: {NAME}"]
    at_server.mend()
    at_server.control(ControlAct.RESUME)
    with database.read() as connection:
        assert requests.standing_alerts(connection) == []
    database.close()
