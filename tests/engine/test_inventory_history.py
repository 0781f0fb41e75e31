"""The biography of a number: written with each move, or not at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from connectors.database import Database
from connectors.errors import Unreachable
from datasets.inventory import Pool, Span
from datasets.numbering import PhoneNumber
from datasets.tables.number_history import number_history
from engine import inventory

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
FIVE = PhoneNumber(43105)


@pytest.fixture
def pooled(database: Database) -> Database:
    """Give a database with one pool."""
    with database.write() as c:
        inventory.define_pool(c, Pool(name="p", spans=(Span.read("+43100", "+43109"),)))
    return database


def test_history_tells_a_numbers_life(pooled: Database) -> None:
    """Who had +X, when: claim, assignment, grace period, rehire and the end of a grace period, newest first."""
    with pooled.write() as c, inventory.acting_as("tess"):
        inventory.claim_named(c, FIVE, plan_id="p1", owner="user:a", until=NOW + DAY, now=NOW)
        inventory.confirm(c, FIVE, owner="user:a", plan_id="p1", now=NOW + DAY)
        inventory.release(c, FIVE, NOW + 2 * DAY, NOW + 9 * DAY)
        inventory.claim_grace(c, "user:a", plan_id="p2", until=NOW + 4 * DAY, now=NOW + 3 * DAY)
        inventory.give_back_plan(c, "p2", NOW + 4 * DAY)
        inventory.expire(c, NOW + 9 * DAY)
        told = inventory.history(c, FIVE)
    assert [(e.state_before, e.state) for e in reversed(told)] == [
        ("free", "claimed"),
        ("claimed", "assigned"),
        ("assigned", "grace"),
        ("grace", "claimed"),
        ("claimed", "grace"),
        ("grace", "free"),
    ]
    assert {e.actor for e in told} == {"tess"}
    assert (told[0].owner_before, told[0].reason, told[0].at) == ("user:a", "its time was over", NOW + 9 * DAY)


def test_holder_at_a_moment(pooled: Database) -> None:
    """At any moment it is known who had the number; before the first move nothing is."""
    with pooled.write() as c:
        inventory.record_assigned(c, FIVE, owner="user:a", now=NOW)
        inventory.record_assigned(c, FIVE, owner="user:b", now=NOW + DAY)
        found = [inventory.holder_at(c, FIVE, NOW + hours * timedelta(hours=1)) for hours in (-1, 0, 23, 24)]
    assert [entry and entry.owner for entry in found] == [None, "user:a", "user:a", "user:b"]


def test_block_of_claims_is_told_number_by_number(pooled: Database) -> None:
    """A block writes a line for each of its numbers; renewing a claim writes none."""
    with pooled.write() as c:
        given = inventory.claim(c, "p", 3, plan_id="p1", owner_ids=["a", "b", "c"], until=NOW + DAY, now=NOW)
        inventory.claim_named(c, given[0], plan_id="p1", owner="a", until=NOW + 2 * DAY, now=NOW)
        inventory.reserve_next(c, "p", 2, owner="d", reason="r", until=None, now=NOW)
        rows = c.execute(select(number_history.c.n, number_history.c.state, number_history.c.owner)).all()
        assert inventory.violations(c) == []
    assert sorted(rows) == [
        (43100, "claimed", "a"),
        (43101, "claimed", "b"),
        (43102, "claimed", "c"),
        (43103, "reserved", "d"),
        (43104, "reserved", "d"),
    ]


def test_clock_set_back_keeps_the_order(pooled: Database) -> None:
    """A clock that is set back ends nothing early, and the history keeps the order in which things happened."""
    with pooled.write() as c:
        inventory.reserve(c, FIVE, owner="a", reason="r", until=NOW + DAY, now=NOW)
        assert inventory.expire(c, NOW - DAY) == []
        inventory.unreserve(c, FIVE, owner="a", now=NOW - DAY)
        assert [e.state for e in inventory.history(c, FIVE)] == ["free", "reserved"]


def test_interrupted_transaction_changes_nothing(pooled: Database) -> None:
    """A database that goes away in mid-transaction leaves the number and its history as they were."""

    def interrupted() -> None:
        with pooled.write() as c:
            inventory.reserve_next(c, "p", 3, owner="a", reason="r", until=None, now=NOW)
            if pooled.is_sqlite:
                raise Unreachable("the disk is gone", system="database")
            c.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(Unreachable):
        interrupted()
    with pooled.read() as c:
        assert inventory.counts(c, "p").free == 10
        assert c.execute(select(number_history)).all() == []
        assert inventory.violations(c) == []
