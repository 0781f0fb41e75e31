"""The audit: entries with before and after, and the proof that they are as they were written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, insert, null, text, update
from sqlalchemy.exc import IntegrityError

from connectors.database import Database
from datasets.tables.journal import erasures, journal, journal_effects, journal_manifests, journal_streams
from datasets.tables.requests import requests
from engine.apply import start
from engine.audit import AuditFilter, log
from engine.change import Change, Effect
from engine.journal import Entry, append_closed, close_stream, open_stream, write_manifest
from engine.kinds import KINDS
from engine.plan import Line, LineState, Plan
from engine.plan_store import save
from engine.proof import verify
from tests.fakes.databases import PrivatePostgres
from tests.fakes.journals import without_guards
from tests.fakes.plans import define_pool, fresh, runtime_on, store_plan

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
ADA, BOB = "user:a1", "user:b2"


@pytest.fixture
def journalled(database: Database) -> Database:
    """Give a database in which two people were changed by one sealed run."""
    lines = tuple(_line(target, label) for target, label in ((ADA, "ada@example.com"), (BOB, "Bob Byte")))
    with database.write() as connection:
        actor = {"actor_kind": "cli", "actor_name": "root", "actor_verified": False}
        connection.execute(
            insert(requests).values(id="r1", kind="onboarding", parameters={}, state="done", created_at=NOW, **actor)
        )
        save(connection, Plan(id="p1", request_id="r1", lines=lines), NOW)
        stream = open_stream(connection, "p1", "1", epoch=1, holder="h", now=NOW)
    for number, line in enumerate(lines, start=1):
        for entry in _entries(number, line.changes[0]):
            with stream.transaction(database) as appender:
                appender.append(entry)
    with database.write() as connection:
        close_stream(connection, stream, NOW)
        write_manifest(connection, "r1", ["p1"], NOW)
    return database


def _line(target: str, label: str) -> Line:
    effect = Effect(object=target, attribute="usage_location", before=None, after="AT")
    change = Change(kind="set_usage_location", target=target, parameters={"country": "AT"}, effects=(effect,))
    return Line(object=target, label=label, changes=(change,))


def _entries(line: int, change: Change) -> list[Entry]:
    at = NOW + timedelta(seconds=line)
    intent = Entry(at, line, 1, change.target, "intent", "", change.model_dump(mode="json"))
    outcome = Entry(
        at + timedelta(milliseconds=500), line, 1, change.target, "outcome", "verified", None, change.effects
    )
    return [intent, outcome]


def test_log_says_who_changed_what_from_what_to_what(journalled: Database) -> None:
    """An entry names the actor, the run, the kind, the object and the values before and after (M23)."""
    with journalled.read() as connection:
        newest = log(connection, AuditFilter(limit=1))[0]
    assert newest["actor"] == {"kind": "cli", "name": "root", "verified": False}
    assert (newest["request_id"], newest["plan_id"], newest["kind"]) == ("r1", "p1", "set_usage_location")
    assert (newest["target"], newest["phase"], newest["result"]) == (BOB, "outcome", "verified")
    assert newest["effects"] == [{"object": BOB, "attribute": "usage_location", "before": None, "after": "AT"}]


@pytest.mark.parametrize(
    ("wanted", "targets"),
    [
        (AuditFilter(user="a1"), {ADA}),
        (AuditFilter(user="ADA@example.com"), {ADA}),
        (AuditFilter(user="byte"), {BOB}),
        (AuditFilter(user="100%"), set()),
        (AuditFilter(run="p1"), {ADA, BOB}),
        (AuditFilter(run="r1"), {ADA, BOB}),
        (AuditFilter(run="other"), set()),
        (AuditFilter(since=NOW + timedelta(seconds=2)), {BOB}),
    ],
)
def test_log_is_narrowed(journalled: Database, wanted: AuditFilter, targets: set[str]) -> None:
    """The log is narrowed by user, by run and by moment; a percent sign in a name is only a percent sign."""
    with journalled.read() as connection:
        assert {entry["target"] for entry in log(connection, wanted)} == targets


def test_log_follows_a_user_through_a_rename(journalled: Database) -> None:
    """The history of a user is found by object id, so entries under an older name are there too (M26)."""
    with journalled.write() as connection:
        renamed = (_line(ADA, "ada.lovelace@example.com"),)
        save(connection, Plan(id="p2", request_id="r1", lines=renamed), NOW)
    with journalled.read() as connection:
        assert len(log(connection, AuditFilter(user="ada.lovelace@example.com"))) == 2


def test_untouched_journal_is_proved(journalled: Database) -> None:
    """Every digest of an untouched journal is as it was written, and the last link is told."""
    with journalled.read() as connection:
        proof = verify(connection)
    assert proof.faults == []
    assert (proof.entries, proof.streams, proof.manifests, proof.unsealed, proof.erased) == (4, 1, 1, 0, 0)
    assert proof.head != "0" * 64


def test_empty_journal_is_proved(database: Database) -> None:
    """A journal without entries has no faults."""
    with database.read() as connection:
        assert verify(connection).faults == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            update(journal).where(journal.c.seq == 1).values(payload={"country": "DE"}),
            "its payload or its effects were altered",
        ),
        (update(journal).where(journal.c.seq == 2).values(result="failed"), "was altered"),
        (update(journal).where(journal.c.seq == 1).values(payload=null(), salt=""), "no erasure on record"),
        (update(journal_effects).where(journal_effects.c.seq == 2).values(after="DE"), "its effects were altered"),
        (update(journal_effects).where(journal_effects.c.seq == 2).values(at=NOW), "moment of an effect"),
        (update(journal_effects).where(journal_effects.c.seq == 2).values(seq=9), "is not there"),
        (delete(journal_effects), "its effects were altered"),
        (insert(erasures).values(id="e", until=NOW, at=NOW, request_id="r", reason="", manifest_id=1), "not in the"),
        (update(journal).where(journal.c.seq == 2).values(at=NOW), "was altered"),
        (delete(journal).where(journal.c.seq == 2), "is missing"),
        (delete(journal).where(journal.c.seq == 4), "ends at entry 3"),
        (update(journal_streams).values(entries=3), "but 3 were written"),
        (update(journal_manifests).values(streams=[]), "was altered"),
        (delete(journal_manifests), "its manifest is missing"),
    ],
    ids=[
        *("payload", "result", "payload gone", "effect", "moment of effect", "effect moved", "effects gone", "erasure"),
        *("moment", "cut inside", "cut at the end", "stream", "manifest", "manifest removed"),
    ],
)
def test_alteration_is_found(journalled: Database, change: object, told: str) -> None:
    """Whatever is altered, removed or cut off afterwards is named, even if the database's owner did it."""
    with journalled.write() as connection:
        without_guards(connection)
        connection.execute(change)  # type: ignore[call-overload] # an update or a delete
    with journalled.read() as connection:
        faults = verify(connection).faults
    assert any(told in fault for fault in faults), faults


