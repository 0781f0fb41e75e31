"""How long users could not be called, where more than one plan has to do with it."""

from __future__ import annotations

import pytest

from connectors.database import Database
from connectors.errors import Invalid
from datasets.batches import BatchOptions
from datasets.preflight import Unreachable
from engine.history import done_in
from engine.outages import unreachable
from engine.plan import LineState
from engine.rollback import Choice, Terms, plan_rollback
from tests.fakes.migration_site import LINE, NUMBER, Deployment, deployment

KEEP = BatchOptions()


@pytest.fixture
def site(sqlite: Database) -> Deployment:
    """Give a user who was moved an hour ago and whose number was refused."""
    made = deployment(sqlite)
    made.skype.home("id-1", LINE)

    def refuse(name: str, _target: str) -> None:
        if name == "assign_number":
            raise Invalid("this number is broken ; look at it")

    made.tenant.before = refuse
    assert [line.state for line in made.settle(made.plan(KEEP, "id-1"))] == [LineState.FAILED]
    made.tenant.before = lambda name, target: None
    made.tenant.clock.sleep(3600)
    return made


def outage(site: Deployment, *plan_ids: str) -> Unreachable:
    """Give the one outage of these plans."""
    with site.runtime.database.read() as connection:
        (found,) = unreachable(connection, plan_ids)
    return found


def first(site: Deployment) -> str:
    """Give the plan that moved the user."""
    with site.runtime.database.read() as connection:
        return str(connection.exec_driver_sql("SELECT id FROM plans").scalar_one())


def done(site: Deployment, plan_id: str, kind: str) -> object:
    """Give when a change of a plan was verified."""
    with site.runtime.database.read() as connection:
        return next(each.at for each in done_in(connection, [plan_id]) if each.kind == kind)


def test_a_retry_ends_what_its_failure_left(site: Deployment) -> None:
    """The number comes with another plan: from the move of the first to the number of the second, over an hour."""
    moved = first(site)
    assert outage(site, moved).until is None
    retried = site.plan(KEEP, "id-1")
    assert [line.state for line in site.settle(retried)] == [LineState.VERIFIED]
    found = outage(site, moved, retried)
    assert (found.since, found.until) == (done(site, moved, "move_to_teams"), done(site, retried, "assign_number"))
    assert (found.seconds or 0) >= 3600


def test_an_undo_ends_what_a_failure_left(site: Deployment) -> None:
    """Who is back on the server can be called again."""
    moved = first(site)
    undo = plan_rollback(site.runtime, site.request(), Choice(moved), Terms())
    assert [(line.state, line.reason) for line in site.settle(undo)] == [(LineState.VERIFIED, "")]
    assert outage(site, moved, undo).until == done(site, undo, "await_on_premises")


def test_a_retry_that_finds_the_number_ends_it_too(site: Deployment) -> None:
    """Somebody gave the number by hand: it was there when the second plan was made, at the latest."""
    moved = first(site)
    site.tenant.users["id-1"].number, site.tenant.users["id-1"].enterprise_voice = NUMBER, True
    retried = site.plan(KEEP, "id-1")
    assert [line.state for line in site.settle(retried)] == [LineState.UNCHANGED]
    found = outage(site, moved, retried)
    assert found.until is not None
    assert (found.seconds or 0) >= 3600


def test_an_undo_leaves_the_time_of_the_move(sqlite: Database) -> None:
    """A wave that went well and was taken back days later keeps the time that was measured."""
    site = deployment(sqlite)
    site.skype.home("id-1", LINE)
    plan_id = site.plan(KEEP, "id-1")
    site.settle(plan_id)
    before = outage(site, plan_id)
    undo = site.undo(plan_id)[0].plan_id
    assert outage(site, plan_id, undo) == before
