"""What reading an HR feed costs: against the csv module, in memory, and the quality gate against plain pandas.

The feed has the columns of the sample mapping and 0.7 % bad rows of six kinds; that exactly those are found is checked
first. Ratios are of CPU time, taken in turns in one process; memory is the peak of a fresh process. The gate and the
plain rules both begin with people and lay out the frame they need; the context has the ratio without that part.
"""

from __future__ import annotations

import csv
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.feed_sample import MAPPING, write_sample
from benchmarks.report import Goal, report, wants_json
from connectors.hr import open_feed
from datasets.checks import rules_for
from datasets.feeds import BadRow, GoodRow
from datasets.people import Person

if TYPE_CHECKING:
    import pandas as pd

ROWS, MANY_ROWS = 100_000, 1_000_000
ROUNDS = 5
MEASURE = "--measure-reading"

People = list[tuple[int, Person]]


def main() -> int:
    """Measure and report."""
    with tempfile.TemporaryDirectory(prefix="callwright-feed-") as folder:
        small, large = Path(folder) / "small.csv", Path(folder) / "large.csv"
        bad = write_sample(small, ROWS)
        people = _checked(small, bad)
        ours, plain = _in_turns(lambda: _read(small), lambda: _read_csv(small))
        write_sample(large, MANY_ROWS)
        rss_small, rss_large = _peak_kb(small), _peak_kb(large)
        size_mb = small.stat().st_size / 1e6
    gate, rules, frame = _gate_costs(_with_mistakes(people))
    goals = [
        Goal("parse_vs_csv", _ratio(ours, plain), 8),
        Goal("rss_flat", rss_large / rss_small, 1.2),
        Goal("gate_vs_pandas", _ratio(gate, [r + f for r, f in zip(rules, frame, strict=True)]), 3),
    ]
    context = {
        "rows": ROWS,
        "megabytes": round(size_mb, 1),
        "bad_rows_all_found": len(bad),
        "parse_cpu_s": round(statistics.median(ours), 3),
        "csv_reader_cpu_s": round(statistics.median(plain), 3),
        "peak_mb_1e5": round(rss_small / 1024, 1),
        "peak_mb_1e6": round(rss_large / 1024, 1),
        "gate_cpu_s": round(statistics.median(gate), 3),
        "gate_frame_cpu_s": round(statistics.median(frame), 3),
        "pandas_rules_cpu_s": round(statistics.median(rules), 3),
        "gate_vs_pandas_without_frame": round(_ratio([g - f for g, f in zip(gate, frame, strict=True)], rules), 2),
        "limit": "csv.reader alone, 1x; pydantic per row was measured at 5.8x, pandas with rules at 4.7x",
    }
    return report("feed", goals, context, as_json=wants_json())


def _checked(path: Path, bad: set[int]) -> People:
    """Read the sample once; raises RuntimeError unless exactly the planted rows are bad."""
    contents = open_feed(path, MAPPING).read()
    found = {row.line for row in contents.bad}
    if found != bad or len(contents.good) != ROWS - len(bad):
        raise RuntimeError(f"planted bad rows and found ones differ on lines {sorted(found ^ bad)[:10]}")
    return [(row.line, row.person) for row in contents.good]


def _read(path: Path) -> int:
    return sum(isinstance(row, GoodRow | BadRow) for row in open_feed(path, MAPPING).rows())


def _read_csv(path: Path) -> int:
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.reader(file))


def _in_turns(*works: Callable[[], object]) -> list[list[float]]:
    """Give the CPU seconds of every round of each work, after one round that is not counted."""
    seconds: list[list[float]] = [[] for _ in works]
    for number in range(ROUNDS + 1):
        for taken, work in zip(seconds, works, strict=True):
            started = time.process_time()
            work()
            if number:
                taken.append(time.process_time() - started)
    return seconds


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def _peak_kb(path: Path) -> int:
    """Give the peak memory of a fresh process that reads the feed as a stream."""
    command = [sys.executable, "-m", "benchmarks.feed", MEASURE, str(path)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _own_peak_kb() -> int:
    """Give this process's peak; `getrusage` would count the parent's memory from before the program was loaded."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])


def _with_mistakes(people: People) -> People:
    """Put in what only the gate can see: empty departments and names used twice, below one percent."""
    changed = list(people)
    for place in range(0, len(people), 400):
        line, person = people[place]
        changed[place] = (line, person.model_copy(update={"department": ""}))
    for place in range(200, len(people) - 1, 500):
        line, person = people[place]
        changed[place] = (line, person.model_copy(update={"upn": people[place + 1][1].upn}))
    return changed


def _gate_costs(people: People) -> list[list[float]]:
    """Give the CPU seconds of the gate, of the same rules in pandas, and of laying out the frame that both need."""
    from tasks.quality import check_people, frame_of

    frame = frame_of(people, rules_for("snapshot"))
    found = {failure.rule: failure.count for failure in check_people(people).failures}
    if found != {rule: count for rule, count in _plain_rules(frame).items() if count}:
        raise RuntimeError("the gate and the plain rules disagree")
    return _in_turns(
        lambda: check_people(people), lambda: _plain_rules(frame), lambda: frame_of(people, rules_for("snapshot"))
    )


def _plain_rules(frame: pd.DataFrame) -> dict[str, int]:
    """Count broken rows by rule, the way one writes it by hand."""
    counts = {}
    active = frame["status"] == "active"
    for rule in rules_for("snapshot"):
        field = frame[f"{rule.field} like {rule.than}" if rule.expects == "differs" else rule.field]
        filled = field.notna()
        match rule.expects:
            case "filled":
                broken = ~filled & active if rule.only_active else ~filled
            case "unique":
                broken = filled & field.duplicated(keep=False)
            case "matches":
                broken = filled & ~field.str.match(re.compile(rule.pattern), na=False)
            case "differs":
                broken = filled
            case "not_before":
                broken = filled & frame[rule.than].notna() & (field < frame[rule.than])
        counts[rule.name] = int(broken.sum())
    return counts


if __name__ == "__main__":
    if MEASURE in sys.argv:
        _read(Path(sys.argv[-1]))
        print(_own_peak_kb())
    else:
        raise SystemExit(main())
