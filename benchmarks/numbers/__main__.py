"""The number inventory: what it costs when ranges grow, and whether many at once get different numbers.

`python -m benchmarks.numbers [--json]`; PostgreSQL is started privately. Sizes are measured in turns.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles

from sqlalchemy import Connection, text

from benchmarks.numbers.plans import fill, new_database, postgres, run_workers
from benchmarks.report import Goal, report, wants_json
from connectors.database import Database
from datasets.inventory import Pool, Run, Span
from datasets.numbering import PhoneNumber
from engine import inventory

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
SMALL = Run(0, 0, 431000000000, 431000009999)
HUGE = Run(0, 0, 431000000000, 440999999999)
SLASH_8 = Run(0, 0, 431000000000, 431000000000 + 2**24 - 1)
TURNS = 300
THREAD_S = 4.0
PROCESSES, PROCESS_S = 8, 5.0
Act = Callable[[], object]


def main() -> int:
    """Measure everything and report."""
    folder = Path(tempfile.mkdtemp(prefix="callwright-bench-"))
    try:
        goals = [*scale(folder), against_ipset(folder), empty_bytes(folder), *threads(folder), *on_postgres()]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    context = {
        "method": "medians of turns; scale_*: CPU time, SQLite synchronous=OFF; the others: wall time, FULL",
        "limit": "one search in an index (SQLite), one empty round trip (PostgreSQL); a durable write: one fsync",
        "peers": "NetBox: IPSet difference and a global lock; scripts that list a range refuse more than 5,000 numbers",
        "turns": TURNS,
    }
    return report("numbers", goals, context, as_json=wants_json())


def scale(folder: Path) -> Iterator[Goal]:
    """Compare 10^10 numbers in 10^6 fragments with 10^4 numbers in 4,000, act by act."""
    small, huge = new_database(folder / "small.db"), new_database(folder / "huge.db")
    fill(small, SMALL, 4_000, NOW)
    fill(huge, HUGE, 1_000_000, NOW)
    with _unsynced(small) as low, _unsynced(huge) as high:
        acts = (_acts(low, SMALL), _acts(high, HUGE))
        for name in ("next", "page", "allocate", "release"):
            ratio = _in_turns(acts[0][name], acts[1][name], time.process_time)
            yield Goal(f"scale_{name}", ratio, 1.2)
    small.close()
    huge.close()


def against_ipset(folder: Path) -> Goal:
    """Compare with NetBox's method on a /8: the plan less what is taken, as netaddr subtracts it, then the first."""
    from netaddr import IPNetwork, IPSet  # type: ignore[import-untyped] # it has no types

    database = new_database(folder / "slash8.db")
    chosen = sorted(random.Random(8).sample(range(2**24), 100_000))
    fill(database, SLASH_8, 0, NOW, chosen=chosen)
    plan = IPNetwork("10.0.0.0/8")
    began = time.perf_counter()
    left = IPSet(plan) - IPSet(IPNetwork((plan.first + n, 32)) for n in chosen)
    first = next(iter(left))
    theirs = time.perf_counter() - began
    with database.read() as connection:
        ours = _median(lambda: inventory.next_free(connection, "p"))
        found = inventory.next_free(connection, "p")
    assert found is not None
    assert found.base - SLASH_8.first == int(first) - plan.first, "both methods must find the same number"
    database.close()
    return Goal("vs_ipset", theirs / ours, 10_000, ">=")


def empty_bytes(folder: Path) -> Goal:
    """Compare the pages of a database with an empty range of 10^10 numbers and one of 10^4."""
    pages = []
    for name, run in (("ten", HUGE), ("four", SMALL)):
        database = new_database(folder / f"{name}.db")
        with database.write() as connection:
            inventory.define_pool(connection, Pool(name="p", spans=(Span.of(run),)))
        with database.read() as connection:
            pages.append(int(connection.execute(text("PRAGMA page_count")).scalar_one()))
        database.close()
    return Goal("empty_range_bytes", pages[0] - pages[1], 1)


