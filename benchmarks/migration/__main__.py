"""How fast and how safely a wave of users moves to Teams, against what sessions and latency allow.

A stand-in tenant answers each call of a user after about a second, and lets one account have three sessions on the
servers. The limit is the time that the calls of the sessions take together, divided by the sessions, or the longest
user. Waves are applied as Prefect flow runs of processes of their own, with journal, leases and read-backs as ever.
"""

from __future__ import annotations

import itertools
import json
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from benchmarks.migration.estate import Call, Estate, estate
from benchmarks.migration.worker import SESSIONS
from benchmarks.report import Goal, report, wants_json

OF_SESSIONS = ("Get-CsUser", "Set-CsUser", "Move-CsUser")
OF_TEAMS = ("userConfigurations.get", "numberAssignments.*", "operations.get", "policy.*")
OF_GRAPH = (*OF_TEAMS, "users.*")
WRITES = ("move_to_teams", "clear_on_premises_line", "assign_number", "set_policies", "assign_licence")
LATENCY_S, QUICK_S = 1.0, 0.2
SPREAD, LONGEST_S = 0.8, 6.0
RATE_PER_S, RETRY_AFTER_S = 15.0, 2.0
LEASE_S = 185.0  # a process that was killed holds its users for so long
# Less than half of these users can be moved. What the cloud does for the last of a wave keeps no session busy, and in
# the skewed wave the last may be the slowest: the end weighs less, the longer the wave.
FIXED_WAVE, SKEWED_WAVE, PART = 640, 900, 40
SMALL_WAVE, SMALL_PART = 24, 12

Latency = Callable[[str], float]


@dataclass(frozen=True)
class Measured:
    """One wave: what its sessions could have done at best, how long it took, and what the worker used."""

    users: int
    limit_s: float
    wall_s: float
    cpu_s: float
    calls: int
    session_s: float
    counts: Mapping[str, int]

    @property
    def share(self) -> float:
        """Give the share of the limit that was reached."""
        return self.limit_s / self.wall_s


def main() -> int:
    """Measure and report."""
    sizes = [SMALL_WAVE] * 2 + [SMALL_PART] * 3 if "--small" in sys.argv else [FIXED_WAVE, SKEWED_WAVE, *[PART] * 3]
    places = list(itertools.accumulate(sizes, initial=0))
    slices = list(itertools.pairwise(places))
    with estate(places[-1], SESSIONS) as place:
        fixed = timed_wave(place, slices[0], lambda _user: LATENCY_S)
        skewed = timed_wave(place, slices[1], skewed_latency())
        extra, killed_at = resumed(place, slices[2])
        early, throttled = storm(place, slices[3:])
    goals = [
        Goal("share_fixed", fixed.share, 0.95, ">="),
        Goal("share_skewed", skewed.share, 0.90, ">="),
        Goal("calls_in_pause", early, 0),
        Goal("resume_extra_calls", extra, 0),
        Goal("vs_sequential", fixed.session_s / fixed.wall_s, 2.7, ">="),  # 0.9 for each session
    ]
    context = {
        "sessions": SESSIONS,
        "users": fixed.users,
        "limit_s": round(fixed.limit_s, 1),
        "wall_s": round(fixed.wall_s, 1),
        "sequential_s": round(fixed.session_s, 1),
        "cpu_share": round(fixed.cpu_s / fixed.wall_s, 3),
        "users_per_hour": round(fixed.users / fixed.wall_s * 3600),
        "calls_per_user": round(fixed.calls / max(1, fixed.users), 1),
        "counts": fixed.counts,
        "skewed_limit_s": round(skewed.limit_s, 1),
        "skewed_wall_s": round(skewed.wall_s, 1),
        "skewed_counts": skewed.counts,
        "killed_after_writes": killed_at,
        "throttled": throttled,
        "method_of_peers": "one user after the other: about 150 users an hour (performance of published tools)",
    }
    return report("migration", goals, context, as_json=wants_json())


