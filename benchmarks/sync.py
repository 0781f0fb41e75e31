"""What keeping the cache up to date costs: against parsing the same bytes, against a pandas comparison, and in memory.

A snapshot of JSON lines (30 columns, 850 bytes a user), 98 % of them as they were: 1 % changed, 0.5 % new, 0.5 % gone.
Figures are CPU seconds of one process, methods in turns on the same snapshots; memory is the peak of fresh ones.
"""

from __future__ import annotations

import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import orjson

from benchmarks import sync_beside
from benchmarks.report import Goal, report, wants_json
from connectors import schema
from connectors.database import Database
from datasets.cached import Document, canonical
from engine import cache
from engine.cache_sync import SyncResult, sync
from engine.runtime import Runtime
from engine.systems import Systems

USERS = 100_000
ROUNDS = 3
MEASURE = "--measure-memory"
FIRST, LAST = ("Ada", "Björn", "Chloé", "Keiko"), ("Müller", "Østergård", "Nguyen", "Ito", "Haddad")
DEPARTMENTS = ("Sales", "Research", "Legal")
_KEY = len('{"id":"')


@dataclass(frozen=True)
class Snapshot:
    """A file of users as a source; `by_bytes`: the source writes an unchanged user as the same bytes."""

    path: Path
    by_bytes: bool
    source: str = "snapshot"
    is_complete: bool = True
    covers_all: bool = True
    link: str = ""
    at_once: int = cache.SLICE

    def __iter__(self) -> Iterator[Document]:
        """Read line by line."""
        with self.path.open("rb") as lines:
            yield from map(_raw if self.by_bytes else _canonical, lines)


def _raw(line: bytes) -> Document:
    return Document(line[_KEY : line.index(b'"', _KEY)].decode(), line)


def _canonical(line: bytes) -> Document:
    body = orjson.loads(line)
    return Document(body["id"], canonical(body))


def main() -> int:
    """Measure and report."""
    with tempfile.TemporaryDirectory(prefix="callwright-sync-") as place:
        folder = Path(place)
        before, after = _snapshots(folder, USERS)
        costs = _costs(folder, before, after)
        identical = _identical_rows(folder, after)
        small, large = _canonical_cost(folder, USERS // 2), _canonical_cost(folder, USERS)
        per_user = _bytes_per_user(folder)
        waits = sync_beside.measure(f"sqlite:///{folder / 'beside.db'}", USERS)
    middle = {name: statistics.median(values) for name, values in costs.items()}
    goals = [
        Goal("canonical_vs_parse", middle["canonical"] / middle["parse"], 3.5),
        Goal("raw_vs_parse", middle["raw"] / middle["parse"], 1.6),
        Goal("identical_rows_written", identical, 0),
        Goal("vs_pandas", middle["pandas"] / middle["canonical"], 5, ">="),
        Goal("scale_2x", large / small, 2.2),
        Goal("bytes_per_user", per_user, 800),
        Goal("journal_wait_ms", max(waits["first"].longest, waits["changed"].longest), 200),
    ]
    context = {
        "users": USERS,
        **{f"{name}_cpu_s": round(value, 3) for name, value in middle.items()},
        "journal": {name: each.told() for name, each in waits.items()},
        "limit": "orjson parse of the same bytes; rewriting everybody by upsert was measured at 5.1x",
    }
    return report("sync", goals, context, as_json=wants_json())


def _costs(folder: Path, before: Path, after: Path) -> dict[str, list[float]]:
    costs: dict[str, list[float]] = {"parse": [], "raw": [], "canonical": [], "pandas": []}
    for number in range(ROUNDS):
        costs["parse"].append(_cpu(lambda: _parse(after)))
        costs["raw"].append(_sync_cost(folder / f"raw{number}.db", before, after, by_bytes=True))
        costs["canonical"].append(_sync_cost(folder / f"canonical{number}.db", before, after, by_bytes=False))
        costs["pandas"].append(_cpu(lambda: _pandas(before, after)))
    return costs


def _sync_cost(path: Path, before: Path, after: Path, *, by_bytes: bool) -> float:
    """Give the CPU seconds of a sync after one that made the cache; checks that exactly what differs was written."""
    runtime = _runtime(path)
    sync(runtime, [Snapshot(before, by_bytes)])
    results: list[SyncResult] = []
    seconds = _cpu(lambda: results.append(sync(runtime, [Snapshot(after, by_bytes)])))
    written, expected = results[0].sources[0].written, sum(_pandas(before, after))
    if written != expected:
        raise RuntimeError(f"{written} rows were written, {expected} differ")
    runtime.database.close()
    return seconds


def _canonical_cost(folder: Path, count: int) -> float:
    before, after = _snapshots(folder, count)
    paths = [folder / f"scale{count}-{number}.db" for number in range(ROUNDS)]
    return statistics.median(_sync_cost(path, before, after, by_bytes=False) for path in paths)


def _identical_rows(folder: Path, path: Path) -> int:
    runtime = _runtime(folder / "identical.db")
    sync(runtime, [Snapshot(path, by_bytes=False)])
    result = sync(runtime, [Snapshot(path, by_bytes=False)])
    runtime.database.close()
    return result.sources[0].written + result.views


def _runtime(path: Path) -> Runtime:
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database)
    return Runtime(database, cast("Systems", None))  # the snapshot is the only source


