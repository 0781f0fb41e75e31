"""Stopping a batch, going on, trying again: exactly those who are meant are begun, and nobody is left in between."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

import pytest
from sqlalchemy import select

from config.errors import InputRefused
from connectors.errors import Unreachable
from datasets.tables.inventory import taken
from datasets.tables.journal import journal_streams
from datasets.tables.plans import plans
from engine import apply, batch_control, inventory, leases, outcomes, plan_store, requests
from engine import batches as rows
from engine.runtime import utc_now
from flows.batches import ControlAct, Then
from tests.fakes.batch_site import NAME, BatchSite, batch_site
from tests.fakes.flow_site import FlowSite

pytestmark = pytest.mark.slow

OPTIONS: dict[str, Any] = {"numbers": "Keep", "policies": {"dial_plan": "AT", "voice_routing": "Vienna"}}

A_MINUTE = timedelta(minutes=1)


def moved(site: BatchSite) -> set[str]:
    """Give the numbers of the users who were moved."""
    return {name.partition("@")[0].removeprefix("user").removeprefix("id-") for name in site.moved()}


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have chunks of one line: a batch that is held stops between its users, and not after its wave."""
    for end in ("SMALLEST", "LARGEST"):
        monkeypatch.setenv(f"CALLWRIGHT_CHUNK__{end}", "1")


@pytest.fixture
def paused(at_site: FlowSite, one_by_one: None) -> BatchSite:
    """Give a batch of three waves of four that paused itself in the second, and what broke it is mended."""
    site = batch_site(at_site.folder, 12)
    site.create(wave_size=4, error_budget_percent=10, **OPTIONS)
    site.break_users("id-5")
    assert site.run()["state"] == "paused"
    site.mend()
    return site


# ---- trying again


def test_who_failed_is_tried_again_and_nobody_else(paused: BatchSite) -> None:
    """After a pause only who failed is moved; the rest of the wave waits, also for the clock, until resume (M41)."""
    before = moved(paused)
    assert len(before) < 8
    summary = paused.retry()
    assert moved(paused) == before | {"5"}
    assert (summary["state"], summary["why"][:6]) == ("paused", "wave 2")
    assert paused.advance()["batches"] == []
    paused.go_on()
    assert moved(paused) == before | {"5"}
    with pytest.raises(InputRefused, match="is paused"):
        paused.run()
    assert paused.control(ControlAct.RESUME)["counts"] == {"migrated": 12}
    assert set(paused.moved().values()) == {1}


def test_trying_again_leaves_the_waves_to_come_to_the_run(at_site: FlowSite) -> None:
    """In a batch that goes on, too, the command moves who failed and leaves the others to the next run."""
    site = batch_site(at_site.folder, 6)
    site.create(wave_size=2, error_budget_percent=100, **OPTIONS)
    site.break_users("id-1")
    broken = site.tenant.before

    def away(name: str, target: str) -> None:
        broken(name, target)
        if "move" in name and target in ("id-3", "user3@lab.test"):
            raise Unreachable("the server is away")

    site.tenant.before = away
    assert "the server is away" in site.run()["interrupted"]
    site.mend()
    before = moved(site)
    site.retry()
    assert moved(site) == before | {"1"}
    assert site.run()["counts"] == {"migrated": 6}


def test_a_dry_run_of_trying_again_begins_nobody(paused: BatchSite) -> None:
    """The plan is there to be read, a paused batch stays so, and trying again applies that very plan."""
    before = moved(paused)
    plan_id = paused.retry(dry_run=True)["waves"][-1]["plan"]
    assert plan_id is not None
    assert (paused.advance()["batches"], moved(paused)) == ([], before)
    summary = paused.retry()
    assert (summary["waves"][-1]["plan"], moved(paused)) == (plan_id, before | {"5"})
    with pytest.raises(InputRefused, match="nobody of batch"):
        paused.retry()


def test_who_is_tried_again_and_waits_is_finished_by_the_clock(at_site: FlowSite) -> None:
    """The clock goes on with who was begun again, and with nobody else."""
    site = batch_site(at_site.folder, 8, sync_delay_s=3600)
    site.create(wave_size=4, error_budget_percent=10, **OPTIONS)
    site.break_users("id-1")
    site.run()
    site.mend()
    site.retry()
    before = moved(site)
    site.tenant.clock.sleep(7200)
    (told,) = site.advance()["batches"]
    assert (told["state"], [each["wave"] for each in told["waves"] if each.get("migrated")][-1]) == ("paused", 3)
    assert moved(site) == before


