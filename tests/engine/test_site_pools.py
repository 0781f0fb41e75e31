"""Ranges of the policy and ranges made by command, side by side; what countries forbid; numbers of many countries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import phonenumbers
import pytest

from config.site_pools import Forbidden, NumberRange, SitePool
from connectors.database import Database
from datasets.inventory import NumberUnavailable, Pool, RangesOverlap, Span
from datasets.numbering import PhoneNumber, parse_number, unusual
from datasets.range_text import read_span
from engine import inventory, pool_changes
from engine.site_pools import define_pools

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FORBIDDEN = Forbidden(country="AT", ranges=(NumberRange(start="+43112", end="+43112"),), reason="emergency")


def policy(*ranges: tuple[str, str], name: str = "vienna") -> SitePool:
    """Make a pool of the policy file."""
    held = tuple(NumberRange(start=start, end=end) for start, end in ranges)
    return SitePool(name=name, country="AT", number_type="directRouting", ranges=held)


def test_added_range_outlives_the_policy(database: Database) -> None:
    """A range added by command stays when the policy is taken over again, until the policy names it itself."""
    first, both = policy(("+43100", "+43109")), policy(("+43100", "+43109"), ("+43200", "+43204"))
    with database.write() as c:
        define_pools(c, [first])
        pool_changes.resize(c, "vienna", add=[Span.read("+43200", "+43209")])
        define_pools(c, [first])
        assert inventory.counts(c, "vienna").size == 20
        define_pools(c, [both])
        pool = inventory.read_pool(c, "vienna")
        assert pool is not None
        assert [(str(s), s.is_added) for s in pool.spans if s.start.base > 43199] == [
            ("+43200 to +43204", False),
            ("+43205 to +43209", True),
        ]
        with pytest.raises(pool_changes.PolicyOwns, match=r"\+43200 to \+43202"):
            pool_changes.resize(c, "vienna", remove=[Span.read("+43200", "+43202")])
        assert inventory.violations(c) == []


def test_policy_and_command_never_own_one_number(database: Database) -> None:
    """A policy that names what a command gave to another pool is refused, naming both."""
    with database.write() as c:
        pool_changes.create(c, Pool(name="linz", country="AT", spans=(Span.read("+43100", "+43109"),)))
        with pytest.raises(RangesOverlap, match=r"pool linz.*pool vienna|pool vienna.*pool linz"):
            define_pools(c, [policy(("+43105", "+43120"))])


def test_forbidden_numbers_are_withheld_in_every_pool_of_the_country(database: Database) -> None:
    """What a country forbids is not given out by policy pools nor by pools of commands, and is offered when allowed."""
    with database.write() as c:
        pool_changes.create(c, Pool(name="linz", country="AT", spans=(Span.read("+43110", "+43114"),)))
        define_pools(c, [policy(("+43100", "+43104"))], [FORBIDDEN])
        assert inventory.counts(c, "linz").withheld == 1
        with pytest.raises(NumberUnavailable, match="withheld"):
            inventory.reserve(c, PhoneNumber(43112), owner="a", reason="", until=None, now=NOW)
        define_pools(c, [policy(("+43100", "+43104"))])
        assert inventory.counts(c, "linz").withheld == 0
        assert inventory.violations(c) == []


def test_split_moves_taken_numbers_along(database: Database) -> None:
    """Whoever has a number keeps it when its range goes to another pool."""
    with database.write() as c:
        pool_changes.create(c, Pool(name="p", country="AT", spans=(Span.read("+43100", "+43109"),)))
        inventory.record_assigned(c, PhoneNumber(43108), owner="user:a", now=NOW)
        pool_changes.split(c, "p", [Span.read("+43105", "+43109")], Pool(name="q", country="AT", spans=()))
        row = inventory.find(c, PhoneNumber(43108))
        assert row is not None
        assert (row.owner, row.pool) == ("user:a", "q")
        assert (inventory.counts(c, "p").size, inventory.counts(c, "q").assigned) == (5, 1)
        assert inventory.violations(c) == []


def test_numbers_of_every_country_can_be_given_out(database: Database) -> None:
    """An example number of each country is read, is not unusual, and is claimed out of a pool of it."""
    found = {}
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        example = phonenumbers.example_number(region)
        if example is not None:
            found[region] = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
    given = sorted(set(found.values()))
    assert len(found) >= 40
    assert [text for text in given if unusual(parse_number(text))] == []
    with database.write() as c:
        inventory.define_pool(c, Pool(name="world", spans=tuple(read_span(text) for text in given)))
        owners = [f"u{i}" for i in range(len(given))]
        until = NOW + timedelta(days=1)
        claimed = inventory.claim(c, "world", len(given), plan_id="p", owner_ids=owners, until=until, now=NOW)
        assert sorted(number.e164 for number in claimed) == given
        assert inventory.violations(c) == []
