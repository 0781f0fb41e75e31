"""Approvals: a plan is applied as it was reviewed and approved, or not at all; a hundred ways around it fail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from config.errors import InputRefused
from config.site_approvals import ApprovalRules
from connectors.database import Database
from datasets.tables.approvals import approvals as approvals_table
from datasets.tables.plans import plan_changes, plan_lines, plans
from datasets.tables.requests import requests
from engine import approvals, plan_store
from engine.apply import Chunk, apply_chunk, chunks, discard, start
from engine.approvals import ApprovalMissing, Person
from engine.audit import AuditFilter, log
from engine.plan import LineState
from engine.proof import verify
from engine.review import needs_approval, review
from engine.runtime import Runtime
from tests.fakes.databases import in_memory
from tests.fakes.plans import define_pool, fresh, runtime_on, store_plan
from tests.fakes.tenant import FakeTenant

ADA = Person("oid-ada", "ada@example.com", verified=True)
BOB = Person("oid-bob", "bob@example.com", verified=True)
TYPED = Person("carl", "carl", verified=False)
RULES = ApprovalRules(kinds=("assign_number",), second_person=True)


@pytest.fixture
def tenant() -> FakeTenant:
    """Give a tenant whose licences take effect at once."""
    return fresh(licence_delay_s=0)


@pytest.fixture
def runtime(database: Database, tenant: FakeTenant) -> Runtime:
    """Give a runtime with a plan for two users, asked for by a feed, on each database."""
    return with_plan(database, tenant)


def with_plan(database: Database, tenant: FakeTenant) -> Runtime:
    """Store plan p-1 for two users and p-2 for another."""
    made = runtime_on(database, tenant)
    define_pool(made)
    for plan_id, users in (("p-1", ["id-1", "id-2"]), ("p-2", ["id-3"])):
        store_plan(made, tenant, users, plan_id=plan_id)
    asked_by(database, "hr_feed", "workday")
    return made


def asked_by(database: Database, kind: str, name: str, *, verified: bool = False) -> None:
    """Say who asked for the plans."""
    values = {"actor_kind": kind, "actor_name": name, "actor_verified": verified}
    with database.write() as connection:
        connection.execute(update(requests).values(values))


def hash_of(runtime: Runtime, plan_id: str = "p-1") -> str:
    """Read the hash of a stored plan."""
    with runtime.database.read() as connection:
        return str(plan_store.header(connection, plan_id).hash)


def approve(runtime: Runtime, person: Person = ADA, *, plan_id: str = "p-1", rules: ApprovalRules = RULES) -> None:
    """Approve a plan as it is."""
    seen = hash_of(runtime, plan_id)
    approvals.approve(runtime.database, plan_id, seen, person, reason="checked", rules=rules, now=runtime.now())


def apply(runtime: Runtime, rules: ApprovalRules = RULES, plan_id: str = "p-1") -> None:
    """Start and apply a plan as tasks do."""
    start(runtime, plan_id, rules)
    for chunk in chunks(runtime, plan_id, sessions=3):
        apply_chunk(runtime, chunk)


def test_a_plan_waits_for_its_approval_and_is_then_applied(runtime: Runtime, tenant: FakeTenant) -> None:
    """Without an approval nothing is sent and the reason is told; with one the plan is applied as it was stored."""
    with pytest.raises(ApprovalMissing, match="it contains assign_number"):
        apply(runtime)
    assert tenant.writes() == []
    approve(runtime)
    apply(runtime)
    assert tenant.users["id-1"].number
    with runtime.database.read() as connection:
        entries = log(connection, AuditFilter(run="p-1"))
        assert verify(connection).faults == []
    assert [(e["result"], e["message"]) for e in entries if e["target"] == "plan:p-1"] == [("approved", "checked")]


def test_a_site_without_rules_wants_no_approval(runtime: Runtime, tenant: FakeTenant) -> None:
    """What no rule names is applied without anybody's leave."""
    apply(runtime, ApprovalRules(users_over=2, destructive=True, vips=("nobody@lab.test",)))
    assert tenant.users["id-2"].number


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (ApprovalRules(users_over=1), "changes 2 users"),
        (ApprovalRules(vips=("USER2@lab.test",)), "1 protected people"),
        (ApprovalRules(vips=("id-1",)), "1 protected people"),
        (ApprovalRules(kinds=("remove_licence", "assign_licence")), "contains assign_licence"),
    ],
    ids=["many", "vip by name", "vip by id", "kind"],
)
def test_rules_say_why_a_plan_needs_an_approval(runtime: Runtime, rules: ApprovalRules, told: str) -> None:
    """Each rule of a site gives its reason in words."""
    with pytest.raises(ApprovalMissing, match=told):
        apply(runtime, rules)


