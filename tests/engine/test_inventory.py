"""The number inventory: claims, assignments, reservations, grace periods, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connectors.database import Database
from datasets.inventory import (
    NumberState,
    NumberUnavailable,
    Pool,
    PoolExhausted,
    Span,
    UnknownPool,
)
from datasets.numbering import PhoneNumber
from engine import inventory

NOW = datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)  # a second before European clocks jump
LATER = NOW + timedelta(hours=4)
VIENNA = Pool(name="vienna", spans=(Span.read("+4312340", "+4312349"),))


def number(text: str) -> PhoneNumber:
    """Read E.164 text."""
    return PhoneNumber.from_e164(text)


@pytest.fixture
def vienna(database: Database) -> Database:
    """Give a database with a pool of ten numbers."""
    with database.write() as connection:
        inventory.define_pool(connection, VIENNA)
    return database


def claim(database: Database, *owners: str, plan: str = "p1", pool: str = "vienna") -> list[str]:
    """Claim numbers for these owners in a transaction of their own."""
    with database.write() as connection:
        claimed = inventory.claim(connection, pool, len(owners), plan_id=plan, owner_ids=owners, until=LATER, now=NOW)
    return [n.e164 for n in claimed]


def check(database: Database) -> None:
    """Every number is accounted for once."""
    with database.read() as connection:
        assert inventory.violations(connection) == []


def test_claim_gives_the_lowest_numbers_in_the_order_of_owners(vienna: Database) -> None:
    """M44: a block is claimed lowest first, each number for one owner."""
    assert claim(vienna, "ada", "bob", "cy") == ["+4312340", "+4312341", "+4312342"]
    with vienna.read() as connection:
        row = inventory.find(connection, number("+4312341"))
        assert row is not None
        assert (row.owner, row.state, row.plan_id, row.until, row.pool) == ("bob", "claimed", "p1", LATER, "vienna")
        assert inventory.counts(connection, "vienna").model_dump(exclude_defaults=True)["free"] == 7
    check(vienna)


def test_claim_is_all_or_nothing(vienna: Database) -> None:
    """A block that does not fit names the pool, what was asked and what is left, and takes nothing."""
    claim(vienna, *"abcdefgh")
    with pytest.raises(PoolExhausted, match=r"'vienna' has 2 free of 3") as refusal:
        claim(vienna, "x", "y", "z")
    assert (refusal.value.pool, refusal.value.asked, refusal.value.left) == ("vienna", 3, 2)
    with vienna.read() as connection:
        assert inventory.counts(connection, "vienna").free == 2
    check(vienna)


def test_claim_up_to_gives_what_is_left(vienna: Database) -> None:
    """The variant serves the first owners and leaves the others without."""
    claim(vienna, *"abcdefgh")
    with vienna.write() as connection:
        given = inventory.claim_up_to(connection, "vienna", ["x", "y", "z"], plan_id="p2", until=LATER, now=NOW)
        assert [n.e164 for n in given] == ["+4312348", "+4312349"]
        assert inventory.claim_up_to(connection, "vienna", ["q"], plan_id="p2", until=LATER, now=NOW) == []
    check(vienna)


def test_unknown_pool_is_refused(vienna: Database) -> None:
    """A pool that is not defined is named."""
    with pytest.raises(UnknownPool, match="'graz'"):
        claim(vienna, "ada", pool="graz")
    with vienna.write() as connection, pytest.raises(UnknownPool):
        inventory.claim_up_to(connection, "graz", ["ada"], plan_id="p", until=LATER, now=NOW)


def test_rollback_leaves_nothing_claimed(vienna: Database) -> None:
    """A claim belongs to the caller's transaction and dies with it."""
    with pytest.raises(KeyError), vienna.write() as connection:  # noqa: PT012
        inventory.claim(connection, "vienna", 1, plan_id="p", owner_ids=["ada"], until=LATER, now=NOW)
        raise KeyError
    with vienna.read() as connection:
        assert inventory.state_of(connection, number("+4312340")) == NumberState.FREE
    check(vienna)


