"""Approving a batch as a whole: every wave within its options and users goes, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from config.errors import InputRefused
from config.site_policy import read_approvals
from datasets.tables.approvals import batch_approvals as approvals_table
from datasets.tables.batches import batch_plans, batch_users, batches
from datasets.tables.plans import plan_changes, plan_lines, plans
from datasets.tables.requests import requests
from engine import approvals, batch_approvals, plan_store
from engine import batches as rows
from engine.approvers import Person
from engine.audit import AuditFilter, log
from engine.proof import verify
from flows.batches import ControlAct
from tests.fakes.batch_site import NAME, BatchSite, batch_site
from tests.fakes.flow_site import FlowSite

pytestmark = pytest.mark.slow

ADA = Person("oid-ada", "ada@example.com", verified=True)
BOB = Person("oid-bob", "bob@example.com", verified=True)
TYPED = Person("carl", "carl", verified=False)
RULES = 'kinds = ["set_policies"]\n'
SECOND = RULES + "second_person = true\n"
WAVES: dict[str, Any] = {"wave_size": 2, "policies": {"dial_plan": "AT"}}
Act = Callable[[Connection, str], object]


@pytest.fixture
def site(at_site: FlowSite) -> BatchSite:
    """Give a site that wants policies approved, with six users in three waves, of which the first is planned."""
    return planned(at_site, RULES)


def planned(at_site: FlowSite, rules: str) -> BatchSite:
    """Give a site with these rules and a batch of three waves, of which the first is planned."""
    (at_site.folder / "approvals.toml").write_text(rules, encoding="utf-8")
    made = batch_site(at_site.folder, 6)
    made.create(**WAVES)
    made.run(dry_run=True)
    return made


@contextmanager
def writing(site: BatchSite) -> Iterator[Connection]:
    """Open a transaction on the site's database."""
    with closing(site.database) as database, database.write() as connection:
        yield connection


def approve(site: BatchSite, person: Person = ADA, *, now: datetime | None = None) -> None:
    """Approve the batch as it is."""
    with closing(site.database) as database:
        with database.read() as connection:
            seen = batch_approvals.scope_of(connection, rows.find(connection, NAME).id)
        rules = read_approvals(site.folder)
        batch_approvals.approve(database, NAME, seen, person, reason="4711", rules=rules, now=now or datetime.now(UTC))


def shown(site: BatchSite) -> list[str]:
    """Say how the approvals of the batch stand."""
    with writing(site) as connection:
        found = batch_approvals.of_batch(connection, rows.find(connection, NAME).id, datetime.now(UTC))
    return [row["standing"] for row in found]


def test_one_approval_is_for_every_wave(site: BatchSite) -> None:
    """The wave that is planned, and the two that are planned while the batch runs, are applied; it is on record."""
    assert "needs an approval" in site.run()["needs_approval"]
    approve(site)
    summary = site.run()
    assert (summary["counts"], [wave["migrated"] for wave in summary["waves"]]) == ({"migrated": 6}, [2, 2, 2])
    with writing(site) as connection:
        entries = log(connection, AuditFilter(run=rows.find(connection, NAME).id))
        assert verify(connection).faults == []
    assert [(entry["result"], entry["message"]) for entry in entries] == [("approved", "4711")]


def test_a_single_wave_is_still_approved_alone(site: BatchSite) -> None:
    """The approval of a plan lets that wave go and the next one wait; who waits is told both ways to approve."""
    plan_id = site.run()["plan_id"]
    with closing(site.database) as database:
        with database.read() as connection:
            seen = plan_store.header(connection, plan_id).hash
        rules = read_approvals(site.folder)
        approvals.approve(database, plan_id, seen, ADA, reason="x", rules=rules, now=datetime.now(UTC))
    summary = site.run()
    assert summary["counts"] == {"migrated": 2, "planned": 2, "ready": 2}
    assert f"or all of its batch: ./callwright batch approve '{NAME}'" in summary["needs_approval"]


def test_who_failed_is_tried_again_without_another_approval(site: BatchSite) -> None:
    """A wave of those who failed is planned within the same users and options."""
    site.break_users("id-3")
    approve(site)
    site.run()
    site.control(ControlAct.RESUME)
    site.mend()
    assert site.retry()["counts"] == {"migrated": 6}


def test_an_undo_is_approved_by_itself(site: BatchSite) -> None:
    """Taking a wave back is no wave of the batch: the approval does not cover it."""
    approve(site)
    site.run()
    assert "needs an approval" in site.undo(1)["needs_approval"]