def _parse(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for _ in map(orjson.loads, lines))


def _pandas(before: Path, after: Path) -> tuple[int, int, int]:
    """Compare two snapshots the usual way: both as frames, column by column; gives changed, added, removed.

    Both sides are read from files, which is kinder than reading the kept side from a database.
    """
    import pandas as pd

    old, new = (
        pd.DataFrame([orjson.loads(line) for line in path.open("rb")]).set_index("id") for path in (before, after)
    )
    both = old.index.intersection(new.index)
    one, other = old.loc[both], new.loc[both]
    changed = ((one != other) & ~(one.isna() & other.isna())).any(axis=1).sum()
    return int(changed), len(new.index.difference(old.index)), len(old.index.difference(new.index))


def _cpu(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _snapshots(folder: Path, count: int) -> tuple[Path, Path]:
    """Write a snapshot and the next one."""
    rng = random.Random(20261124)
    before, after = folder / f"before{count}.jsonl", folder / f"after{count}.jsonl"
    with before.open("w", encoding="utf-8") as old, after.open("w", encoding="utf-8") as new:
        for n in range(count):
            user, chance = _user(n), rng.random()
            old.write(json.dumps(user, separators=(",", ":")) + "\n")
            if chance >= 0.005:
                changed = user | ({"c7": "changed"} if chance < 0.015 else {})
                new.write(json.dumps(changed, separators=(",", ":")) + "\n")
        for n in range(count, count + count // 200):
            new.write(json.dumps(_user(n), separators=(",", ":")) + "\n")
    return before, after


def _user(n: int) -> dict[str, object]:
    """Make a user of thirty columns with the kinds of values that Graph and Teams give."""
    name, number = f"{FIRST[n % len(FIRST)]} {LAST[n % len(LAST)]}", f"+43{n:010}"
    address = f"user{n}@contoso.example"
    texts = {f"policy{c}": None if (n + c) % 3 else f"Tag:Policy{c}" for c in range(12)}
    return {
        "id": f"{n:08x}-0000-4000-8000-{n:012x}",
        "displayName": name,
        "userPrincipalName": address,
        "accountEnabled": n % 50 != 0,
        "assignedLicenses": [{"skuId": f"{n % 7:08x}-dfb0-405f-9987-dc307f34bcbd", "disabledPlans": []}],
        "telephoneNumbers": [{"telephoneNumber": number, "assignmentCategory": "primary"}] if n % 2 else [],
        "isEnterpriseVoiceEnabled": bool(n % 2),
        "featureTypes": ["Teams", "PhoneSystem"] if n % 2 else ["Teams"],
        "employeeId": f"{n:08}",
        "department": DEPARTMENTS[n % len(DEPARTMENTS)],
        "companyName": "Contoso",
        "usageLocation": "AT",
        "mail": address,
        "mobile": None,
        "homePhone": None,
        "ipPhone": str(n),
        "level": n % 9,
        "c7": "as it was",
        **texts,
    }


def _bytes_per_user(folder: Path) -> float:
    """Give how much more memory each further user takes: peaks of fresh processes at 10^5 and 5·10^5 users."""
    peaks = []
    for count in (USERS, 5 * USERS):
        before, after = _snapshots(folder, count)
        command = [
            sys.executable,
            "-m",
            "benchmarks.sync",
            MEASURE,
            str(folder / f"m{count}.db"),
            str(before),
            str(after),
        ]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return (peaks[1] - peaks[0]) * 1024 / (4 * USERS)


def _measure(database: str, before: str, after: str) -> None:
    runtime = _runtime(Path(database))
    for path in (before, after):
        sync(runtime, [Snapshot(Path(path), by_bytes=False)])
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])


if __name__ == "__main__":
    if MEASURE in sys.argv:
        _measure(*sys.argv[-3:])
    elif sync_beside.JOURNAL in sys.argv:
        sync_beside.write_journal(sys.argv[-1])
    else:
        raise SystemExit(main())