def test_whole_life_of_a_number(vienna: Database) -> None:
    """Free, claimed, assigned, grace, free again: each step is where the one before left it."""
    seven = number("+4312347")
    steps = []
    with vienna.write() as c:
        steps.append(inventory.state_of(c, seven))
        inventory.claim_named(c, seven, plan_id="p", owner="ada", until=LATER, now=NOW)
        steps.append(inventory.state_of(c, seven))
        inventory.confirm(c, seven, owner="ada", plan_id="p", now=NOW)
        steps.append(inventory.state_of(c, seven))
        inventory.release(c, seven, NOW, LATER)
        steps.append(inventory.state_of(c, seven))
        assert [row.number for row in inventory.expire(c, LATER)] == [seven]
        steps.append(inventory.state_of(c, seven))
    assert steps == ["free", "claimed", "assigned", "grace", "free"]
    check(vienna)


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_time_is_over_at_the_very_second(vienna: Database, seconds: int) -> None:
    """M58: a reservation, a claim and a grace period end together with their last second, whatever clocks do."""
    moment = LATER + timedelta(seconds=seconds)
    with vienna.write() as c:
        claimed = inventory.claim(c, "vienna", 2, plan_id="p", owner_ids=["a", "b"], until=LATER, now=NOW)
        inventory.confirm(c, claimed[1], owner="b", plan_id="p", now=NOW)
        inventory.release(c, claimed[1], NOW, LATER)
        inventory.reserve(c, number("+4312345"), owner="cy", reason="offer", until=LATER, now=NOW)
        assert (inventory.reservation_of(c, "cy", moment) is None) == (seconds >= 0)
        assert (inventory.grace_of(c, "b", moment) is None) == (seconds >= 0)
        assert len(inventory.expire(c, moment)) == (3 if seconds >= 0 else 0)
        assert inventory.expire(c, moment) == []
    check(vienna)


def test_expiry_leaves_claims_of_unsettled_plans(vienna: Database) -> None:
    """A claim that may have been written stays claimed however old it is; reservations have no such excuse."""
    first, second = (number(text) for text in claim(vienna, "ada", "bob"))
    with vienna.write() as c:
        assert [r.number for r in inventory.expire(c, LATER, protected={first})] == [second]
        assert inventory.expire(c, LATER, protected=lambda row: row.plan_id == "p1") == []
        assert [r.number for r in inventory.expire(c, LATER)] == [first]
    check(vienna)


def test_expiry_in_slices_passes_over_what_is_protected(vienna: Database) -> None:
    """Protected claims in front do not keep a slice from what lies behind them."""
    texts = claim(vienna, *"abcdef")
    protected = {number(text) for text in texts[:4]}
    with vienna.write() as c:
        assert len(inventory.expire(c, LATER, protected, limit=1)) == 1
        assert len(inventory.expire(c, LATER, protected, limit=5)) == 1
    check(vienna)


def test_confirm_is_safe_to_repeat(vienna: Database) -> None:
    """Confirming twice is confirming once."""
    [text] = claim(vienna, "ada")
    with vienna.write() as c:
        once = inventory.confirm(c, number(text), owner="ada", plan_id="p1", now=NOW)
        assert inventory.confirm(c, number(text), owner="ada", plan_id="p1", now=LATER) == once
        assert once.until is None
    check(vienna)


def test_confirm_after_expiry_believes_the_tenant(vienna: Database) -> None:
    """A number that the tenant shows as assigned is assigned, though the claim ran out in between."""
    [text] = claim(vienna, "ada")
    with vienna.write() as c:
        inventory.expire(c, LATER)
        inventory.confirm(c, number(text), owner="ada", plan_id="p1", now=LATER)
        assert inventory.state_of(c, number(text)) == NumberState.ASSIGNED
    check(vienna)


def test_confirm_refuses_a_number_somebody_else_got(vienna: Database) -> None:
    """After expiry and a new claim, the first plan learns who has the number."""
    [text] = claim(vienna, "ada")
    with vienna.write() as c:
        inventory.expire(c, LATER)
    claim(vienna, "bob", plan="p2")
    with vienna.write() as c, pytest.raises(NumberUnavailable, match="claimed by bob") as refusal:
        inventory.confirm(c, number(text), owner="ada", plan_id="p1", now=LATER)
    assert refusal.value.holder is not None
    assert refusal.value.holder.plan_id == "p2"


def test_two_admins_choosing_one_number_get_one_conflict(vienna: Database) -> None:
    """M56: the second claim of a named number is refused with the holder."""
    five = number("+4312345")
    with vienna.write() as c:
        inventory.claim_named(c, five, plan_id="p1", owner="ada", until=LATER, now=NOW)
        inventory.claim_named(c, five, plan_id="p1", owner="ada", until=LATER + timedelta(hours=1), now=NOW)
        with pytest.raises(NumberUnavailable, match="claimed by ada until 2026-03-29 05:59 UTC"):
            inventory.claim_named(c, five, plan_id="p2", owner="bob", until=LATER, now=NOW)
        with pytest.raises(NumberUnavailable):
            inventory.claim_named(c, five, plan_id="p2", owner="ada", until=LATER, now=NOW)
    check(vienna)


