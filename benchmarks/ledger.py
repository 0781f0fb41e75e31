"""What the chained journal costs: against plain rows, against a plain scan, and as history grows.

Writing: the engine's own batches of 1,000 entries on SQLite with `synchronous=FULL`, against raw `executemany` of the
same entries with the same keys and indexes into tables without any column of the chain. Proving: every digest of the
journal, against reading the same rows with the bare driver. CPU time, in turns in one process, medians. One user's
history: the audit's own query in a journal of a million entries and in one of ten thousand, wall time, in turns.
"""

from __future__ import annotations

import gc
import itertools
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection

from benchmarks.report import Goal, report, wants_json
from connectors import schema
from connectors.database import Database
from engine.audit import AuditFilter, log
from engine.change import Change, Effect
from engine.journal import Entry, close_stream, open_stream, write_manifest
from engine.journal_rows import moment_text
from engine.plan import Line, Plan
from engine.plan_store import save
from engine.proof import verify

BATCH, BATCHES, ROUNDS = 1000, 20, 7
SMALL, LARGE = 10_000, 1_000_000
LINES = 50  # of one plan: as many as a chunk has
START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
PLAIN = (
    "CREATE TABLE plain (stream_id TEXT REFERENCES journal_streams (id), seq INTEGER, at TEXT, plan_id TEXT,"
    " line INTEGER, change INTEGER, target TEXT,"
    " phase TEXT, result TEXT, payload TEXT, PRIMARY KEY (stream_id, seq))",
    "CREATE INDEX plain_change ON plain (plan_id, line, change)",
    "CREATE INDEX plain_target ON plain (target, at)",
    "CREATE TABLE plain_effects (stream_id TEXT, seq INTEGER, object TEXT, attribute TEXT, at TEXT, before TEXT,"
    " after TEXT, PRIMARY KEY (stream_id, seq, object, attribute))",
    "CREATE INDEX plain_effects_object ON plain_effects (object, at)",
)


def main() -> int:
    """Measure and report."""
    with tempfile.TemporaryDirectory(prefix="callwright-ledger-") as folder:
        plain, chained, checked, scanned = _writing(Path(folder))
        small, large, size_mb = _history(Path(folder))
    goals = [
        Goal("chained_vs_plain", statistics.median(plain) / statistics.median(chained), 0.8, ">="),
        Goal("verify_vs_scan", statistics.median(checked) / statistics.median(scanned), 3),
        Goal("history_1e6_vs_1e4", statistics.median(large) / statistics.median(small), 1.5),
    ]
    entries = BATCH * BATCHES
    context = {
        "entries_per_s_plain": round(entries / statistics.median(plain)),
        "entries_per_s_chained": round(entries / statistics.median(chained)),
        "entries_per_s_verified": round(entries * (ROUNDS + 1) / statistics.median(checked)),
        "entries_per_s_scanned": round(entries * (ROUNDS + 1) / statistics.median(scanned)),
        "history_ms_1e4": round(statistics.median(small) * 1000, 3),
        "history_ms_1e6": round(statistics.median(large) * 1000, 3),
        "megabytes_1e6": size_mb,
    }
    return report("ledger", goals, context, as_json=wants_json())