def test_another_window_makes_it_void(site: BatchSite) -> None:
    """A resume with another window asks for another approval, and says why."""
    approve(site)
    site.control(ControlAct.PAUSE)
    later = (datetime.now(UTC) + timedelta(hours=8)).isoformat()
    summary = site.control(ControlAct.RESUME, window_end=later)
    assert "that of ada@example.com is void: options, window or users" in summary["needs_approval"]
    assert site.moved() == {}
    approve(site)
    assert [each.partition(":")[0] for each in shown(site)] == ["is void", "holds"]
    assert site.run()["counts"] == {"migrated": 6}


def test_whoever_made_the_batch_cannot_approve_it(at_site: FlowSite) -> None:
    """With a second person wanted, the maker of the batch is refused; nobody verified them, so two others must."""
    site = planned(at_site, SECOND)
    with pytest.raises(InputRefused, match="asked for batch 'everybody'"):
        approve(site, Person("oid-tess", "tess@example.com", verified=True))
    approve(site)
    assert "1 of 2 are there" in site.run()["needs_approval"]
    approve(site)
    assert "1 of 2 are there" in site.run()["needs_approval"]
    approve(site, BOB)
    assert site.run()["counts"] == {"migrated": 6}


def test_the_maker_of_a_batch_asked_for_the_plans_of_the_clock(at_site: FlowSite) -> None:
    """A wave that the clock planned is still asked for by who made the batch: their approval of its plan is refused."""
    site = planned(at_site, SECOND)
    with writing(site) as connection:
        plan_id = rows.plans_of(connection, rows.find(connection, NAME).id)[0]
        header = plan_store.header(connection, plan_id)
        by_the_clock = {"actor_kind": "schedule", "actor_name": "schedule"}
        connection.execute(update(requests).where(requests.c.id == header.request_id).values(by_the_clock))
    tess, rules = Person("oid-tess", "tess@example.com", verified=True), read_approvals(site.folder)
    with closing(site.database) as database, pytest.raises(InputRefused, match="asked for plan"):
        approvals.approve(database, plan_id, header.hash, tess, reason="x", rules=rules, now=datetime.now(UTC))


def test_a_refused_attempt_is_in_the_record(site: BatchSite) -> None:
    """Somebody who is not signed in is refused, and that is journalled."""
    with pytest.raises(InputRefused, match="not signed in"):
        approve(site, TYPED)
    with writing(site) as connection:
        entry = log(connection, AuditFilter(run=rows.find(connection, NAME).id))[0]
    assert (entry["result"], "carl is not signed in" in entry["message"]) == ("refused", True)


def test_a_batch_that_changed_while_it_was_read_is_refused(site: BatchSite) -> None:
    """What is approved is what was seen."""
    with closing(site.database) as database:
        with database.read() as connection:
            seen = batch_approvals.scope_of(connection, rows.find(connection, NAME).id)
        with database.write() as connection:
            connection.execute(update(batches).values(error_budget_percent=100))
        rules = read_approvals(site.folder)
        with pytest.raises(InputRefused, match="is not what was reviewed"):
            batch_approvals.approve(database, NAME, seen, ADA, reason="x", rules=rules, now=datetime.now(UTC))


def test_approvals_of_batches_cannot_be_changed_or_removed(site: BatchSite) -> None:
    """The database refuses to lengthen, move or delete an approval."""
    approve(site)
    for act in (update(approvals_table).values(users=1), delete(approvals_table)):
        with pytest.raises(IntegrityError, match="append-only"), writing(site) as connection:
            connection.execute(act)


# ---- ways around


def options(**values: object) -> Act:
    """Give an act that changes an option of the batch."""

    def act(connection: Connection, _plan: str) -> None:
        known = connection.execute(select(batches.c.options)).scalar_one()
        connection.execute(update(batches).values(options={**known, **values}))

    return act


def gate(**values: object) -> Act:
    """Give an act that changes what the gates of the batch read."""
    return lambda connection, _plan: connection.execute(update(batches).values(values))


def member(row: int, **values: object) -> Act:
    """Give an act that changes who is meant by a row of the batch."""
    return lambda connection, _plan: connection.execute(
        update(batch_users).where(batch_users.c.row == row).values(values)
    )


def removed(connection: Connection, _plan: str) -> None:
    """Take somebody out of the batch."""
    connection.execute(delete(batch_users).where(batch_users.c.row == 6))


def added(connection: Connection, _plan: str) -> None:
    """Put somebody into the batch."""
    row = dict(connection.execute(select(batch_users).where(batch_users.c.row == 6)).one()._mapping)
    connection.execute(insert(batch_users).values({**row, "row": 7, "user_id": "id-9"}))


def edited(column: str, value: object, table: Any = plan_changes) -> Act:
    """Give an act that changes the plan and writes the hash that it has then."""

    def act(connection: Connection, plan: str) -> None:
        connection.execute(update(table).where(table.c.plan_id == plan, table.c.line == 1).values({column: value}))
        rehash(connection, plan)

    return act