def test_number_of_no_pool_can_be_claimed_once(vienna: Database) -> None:
    """A home or mobile number is nobody's range, yet only one user may have it."""
    mobile = number("+436601234567")
    with vienna.write() as c:
        assert inventory.state_of(c, mobile) == NumberState.OUTSIDE
        assert inventory.claim_named(c, mobile, plan_id="p", owner="ada", until=LATER, now=NOW).pool is None
        with pytest.raises(NumberUnavailable):
            inventory.claim_named(c, mobile, plan_id="p", owner="bob", until=LATER, now=NOW)
        assert inventory.give_back(c, mobile, plan_id="p", now=NOW)
        assert inventory.state_of(c, mobile) == NumberState.OUTSIDE
    check(vienna)


def test_reserved_number_is_skipped_and_kept_for_its_owner(vienna: Database) -> None:
    """M59: automatic assignment passes over a reservation; its owner gets it."""
    with vienna.write() as c:
        inventory.reserve(c, number("+4312340"), owner="ada", reason="offer", until=None, now=NOW)
        with pytest.raises(NumberUnavailable, match="reserved by ada"):
            inventory.reserve(c, number("+4312340"), owner="bob", reason="offer", until=None, now=NOW)
    assert claim(vienna, "bob") == ["+4312341"]
    with vienna.write() as c:
        claimed = inventory.claim_reserved(c, "ada", plan_id="p2", until=LATER, now=NOW)
        assert claimed is not None
        assert claimed.number == number("+4312340")
        assert inventory.claim_reserved(c, "ada", plan_id="p2", until=LATER, now=NOW) is None
    check(vienna)


def test_given_back_claim_is_the_reservation_it_was(vienna: Database) -> None:
    """A discarded plan restores the reservation it drew on, with its own end."""
    until = LATER + timedelta(days=30)
    with vienna.write() as c:
        reserved = inventory.reserve(c, number("+4312340"), owner="ada", reason="offer", until=until, now=NOW)
        inventory.claim_reserved(c, "ada", plan_id="p", until=LATER, now=NOW)
        assert inventory.give_back(c, reserved.number, plan_id="p", now=NOW)
        assert inventory.reservation_of(c, "ada", NOW) == reserved
    check(vienna)


def test_given_back_claim_of_a_lapsed_reservation_is_free(vienna: Database) -> None:
    """A reservation that ended while its number was claimed does not come back."""
    with vienna.write() as c:
        inventory.reserve(c, number("+4312340"), owner="ada", reason="offer", until=LATER, now=NOW)
        inventory.claim_reserved(c, "ada", plan_id="p", until=LATER + timedelta(hours=1), now=NOW)
        inventory.give_back(c, number("+4312340"), plan_id="p", now=LATER)
        assert inventory.state_of(c, number("+4312340")) == NumberState.FREE
    check(vienna)


def test_plan_ahead_turns_its_claim_into_a_reservation(vienna: Database) -> None:
    """A future hire's number is reserved from the claim, by the plan that has it and no other."""
    [text] = claim(vienna, "ada")
    with vienna.write() as c:
        with pytest.raises(NumberUnavailable):
            inventory.reserve(c, number(text), owner="ada", reason="hire", until=None, now=NOW, plan_id="p2")
        inventory.reserve(c, number(text), owner="ada", reason="hire", until=None, now=NOW, plan_id="p1")
        assert inventory.give_back_plan(c, "p1", NOW) == []
        assert inventory.unreserve(c, number(text), owner="ada", now=NOW)
        assert not inventory.unreserve(c, number(text), owner="ada", now=NOW)
    check(vienna)


def test_discarded_plan_gives_back_all_but_what_may_be_written(vienna: Database) -> None:
    """Numbers of lines already sent stay claimed; the rest is free at once, lowest first again."""
    texts = claim(vienna, "ada", "bob", "cy")
    with vienna.write() as c:
        given = inventory.give_back_plan(c, "p1", NOW, except_numbers={number(texts[1])})
        assert [n.e164 for n in given] == [texts[0], texts[2]]
        assert [row.number.e164 for row in inventory.claimed_by(c, "p1")] == [texts[1]]
    assert claim(vienna, "dee", plan="p2") == [texts[0]]
    check(vienna)