def test_who_is_tried_again_can_be_paused(at_site: FlowSite, one_by_one: None) -> None:
    """A pause holds those who are tried again as well as the others, whom the retry did not begin either."""
    site = batch_site(at_site.folder, 8)
    site.create(wave_size=4, error_budget_percent=100, **OPTIONS)
    site.break_users("id-1", "id-2", "id-3", "id-4")
    for act in (site.run, site.retry):
        _pause_at_the_first_move(site)
        summary = act()
        assert (summary["state"], summary["why"]) == ("paused", "by hand")
        site.mend()
    assert 1 <= len(moved(site) & {"1", "2", "3", "4"}) < 4
    assert len(moved(site) & {"5", "6", "7", "8"}) < 4
    assert site.control(ControlAct.RESUME)["counts"] == {"migrated": 8}


def _pause_at_the_first_move(site: BatchSite) -> None:
    """Have the batch paused as soon as somebody was moved; moves that begin meanwhile wait for the pause."""
    at_work, broken = Lock(), site.tenant.before

    def wait(name: str, target: str) -> None:
        broken(name, target)
        if "move" in name:
            with at_work:
                pass

    def pause(name: str, _target: str) -> None:
        if "move" in name:
            with at_work:
                if site.tenant.after is pause:
                    site.tenant.after = lambda name, target: None
                    site.control(ControlAct.PAUSE)

    site.tenant.before, site.tenant.after = wait, pause


def test_a_canary_that_failed_is_a_canary_when_it_is_tried_again(at_site: FlowSite) -> None:
    """Who was in the canary goes first and alone again: the next wave begins when all of the canary are settled."""
    site = batch_site(at_site.folder, 6, sync_delay_s=3600)
    site.create(canary_size=2, wave_size=4, **OPTIONS)
    site.break_users("id-1")
    assert site.run()["state"] == "paused"
    site.mend()
    site.retry()
    site.control(ControlAct.RESUME)
    assert moved(site) == {"1", "2"}
    site.tenant.clock.sleep(7200)
    site.advance()
    assert moved(site) == {"1", "2", "3", "4", "5", "6"}
    assert {each.wave: each.user for each in site.standings()}[3].startswith("user1@")


def test_many_who_are_tried_again_go_in_waves(at_site: FlowSite) -> None:
    """All of the batch failed: it is tried again as it was, a canary and then waves of the wanted size."""
    site = batch_site(at_site.folder, 6)
    site.create(canary_size=1, wave_size=2, error_budget_percent=100, **OPTIONS)
    site.break_users(*site.tenant.users)
    assert site.run()["counts"] == {"failed": 6}
    site.mend()
    summary = site.retry()
    assert [(each["wave"], each["migrated"]) for each in summary["waves"]] == [(5, 1), (6, 2), (7, 2), (8, 1)]
    assert len({each["plan"] for each in summary["waves"]}) == 4


def test_a_retry_that_fails_too_pauses_with_an_alert_of_its_own(paused: BatchSite) -> None:
    """The error budget holds for who is tried again as for anybody, and the run says so."""
    paused.break_users("id-5")
    summary = paused.retry()
    assert (summary["state"], summary["why"][:6], summary["alert"]["state"]) == ("paused", "wave 4", "raised")


# ---- cancelling


@pytest.mark.parametrize("later", ["cancelled again", "the clock"])
def test_who_was_leased_when_a_batch_was_cancelled_is_given_up_later(at_site: FlowSite, later: str) -> None:
    """Lines that a chunk had taken, and whose process died before it began them, are given up with their numbers."""
    site = batch_site(at_site.folder, 6)
    site.create(numbers="NumberRange", pool="vienna")
    plan_id = site.run(dry_run=True)["plan_id"]
    with site.runtime() as runtime:
        apply.start(runtime, plan_id)
        with runtime.database.write() as connection:
            names, now = ("user:id-1", "user:id-2"), utc_now()
            held = [leases.acquire(connection, "object", name, "dead", now=now, ttl=A_MINUTE) for name in names]
        site.control(ControlAct.CANCEL)
        assert Counter(each.state for each in site.standings()) == {"discarded": 4, "planned": 2}
        with runtime.database.write() as connection:
            leases.release(connection, [each for each in held if each], now=utc_now())
        site.control(ControlAct.CANCEL) if later == "cancelled again" else site.go_on(1)
        with runtime.database.read() as connection:
            assert plan_store.header(connection, plan_id).state == "settled"
            assert inventory.claimed_by(connection, plan_id) == []
    assert {each.state for each in site.standings()} == {"discarded"}
    assert site.moved() == {}
    with pytest.raises(InputRefused, match="was cancelled before"):
        site.control(ControlAct.CANCEL)


