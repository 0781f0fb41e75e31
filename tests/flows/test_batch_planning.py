"""Planning a wave that dies, and plans that wait while HR feeds come: nobody is lost to the batch, and no number."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import update

from config.errors import InputRefused
from datasets.numbering import PhoneNumber
from datasets.tables.leases import leases
from engine import claims, inventory
from engine.runtime import utc_now
from flows.batches import ControlAct
from tasks import work
from tests.fakes.batch_site import FIRST_LINE, BatchSite, batch_site
from tests.fakes.crashes import CrashingDatabase, Points, run_until_crash
from tests.fakes.flow_site import FlowSite

pytestmark = pytest.mark.slow

USERS = 5
A_DAY = timedelta(days=1)
NUMBERS: list[dict[str, Any]] = [{"numbers": "Keep"}, {"numbers": "NumberRange", "pool": "vienna"}]


def end_leases(site: BatchSite) -> None:
    """Let the leases of the dead be over."""
    with closing(site.database) as database, database.write() as connection:
        connection.execute(update(leases).values(expires=utc_now()))


@pytest.mark.parametrize("numbers", NUMBERS)
def test_who_plans_may_die_anywhere(
    at_site: FlowSite, monkeypatch: pytest.MonkeyPatch, numbers: dict[str, Any]
) -> None:
    """However far a dead process came with the plan of a wave, nobody of it is refused and no number is lost (M41)."""
    site, points = batch_site(at_site.folder, USERS), Points()
    site.create(**numbers)
    monkeypatch.setattr(work, "Database", lambda url, **_: CrashingDatabase(url, points))
    deaths = 0
    for point in range(1, 60):
        points.arm(point)
        if not run_until_crash(partial(site.run, dry_run=True)):
            break
        deaths += 1
        end_leases(site)
    points.disarm()
    assert deaths > 20
    assert site.run()["counts"] == {"migrated": USERS}
    with closing(site.database) as database, database.read() as connection:
        assert inventory.violations(connection) == []
        taken = USERS if numbers["numbers"] == "NumberRange" else 0
        assert inventory.counts(connection, "vienna").free == 10 - taken


def interrupted(site: BatchSite) -> None:
    """Claim the numbers of everybody for a plan, and be stopped by hand."""
    with site.runtime() as runtime, claims.kept_by(runtime, "p-gone"):
        now = runtime.now()
        for number, user_id in enumerate(site.tenant.users):
            phone, owner = PhoneNumber(FIRST_LINE + number), f"user:{user_id}"
            with runtime.database.write() as connection:
                inventory.claim_held(connection, phone, plan_id="p-gone", owner=owner, until=now + A_DAY, now=now)
        raise KeyboardInterrupt


def test_an_interrupted_plan_gives_its_numbers_back(at_site: FlowSite) -> None:
    """Who presses Ctrl-C while numbers are chosen, and begins again, has nobody refused."""
    site = batch_site(at_site.folder, USERS)
    site.create(numbers="Keep")
    with pytest.raises(KeyboardInterrupt):
        interrupted(site)
    assert site.run()["counts"] == {"migrated": USERS}


def test_a_feed_of_everybody_ends_no_move(at_site: FlowSite) -> None:
    """HR's file of the night has people of a wave that waits for its turn: they are moved all the same."""
    site = batch_site(at_site.folder, USERS)
    site.create(numbers="Keep")
    site.run(dry_run=True)
    FlowSite(at_site.folder, site.tenant).onboard(*(user.employee_id for user in site.tenant.users.values()))
    assert site.run()["counts"] == {"migrated": USERS}


def test_who_is_away_before_their_turn_is_told(at_site: FlowSite) -> None:
    """Somebody of a wave is on leave, says HR: they are not moved, the batch says why, a retry may have them again."""
    site, feed = batch_site(at_site.folder, USERS), at_site.folder / "leavers.csv"
    site.create(numbers="Keep")
    site.run(dry_run=True)
    mapping = at_site.folder / "mappings" / "hr.toml"
    mapping.write_text(mapping.read_text(encoding="utf-8") + 'Away = "leave"\n', encoding="utf-8")
    feed.write_text(f"Id,Department,Country,Status\n{site.tenant.users['id-1'].employee_id},Sales,AT,Away\n")
    FlowSite(at_site.folder, site.tenant).onboard_file(feed)
    assert site.run()["counts"] == {"migrated": USERS - 1, "refused": 1}
    (left,) = site.standings("refused")
    assert "leaves or is away" in left.reason
    assert site.retry()["counts"] == {"migrated": USERS}


def test_a_cancelled_batch_is_not_planned(at_site: FlowSite) -> None:
    """Nothing is read and claimed for a batch that was cancelled: the refusal says so."""
    site = batch_site(at_site.folder, USERS)
    site.create(numbers="Keep")
    site.control(ControlAct.CANCEL)
    with pytest.raises(InputRefused, match="was cancelled"):
        site.run(dry_run=True)
