"""The inventory against a model that is a plain dictionary: any sequence of acts leaves both alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from connectors.database import Database
from datasets.inventory import NumberUnavailable, Pool, PoolExhausted, Position, Run, Span, WithheldSpan
from datasets.numbering import PhoneNumber
from datasets.tables.inventory import intervals
from engine import inventory
from engine import inventory_taken as rows

START = datetime(2026, 10, 25, 0, 59, 50, tzinfo=UTC)
BASE = "+431005"
VIENNA = Pool(
    name="vienna",
    spans=(Span.read("+431000", "+431007"), Span.read("+431009")),
    withheld=(WithheldSpan.read("+431002", "+431003"),),
)
VIENNA_LATER = Pool(name="vienna", spans=(Span.read("+431000", "+431009"),), withheld=(WithheldSpan.read("+431001"),))
DESKS = Pool(
    name="desks",
    spans=(
        Span.read(f"{BASE};ext=0", f"{BASE};ext=2"),
        Span.read(f"{BASE};ext=00"),
        Span.read("+432000;ext=10", "+432000;ext=11"),
    ),
)
MIXED = Pool(
    name="mixed",
    spans=(Span.read("+432000", "+432001"), Span.read("+432001;ext=10", "+432001;ext=11")),
    base_beside_extensions=True,
)
OUTSIDE = ("+499", "+431000;ext=7", "+432000;ext=1")
NUMBERS = sorted(
    {p.number for pool in (VIENNA, VIENNA_LATER, DESKS, MIXED) for span in pool.spans for p in span.run.positions()}
    | {PhoneNumber.from_e164(text) for text in OUTSIDE}
)

# Few of them are named, so that acts meet on the same number.
NAMED = [*OUTSIDE, BASE, f"{BASE};ext=0", "+431000", "+431002", "+431008", "+432000", "+432000;ext=10", "+432001"]
numbers = st.sampled_from([PhoneNumber.from_e164(text) for text in NAMED])
plans, owners = st.sampled_from(["p1", "p2"]), st.sampled_from(["ada", "bob"])
pool_names, seconds = st.sampled_from(["vienna", "desks", "mixed"]), st.integers(1, 3)


class Entry(NamedTuple):
    """What the model knows of a taken number."""

    state: str
    owner: str
    plan: str | None = None
    until: datetime | None = None
    kept: tuple[str, datetime | None] | None = None

    def over(self, now: datetime) -> bool:
        """Tell whether its time is over."""
        return self.until is not None and self.until <= now


class InventoryModel(RuleBasedStateMachine):
    """Acts on the inventory and on a dictionary, and compares them after each."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.steps, self.now, self.taken = 0, START, dict[PhoneNumber, Entry]()
        self.pools = {pool.name: pool for pool in (VIENNA, DESKS, MIXED)}
        self.connection = self.database.engine.connect()
        self.transaction = self.connection.begin()

    def teardown(self) -> None:
        """Forget everything."""
        self.transaction.rollback()
        self.connection.close()

    @initialize()
    def define(self) -> None:
        """Start with three pools, two of them with extensions."""
        for pool in self.pools.values():
            assert inventory.define_pool(self.connection, pool)
            assert not inventory.define_pool(self.connection, pool)

    @rule(pool=st.sampled_from([VIENNA, VIENNA_LATER]))
    def redefine(self, pool: Pool) -> None:
        """Site policy changes ranges and withheld numbers."""
        inventory.define_pool(self.connection, pool)
        self.pools["vienna"] = pool

    @rule(by=seconds)
    def wait(self, by: int) -> None:
        """Time goes on."""
        self.now += timedelta(seconds=by)

    @rule(pool=pool_names, who=st.lists(owners, max_size=4), plan=plans, last=seconds, is_partial=st.booleans())
    def claim(self, pool: str, who: list[str], plan: str, last: int, is_partial: bool) -> None:
        """Claim a block, or what is left of it."""
        free = sorted((n for n in NUMBERS if self.home(n) == pool and n not in self.taken), key=Position.of)
        until = self.now + timedelta(seconds=last)
        terms: Any = {"plan_id": plan, "until": until, "now": self.now}
        if is_partial:
            given = inventory.claim_up_to(self.connection, pool, who, **terms)
        elif len(who) > len(free):
            with pytest.raises(PoolExhausted, match=f"has {len(free)} free of {len(who)}"):
                inventory.claim(self.connection, pool, len(who), owner_ids=who, **terms)
            return
        else:
            given = inventory.claim(self.connection, pool, len(who), owner_ids=who, **terms)
        assert given == free[: len(who)]
        self.taken |= {n: Entry("claimed", owner, plan, until) for n, owner in zip(given, who, strict=False)}

    @rule(number=numbers, plan=plans, owner=owners, last=seconds)
    def claim_named(self, number: PhoneNumber, plan: str, owner: str, last: int) -> None:
        """Claim a chosen number."""
        entry, until = self.taken.get(number), self.now + timedelta(seconds=last)
        after: Entry | None = Entry("claimed", owner, plan, until)
        if entry and not (entry.state in ("reserved", "grace") and entry.over(self.now)):
            is_mine = entry.owner == owner
            if is_mine and entry.state in ("reserved", "grace"):
                after = Entry("claimed", owner, plan, until, (entry.state, entry.until))
            elif is_mine and entry.state == "claimed" and entry.plan == plan:
                after = entry._replace(until=until)
            else:
                after = None
        elif not entry and not self.may_take(number):
            after = None
        with self.expecting(after is None):
            inventory.claim_named(self.connection, number, plan_id=plan, owner=owner, until=until, now=self.now)
        self.put(number, after)

    @rule(owner=owners, plan=plans, last=seconds, state=st.sampled_from(["reserved", "grace"]))
    def claim_own(self, owner: str, plan: str, last: int, state: str) -> None:
        """Claim what is kept for an owner."""
        until = self.now + timedelta(seconds=last)
        act = inventory.claim_reserved if state == "reserved" else inventory.claim_grace
        row = act(self.connection, owner, plan_id=plan, until=until, now=self.now)
        theirs = {n for n, e in self.taken.items() if (e.state, e.owner) == (state, owner) and not e.over(self.now)}
        assert (row is not None) == bool(theirs)
        if row is not None:
            assert row.number in theirs
            before = self.taken[row.number]
            self.put(row.number, Entry("claimed", owner, plan, until, (state, before.until)))

    @rule(number=numbers, owner=owners, plan=plans)
    def confirm(self, number: PhoneNumber, owner: str, plan: str) -> None:
        """Learn that a plan's write is verified."""
        entry = self.taken.get(number)
        is_theirs = entry is not None and entry.plan != plan and entry.owner != owner
        with self.expecting(is_theirs):
            inventory.confirm(self.connection, number, owner=owner, plan_id=plan, now=self.now)
        self.put(number, None if is_theirs else Entry("assigned", owner))

    @rule(number=numbers, owner=owners)
    def record_assigned(self, number: PhoneNumber, owner: str) -> None:
        """Learn from the tenant who has a number."""
        inventory.record_assigned(self.connection, number, owner=owner, now=self.now)
        self.put(number, Entry("assigned", owner))

    @rule(number=numbers, owner=owners, plan=st.none() | plans, last=st.none() | seconds)
    def reserve(self, number: PhoneNumber, owner: str, plan: str | None, last: int | None) -> None:
        """Reserve a number."""
        entry, until = self.taken.get(number), self.now + timedelta(seconds=last) if last else None
        if entry is None:
            is_refused = not self.may_take(number)
        elif entry.state == "claimed":
            is_refused = plan is None or entry.plan != plan
        else:
            is_refused = entry.state not in ("reserved", "grace")
            is_refused = is_refused or (entry.owner != owner and not entry.over(self.now))
        with self.expecting(is_refused):
            inventory.reserve(self.connection, number, owner=owner, reason="r", until=until, now=self.now, plan_id=plan)
        self.put(number, None if is_refused else Entry("reserved", owner, None, until))

    @rule(number=numbers, owner=owners)
    def unreserve(self, number: PhoneNumber, owner: str) -> None:
        """Cancel a reservation."""
        entry = self.taken.get(number)
        is_theirs = entry is not None and (entry.state, entry.owner) == ("reserved", owner)
        assert inventory.unreserve(self.connection, number, owner=owner, now=self.now) == is_theirs
        if is_theirs:
            del self.taken[number]

    @rule(number=numbers, plan=plans)
    def give_back(self, number: PhoneNumber, plan: str) -> None:
        """Give up one claim."""
        entry = self.taken.get(number)
        is_theirs = entry is not None and (entry.state, entry.plan) == ("claimed", plan)
        assert inventory.give_back(self.connection, number, plan_id=plan, now=self.now) == is_theirs
        if is_theirs:
            self.end(number)

    @rule(plan=plans, kept=st.sets(numbers, max_size=3))
    def give_back_plan(self, plan: str, kept: set[PhoneNumber]) -> None:
        """Discard a plan."""
        theirs = {n for n, e in self.taken.items() if (e.state, e.plan) == ("claimed", plan)} - kept
        assert inventory.give_back_plan(self.connection, plan, self.now, kept) == sorted(theirs)
        for number in theirs:
            self.end(number)

    @rule(number=numbers, last=st.none() | st.integers(0, 5))
    def release(self, number: PhoneNumber, last: int | None) -> None:
        """Take a number from its owner."""
        entry, until = self.taken.get(number), None if last is None else self.now + timedelta(seconds=last)
        is_refused = entry is not None and entry.state not in ("assigned", "grace")
        with self.expecting(is_refused):
            inventory.release(self.connection, number, self.now, until)
        if entry is not None and entry.state == "assigned":
            del self.taken[number]
            self.put(number, Entry("grace", entry.owner, None, until) if last else None)

    @rule(number=numbers, is_blocked=st.booleans())
    def block(self, number: PhoneNumber, is_blocked: bool) -> None:
        """Block or unblock a number."""
        entry = self.taken.get(number)
        if not is_blocked:
            was = entry is not None and entry.state == "blocked"
            assert inventory.unblock(self.connection, number, now=self.now) == was
            if was:
                del self.taken[number]
            return
        is_refused = entry is not None and entry.state not in ("blocked", "grace")
        with self.expecting(is_refused):
            inventory.block(self.connection, number, reason="r", now=self.now)
        self.put(number, None if is_refused else Entry("blocked", ""))

    @rule(protected=st.sets(numbers, max_size=3), limit=st.integers(1, 3))
    def expire(self, protected: set[PhoneNumber], limit: int) -> None:
        """Run the nightly expiry, in slices."""
        over = {n for n, e in self.taken.items() if e.over(self.now) and (e.state != "claimed" or n not in protected)}
        ended: list[PhoneNumber] = []
        while slice_ := inventory.expire(self.connection, self.now, protected, limit):
            ended += [row.number for row in slice_]
        assert sorted(ended) == sorted(over)
        for number in over:
            self.end(number)

    @invariant()
    def alike(self) -> None:
        """The database says what the dictionary says, and adds up."""
        stored = [rows.read(row) for row in self.connection.execute(rows.rows())]
        seen = {r.number: Entry(r.state, r.owner, r.plan_id, r.until, _kept(r)) for r in stored}
        assert seen == self.taken
        query = select(intervals.c.space, intervals.c.width, intervals.c.first, intervals.c.last, intervals.c.is_free)
        listed = [(p.number, row[4]) for row in self.connection.execute(query) for p in Run(*row[:4]).positions()]
        untaken = {n: self.home(n) for n in NUMBERS if n not in self.taken and self.pool_of(n)}
        assert sorted(listed) == sorted((n, home is not None) for n, home in untaken.items())
        self.steps += 1
        if self.steps % 5 == 0:
            assert inventory.violations(self.connection) == []

    def pool_of(self, number: PhoneNumber) -> Pool | None:
        """Find a number's pool by looking at every one."""
        return next((pool for pool in self.pools.values() if _has(pool.spans, number)), None)

    def home(self, number: PhoneNumber) -> str | None:
        """Name the pool that would offer the number, were it not taken."""
        pool = self.pool_of(number)
        if pool is None or _has(pool.withheld, number):
            return None
        return pool.name if pool.base_beside_extensions or not self.has_kin(number) else None

    def has_kin(self, number: PhoneNumber) -> bool:
        """Tell whether the number's base is taken, or it is the base of extensions."""
        if number.extension is not None:
            return PhoneNumber(number.base) in self.taken
        known = {n for n in NUMBERS if n.extension is not None and n.base == number.base}
        return any(n in self.taken or self.pool_of(n) for n in known)

    def may_take(self, number: PhoneNumber) -> bool:
        """Tell whether somebody may have an untaken number."""
        return self.home(number) is not None if self.pool_of(number) else not self._has_taken_kin(number)

    def _has_taken_kin(self, number: PhoneNumber) -> bool:
        if number.extension is not None:
            return PhoneNumber(number.base) in self.taken
        return any(n.base == number.base and n.extension is not None for n in self.taken)

    def put(self, number: PhoneNumber, after: Entry | None) -> None:
        """Note what became of a number; None means it was refused and nothing changed."""
        if after is not None:
            self.taken[number] = after

    def end(self, number: PhoneNumber) -> None:
        """Note that a number's time is over or its claim given up."""
        entry = self.taken.pop(number)
        if entry.kept and (entry.kept[1] is None or entry.kept[1] > self.now):
            self.taken[number] = Entry(entry.kept[0], entry.owner, None, entry.kept[1])

    def expecting(self, is_refused: bool) -> Any:
        """Expect NumberUnavailable, or nothing of the kind."""
        return pytest.raises(NumberUnavailable) if is_refused else _Nothing()


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def _has(spans: tuple[Span, ...], number: PhoneNumber) -> bool:
    return any(number in [p.number for p in span.run.positions()] for span in spans)


def _kept(row: Any) -> tuple[str, datetime | None] | None:
    return (row.kept_state, row.kept_until) if row.kept_state else None


@pytest.mark.slow
def test_inventory_is_the_model(database: Database) -> None:
    """Whatever is done in whatever order, no number is lost, doubled or in two states."""
    try_sequences(database, 25 if database.is_sqlite else 10)


@pytest.mark.nightly
def test_inventory_is_the_model_for_long(database: Database) -> None:
    """The same for 2,000 sequences of 50 acts, around the hour that clocks repeat in Europe."""
    try_sequences(database, 2000)


def try_sequences(database: Database, count: int) -> None:
    """Try so many sequences of acts."""
    machine = type("Machine", (InventoryModel,), {"database": database})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=count, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