def test_a_plan_that_is_started_while_its_batch_is_cancelled_is_given_up_too(at_site: FlowSite) -> None:
    """Cancel meets a run that starts the first plan: its lines are given up one by one, the second is discarded."""
    site = batch_site(at_site.folder, 4)
    site.create(wave_size=2, numbers="NumberRange", pool="vienna")
    first, second = site.run(dry_run=True)["plan_id"], site.run(dry_run=True)["waves"][1]["plan"]

    with site.runtime() as runtime:

        def now() -> datetime:
            with runtime.database.read() as connection:
                is_cancelled = rows.find(connection, NAME).control == rows.CANCELLED
                state = plan_store.header(connection, first).state
            if is_cancelled and state == "planned":
                apply.start(runtime, first)
            return utc_now()

        with runtime.database.read() as connection:
            batch = rows.find(connection, NAME)
        batch_control.cancel(replace(runtime, now=now), batch, "")
        with runtime.database.read() as connection:
            states = [plan_store.header(connection, each).state for each in (first, second)]
    assert states == ["settled", "discarded"]
    assert {each.state for each in site.standings()} == {"discarded"}


def test_a_wave_that_was_being_planned_when_its_batch_was_cancelled_is_discarded(at_site: FlowSite) -> None:
    """The batch is cancelled while the tenant is read for a plan: the plan ends with it, and its claims."""
    site = batch_site(at_site.folder, 2)
    site.create(numbers="NumberRange", pool="vienna", then=Then.NOTHING)

    def cancel(_name: str, _target: str) -> None:
        site.tenant.after = lambda name, target: None
        site.control(ControlAct.CANCEL)

    site.tenant.after = cancel
    assert site.run()["state"] == "cancelled"
    with site.runtime() as runtime, runtime.database.read() as connection:
        assert connection.execute(select(plans.c.state)).scalars().all() == ["discarded"]
        assert connection.execute(select(taken.c.state).where(taken.c.state == "claimed")).all() == []


# ---- going on


def test_a_window_can_be_given_to_a_batch_that_was_not_started(at_site: FlowSite) -> None:
    """Resume with a window changes it and nothing else: the batch is as new as before, and nobody begins."""
    site = batch_site(at_site.folder, 2)
    site.create(**OPTIONS)
    start, end = (utc_now() + timedelta(hours=hours) for hours in (-1, 1))
    summary = site.control(ControlAct.RESUME, window_start=start.isoformat(), window_end=end.isoformat())
    assert (summary["state"], summary["counts"]) == ("ready", {"ready": 2})
    assert (site.advance()["batches"], site.moved()) == ([], {})
    assert window(site) == (start, end)
    assert site.run()["counts"] == {"migrated": 2}


def test_a_batch_that_was_not_started_is_not_resumed(at_site: FlowSite) -> None:
    """Resume does not launch it; the line says what does."""
    site = batch_site(at_site.folder, 2)
    site.create(**OPTIONS)
    with pytest.raises(InputRefused, match="was not started"):
        site.control(ControlAct.RESUME)
    assert site.moved() == {}


def test_the_window_of_a_cancelled_batch_stays(at_site: FlowSite) -> None:
    """What is refused changes nothing."""
    site = batch_site(at_site.folder, 2)
    site.create(**OPTIONS)
    site.control(ControlAct.CANCEL)
    with pytest.raises(InputRefused, match="was cancelled"):
        site.control(ControlAct.RESUME, window_end=(utc_now() + timedelta(hours=1)).isoformat())
    assert window(site) == (None, None)


def window(site: BatchSite) -> tuple[datetime | None, datetime | None]:
    """Give the window of the batch."""
    with site.runtime() as runtime, runtime.database.read() as connection:
        options = rows.find(connection, NAME).options
    return options.window_start, options.window_end


# ---- plans that wait


def test_a_plan_waits_for_the_window_of_its_batch(at_site: FlowSite) -> None:
    """Planned on Thursday for the weekend: plan and claims outlive the usual time, and end a day after the window."""
    site, in_days = batch_site(at_site.folder, 2), [utc_now() + timedelta(days=days) for days in range(8)]
    window_of: dict[str, Any] = {"window_start": in_days[3].isoformat(), "window_end": in_days[5].isoformat()}
    site.create(numbers="NumberRange", pool="vienna", **window_of)
    plan_id = site.run(dry_run=True)["plan_id"]
    with site.runtime() as runtime, runtime.database.write() as connection:
        assert outcomes.end_what_expired(connection, in_days[5]) == []
        assert plan_store.header(connection, plan_id).state == "planned"
        assert len(outcomes.end_what_expired(connection, in_days[7])) == 2
        assert plan_store.header(connection, plan_id).state == "discarded"


