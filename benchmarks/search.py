"""What finding a user costs: the first page and the count, against ripgrep and against LIKE over every column.

Every query is first counted by each method, and all must agree. The files hold the same folded text that we search, one
user a line. Times are wall times of one query, methods in turns; the figure is the median over all queries.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, text

from benchmarks.report import Goal, report, wants_json
from benchmarks.search_sample import QUERIES, users
from connectors import schema
from connectors.database import Database
from datasets.cached import COLUMNS, folded, search_text
from datasets.tables.cache import user_views
from engine import cache, user_search

USERS, MANY_USERS = 100_000, 1_000_000
ROUNDS = 3
Times = dict[str, list[float]]


def main() -> int:
    """Measure and report."""
    program = shutil.which("rg")
    if program is None:
        raise SystemExit("this benchmark compares with ripgrep ; install it: apt-get install ripgrep")
    with tempfile.TemporaryDirectory(prefix="callwright-search-") as place:
        folder = Path(place)
        times, small_mb = _compare(folder, program)
        page_small = statistics.median(times["page"])
        many, large_mb = _pages_of_many(folder)
    middle = {name: statistics.median(values) for name, values in times.items()}
    goals = [
        Goal("first_page_vs_rg", middle["page"] / middle["rg"], 0.1),
        Goal("count_vs_rg", middle["count"] / middle["rg"], 1),
        Goal("count_vs_like", middle["like"] / middle["count"], 50, ">="),
        Goal("page_1e6_vs_1e5", many / page_small, 2),
    ]
    context = {
        "users": USERS,
        "columns": len(COLUMNS),
        **{f"{name}_p50_ms": round(value * 1000, 3) for name, value in middle.items()},
        **{f"{name}_max_ms": round(max(values) * 1000, 2) for name, values in times.items()},
        "page_1e6_p50_ms": round(many * 1000, 3),
        "database_mb_1e5": small_mb,
        "database_mb_1e6": large_mb,
        "limit": "ripgrep over one folded line per user, process start included; LIKE over 20 columns takes 11x",
    }
    return report("search", goals, context, as_json=wants_json())


def _compare(folder: Path, program: str) -> tuple[Times, int]:
    """Time every query with every method, in turns, after all have agreed on the count."""
    lines = folder / "users.txt"
    database = _filled(folder / "small.db", USERS, lines)
    times: Times = {"page": [], "count": [], "rg": [], "like": []}
    with database.read() as connection:
        methods: dict[str, Callable[[str], int]] = {
            "page": lambda query: len(user_search.page(connection, query)),
            "count": lambda query: user_search.count(connection, query),
            "rg": lambda query: _ripgrep(program, lines, query),
            "like": lambda query: _like(connection, query),
        }
        for query in QUERIES:
            counts = {name: methods[name](query) for name in ("count", "rg", "like")}
            if len(set(counts.values())) > 1 or methods["page"](query) != min(user_search.PAGE, counts["rg"]):
                raise RuntimeError(f"the methods disagree on {query!r}: {counts}")
        for _ in range(ROUNDS):
            for query in QUERIES:
                for name, method in methods.items():
                    times[name].append(_timed(method, query))
    database.close()
    return times, _size_mb(folder / "small.db")


def _pages_of_many(folder: Path) -> tuple[float, int]:
    """Give the median time of a first page among a million users."""
    database = _filled(folder / "large.db", MANY_USERS, None)
    with database.read() as connection:
        for query in QUERIES:
            user_search.page(connection, query)
        times = [
            _timed(lambda query: len(user_search.page(connection, query)), query)
            for _ in range(ROUNDS)
            for query in QUERIES
        ]
    database.close()
    return statistics.median(times), _size_mb(folder / "large.db")


def _timed(method: Callable[[str], int], query: str) -> float:
    started = time.perf_counter()
    method(query)
    return time.perf_counter() - started


def _filled(path: Path, count: int, lines: Path | None) -> Database:
    """Store so many users as a sync does, and write their text to a file; plain columns for LIKE go with the first."""
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database)
    cache.prepare(database)
    some = users(count)
    while rows := [_row(key, columns) for key, columns in islice(some, 5000)]:
        with database.write() as connection:
            connection.execute(user_views.insert(), rows)
        if lines is not None:
            _keep_plainly(database, lines, rows)
    with database.write() as connection:
        cache.flip(connection, 1, [])
    cache.clear(database)
    return database


def _row(key: str, columns: dict[str, str]) -> dict[str, object]:
    return {"key": key, "born": 1, "columns": columns, "text": search_text(columns)}


def _keep_plainly(database: Database, lines: Path, rows: Sequence[dict[str, object]]) -> None:
    names = ", ".join(COLUMNS)
    with database.write() as connection:
        connection.execute(text(f"CREATE TABLE IF NOT EXISTS plain ({names})"))
        values = ", ".join(f":{name}" for name in COLUMNS)
        connection.execute(text(f"INSERT INTO plain VALUES ({values})"), [_folded(row["columns"]) for row in rows])
    with lines.open("a", encoding="utf-8") as file:
        file.writelines(f"{row['text']}\n" for row in rows)


def _folded(columns: object) -> dict[str, str]:
    assert isinstance(columns, dict)
    return {name: folded(columns.get(name, "")) for name in COLUMNS}


def _ripgrep(program: str, lines: Path, query: str) -> int:
    command = [program, "--ignore-case", "--fixed-strings", "--count", "--", folded(query), str(lines)]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return int(re.sub(r"\D", "", found) or 0)


def _like(connection: Connection, query: str) -> int:
    where = " OR ".join(f"{name} LIKE :wanted ESCAPE '\\'" for name in COLUMNS)
    wanted = re.sub(r"([%_\\])", r"\\\1", folded(query))
    return int(
        connection.execute(text(f"SELECT count(*) FROM plain WHERE {where}"), {"wanted": f"%{wanted}%"}).scalar_one()
    )


def _size_mb(path: Path) -> int:
    return round(path.stat().st_size / 1e6)


if __name__ == "__main__":
    raise SystemExit(main())
