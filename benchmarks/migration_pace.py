"""How many users an hour move when each call takes a quarter of a second and one in a hundred is told to wait.

A batch of several waves, planning and canary included, moved by the real flow over the real protocols with three
sessions on the servers. Published tools move about 150 users an hour. `--full` moves 10,000 users with six sessions,
which takes the better part of an hour; `--small` shows that it works.
"""

from __future__ import annotations

import sys

from benchmarks.migration.__main__ import OF_GRAPH
from benchmarks.migration.estate import Estate
from benchmarks.migration_scale import moved
from benchmarks.report import Goal, report, wants_json

# Users of the batch and of a wave, and sessions.
SIZES = {"--small": (60, 30, 3), "": (1_000, 250, 3), "--full": (10_000, 2_500, 6)}
LATENCY_S, THROTTLED, RETRY_AFTER_S = 0.25, 0.01, 1.0
PUBLISHED_PER_HOUR = 150


def main() -> int:
    """Measure and report."""
    users, wave, sessions = SIZES[next((each for each in sys.argv if each in SIZES), "")]
    found = moved(users, wave, slow_and_busy, sessions)
    per_hour = users / found.wall_s * 3600
    goals = [
        Goal("vs_published", per_hour / PUBLISHED_PER_HOUR, 20, ">="),
        Goal("amiss", found.amiss, 0),
    ]
    context = {"users_per_hour": round(per_hour), "sessions": sessions, "wave": wave, **found.told()}
    return report("migration_pace", goals, context, as_json=wants_json())


def slow_and_busy(place: Estate) -> None:
    """Let every call take its time, and one in a hundred of Graph be refused for a while."""
    place.add_fault("latency", "*", seconds=LATENCY_S)
    place.add_fault("throttle", "|".join(OF_GRAPH), probability=THROTTLED, retry_after_s=RETRY_AFTER_S)


if __name__ == "__main__":
    raise SystemExit(main())