def test_a_second_person_is_wanted_twice_when_nobody_knows_the_first(runtime: Runtime) -> None:
    """Who asked on a command line is not verified: two different signed-in people must approve."""
    asked_by(runtime.database, "os_user", "root")
    approve(runtime, ADA)
    approve(runtime, ADA)
    with pytest.raises(ApprovalMissing, match="1 of 2 are there"):
        apply(runtime)
    approve(runtime, BOB)
    apply(runtime)


def test_a_site_may_accept_a_typed_name(runtime: Runtime) -> None:
    """With allow_unverified a typed name counts and is recorded as unverified; without it is refused."""
    rules = ApprovalRules(kinds=("assign_number",), allow_unverified=True)
    approve(runtime, TYPED, rules=rules)
    apply(runtime, rules)
    with runtime.database.read() as connection:
        assert [row["verified"] for row in approvals.of_plan(connection, "p-1")] == [False]


def test_a_refused_attempt_is_in_the_record(runtime: Runtime) -> None:
    """An approval that was refused is journalled with who tried and why it was refused."""
    with pytest.raises(InputRefused, match="not signed in"):
        approve(runtime, TYPED)
    with runtime.database.read() as connection:
        entry = log(connection, AuditFilter(run="p-1"))[0]
    assert (entry["result"], "carl is not signed in" in entry["message"]) == ("refused", True)


def test_approvals_cannot_be_changed_or_removed(runtime: Runtime) -> None:
    """The database refuses to lengthen, move or delete an approval."""
    approve(runtime)
    for act in (update(approvals_table).values(expires=runtime.now().replace(year=2099)), delete(approvals_table)):
        with pytest.raises(IntegrityError, match="append-only"), runtime.database.write() as connection:
            connection.execute(act)


def test_review_names_what_takes_something_away(runtime: Runtime) -> None:
    """The review counts users and kinds and names the destructive lines."""
    with runtime.database.write() as connection:
        here = (plan_changes.c.plan_id == "p-1") & (plan_changes.c.line == 2) & (plan_changes.c.seq == 3)
        connection.execute(update(plan_changes).where(here).values(kind="unassign_number"))
        found = review(plan_store.load_lines(connection, "p-1"), ApprovalRules())
    assert (found.users, found.destructive, found.kinds["assign_licence"]) == (2, (2,), 2)
    assert found.risks == ["1 lines take something away: 2"]
    assert needs_approval(found, ApprovalRules(destructive=True))


# ---- a hundred ways around


def edited(column: str, value: object, table: object = plan_changes) -> Callable[[Runtime], None]:
    """Give an act that changes the stored plan after it was approved."""

    def act(runtime: Runtime) -> None:
        approve(runtime)
        with runtime.database.write() as connection:
            connection.execute(update(table).where(table.c.plan_id == "p-1", table.c.line == 1).values({column: value}))  # type: ignore[arg-type, attr-defined] # a table

    return act


def altered_attempt(runtime: Runtime, **values: object) -> None:
    """Put a row into approvals that did not come through the door: copied from a true one, with other values."""
    approve(runtime, plan_id="p-2")
    with runtime.database.write() as connection:
        row = dict(connection.execute(select(approvals_table)).one()._mapping)
        connection.execute(insert(approvals_table).values(row | {"id": "copy"} | values))


def expired(hours: float) -> Callable[[Runtime], None]:
    """Give an act that lets so many hours pass after the approval."""

    def act(runtime: Runtime) -> None:
        approve(runtime)
        runtime.sleep(hours * 3600)

    return act


def self_approved(kind: str, name: str, person: Person, *, verified: bool = False) -> Callable[[Runtime], None]:
    """Give an act by which whoever asked approves."""

    def act(runtime: Runtime) -> None:
        asked_by(runtime.database, kind, name, verified=verified)
        approve(runtime, person)

    return act


def wrong_hash(seen: str) -> Callable[[Runtime], None]:
    """Give an act that approves another hash than the plan's."""

    def act(runtime: Runtime) -> None:
        approvals.approve(runtime.database, "p-1", seen, ADA, reason="ok", rules=RULES, now=runtime.now())

    return act


def unverified(person: Person) -> Callable[[Runtime], None]:
    """Give an act by which somebody who did not sign in approves."""
    return lambda runtime: approve(runtime, person)


def straight(part: int) -> Callable[[Runtime], None]:
    """Give an act that applies a chunk without starting the plan, as a task run by hand would."""

    def act(runtime: Runtime) -> None:
        apply_chunk(runtime, Chunk("p-1", part, part + 1))

    return act


def discarded(runtime: Runtime) -> None:
    """Approve, discard, and try all the same."""
    approve(runtime)
    discard(runtime.database, "p-1", runtime.now())


def of_another_plan(runtime: Runtime) -> None:
    """Approve another plan."""
    approve(runtime, plan_id="p-2")


