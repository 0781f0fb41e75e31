"""Whether ten times the users of a batch need ten times the memory: a batch of several waves at zero latency.

Two tenants whose users are all homed on premises, the second ten times as large; in each a batch of nearly everybody is
moved by the real flow, over the real protocols, in one process whose peak of memory is taken. The tenant's own log says
afterwards whether everybody was moved once and every number was used once.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.migration.estate import Estate, estate
from benchmarks.migration.worker import SESSIONS
from benchmarks.report import Goal, report, wants_json

FEW, MANY, WAVE = 1_000, 10_000, 500
SMALL_FEW, SMALL_MANY, SMALL_WAVE = 60, 300, 30
PEOPLE_PER_USER = 1.15  # some of the sample people have no usage location and cannot be moved
AT_ONCE = ("--set", "assignment_delay_s=0", "--set", "licence_delay_s=0")


@dataclass(frozen=True)
class Moved:
    """A batch that was moved: what its process took, and what the tenant's log says about it."""

    users: int
    wall_s: float
    done: Mapping[str, Any]
    moves: Counter[str]
    numbers: Counter[str]
    calls: int

    @property
    def peak_mb(self) -> float:
        """Give the most memory that the process ever had."""
        return float(self.done["peak_mb"])

    @property
    def cpu_per_user_s(self) -> float:
        """Give the processor time of the process for each user."""
        return float(self.done["cpu_s"]) / self.users

    @property
    def amiss(self) -> int:
        """Count the users who are not done, and what was moved or given more than once or not at all."""
        counts = self.done["summary"]["counts"]
        twice = sum(times > 1 for counter in (self.moves, self.numbers) for times in counter.values())
        missing = sum(self.users - len(counter) for counter in (self.moves, self.numbers))
        return int(self.users - counts.get("migrated", 0)) + twice + missing

    def told(self) -> dict[str, object]:
        """Give what the report says."""
        return {
            "users": self.users,
            "peak_mb": round(self.peak_mb, 1),
            "wall_s": round(self.wall_s, 1),
            "wall_per_user_ms": round(self.wall_s / self.users * 1000, 1),
            "cpu_per_user_ms": round(self.cpu_per_user_s * 1000, 1),
            "calls_per_user": round(self.calls / self.users, 1),
            "runs": self.done["runs"],
            "counts": self.done["summary"]["counts"],
        }


def main() -> int:
    """Measure and report."""
    sizes = (SMALL_FEW, SMALL_MANY, SMALL_WAVE) if "--small" in sys.argv else (FEW, MANY, WAVE)
    few, many = (moved(users, sizes[2]) for users in sizes[:2])
    goals = [
        Goal("rss_10k_vs_1k", many.peak_mb / few.peak_mb, 1.25),
        Goal("cpu_per_user_10k_vs_1k", many.cpu_per_user_s / few.cpu_per_user_s, 1.25),
        Goal("amiss", few.amiss + many.amiss, 0),
    ]
    context = {
        "sessions": SESSIONS,
        "wave": sizes[2],
        "few": few.told(),
        "many": many.told(),
        "bytes_per_user": round((many.peak_mb - few.peak_mb) * 2**20 / (many.users - few.users)),
    }
    return report("migration_scale", goals, context, as_json=wants_json())


def moved(
    users: int, wave: int, prepare: Callable[[Estate], None] = lambda _place: None, sessions: int = SESSIONS
) -> Moved:
    """Move a batch of so many users in a tenant of its own, which is prepared when the batch was made."""
    with estate(round(users * PEOPLE_PER_USER), sessions, *AT_ONCE) as place:
        made = place.answer_of("make", str(users), str(wave), str(sessions))
        if made["users"] != users:
            raise RuntimeError(f"only {made['users']} of the sample people can be moved, and {users} were wanted")
        prepare(place)
        started = time.perf_counter()
        done = place.answer_of("finish", made["batch_id"])
        found = counted(place, users, time.perf_counter() - started, done)
    print(json.dumps(found.told()), file=sys.stderr, flush=True)
    return found


def counted(place: Estate, users: int, wall_s: float, done: Mapping[str, Any]) -> Moved:
    """Count in the tenant's log how often each user was moved and each number was given."""
    moves, numbers, calls = Counter[str](), Counter[str](), 0
    for call in lines_of(place.call_log):
        calls += call["protocol"] != "token"
        if call["operation"] == "Move-CsUser" and call["effects"]:
            moves[str(call["target"])] += 1
        numbers.update(given_by(call["effects"]))
    return Moved(users, wall_s, done, moves, numbers, calls)


def lines_of(path: Path) -> Iterator[Mapping[str, Any]]:
    """Read a log of calls line by line: it is too long to be held."""
    with path.open("rb") as file:
        yield from (json.loads(line) for line in file)


def given_by(effects: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Name the numbers that the effects of a call gave to somebody."""
    for effect in effects:
        if effect["attribute"] == "assignmentTargetId" and effect["after"] is not None:
            yield str(effect["object"])


if __name__ == "__main__":
    raise SystemExit(main())