def _cpu(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _writing(folder: Path) -> tuple[list[float], list[float], list[float], list[float]]:
    database = Database(f"sqlite:///{folder / 'writing.db'}")
    schema.upgrade(database)
    with database.write() as connection:
        for statement in PLAIN:
            connection.exec_driver_sql(statement)
    batches = [[*itertools.islice(_entries(n), BATCH)] for n in range(BATCHES)]
    plain, chained = list[float](), list[float]()
    gc.collect()
    gc.freeze()  # what was imported is not walked again and again, for neither side
    for _ in range(ROUNDS + 1):
        plain.append(_cpu(lambda: _write_plain(database, batches)))
        chained.append(_cpu(lambda: _write_chained(database, batches)))
    checked, scanned = list[float](), list[float]()
    for _ in range(ROUNDS):
        with database.read() as connection:
            checked.append(_cpu(lambda: _proved(connection)))
            scanned.append(_cpu(lambda: _scan(connection)))
    database.close()
    return plain[1:], chained[1:], checked, scanned


def _entries(number: int) -> Iterator[Entry]:
    """Give intents and outcomes of assigned numbers, as the engine writes them: object ids are random UUIDs."""
    draw = random.Random(number)
    for line in itertools.count(1):
        user_id, at = str(uuid.UUID(int=draw.getrandbits(128), version=4)), START + timedelta(seconds=line)
        user, phone = f"user:{user_id}", f"+4312{number:04}{line:05}"
        given = {"user_id": user_id, "number": phone, "number_type": "directRouting", "location_id": None}
        effects = (
            Effect(object=f"number:{phone}", attribute="owner", after=user_id),
            Effect(object=user, attribute="number", after=phone),
        )
        change = Change(kind="assign_number", target=user, parameters=given, effects=effects)
        yield Entry(at, line, 1, user, "intent", "", change.model_dump(mode="json"))
        yield Entry(at, line, 1, user, "outcome", "verified", {"message": ""}, effects)


def _write_chained(database: Database, batches: list[list[Entry]]) -> None:
    with database.write() as connection:
        stream = open_stream(connection, "p-1", "1", epoch=1, holder="bench", now=START)
    for batch in batches:
        with stream.transaction(database) as appender:
            for entry in batch:
                appender.append(entry)


def _write_plain(database: Database, batches: list[list[Entry]]) -> None:
    seq = itertools.count(1)
    with database.write() as connection:
        stream = open_stream(connection, "p-1", "1", epoch=1, holder="bench", now=START).id
    for batch in batches:
        rows, effects = list[tuple[Any, ...]](), list[tuple[Any, ...]]()
        for e in batch:
            number, at = next(seq), moment_text(e.at)
            payload = orjson.dumps(e.payload).decode()
            rows.append((stream, number, at, "p-1", e.line, e.change, e.target, e.phase, e.result, payload))
            effects += [
                (
                    stream,
                    number,
                    f.object,
                    f.attribute,
                    at,
                    orjson.dumps(f.before).decode(),
                    orjson.dumps(f.after).decode(),
                )
                for f in e.effects
            ]
        with database.write() as connection:
            connection.exec_driver_sql(f"INSERT INTO plain VALUES ({', '.join('?' * 10)})", rows)
            connection.exec_driver_sql(f"INSERT INTO plain_effects VALUES ({', '.join('?' * 7)})", effects)


def _proved(connection: Connection) -> None:
    proof = verify(connection)
    assert proof.faults == [], proof.faults[:3]
    assert proof.entries == BATCH * BATCHES * (ROUNDS + 1)


def _scan(connection: Connection) -> int:
    """Read the same rows in the same order with the bare driver."""
    found = 0
    for table, order in (("journal", "stream_id, seq"), ("journal_effects", "stream_id, seq, object, attribute")):
        cursor = connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY {order}").cursor
        assert cursor is not None
        while page := cursor.fetchmany(2000):
            for row in page:
                found += len(row)
    return found


def _history(folder: Path) -> tuple[list[float], list[float], float]:
    """Time the history of single users in a small and in a large journal, each user with twenty entries."""
    databases = {size: _grown(folder / f"{size}.db", size) for size in (SMALL, LARGE)}
    times: dict[int, list[float]] = {SMALL: [], LARGE: []}
    for turn in range(200):
        for size, database in databases.items():
            user = f"user:{turn % (size // 20):08}"
            with database.read() as connection:
                begin = time.perf_counter()
                entries = log(connection, AuditFilter(user=user, limit=1000))
                times[size].append(time.perf_counter() - begin)
            assert len(entries) == 20
    size_mb = round((folder / f"{LARGE}.db").stat().st_size / 1e6, 1)
    for database in databases.values():
        database.close()
    return times[SMALL][20:], times[LARGE][20:], size_mb


def _grown(file: Path, entries: int) -> Database:
    """Make a journal of so many entries: ten changes for each user, by plans of fifty lines."""
    database = Database(f"sqlite:///{file}")
    schema.upgrade(database)
    with database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO requests (id, kind, actor_kind, actor_name, actor_verified, parameters, state, created_at)"
            f" VALUES ('r-1', 'bench', 'os_user', 'bench', 0, '{{}}', 'open', '{START:%Y-%m-%dT%H:%M:%S.000000Z}')"
        )
    users = entries // 20
    for number, first in enumerate(f for _ in range(10) for f in range(0, users, LINES)):
        _add_plan(database, f"p-{number}", range(first, min(users, first + LINES)), START + timedelta(seconds=number))
    with database.write() as connection:
        connection.exec_driver_sql("ANALYZE")
    return database


def _add_plan(database: Database, plan_id: str, users: range, at: datetime) -> None:
    lines = [_line(f"user:{user:08}") for user in users]
    with database.write() as connection:
        save(connection, Plan(id=plan_id, request_id="r-1", lines=tuple(lines)), at)
        stream = open_stream(connection, plan_id, "1", epoch=1, holder="bench", now=at)
    with stream.transaction(database) as appender:
        for number, line in enumerate(lines, start=1):
            change = line.changes[0]
            appender.append(Entry(at, number, 1, line.object, "intent", "", change.model_dump(mode="json")))
            appender.append(Entry(at, number, 1, line.object, "outcome", "verified", {"message": ""}, change.effects))
    with database.write() as connection:
        close_stream(connection, stream, at)
        write_manifest(connection, "r-1", [plan_id], at)


def _line(user: str) -> Line:
    effect = Effect(object=user, attribute="policy:TenantDialPlan", before="AT", after="DE")
    change = Change(kind="set_policies", target=user, parameters={"user_id": user}, effects=(effect,))
    return Line(object=user, label=f"{user[5:]}@example.com", changes=(change,))


if __name__ == "__main__":
    raise SystemExit(main())
