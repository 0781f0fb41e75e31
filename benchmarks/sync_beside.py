"""A sync of everybody beside a migration: how long a write of the journal waits for the sync's transactions.

A process of its own writes intents and outcomes as the engine does, leases renewed in the same transaction, a change
every 20 ms, a hundred times as often as a migration with calls of a second. Meanwhile a sync makes the cache of 100,000
users, and a second one finds everybody changed and one in twenty gone: slices, flip, search index, clean-up.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast

from connectors import schema
from connectors.database import Database
from datasets.users import AdUser, DirectoryUser, NumberAssignment, VoiceUser
from engine import leases
from engine.cache_sources import Whole, of_account, of_number, of_user, of_voice
from engine.cache_sync import sync
from engine.change import Change, Effect
from engine.journal import Entry, open_stream
from engine.runtime import Runtime, utc_now
from engine.systems import Systems

JOURNAL = "--write-journal"
PAUSE_S = 0.02
QUIET_S = 5.0
TTL = timedelta(minutes=3)
TOWNS = ("Vienna", "Graz", "Linz", "Salzburg")


@dataclass(frozen=True)
class Waits:
    """How long writes took from asking for a transaction to its commit, in milliseconds, and how long it all ran."""

    milliseconds: tuple[float, ...]
    seconds: float

    def percentile(self, share: float) -> float:
        """Give the wait that this share of the writes did not exceed; not a number when there was no write."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan

    @property
    def longest(self) -> float:
        """Give the longest wait; not a number when there was no write."""
        return max(self.milliseconds, default=math.nan)

    def told(self) -> dict[str, object]:
        """Give count, p50, p99 and the longest."""
        figures = {"p50": self.percentile(0.5), "p99": self.percentile(0.99), "max": self.longest}
        rounded = {f"{name}_ms": round(value, 1) for name, value in figures.items()}
        return {"writes": len(self.milliseconds), "sync_s": round(self.seconds, 1), **rounded}


def measure(address: str, users: int) -> dict[str, Waits]:
    """Give the waits without a sync, beside the one that makes the cache and beside one that changes everybody."""
    database = Database(address)
    schema.upgrade(database)
    runtime = Runtime(database, cast("Systems", None))
    phases: dict[str, Callable[[], object]] = {
        "quiet": lambda: time.sleep(QUIET_S),
        "first": lambda: _sync(runtime, users, 0),
        "changed": lambda: _sync(runtime, users, 1),
    }
    spans: dict[str, tuple[float, float]] = {}
    with _journal(address) as written:
        for name, work in phases.items():
            begin = time.monotonic()
            work()
            spans[name] = (begin, time.monotonic())
    database.close()
    return {name: _between(written, *span) for name, span in spans.items()}


def _between(written: list[tuple[float, float]], begin: float, end: float) -> Waits:
    """Give the waits of writes that touched this time."""
    ours = (wait for at, wait in written if at < end and at + wait > begin)
    return Waits(tuple(1000 * wait for wait in ours), end - begin)


def _sync(runtime: Runtime, users: int, turn: int) -> None:
    readings = [
        Whole("users", lambda: map(of_user, _users(users, turn))),
        Whole("voice", lambda: map(of_voice, _voices(users, turn))),
        Whole("numbers", lambda: map(of_number, _numbers(users, turn))),
        Whole("directory", lambda: map(of_account, _accounts(users, turn))),
    ]
    result = sync(runtime, readings)
    if result.is_degraded or result.views < users:
        raise RuntimeError(f"the sync did not do what is measured: {result}")


