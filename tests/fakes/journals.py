"""Journals of any size for tests, and what only the owner of a database can do to one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from connectors.database import Database
from datasets.tables.journal_guards import removals
from engine.change import Change, Effect
from engine.journal import Entry, close_stream, open_stream, write_manifest

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def without_guards(connection: Connection) -> None:
    """Take the guards away, as the owner of the database can."""
    for statement in removals(connection.dialect.name):
        connection.exec_driver_sql(statement)


def write_journal(database: Database, streams: int, changes: int, *, seal: bool = True) -> None:
    """Write so many streams with so many changes each, an intent and an outcome for every change."""
    for number in range(streams):
        plan_id, now = f"p-{number}", START + timedelta(minutes=number)
        with database.write() as connection:
            stream = open_stream(connection, plan_id, "1", epoch=1, holder="h", now=now)
        with stream.transaction(database) as appender:
            for line in range(1, changes + 1):
                for entry in entries_of(line, now):
                    appender.append(entry)
        with database.write() as connection:
            close_stream(connection, stream, now)
            if seal:
                write_manifest(connection, f"r-{number}", [plan_id], now)


def entries_of(line: int, at: datetime) -> tuple[Entry, Entry]:
    """Give the intent and the outcome of one change."""
    target = f"user:{line}"
    effect = Effect(object=target, attribute="number", before=None, after=f"+4312345{line:04}")
    change = Change(kind="assign_number", target=target, parameters={"number": effect.after}, effects=(effect,))
    intent = Entry(at, line, 1, target, "intent", "", change.model_dump(mode="json"))
    return intent, Entry(at, line, 1, target, "outcome", "verified", {"message": ""}, (effect,))
