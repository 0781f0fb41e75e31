"""Estimate how long a wave takes (pure): calls × service time ÷ sessions, never below one user's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from datasets.preflight import Estimate
from engine.change import Change
from engine.kinds import KINDS

# Seconds of one call where no figure of an earlier run is at hand. Guesses, but for the order of magnitude of a move.
SERVICE_S = {
    "assign_licence": 1.0,
    "move_to_teams": 60.0,
    "move_to_pool": 60.0,
    "clear_on_premises_line": 2.0,
    "set_on_premises_line": 2.0,
    "assign_number": 5.0,
    "unassign_number": 5.0,
    "set_policies": 1.0,
    "assign_policy_batch": 3.0,
    "write_directory": 1.0,
}


def estimate(users: Iterable[Sequence[Change]], sessions: int, measured: Mapping[str, float] | None = None) -> Estimate:
    """Estimate a wave from the changes of each user; waits are no calls and take no session.

    `measured` are service times of earlier runs; other kinds take what is assumed.
    """
    times = SERVICE_S | dict(measured or {})
    calls: Counter[str] = Counter()
    longest = busy = 0.0
    for changes in users:
        sent = [change.kind for change in changes if _is_sent(change.kind)]
        took = sum(times.get(kind, 1.0) for kind in sent)
        calls.update(sent)
        longest, busy = max(longest, took), busy + took
    return Estimate(calls=dict(calls), busy_s=busy, sessions=sessions, eta_s=max(busy / sessions, longest))


def _is_sent(kind: str) -> bool:
    return not (KINDS[kind].is_wait or KINDS[kind].is_local)