@pytest.mark.parametrize(
    "change",
    [
        update(journal).values(result="failed"),
        update(journal).values(payload=null(), salt=""),
        delete(journal),
        update(journal_effects).values(after="DE"),
        delete(journal_effects),
        update(journal_manifests).values(note="x"),
        delete(journal_manifests),
        update(journal_streams).values(entries=1),
        delete(journal_streams),
    ],
    ids=str,
)
def test_database_refuses_to_change_the_record(journalled: Database, change: object) -> None:
    """The database itself refuses to change, empty or remove what the journal holds (M23)."""
    with pytest.raises(IntegrityError, match="append-only"), journalled.write() as connection:
        connection.execute(change)  # type: ignore[call-overload] # an update or a delete
    with journalled.read() as connection:
        assert verify(connection).faults == []


@pytest.mark.postgres
def test_postgresql_refuses_to_empty_the_record(postgres: PrivatePostgres) -> None:
    """TRUNCATE, which fires no row trigger, is refused too."""
    database = postgres.new_database()
    with pytest.raises(IntegrityError, match="append-only"), database.write() as connection:
        connection.execute(text("TRUNCATE journal"))
    database.close()


def test_refused_and_failed_lines_are_in_the_record(database: Database) -> None:
    """A line that was refused when it was planned is journalled like one that was sent (M23)."""
    tenant = fresh()
    runtime = runtime_on(database, tenant)
    define_pool(runtime)
    store_plan(runtime, tenant, ["id-1"], plan_id="p-0")
    refused = Line(object="user:id-2", label="bob", state=LineState.REFUSED, reason="no licence is left")
    with database.write() as connection:
        save(connection, Plan(id="p-9", request_id="r-1", lines=(refused,)), runtime.now())
    for _ in range(2):
        start(runtime, "p-9")
    with database.read() as connection:
        entries = log(connection, AuditFilter(run="p-9"))
        assert verify(connection).faults == []
    assert [(each["label"], each["result"], each["message"]) for each in entries] == [
        ("bob", "refused", "no licence is left")
    ]


def test_an_irreversible_act_is_marked_with_its_reason(journalled: Database) -> None:
    """What cannot be taken back is marked in the audit and says why; what can is not (M27)."""
    reserve = Change(kind="reserve_number", target=ADA, parameters={"number": "+431"})
    with journalled.write() as connection:
        save(
            connection, Plan(id="p3", request_id="r1", lines=(Line(object=ADA, label="ada", changes=(reserve,)),)), NOW
        )
        entry = Entry(NOW, 1, 1, ADA, "outcome", "verified", {"message": ""})
        append_closed(connection, "p3", "1", [entry], NOW)
    with journalled.read() as connection:
        marked = {each["kind"]: each["irreversible"] for each in log(connection, AuditFilter())}
    assert marked == {"set_usage_location": "", "reserve_number": KINDS["reserve_number"].irreversible}
    assert marked["reserve_number"]


def test_every_kind_can_be_taken_back_or_says_why_not() -> None:
    """No kind of change is without a way back and without a reason (M27)."""
    assert [kind.name for kind in KINDS.values() if (kind.invert is None) != bool(kind.irreversible)] == []
