"""What a rehearsal finds out: where the error budget would pause it, and how long it takes with what was measured."""

from __future__ import annotations

from contextlib import closing

import pytest

from cli.rehearsal import moved
from engine import batches
from engine.rehearsal import estimate_of, seconds_of
from tasks.work import working_on
from tests.fakes.batch_site import NAME, batch_site
from tests.fakes.flow_site import FlowSite


def test_a_rehearsal_says_where_it_would_pause_and_goes_on(at_site: FlowSite) -> None:
    """The first of two waves fails for one in three: it would pause there, and the second is seen all the same."""
    site = batch_site(at_site.folder, 6)
    site.create(wave_size=3, numbers="Keep")
    site.break_users("id-2")
    with closing(site.database) as database, working_on(site.tenant.systems()):
        found = moved(NAME, 20, database)
    assert [each.partition(":")[0] for each in found["would_pause"]] == ["wave 1"]
    assert "1 of 3 users failed" in found["would_pause"][0]
    assert found["counts"] == {"migrated": 5, "failed": 1}
    assert [each["user"] for each in found["not_done"]] == ["user2@lab.test"]


def test_what_waits_for_too_many_visits_is_reported(at_site: FlowSite) -> None:
    """A directory that never synchronises ends no rehearsal: who waits is told as not done."""
    site = batch_site(at_site.folder, 2, sync_delay_s=10**6)
    site.create(numbers="Keep")
    with closing(site.database) as database, working_on(site.tenant.systems()):
        found = moved(NAME, 2, database)
    assert (found["counts"], found["would_pause"]) == ({"waiting": 2}, [])
    assert [each["state"] for each in found["not_done"]] == ["waiting"] * 2


@pytest.mark.parametrize(("sessions", "eta_s"), [(1, 428.0), (2, 214.0), (20, 107.0)])
def test_the_time_is_that_of_the_calls_with_what_was_measured(at_site: FlowSite, sessions: int, eta_s: float) -> None:
    """Four users, 100 s measured for a move: all one after the other, two at a time, never below one user's own."""
    site = batch_site(at_site.folder, 4)
    site.create(numbers="Keep")
    site.run(dry_run=True)
    with closing(site.database) as database:
        with database.read() as connection:
            batch_id = batches.find(connection, NAME).id
        found = estimate_of(database, batch_id, sessions, {"move_to_teams": 100.0})
        each = seconds_of(database, batch_id, {"move_to_teams": 100.0})
    assert found.calls == {"move_to_teams": 4, "clear_on_premises_line": 4, "assign_number": 4}
    assert found.eta_s == eta_s
    assert each == {f"user:id-{n}": 107.0 for n in range(1, 5)}
