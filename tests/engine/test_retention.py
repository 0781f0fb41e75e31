"""Retention: personal data goes at its date, everything else stays provable."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import JsonValue
from sqlalchemy import event, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from connectors.database import Database
from datasets.batches import BatchOptions
from datasets.inventory import Pool, Span
from datasets.numbering import PhoneNumber
from datasets.tables.feeds import feed_rows, feeds, quarantine
from datasets.tables.journal import journal, journal_effects, journal_manifests
from datasets.tables.plans import plan_changes, plan_lines
from engine import batches, inventory, retention
from engine.audit import AuditFilter, log
from engine.proof import verify
from tests.fakes.journals import START, without_guards, write_journal
from tests.fakes.plans import apply_all, define_pool, fresh, runtime_on, store_plan

LATER = START + timedelta(days=800)


def erase(database: Database, minutes: int) -> dict[str, int]:
    """Erase what is older than so many minutes after the start."""
    until = START + timedelta(minutes=minutes)
    return retention.erase(database, until, request_id="r-e", reason="its date has come", now=LATER)


def test_payloads_and_effects_go_and_the_proof_stays(database: Database) -> None:
    """Of ten runs the first five are erased: values and salts are gone, and every digest still proves the chain."""
    write_journal(database, streams=10, changes=2)
    assert erase(database, 4) == {
        "effects": 10, "entries": 20, "plan changes": 0, "plan lines": 0, "feed rows": 0, "quarantined rows": 0,
        "events": 0, "known people": 0, "departures": 0, "batch rows": 0, "number history": 0,
    }  # fmt: skip
    with database.read() as connection:
        proof = verify(connection)
        assert connection.execute(select(func.count()).select_from(journal_effects)).scalar_one() == 10
        assert connection.execute(select(func.count()).where(journal.c.salt == "")).scalar_one() == 20
    assert (proof.erased, proof.entries, proof.faults) == (20, 40, [])
    assert not any(erase(database, 4).values())


def test_an_erasure_is_a_link_of_the_chain(database: Database) -> None:
    """Who wants to hide an erasure has to break the chain."""
    write_journal(database, streams=2, changes=1)
    erase(database, 0)
    with database.write() as connection:
        without_guards(connection)
        connection.execute(update(journal_manifests).where(journal_manifests.c.note != "").values(note=""))
    with database.read() as connection:
        assert len(verify(connection).faults) == 2


def test_what_no_erasure_covers_stays_guarded(database: Database) -> None:
    """After an erasure, younger entries are as append-only as before, and older ones cannot be rewritten."""
    write_journal(database, streams=2, changes=1)
    erase(database, 0)
    for change in ({"payload": None, "salt": ""}, {"result": "failed", "salt": ""}):
        with pytest.raises(IntegrityError, match="append-only"), database.write() as connection:
            connection.execute(update(journal).values(change))


def test_plans_that_are_settled_lose_their_names_and_values(database: Database) -> None:
    """A settled plan keeps its kinds and results without names; a plan with open lines keeps everything."""
    tenant = fresh(licence_delay_s=0)
    runtime = runtime_on(database, tenant)
    define_pool(runtime)
    for plan_id, user in (("p-1", "id-1"), ("p-2", "id-2")):
        store_plan(runtime, tenant, [user], plan_id=plan_id)
    apply_all(runtime, "p-1")
    found = retention.erase(database, runtime.now(), request_id="r-e", reason="date", now=LATER)
    assert (found["plan lines"], found["plan changes"]) == (1, 5)
    with database.read() as connection:
        rows = connection.execute(select(plan_lines.c.plan_id, plan_lines.c.label))
        labels = {row.plan_id: row.label for row in rows}
        kept = connection.execute(select(plan_changes.c.effects).where(plan_changes.c.plan_id == "p-1")).scalars()
        assert all(effects == [] for effects in kept)
        entries = log(connection, AuditFilter(run="p-1"))
        assert verify(connection).faults == []
    assert labels == {"p-1": retention.ERASED, "p-2": "user2@lab.test"}
    assert {entry["kind"] for entry in entries} >= {"assign_number", "set_policies"}
    assert "user1" not in str(entries)
    assert "+43123" not in str(entries)


def test_feed_rows_and_quarantine_go_but_the_latest_feed_stays(database: Database) -> None:
    """The latest accepted feed is what the next is compared with; older ones lose their people."""
    store_plan(runtime := runtime_on(database, fresh()), fresh(), [])
    with database.write() as connection:
        for number in (1, 2):
            row = {"id": f"f-{number}", "name": "hr", "digest": "", "kind": "snapshot", "rows": 1, "request_id": "r-1"}
            at = runtime.now() + timedelta(hours=number)
            connection.execute(insert(feeds).values(row | {"accepted": True, "at": at}))
            person = {"feed_id": f"f-{number}", "line": 2, "employee_id": "1", "person": {"employee_id": "1"}}
            connection.execute(insert(feed_rows).values(person | {"outcome": "onboarded", "reason": ""}))
            bad = {"feed_id": f"f-{number}", "feed_name": "hr", "line": 3, "column": "x", "reason": "", "row": {}}
            connection.execute(insert(quarantine).values(bad | {"state": "new", "at": at}))
    found = retention.erase(database, LATER, request_id="r-e", reason="date", now=LATER)
    assert (found["feed rows"], found["quarantined rows"]) == (1, 1)
    with database.read() as connection:
        left = connection.execute(select(feed_rows.c.feed_id).where(feed_rows.c.employee_id.is_not(None))).scalars()
        assert list(left) == ["f-2"]


def test_who_had_a_number_goes_and_who_has_it_stays(database: Database) -> None:
    """Of a biography the names and reasons of that time go, states and moments stay; the present holder is kept."""
    number, free = PhoneNumber.from_e164("+43100"), PhoneNumber.from_e164("+43101")
    with database.write() as connection:
        inventory.define_pool(connection, Pool(name="p", spans=(Span.read("+43100", "+43109"),)))
        for each in (number, free):
            inventory.reserve(connection, each, owner="person:ada", reason="for ada", until=None, now=START)
            inventory.unreserve(connection, each, owner="person:ada", now=START, reason="ada declined")
        inventory.record_assigned(connection, number, owner="user:bob", now=START + timedelta(days=1))
    found = retention.erase(database, START + timedelta(days=2), request_id="r-e", reason="date", now=LATER)
    with database.read() as connection:
        told = [entry.model_dump_json() for each in (number, free) for entry in inventory.history(connection, each)]
        (newest, *_) = inventory.history(connection, number)
        assert inventory.violations(connection) == []
        assert verify(connection).faults == []
    assert found["number history"] == 4
    assert "ada" not in "".join(told)
    assert (len(told), newest.owner, newest.state) == (5, "user:bob", "assigned")
    assert not any(
        retention.erase(database, START + timedelta(days=2), request_id="r-e", reason="d", now=LATER).values()
    )


def test_a_former_holder_goes_when_the_number_has_changed_hands(database: Database) -> None:
    """The entry that was kept for the present holder is erased later, when it is of the past; younger ones stay."""
    number = PhoneNumber.from_e164("+43100")
    with database.write() as connection:
        inventory.record_assigned(connection, number, owner="user:bob", now=START)
        inventory.record_assigned(connection, number, owner="user:cy", now=START + timedelta(days=9))
    retention.erase(database, START + timedelta(days=2), request_id="r-e", reason="date", now=LATER)
    with database.read() as connection:
        newest, oldest = inventory.history(connection, number)
    assert (oldest.owner, newest.owner, newest.owner_before) == (retention.ERASED, "user:cy", "user:bob")
    retention.erase(database, START + timedelta(days=10), request_id="r-e", reason="date", now=LATER)
    with database.read() as connection:
        newest, oldest = inventory.history(connection, number)
    assert (newest.owner, newest.owner_before, oldest.owner) == ("user:cy", retention.ERASED, retention.ERASED)


def test_every_slice_finds_its_rows_by_an_index(sqlite: Database) -> None:
    """However long the journal is, no slice reads it from the beginning, and what is changed is found by key."""
    write_journal(sqlite, streams=10, changes=120)
    seen: dict[str, Any] = {}
    event.listen(sqlite.engine, "before_cursor_execute", lambda _c, _k, said, values, *_: seen.update({said: values}))
    assert erase(sqlite, 4)["entries"] == 1200
    acts = [said for said in seen if said.startswith(("UPDATE journal ", "DELETE"))]
    beyond = [said for said in seen if "> (?, ?)" in said and "FROM journal" in said]
    assert (len(acts), len(beyond)) == (2, 2)
    for said in (*acts, *beyond):
        values = seen[said][0] if isinstance(seen[said], list) else seen[said]
        with sqlite.engine.connect() as connection:
            ways = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {said}", values)]
        assert any("SEARCH journal" in way for way in ways), (said, ways)
        assert not any(way.startswith("SCAN journal") for way in ways), (said, ways)


def test_names_of_a_batch_go_when_nothing_of_it_is_open(database: Database) -> None:
    """Who was in a batch is forgotten at its date; how many they were and in which wave stays."""
    members = [batches.Member(1, "ada@lab.test", "id-1", "ada@lab.test")]
    source: dict[str, JsonValue] = {"kind": "users", "text": "ada@lab.test"}
    with database.write() as connection:
        batches.create(connection, "b", source, BatchOptions(), members, by="tests", now=START)
    assert erase(database, 1)["batch rows"] == 1
    with database.read() as connection:
        found = batches.find(connection, "b")
        assert (found.source["text"], batches.standings(connection, found.id)[0].user) == ("", retention.ERASED)
    assert erase(database, 1)["batch rows"] == 0