def rehash(connection: Connection, plan: str) -> None:
    """Write the hash that a plan has now."""
    header, lines = plan_store.header(connection, plan), plan_store.load_lines(connection, plan)
    found = plan_store.current_hash(plan, header.request_id, lines)
    connection.execute(update(plans).where(plans.c.id == plan).values(hash=found))


def of_another_batch(connection: Connection, _plan: str) -> None:
    """Move the plan into a batch that nobody approved."""
    row = dict(connection.execute(select(batches)).one()._mapping)
    connection.execute(insert(batches).values({**row, "id": "b-other", "name": "other"}))
    connection.execute(update(batch_plans).values(batch_id="b-other"))


def copied(**values: object) -> Act:
    """Give an act that copies the approval with other values, in the place of the true one."""

    def act(connection: Connection, _plan: str) -> None:
        row = dict(connection.execute(select(approvals_table)).one()._mapping)
        connection.exec_driver_sql("DROP TRIGGER batch_approvals_no_delete")
        connection.execute(delete(approvals_table))
        connection.execute(insert(approvals_table).values({**row, "id": "copy", **values}))

    return act


ANOTHER = {"user_id": "id-1", "policies": {"TenantDialPlan": "DE"}}
AGES_AGO = datetime(2020, 1, 1, tzinfo=UTC)
WAYS: dict[str, Act] = {
    "another policy in the options": options(policies={"TenantDialPlan": "DE"}),
    "another source of numbers": options(numbers="none"),
    "a licence in the options": options(licences=["MCOEV"]),
    "write-back in the options": options(write_back=["ipPhone"]),
    "more at once": options(concurrency=20),
    "a window in the options": options(window_end="2099-01-01T00:00:00Z"),
    "a window behind the options": gate(window_end=datetime(2099, 1, 1, tzinfo=UTC)),
    "another error budget behind the options": gate(error_budget_percent=100.0),
    "somebody else in a row": member(6, user_id="id-9"),
    "a row that is nobody": member(6, user_id=None),
    "somebody removed": removed,
    "somebody added": added,
    "the plan edited: policy": edited("parameters", ANOTHER),
    "the plan edited: kind": edited("kind", "move_to_teams"),
    "the plan edited: user": edited("object", "user:id-3", plan_lines),
    "of another batch": of_another_batch,
    "expired": copied(expires=AGES_AGO),
    "of the future": copied(at=datetime(2099, 1, 1, tzinfo=UTC)),
    "unverified": copied(verified=False),
    "of another batch's hash": copied(batch_hash="0" * 64),
    "of a batch that is gone": copied(batch_id="b-gone"),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_around_an_approval_succeeds(site: BatchSite, way: str) -> None:
    """What was changed after the approval, or was never approved, waits; nobody is moved."""
    approve(site)
    with writing(site) as connection:
        plan_id = rows.plans_of(connection, rows.find(connection, NAME).id)[0]
        WAYS[way](connection, plan_id)
        with pytest.raises(approvals.ApprovalMissing):
            approvals.require(connection, plan_id, read_approvals(site.folder), datetime.now(UTC))


BEYOND: dict[str, tuple[Act, str]] = {
    "another policy": (edited("parameters", ANOTHER), "is not what the options say"),
    "a kind of its own": (edited("kind", "delete_user"), "is not what the options say"),
    "a licence": (edited("kind", "assign_licence"), "is not what the options say"),
    "a number": (edited("kind", "unassign_number"), "is not what the options say"),
    "somebody else": (edited("object", "user:id-9", plan_lines), "is not a user of the batch"),
    "the line of somebody twice": (edited("object", "user:id-2", plan_lines), "is about somebody else"),
    "about somebody else": (edited("target", "user:id-9"), "is about somebody else"),
    "parameters of somebody else": (edited("parameters", ANOTHER | {"user_id": "id-9"}), "is about somebody else"),
}


@pytest.mark.parametrize("case", BEYOND)
def test_a_later_wave_beyond_the_options_waits(at_site: FlowSite, case: str) -> None:
    """A wave that is planned after the approval goes only if it does what the options say for users of the batch."""
    (at_site.folder / "approvals.toml").write_text(
        'kinds = ["set_policies", "delete_user", "assign_licence", "unassign_number"]\n', encoding="utf-8"
    )
    site = batch_site(at_site.folder, 6)
    site.create(**WAVES)
    approve(site)
    plan_id, rules = site.run(dry_run=True)["plan_id"], read_approvals(site.folder)
    act, words = BEYOND[case]
    with writing(site) as connection:
        approvals.require(connection, plan_id, rules, datetime.now(UTC))
        act(connection, plan_id)
        with pytest.raises(approvals.ApprovalMissing, match=words):
            approvals.require(connection, plan_id, rules, datetime.now(UTC))