def _there(users: int, turn: int) -> Iterator[int]:
    """Give who is there: one in twenty leaves before the second sync, as many come."""
    if not turn:
        return iter(range(users))
    return (n for n in range(users + users // 20) if n >= users or n % 20)


def _users(users: int, turn: int) -> Iterator[DirectoryUser]:
    for n in _there(users, turn):
        yield DirectoryUser(
            id=_id(n),
            user_principal_name=f"user{n}@contoso.example",
            display_name=f"Ada Müller {n}",
            mail=f"user{n}@contoso.example",
            usage_location="AT",
            department=f"Department {n % 40 + turn}",
            company_name="Contoso",
            employee_id=f"{n:08}",
            on_premises_sam_account_name=f"user{n}",
            is_synced=True,
            sku_ids=(f"{n % 7:08x}-dfb0-405f-9987-dc307f34bcbd",),
        )


def _voices(users: int, turn: int) -> Iterator[VoiceUser]:
    for n in _there(users, turn):
        town = TOWNS[(n + turn) % len(TOWNS)]
        yield VoiceUser(
            id=_id(n),
            user_principal_name=f"user{n}@contoso.example",
            is_enterprise_voice_enabled=True,
            feature_types=("Teams", "PhoneSystem"),
            telephone_numbers=(_number(n),),
            policies={"OnlineVoiceRoutingPolicy": f"VRP-{town}", "TenantDialPlan": town, "TeamsCallingPolicy": "All"},
        )


def _numbers(users: int, turn: int) -> Iterator[NumberAssignment]:
    for n in _there(users, turn):
        yield NumberAssignment(telephone_number=_number(n), number_type="directRouting", assignment_target_id=_id(n))


def _accounts(users: int, turn: int) -> Iterator[AdUser]:
    for n in _there(users, turn):
        yield AdUser(sam_account_name=f"user{n}", telephone_number=_number(n), ip_phone=str(n), home_phone=f"+431{n}")


def _id(n: int) -> str:
    return f"{n:08x}-0000-4000-8000-{n:012x}"


def _number(n: int) -> str:
    return f"+43{n:010}"


@contextmanager
def _journal(address: str) -> Iterator[list[tuple[float, float]]]:
    """Let another process write the journal meanwhile; its writes (when, how long) are there afterwards."""
    written: list[tuple[float, float]] = []
    command = [sys.executable, "-m", "benchmarks.sync", JOURNAL, address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdout.readline()  # it has begun
        try:
            yield written
        finally:
            writer.stdin.close()
            written += (tuple(pair) for pair in json.loads(writer.stdout.read()))


def write_journal(address: str) -> None:
    """Write intents and outcomes until the standard input ends; then print when each began and how long it took."""
    over = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    database, written = Database(address), list[tuple[float, float]]()
    with database.write() as connection:
        chunk = leases.acquire(connection, "chunk", "p-1/1", "writer", now=utc_now(), ttl=TTL)
        assert chunk is not None
        stream = open_stream(connection, "p-1", "1", epoch=chunk.epoch, holder="writer", now=utc_now())
    print("begun", flush=True)
    line = 0
    while not over.is_set():
        line += 1
        for entry in _entries(line):
            begin = time.monotonic()
            with stream.transaction(database) as appender:
                leases.renew(appender.connection, [chunk], now=utc_now(), ttl=TTL)
                appender.append(replace(entry, at=utc_now()))
            written.append((begin, time.monotonic() - begin))
            over.wait(PAUSE_S / 2)
    database.close()
    print(json.dumps(written), flush=True)


def _entries(line: int) -> tuple[Entry, Entry]:
    """Give the intent and the outcome of one assigned number."""
    user_id, number, at = _id(line), _number(line), utc_now()
    user = f"user:{user_id}"
    effects = (
        Effect(object=f"number:{number}", attribute="owner", after=user_id),
        Effect(object=user, attribute="number", after=number),
    )
    given = {"user_id": user_id, "number": number, "number_type": "directRouting", "location_id": None}
    change = Change(kind="assign_number", target=user, parameters=given, effects=effects)
    intent = Entry(at, line, 1, user, "intent", "", change.model_dump(mode="json"))
    return intent, Entry(at, line, 1, user, "outcome", "verified", {"message": ""}, effects)
