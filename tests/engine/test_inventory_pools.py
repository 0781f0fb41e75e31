"""Pools as site policy defines them: overlap, withheld numbers, extensions, changes of policy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, update

from config.errors import InputRefused
from connectors.database import Database
from datasets.inventory import NumberState, NumberUnavailable, Pool, RangesOverlap, Span, WithheldSpan
from datasets.numbering import PhoneNumber
from datasets.tables.inventory import intervals, pools, taken
from engine import inventory

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
BASE = PhoneNumber.from_e164("+431234567")
DESK = PhoneNumber.from_e164("+431234567;ext=101")


def pool(name: str, *spans: tuple[str, str], allowed: bool = False) -> Pool:
    """Make a pool of spans."""
    return Pool(name=name, spans=tuple(Span.read(*span) for span in spans), base_beside_extensions=allowed)


def define(database: Database, *defined: Pool) -> list[bool]:
    """Take pools over in one transaction; every number is accounted for afterwards."""
    with database.write() as connection:
        changed = [inventory.define_pool(connection, one) for one in defined]
        assert inventory.violations(connection) == []
    return changed


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        ("+43200", "+43100", "after the end"),
        ("+4399", "+43100", "as many digits"),
        ("+431;ext=1", "+432;ext=2", "same base"),
        ("+431;ext=1", "+431;ext=10", "as many digits"),
        ("+431", "+431;ext=1", "same base"),
        ("0043", "+4399", "not E.164"),
    ],
)
def test_span_that_is_no_range_is_refused(start: str, end: str, reason: str) -> None:
    """A range has two ends of one kind, in order."""
    with pytest.raises(InputRefused, match=reason):
        Span.read(start, end)


def test_withheld_numbers_lie_in_their_pool() -> None:
    """Withholding a number the pool does not have is a mistake of site policy."""
    with pytest.raises(InputRefused, match=r"withheld numbers \+43300 are not in pool 'p'"):
        Pool(name="p", spans=(Span.read("+43100", "+43199"),), withheld=(WithheldSpan.read("+43300"),))


def test_overlap_names_both_pools(database: Database) -> None:
    """Ranges that share a number are refused, and nothing is changed."""
    define(database, pool("vienna", ("+43100", "+43199")))
    with pytest.raises(RangesOverlap, match=r"\+43100 to \+43199 \(pool vienna\) and \+43150 to \+43160 \(pool graz\)"):
        define(database, pool("graz", ("+43150", "+43160")))
    with pytest.raises(RangesOverlap, match="pool graz"):
        pool("graz", ("+43150", "+43160"), ("+43160", "+43170"))
    with database.read() as connection:
        assert inventory.pool_names(connection) == ["vienna"]


def test_defining_again_changes_nothing(database: Database) -> None:
    """Taking over the same policy is settled at once, in whatever order its ranges are listed."""
    first = pool("p", ("+43200", "+43299"), ("+43100", "+43199"))
    again = pool("p", ("+43100", "+43199"), ("+43200", "+43299"))
    assert define(database, first, again) == [True, False]
    with database.read() as connection:
        assert inventory.read_pool(connection, "p") == again
        assert inventory.read_pool(connection, "q") is None


def test_known_numbers_join_a_pool_defined_later(database: Database) -> None:
    """A number found in the tenant before its range was defined is not offered afterwards."""
    with database.write() as c:
        inventory.record_assigned(c, PhoneNumber(43101), owner="ada", now=NOW)
    define(database, pool("p", ("+43100", "+43102")))
    with database.read() as c:
        assert [n.base for n in inventory.free_page(c, "p", None, 9)] == [43100, 43102]
        assert inventory.pool_of(c, PhoneNumber(43101)) == "p"
        assert inventory.counts(c, "p").assigned == 1


def test_taken_number_of_a_dropped_range_stays_with_its_owner(database: Database) -> None:
    """Shrinking a pool takes no number from anybody."""
    define(database, pool("p", ("+43100", "+43109")))
    with database.write() as c:
        inventory.record_assigned(c, PhoneNumber(43109), owner="ada", now=NOW)
    define(database, pool("p", ("+43100", "+43104")))
    with database.read() as c:
        row = inventory.find(c, PhoneNumber(43109))
        assert row is not None
        assert (row.owner, row.pool) == ("ada", None)
        assert inventory.counts(c, "p").size == 5
        assert inventory.state_of(c, PhoneNumber(43108)) == NumberState.OUTSIDE


def test_withheld_number_is_not_offered(database: Database) -> None:
    """Site policy keeps numbers back: automatic and named claims pass them over."""
    span, withheld = Span.read("+43100", "+43104"), WithheldSpan.read("+43100", "+43101")
    define(database, Pool(name="p", spans=(span,), withheld=(withheld,)))
    with database.write() as c:
        assert inventory.counts(c, "p").withheld == 2
        assert inventory.next_free(c, "p") == PhoneNumber(43102)
        with pytest.raises(NumberUnavailable, match="withheld in pool 'p'"):
            inventory.claim_named(c, PhoneNumber(43101), plan_id="x", owner="ada", until=LATER, now=NOW)
        inventory.record_assigned(c, PhoneNumber(43101), owner="ada", now=NOW)
        inventory.release(c, PhoneNumber(43101), NOW)
        assert inventory.state_of(c, PhoneNumber(43101)) == NumberState.WITHHELD
        assert inventory.violations(c) == []


def test_extensions_are_a_space_of_their_own(database: Database) -> None:
    """M54: extensions keep their leading zeros, are given lowest first, and are unique with their base."""
    define(database, pool("desks", ("+431234567;ext=098", "+431234567;ext=102")))
    with database.write() as c:
        given = inventory.claim(c, "desks", 3, plan_id="p", owner_ids=["a", "b", "c"], until=LATER, now=NOW)
        assert [n.extension for n in given] == ["098", "099", "100"]
        other = PhoneNumber(BASE.base, "98")
        assert inventory.state_of(c, other) == NumberState.OUTSIDE
        assert inventory.claim_named(c, other, plan_id="p", owner="d", until=LATER, now=NOW).number == other
        assert [n.extension for n in inventory.free_page(c, "desks", given[-1], 9)] == ["101", "102"]


def test_base_of_extensions_is_not_offered(database: Database) -> None:
    """M54: a base number stays back while a range of extensions hangs on it."""
    define(
        database,
        pool("plain", ("+431234566", "+431234568")),
        pool("desks", ("+431234567;ext=100", "+431234567;ext=199")),
    )
    with database.write() as c:
        given = inventory.claim(c, "plain", 2, plan_id="p", owner_ids=["a", "b"], until=LATER, now=NOW)
        assert [n.base for n in given] == [431234566, 431234568]
        assert inventory.counts(c, "plain").withheld == 1
    define(database, pool("desks", ("+439999;ext=100", "+439999;ext=199")))
    with database.read() as c:
        assert inventory.next_free(c, "plain") == BASE


def test_extensions_of_a_taken_base_are_not_offered(database: Database) -> None:
    """M54: somebody who has the base keeps its extensions back until the base is free again."""
    define(database, pool("desks", ("+431234567;ext=100", "+431234567;ext=199")))
    with database.write() as c:
        inventory.record_assigned(c, DESK, owner="bob", now=NOW)
        inventory.record_assigned(c, BASE, owner="ada", now=NOW)
        assert inventory.next_free(c, "desks") is None
        assert inventory.counts(c, "desks").withheld == 99
        inventory.release(c, BASE, NOW)
        assert inventory.counts(c, "desks").free == 99
        assert inventory.violations(c) == []


def test_base_stands_beside_extensions_where_the_pool_allows(database: Database) -> None:
    """M54: a pool may say that a base and its extensions are different people's numbers."""
    define(
        database,
        pool("plain", ("+431234567", "+431234567"), allowed=True),
        pool("desks", ("+431234567;ext=100", "+431234567;ext=199"), allowed=True),
    )
    with database.write() as c:
        inventory.claim_named(c, BASE, plan_id="p", owner="ada", until=LATER, now=NOW)
        inventory.claim_named(c, DESK, plan_id="p", owner="bob", until=LATER, now=NOW)
        assert inventory.violations(c) == []


def test_planted_damage_is_found(database: Database) -> None:
    """The proof names a lost number, a doubled one, a wrong counter and a number in the wrong pool."""
    define(database, pool("p", ("+43100", "+43109")), pool("q", ("+43200", "+43209")))
    with database.write() as c:
        inventory.record_assigned(c, PhoneNumber(43105), owner="ada", now=NOW)
        c.execute(delete(intervals).where(intervals.c.first == 43106))
        c.execute(update(intervals).where(intervals.c.first == 43100).values(last=43105))
        c.execute(update(pools).where(pools.c.name == "q").values(free=11))
        c.execute(update(taken).values(pool_id=2))
        found = inventory.violations(c)
    assert any("+43106 to +43109 is missing" in line for line in found)
    assert any("+43100 to +43105 is wrong" in line for line in found)
    assert "pool q: counts 11 free, has 10" in found
    assert "number +43105 says pool 2, its range says 1" in found