def without_reason(text: str) -> Callable[[Runtime], None]:
    """Give an act that approves without saying why."""

    def act(runtime: Runtime) -> None:
        seen = hash_of(runtime)
        approvals.approve(runtime.database, "p-1", seen, ADA, reason=text, rules=RULES, now=runtime.now())

    return act


def copied(place: int) -> Callable[[Runtime], None]:
    """Give an act that copies an approval to a hash that differs in one place."""

    def act(runtime: Runtime) -> None:
        true = hash_of(runtime)
        other = true[:place] + ("1" if true[place] == "0" else "0") + true[place + 1 :]
        altered_attempt(runtime, plan_id="p-1", plan_hash=other)

    return act


def header_changed(runtime: Runtime) -> None:
    """Approve, then write another hash into the plan's own row."""
    approve(runtime)
    with runtime.database.write() as connection:
        connection.execute(update(plans).where(plans.c.id == "p-1").values(hash="0" * 64))


def revived(runtime: Runtime) -> None:
    """Approve, discard, and look at what is left to bring back."""
    discarded(runtime)
    with runtime.database.write() as connection:
        assert plan_store.load_lines(connection, "p-1")[0].state == LineState.DISCARDED


EFFECT = {"object": "user:id-9", "attribute": "number", "before": None, "after": "+1"}
WAYS: dict[str, Callable[[Runtime], None]] = {
    **{f"edit {column}": edited(column, value) for column, value in {
        "kind": "remove_licence", "target": "user:id-3", "parameters": {"user_id": "id-3"}, "effects": [EFFECT],
        "reason": "x", "waits_for": "nothing", "seq": 20 - plan_changes.c.seq,
    }.items()},
    "edit line object": edited("object", "user:id-3", plan_lines),
    **{f"number {n}": edited("parameters", {"user_id": "id-1", "number": f"+4312345{n:02}"}) for n in range(20)},
    **{f"expired after {hours} h": expired(hours) for hours in (24, 24.01, 25, 48, 100, 1000)},
    "asked for it, signed in": self_approved("person", "ada@example.com", ADA, verified=True),
    "asked for it, other case": self_approved("person", "ADA@Example.COM", ADA, verified=True),
    "asked for it, by id": self_approved("person", "oid-ada", ADA, verified=True),
    "asked for it on a command line": self_approved("os_user", "ada", ADA),
    "asked for it on the Prefect page": self_approved("prefect-ui", "ada@example.com", ADA),
    "one for an unknown first": self_approved("os_user", "root", ADA),
    "one for an unknown on the page": self_approved("prefect-ui", "somebody", BOB),
    **{f"hash {seen[:6]!r}": wrong_hash(seen) for seen in ("", "0" * 64, "f" * 64, "p-1", "%", "null")},
    **{f"typed {name!r}": unverified(Person(name, name, verified=False)) for name in (
        "ada", "ada@example.com", "oid-ada", "root", "admin", "' OR 1=1 --", "", "workday", "%", "Ada Lovelace",
    )},
    **{f"no reason {text!r}": without_reason(text) for text in ("", " ", "\t", "\n", "  \n ", "\u2003")},
    **{f"chunk {part}": straight(part) for part in range(10)},
    "discarded": discarded,
    "of another plan": of_another_plan,
    "copied row": lambda runtime: altered_attempt(runtime, plan_id="p-1"),
    "copied row, expired": lambda runtime: altered_attempt(
        runtime, plan_id="p-1", plan_hash=hash_of(runtime), expires=runtime.now()
    ),
    "copied row, of the future": lambda runtime: altered_attempt(
        runtime, plan_id="p-1", plan_hash=hash_of(runtime), at=runtime.now() + timedelta(hours=1)
    ),
    "copied row, unverified": lambda runtime: altered_attempt(
        runtime, plan_id="p-1", plan_hash=hash_of(runtime), verified=False
    ),
    "copied row, by who asked": lambda runtime: altered_attempt(
        runtime, plan_id="p-1", plan_hash=hash_of(runtime), person_name="workday"
    ),
    **{f"copied row, hash {n}": copied(n) for n in range(18)},
    "nothing at all": lambda runtime: None,
    "unknown plan": lambda runtime: approve(runtime, plan_id="p-9"),
    "hash of the header changed": header_changed,
    "line brought back": revived,
}  # fmt: skip


def test_there_are_a_hundred_ways_around() -> None:
    """The table is as long as it claims."""
    assert len(WAYS) >= 100


@pytest.mark.parametrize("way", WAYS)
def test_no_way_around_an_approval_succeeds(tenant: FakeTenant, way: str) -> None:
    """Edited, expired, replayed, self-made, copied or missing: the plan is refused and nothing is sent."""
    database = in_memory()
    runtime = with_plan(database, tenant)
    before = hash_of(runtime)
    try:
        WAYS[way](runtime)
    except InputRefused:
        assert hash_of(runtime) == before
    with pytest.raises(InputRefused):
        apply(runtime)
    assert tenant.writes() == []
    database.close()