def skewed_latency() -> Latency:
    """Give each user a latency of its own: log-normal, one second in the mean, none above the longest."""
    drawn = random.Random("skew")
    known: dict[str, float] = defaultdict(lambda: min(LONGEST_S, drawn.lognormvariate(-(SPREAD**2) / 2, SPREAD)))
    return known.__getitem__


def timed_wave(place: Estate, users: Sequence[int], latency: Latency) -> Measured:
    """Apply one wave while every call takes its time.

    Policies are given user by user: an operation of Teams takes its own time, whatever its sessions do.
    """
    wave = place.answer_of("plan", *map(str, users), "never")
    names: dict[str, str] = wave["users"]
    place.add_fault("latency", "|".join(OF_GRAPH), seconds=LATENCY_S)
    for account, address in names.items():
        target = f"{account}|sip:{address}"
        place.add_fault("latency", "|".join(OF_SESSIONS), target=target, seconds=latency(account))
    before = place.last_call()
    done = place.answer_of("apply", wave["batch_id"])
    place.remove_faults()
    calls = [call for call in place.calls(before) if call["protocol"] != "token"]
    return measured(names, calls, done, latency)


def measured(users: Mapping[str, str], calls: Sequence[Call], done: Mapping[str, Any], latency: Latency) -> Measured:
    """Work out what the sessions could have done at best."""
    by_user: dict[str, float] = defaultdict(float)
    accounts = {account: account for account in users} | {f"sip:{users[account]}": account for account in users}
    for call in calls:
        if call["operation"] in OF_SESSIONS:
            account = accounts[str(call["target"])]
            by_user[account] += latency(account)
    moments = [datetime.fromisoformat(str(call["at"])) for call in calls]
    wall_s = (moments[-1] - moments[0]).total_seconds() + LATENCY_S
    together = sum(by_user.values())
    limit_s = max(together / SESSIONS, *by_user.values())
    counts = done["summary"]["counts"]
    return Measured(len(users), limit_s, wall_s, done["cpu_s"], len(calls), together, counts)


def resumed(place: Estate, users: Sequence[int]) -> tuple[int, int]:
    """Kill the worker in the middle of a wave and go on; gives the writes too many, and how many there were then.

    Policies are given user by user here: how many operations many users take depends on when they are ready.
    """
    wave = place.answer_of("plan", *map(str, users), "never")
    wanted = sum(wave["changes"].get(kind, 0) for kind in WRITES)
    place.add_fault("latency", "|".join((*OF_SESSIONS, *OF_GRAPH)), seconds=QUICK_S)
    before = place.last_call()
    worker = place.worker("apply", wave["batch_id"])
    while (written := writes_since(place, before)) < wanted // 2 and worker.poll() is None:
        time.sleep(0.2)
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    in_flight = place.answer_of("in-flight", wave["plan_id"])["in_flight"]
    time.sleep(LEASE_S)
    place.remove_faults()
    counts = place.answer_of("apply", wave["batch_id"])["summary"]["counts"]
    print(json.dumps({"resumed": counts, "in_flight": in_flight}), file=sys.stderr)
    return writes_since(place, before) - wanted - in_flight, written


def writes_since(place: Estate, seq: int) -> int:
    """Count what was written in the tenant after a call."""
    return sum(bool(call["write"]) for call in place.calls(seq))


def storm(place: Estate, slices: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Apply two waves in two processes while the tenant throttles; gives calls in a pause, and refusals."""
    waves = [place.answer_of("plan", *map(str, users)) for users in slices]
    place.add_fault("throttle", "|".join(OF_TEAMS), rate_per_s=RATE_PER_S, burst=5, retry_after_s=RETRY_AFTER_S)
    workers = [place.worker("apply", wave["batch_id"]) for wave in waves]
    for worker in workers:
        said = worker.communicate()[0]
        print(said.splitlines()[-1][:300], file=sys.stderr)
    (fault,) = place.remove_faults()
    return int(fault["early"]), int(fault["played"])


if __name__ == "__main__":
    raise SystemExit(main())
