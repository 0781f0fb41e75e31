"""Two who decide about one batch at the same moment: what ends a batch is not undone by accident."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from config.errors import InputRefused
from connectors.database import Database
from datasets.batches import BatchOptions
from engine import batch_alerts, batch_control, batches, plan_store
from engine.batches import CANCELLED, GO, Batch, Member
from engine.plan import Line, LineState, Plan
from engine.requests import Actor, open_request
from engine.runtime import utc_now
from tests.fakes.plans import fresh, runtime_on


@pytest.fixture
def batch(database: Database) -> Batch:
    """Give a batch of one user that goes on, and whose plan has failed, on each database."""
    actor, now = Actor(kind="os_user", name="t"), utc_now()
    with database.write() as connection:
        request = open_request(connection, "migration", actor, parameters={}, flow_run_id=None, now=now)
        members = [Member(1, "ada", "id-1", "ada")]
        made = batches.create(connection, "b", {}, BatchOptions(), members, by="t", now=now)
        failed = Line(object="user:id-1", label="ada", changes=(), state=LineState.FAILED)
        plan_store.save(connection, Plan(id="p-1", request_id=request, lines=(failed,)), now)
        batches.note_plan(connection, made, 1, "p-1")
        batches.set_control(connection, made, GO, "", now)
        return batches.find(connection, made)


@pytest.mark.parametrize("act", [batch_control.pause, batch_control.resume, batch_control.begin, batch_control.retry])
def test_a_batch_that_was_cancelled_meanwhile_stays_so(
    database: Database, batch: Batch, act: Callable[..., object]
) -> None:
    """Who found the batch before somebody cancelled it is refused, and does not let it go on."""
    with database.write() as connection:
        batches.set_control(connection, batch.id, CANCELLED, "enough", utc_now())
    more = {batch_control.pause: ("why",), batch_control.retry: (None,)}.get(act, ())
    with database.write() as connection, pytest.raises(InputRefused, match="cancelled"):
        act(connection, batch, *more, utc_now())
    with pytest.raises(InputRefused, match="cancelled before"):
        batch_control.cancel(runtime_on(database, fresh()), batch, "again")


def test_a_failure_does_not_pause_what_is_being_cancelled(database: Database, batch: Batch) -> None:
    """The error budget is spent at the moment in which somebody cancels: the batch is cancelled."""

    def fail() -> None:
        with database.write() as connection:
            batch_alerts.count_failure(connection, "p-1", utc_now())

    other = threading.Thread(target=fail)
    with database.write() as connection:
        _cancel(connection, batch)
        other.start()
        other.join(0.5)  # it waits for this transaction
    other.join()
    with database.read() as connection:
        assert batches.find(connection, batch.id).control == CANCELLED


def _cancel(connection: Connection, batch: Batch) -> None:
    batches.set_control(connection, batch.id, CANCELLED, "enough", utc_now())


def test_of_two_who_take_one_name_at_once_one_is_refused(database: Database) -> None:
    """The later one waits for the other's end, and is told that the name is taken."""
    refused: list[str] = []

    def take() -> None:
        try:
            with database.write() as connection:
                _make(connection)
        except InputRefused as error:
            refused.append(str(error))

    other = threading.Thread(target=take)
    with database.write() as connection:
        _make(connection)
        other.start()
        other.join(0.3)
        assert not refused
    other.join()
    assert [text.startswith("there is a batch 'one' already") for text in refused] == [True]


def _make(connection: Connection) -> None:
    batches.create(connection, "one", {}, BatchOptions(), [Member(1, "ada", "id-1", "ada")], by="t", now=utc_now())
