"""Alerts about batches: whatever run comes upon a wave that fails, it raises the alert and says so in its summary."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from engine import outcomes, requests
from engine.runtime import utc_now
from flows import reconcile
from flows.batches import ControlAct
from tasks.stage import InProcess
from tasks.work import working_on
from tests.fakes.batch_site import NAME, BatchSite, batch_site
from tests.fakes.flow_site import ACTOR, FlowSite

pytestmark = pytest.mark.slow

OPTIONS: dict[str, Any] = {"numbers": "Keep", "policies": {"dial_plan": "AT", "voice_routing": "Vienna"}}
PAUSED = {"cause": f"batch paused: {NAME}", "state": "raised"}


def standing(site: BatchSite) -> list[str]:
    """Give the causes of the alerts that stand."""
    with site.runtime() as runtime, runtime.database.read() as connection:
        return [each.cause for each in requests.standing_alerts(connection)]


def reconciled(site: BatchSite) -> dict[str, Any]:
    """Reconcile, as every night, and give the summary."""
    with working_on(site.tenant.systems()):
        return reconcile.story(reconcile.ReconcileRequest(), InProcess(), ACTOR)


@pytest.mark.parametrize("visitor", ["continue", "reconcile"])
def test_waits_that_give_up_spend_the_budget_and_the_visit_says_so(
    at_site: FlowSite, monkeypatch: pytest.MonkeyPatch, visitor: str
) -> None:
    """Nobody's line was ever synchronised: the clock that counts the failures raises the alert and tells it (M41)."""
    monkeypatch.setenv("CALLWRIGHT_WAIT__SYNC_GIVE_UP_H", "0.0000001")
    site = batch_site(at_site.folder, 4, sync_delay_s=36000)
    site.create(wave_size=2, **OPTIONS)
    assert site.run()["counts"] == {"waiting": 4}
    told = site.go_on(1)[0] if visitor == "continue" else reconciled(site)
    assert (told["alert"], standing(site)) == (PAUSED, [PAUSED["cause"]])
    assert {each.state for each in site.standings()} == {"failed"}


def test_a_wave_that_is_refused_whole_pauses_the_batch(at_site: FlowSite) -> None:
    """No route carries the usage: the first wave is refused with the reason, the next is not planned (M48, M51)."""
    site = batch_site(at_site.folder, 4)
    site.create(wave_size=2, **OPTIONS)
    routed = set(site.tenant.hybrid.routed)
    site.tenant.hybrid.routed.clear()
    summary = site.run()
    assert (summary["state"], summary["alert"], summary["counts"]) == ("paused", PAUSED, {"refused": 2, "ready": 2})
    assert summary["why"].startswith("wave 1: all 2 users were refused, the first: ")
    site.tenant.hybrid.routed |= routed
    assert site.retry()["counts"] == {"migrated": 2, "ready": 2}
    assert site.control(ControlAct.RESUME)["counts"] == {"migrated": 4}
    assert standing(site) == []


def test_somebody_refused_among_others_pauses_nothing(at_site: FlowSite) -> None:
    """Blocked users do not block the others."""
    site = batch_site(at_site.folder, 4)
    site.tenant.hybrid.unsynchronised.add("id-1")
    site.create(wave_size=2, **OPTIONS)
    assert site.run()["counts"] == {"migrated": 3, "refused": 1}
    assert standing(site) == []


def test_a_wave_that_is_not_taken_back_raises_an_alert(at_site: FlowSite) -> None:
    """Somebody cannot go back to the servers: the run says so, and a later undo that begins clears it."""
    site = batch_site(at_site.folder, 2)
    site.create(**OPTIONS)
    site.run()
    site.break_users("id-1")
    cause = f"batch undo failed: wave 1 of {NAME}"
    told = [site.undo(1), *site.go_on(3)]
    assert [each["alert"] for each in told if each.get("alert")] == [{"cause": cause, "state": "raised"}]
    assert standing(site) == [cause]
    site.mend()
    site.undo(1)
    assert standing(site) == []


def test_a_plan_that_expires_is_told_by_the_visit_that_ends_it(at_site: FlowSite) -> None:
    """The clock finds that the claims of a wave's plan are over."""
    site = batch_site(at_site.folder, 2)
    site.create(numbers="NumberRange", pool="vienna")
    site.run(dry_run=True)
    with site.runtime() as runtime, runtime.database.write() as connection:
        asked = requests.open_request(connection, "x", ACTOR, parameters={}, flow_run_id=None, now=utc_now())
        outcomes.end_what_expired(connection, utc_now() + timedelta(days=3), asked)
        told = requests.close_request(connection, asked, "finished", {}, utc_now())
    assert told["alert"] == {"cause": f"batch plan expired: {NAME}", "state": "raised"}
    site.control(ControlAct.CANCEL)
    assert standing(site) == []


def test_the_budget_is_of_those_who_are_tried(at_site: FlowSite) -> None:
    """Four of six are blocked before anything is tried: one failure of the other two is half of them, not a sixth."""
    site = batch_site(at_site.folder, 6)
    site.tenant.hybrid.unsynchronised |= {"id-1", "id-2", "id-3", "id-4"}
    site.create(error_budget_percent=20, **OPTIONS)
    site.break_users("id-5")
    summary = site.run()
    assert (summary["state"], summary["why"]) == ("paused", "wave 1: 1 of 2 users failed, more than 20 %")