def test_giving_back_after_expiry_changes_nothing(vienna: Database) -> None:
    """A late give-back does not touch the number's next claim."""
    [text] = claim(vienna, "ada")
    with vienna.write() as c:
        inventory.expire(c, LATER)
    claim(vienna, "bob", plan="p2")
    with vienna.write() as c:
        assert not inventory.give_back(c, number(text), plan_id="p1", now=LATER)
        row = inventory.find(c, number(text))
        assert row is not None
        assert row.owner == "bob"
    check(vienna)


def test_rehire_inside_the_grace_period_gets_the_old_number(vienna: Database) -> None:
    """M58: the number is offered to nobody else, claimed by its former owner, and given back to the grace period."""
    with vienna.write() as c:
        inventory.record_assigned(c, number("+4312340"), owner="ada", now=NOW)
        inventory.release(c, number("+4312340"), NOW, LATER)
        with pytest.raises(NumberUnavailable, match="in the grace period"):
            inventory.claim_named(c, number("+4312340"), plan_id="p", owner="bob", until=LATER, now=NOW)
        claimed = inventory.claim_grace(c, "ada", plan_id="p", until=LATER, now=NOW)
        assert claimed is not None
        inventory.give_back(c, claimed.number, plan_id="p", now=NOW)
        assert inventory.grace_of(c, "ada", NOW) is not None
    assert claim(vienna, "bob") == ["+4312341"]
    check(vienna)


def test_release_is_safe_to_repeat(vienna: Database) -> None:
    """Releasing again neither lengthens the grace period nor takes a free number."""
    with vienna.write() as c:
        assert inventory.release(c, number("+4312340"), NOW, LATER) is None
        inventory.record_assigned(c, number("+4312340"), owner="ada", now=NOW)
        inventory.release(c, number("+4312340"), NOW, LATER)
        again = inventory.release(c, number("+4312340"), NOW, LATER + timedelta(days=9))
        assert again is not None
        assert again.until == LATER
    [text] = claim(vienna, "bob")
    with vienna.write() as c, pytest.raises(NumberUnavailable, match="claimed by bob"):
        inventory.release(c, number(text), NOW)


def test_number_found_in_the_tenant_is_never_offered(vienna: Database) -> None:
    """What the tenant shows wins over a claim, in a pool or outside, and says what was believed."""
    [text] = claim(vienna, "ada")
    with vienna.write() as c:
        before = inventory.record_assigned(c, number(text), owner="ghost", now=NOW)
        assert before is not None
        assert before.owner == "ada"
        assert inventory.record_assigned(c, number("+4312341"), owner="bob", now=NOW) is None
        assert inventory.record_assigned(c, number("+4912345"), owner="cy", now=NOW) is None
        assert [row.number.e164 for row in inventory.owned_by(c, "cy")] == ["+4912345"]
    assert claim(vienna, "dee", plan="p2") == ["+4312342"]
    check(vienna)


def test_blocked_number_is_not_offered(vienna: Database) -> None:
    """Blocking a free number keeps it back until it is unblocked."""
    with vienna.write() as c:
        inventory.block(c, number("+4312340"), reason="nuisance calls", now=NOW)
        with pytest.raises(NumberUnavailable, match=r"blocked \(nuisance calls\)"):
            inventory.claim_named(c, number("+4312340"), plan_id="p", owner="ada", until=LATER, now=NOW)
    assert claim(vienna, "ada") == ["+4312341"]
    with vienna.write() as c:
        assert inventory.unblock(c, number("+4312340"), now=NOW)
        assert not inventory.unblock(c, number("+4312340"), now=NOW)
    assert claim(vienna, "bob") == ["+4312340"]
    check(vienna)


def test_free_page_goes_on_where_the_last_ended(vienna: Database) -> None:
    """M55: free numbers are listed page by page, around whatever is taken."""
    with vienna.write() as c:
        for text in ("+4312342", "+4312343", "+4312347"):
            inventory.record_assigned(c, number(text), owner="x", now=NOW)
    seen: list[str] = []
    with vienna.read() as c:
        while page := inventory.free_page(c, "vienna", number(seen[-1]) if seen else None, 3):
            seen += [n.e164 for n in page]
        assert inventory.next_free(c, "vienna") == number("+4312340")
        assert inventory.free_page(c, "vienna", number("+4312342"), 1) == [number("+4312344")]
    assert seen == [f"+431234{digit}" for digit in (0, 1, 4, 5, 6, 8, 9)]