def threads(folder: Path) -> list[Goal]:
    """Let one thread, then sixteen, claim numbers one by one, each claim committed to disk."""
    rates, times = dict[int, list[float]](), dict[int, list[float]]()
    for round_ in range(3):
        for count in (1, 16):
            database = new_database(folder / f"threads{count}-{round_}.db")
            with database.write() as connection:
                inventory.define_pool(connection, Pool(name="p", spans=(Span.of(HUGE),)))
            spent = _claim_in_threads(database, count)
            rates.setdefault(count, []).append(len(spent) / THREAD_S)
            times.setdefault(count, []).extend(spent)
            database.close()
    p50, p99 = median(times[16]), quantiles(times[16], n=100)[98]
    return [
        Goal("threads16_throughput", median(rates[16]) / median(rates[1]), 1, ">="),
        Goal("threads16_p99_over_p50", p99 / p50, 40),
    ]


def on_postgres() -> Iterator[Goal]:
    """Compare with an empty round trip, then let processes claim at once."""
    with postgres() as server:
        database = server.new_database()
        with database.write() as connection:
            inventory.define_pool(connection, Pool(name="p", spans=(Span.of(HUGE),)))
        with database.read() as connection:
            ping = text("SELECT 1")
            ratio = _in_turns(lambda: connection.execute(ping).scalar(), lambda: inventory.next_free(connection, "p"))
        yield Goal("pg_next_vs_ping", ratio, 1.9)
        claimed = run_workers(database.url.render_as_string(hide_password=False), PROCESSES, PROCESS_S)
        every = [number for worker in claimed for number in worker]
        with database.read() as connection:
            kept = inventory.counts(connection, "p").claimed
        doubled = len(every) - len(set(every)) + abs(kept - len(every))
        yield Goal("processes_duplicates", doubled, 0)
        shares = [len(worker) for worker in claimed]
        yield Goal("processes_min_share", min(shares) / (sum(shares) / len(shares)), 0.25, ">=")
        database.close()


def _acts(connection: Connection, run: Run) -> dict[str, Act]:
    chance, given = random.Random(1), list[PhoneNumber]()

    def allocate() -> None:
        with connection.begin():
            given.extend(inventory.claim(connection, "p", 1, plan_id="b", owner_ids=["user:b"], until=LATER, now=NOW))

    def release() -> None:
        number = given.pop(chance.randrange(len(given)))
        with connection.begin():
            inventory.give_back(connection, number, plan_id="b", now=NOW)

    def page() -> None:
        after = PhoneNumber(run.first + chance.randrange(7_000))
        with connection.begin():
            inventory.free_page(connection, "p", after, 50)

    def first() -> None:
        with connection.begin():
            inventory.next_free(connection, "p")

    return {"next": first, "page": page, "allocate": allocate, "release": release}


@contextmanager
def _unsynced(database: Database) -> Iterator[Connection]:
    """Open a connection that does not wait for the disk, whose time would hide what is compared."""
    with database.engine.connect() as connection:
        driver = connection.connection.driver_connection  # outside of a transaction, which a statement would begin
        assert driver is not None
        driver.execute("PRAGMA synchronous=OFF")
        yield connection


def _in_turns(one: Act, other: Act, clock: Callable[[], float] = time.perf_counter) -> float:
    """Give how much longer the other act takes than the one, both measured in turns."""
    spent: tuple[list[float], list[float]] = ([], [])
    for turn in range(TURNS + 20):
        for act, times in zip((one, other), spent, strict=True):
            began = clock()
            act()
            if turn >= 20:
                times.append(clock() - began)
    return median(spent[1]) / median(spent[0])


def _median(act: Act) -> float:
    times = []
    for _ in range(TURNS):
        began = time.perf_counter()
        act()
        times.append(time.perf_counter() - began)
    return median(times)


def _claim_in_threads(database: Database, count: int) -> list[float]:
    stop_at = time.perf_counter() + THREAD_S

    def work(i: int) -> list[float]:
        times = []
        while (began := time.perf_counter()) < stop_at:
            with database.write() as connection:
                inventory.claim(connection, "p", 1, plan_id=f"b{i}", owner_ids=["user:b"], until=LATER, now=NOW)
            times.append(time.perf_counter() - began)
        return times

    with ThreadPoolExecutor(count) as pool:
        return [spent for times in pool.map(work, range(count)) for spent in times]


if __name__ == "__main__":
    raise SystemExit(main())
