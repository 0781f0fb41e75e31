"""The page of states draws what the inventory does: every change of state that an act makes, and none besides."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from connectors.database import Database
from datasets.inventory import NumberUnavailable, Pool, PoolExhausted, Span, WithheldSpan
from datasets.numbering import PhoneNumber
from engine import inventory
from tests.fakes.checkout import ROOT

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER, AFTER = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
NUMBER = PhoneNumber.from_e164("+43100")
OPEN = Pool(name="p", spans=(Span.read("+43100"),))
KEPT = OPEN.model_copy(update={"withheld": (WithheldSpan.read("+43100"),)})
Act = Callable[[Connection], object]


def claim(c: Connection, owner: str = "ada") -> object:
    """Claim the number for a plan."""
    return inventory.claim_named(c, NUMBER, plan_id="p1", owner=owner, until=LATER, now=NOW)


def reserve(c: Connection) -> object:
    """Reserve the number."""
    return inventory.reserve(c, NUMBER, owner="ada", reason="r", until=AFTER, now=NOW, plan_id="p1")


def assign(c: Connection) -> object:
    """Find the number assigned."""
    return inventory.record_assigned(c, NUMBER, owner="ada", now=NOW)


def rest(c: Connection) -> object:
    """Release the number into a grace period."""
    return inventory.release(c, NUMBER, NOW, AFTER)


def block(c: Connection) -> object:
    """Block the number."""
    return inventory.block(c, NUMBER, reason="r", now=NOW)


def withhold(c: Connection) -> object:
    """Withhold the number in its pool."""
    return inventory.define_pool(c, KEPT)


WAYS: dict[str, tuple[Act, ...]] = {
    "free": (),
    "withheld": (withhold,),
    "claimed": (claim,),
    "claimed, was reserved": (reserve, claim),
    "claimed, was in grace": (assign, rest, claim),
    "assigned": (assign,),
    "reserved": (reserve,),
    "grace": (assign, rest),
    "blocked": (block,),
    "blocked, is withheld": (withhold, block),
    "assigned, is withheld": (withhold, assign),
    "grace, is withheld": (withhold, assign, rest),
    "claimed, is withheld": (withhold, assign, rest, claim),
}
ACTS: tuple[Act, ...] = (
    claim,
    lambda c: claim(c, "bob"),
    lambda c: inventory.claim(c, "p", 1, plan_id="p2", owner_ids=["bob"], until=LATER, now=NOW),
    lambda c: inventory.claim_reserved(c, "ada", plan_id="p2", until=LATER, now=NOW),
    lambda c: inventory.claim_grace(c, "ada", plan_id="p2", until=LATER, now=NOW),
    lambda c: inventory.confirm(c, NUMBER, owner="ada", plan_id="p1", now=NOW),
    assign,
    reserve,
    lambda c: inventory.unreserve(c, NUMBER, owner="ada", now=NOW),
    lambda c: inventory.give_back_plan(c, "p1", NOW),
    lambda c: inventory.release(c, NUMBER, NOW),
    rest,
    lambda c: inventory.end_grace(c, NUMBER, now=NOW),
    lambda c: inventory.expire(c, AFTER),
    block,
    lambda c: inventory.unblock(c, NUMBER, now=NOW),
    lambda c: inventory.define_pool(c, OPEN),
    withhold,
)


def drawn() -> set[tuple[str, str]]:
    """Give the arrows of the page, but for those of a pool's beginning and end."""
    page = (ROOT / "docs" / "number-states.md").read_text(encoding="utf-8")
    return set(re.findall(r"^ +(\w+) --> (\w+):", page, re.MULTILINE))


def made(database: Database) -> set[tuple[str, str]]:
    """Bring the number into every state, try every act there, and give the changes of state."""
    found = set[tuple[str, str]]()
    with database.write() as connection:
        inventory.define_pool(connection, OPEN)
        for way in WAYS.values():
            for act in ACTS:
                attempt = connection.begin_nested()
                for step in way:
                    step(connection)
                before = inventory.state_of(connection, NUMBER)
                with suppress(NumberUnavailable, PoolExhausted):
                    act(connection)
                after = inventory.state_of(connection, NUMBER)
                assert inventory.violations(connection) == []
                found |= {(before.value, after.value)} if before != after else set()
                attempt.rollback()
    return found


@pytest.mark.slow
def test_the_diagram_draws_every_change_of_state_and_no_other(sqlite: Database) -> None:
    """What an act can make of a number is an arrow of the page, and every arrow is made by an act."""
    assert made(sqlite) == drawn()