def test_a_wave_whose_plan_expired_is_planned_anew_by_the_clock(at_site: FlowSite) -> None:
    """Claims ran out before it was the wave's turn: an alert says so, the clock plans it again and goes on."""
    site = batch_site(at_site.folder, 4)
    site.create(wave_size=2, numbers="NumberRange", pool="vienna")
    expired = [site.run(dry_run=True)["waves"][number]["plan"] for number in (0, 1)]
    with site.runtime() as runtime, runtime.database.write() as connection:
        rows.set_control(connection, rows.find(connection, NAME).id, rows.GO, "", utc_now())
        outcomes.end_what_expired(connection, utc_now() + timedelta(days=3))
        (alert,) = requests.standing_alerts(connection)
    assert alert.cause == f"batch plan expired: {NAME}"
    assert "wave 1" in alert.message or "wave 2" in alert.message  # both expired; one line tells of the batch
    (told,) = site.advance()["batches"]
    assert told["counts"] == {"migrated": 4}
    assert not {wave["plan"] for wave in told["waves"]} & set(expired)
    with site.runtime() as runtime, runtime.database.read() as connection:
        assert requests.standing_alerts(connection) == []


# ---- what ends a run early


@pytest.mark.parametrize("why", ["the tenant is away", "another run is planning wave 2"])
def test_a_run_that_cannot_plan_a_later_wave_is_on_record(at_site: FlowSite, why: str) -> None:
    """Whom it moved, what is left and what stood in the way are in its summary and its request; another goes on."""
    site = batch_site(at_site.folder, 4)
    site.create(wave_size=2, **OPTIONS)

    def away(name: str, _target: str) -> None:
        if name == "graph.hybrid" and len(site.moved()) == 2:
            raise Unreachable(why)

    with site.runtime() as runtime, runtime.database.write() as connection:
        if "another" in why:
            key = f"{rows.find(connection, NAME).id}:2"
            held = leases.acquire(connection, "batch", key, "another", now=utc_now(), ttl=A_MINUTE)
        else:
            site.tenant.before, held = away, None
    summary = site.run()
    assert (summary["counts"], why in summary["interrupted"]) == ({"migrated": 2, "ready": 2}, True)
    with site.runtime() as runtime, runtime.database.write() as connection:
        request = requests.load(connection, summary["request_id"])
        leases.release(connection, [held] if held else [], now=utc_now())
        assert (request.state, request.summary["counts"]) == ("waiting", {"migrated": 2, "ready": 2})
        streams = select(journal_streams.c.manifest_id).where(journal_streams.c.plan_id == summary["waves"][0]["plan"])
        assert None not in connection.execute(streams).scalars().all()
    site.mend()
    assert site.run()["counts"] == {"migrated": 4}


@pytest.mark.parametrize("dry_run", [True, False], ids=["plan", "run"])
def test_who_comes_while_a_wave_is_planned_gives_way(at_site: FlowSite, *, dry_run: bool) -> None:
    """The run ends well with one line: who is planning what, and how it goes on; its wave is planned once."""
    site = batch_site(at_site.folder, 2)
    site.create(**OPTIONS)
    with site.runtime() as runtime, runtime.database.write() as connection:
        ada, now = requests.Actor(kind="os_user", name="ada"), utc_now()
        asking = requests.open_request(connection, "batch-run", ada, parameters={}, flow_run_id=None, now=now)
        key = f"{rows.find(connection, NAME).id}:1"
        held = leases.acquire(connection, "batch", key, f"{asking}:x", now=now, ttl=A_MINUTE)
    assert site.run(dry_run=dry_run)["interrupted"] == (
        f"run {asking} of ada is planning wave 1 of batch '{NAME}' right now ;"
        " the batch goes on with the next ./callwright batch run, or its schedule"
    )
    with site.runtime() as runtime, runtime.database.write() as connection:
        leases.release(connection, [held] if held else [], now=utc_now())
    assert site.run()["counts"] == {"migrated": 2}


def test_a_chunk_that_another_run_has_is_left_to_it(at_site: FlowSite, one_by_one: None) -> None:
    """Two runs cut a wave alike: what one has taken is no error to the other, which goes on with the rest."""
    site = batch_site(at_site.folder, 3)
    site.create(**OPTIONS)
    key = f"{site.run(dry_run=True)['plan_id']}:1-1"
    with site.runtime() as runtime, runtime.database.write() as connection:
        held = leases.acquire(connection, "chunk", key, "another", now=utc_now(), ttl=A_MINUTE)
    summary = site.run()
    assert (summary["counts"], "interrupted" in summary) == ({"migrated": 2, "planned": 1}, False)
    with site.runtime() as runtime, runtime.database.write() as connection:
        leases.release(connection, [held] if held else [], now=utc_now())
    assert site.run()["counts"] == {"migrated": 3}
