"""The audit: entries with before and after, and the proof that they are as they were written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, insert, update

from connectors.database import Database
from datasets.tables.journal import journal, journal_manifests, journal_streams
from datasets.tables.requests import requests
from engine.audit import AuditFilter, log, verify
from engine.change import Change, Effect
from engine.journal import Entry, close_stream, open_stream, write_manifest
from engine.plan import Line, Plan
from engine.plan_store import save

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
        (update(journal).where(journal.c.seq == 1).values(payload={"country": "DE"}), "payload was altered"),
        (update(journal).where(journal.c.seq == 2).values(result="failed"), "was altered"),
        (update(journal).where(journal.c.seq == 2).values(at=NOW), "was altered"),
        (delete(journal).where(journal.c.seq == 2), "is missing"),
        (delete(journal).where(journal.c.seq == 4), "ends at entry 3"),
        (update(journal_streams).values(entries=3), "but 3 were written"),
        (update(journal_manifests).values(streams=[]), "was altered"),
        (delete(journal_manifests), "its manifest is missing"),
    ],
    ids=["payload", "result", "moment", "cut inside", "cut at the end", "stream", "manifest", "manifest removed"],
)
def test_alteration_is_found(journalled: Database, change: object, told: str) -> None:
    """Whatever is altered, removed or cut off afterwards is named."""
    with journalled.write() as connection:
        connection.execute(change)  # type: ignore[call-overload] # an update or a delete
    with journalled.read() as connection:
        faults = verify(connection).faults
    assert any(told in fault for fault in faults), faults


def test_erased_payload_keeps_the_proof(journalled: Database) -> None:
    """A payload erased on its retention date leaves the chain provable and is counted."""
    with journalled.write() as connection:
        connection.execute(update(journal).where(journal.c.seq == 1).values(payload=None))
    with journalled.read() as connection:
        proof = verify(connection)
    assert proof.faults == []
    assert proof.erased == 1
