"""A process that applies stored plans over the real protocols; two at once try that there is never a second writer.

`python -m tests.fakes.appliers LEASE_S PLAN…` says `ready`, waits for a line, applies what is due of each plan in turn
and prints how long it worked and how often it found somebody else at work. Settings come from the environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from config.settings import read_settings
from connectors.database import Database
from connectors.errors import ConnectorError
from engine.apply import apply_chunk, chunks, start
from engine.leases import LeaseHeld, LeaseLost
from engine.runtime import Runtime
from tasks.work import Work
from tests.fakes.checkout import ROOT

SESSIONS = 2


@dataclass(frozen=True)
class Applied:
    """What a process says when it has ended."""

    began: float
    ended: float
    gave_way: int
    states: Mapping[str, int]

    def overlaps(self, other: Applied) -> bool:
        """Tell whether both were at work at the same time."""
        return max(self.began, other.began) < min(self.ended, other.ended)


class Applier:
    """One such process, ready to go."""

    def __init__(self, environment: Mapping[str, str], plan_ids: Sequence[str], *, lease_s: float = 180) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CALLWRIGHT_", "PREFECT_"))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.appliers", str(lease_s), *plan_ids],
            cwd=ROOT,
            env={**kept, **environment},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def wait_until_ready(self) -> None:
        """Wait until everything is imported and open."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def go(self) -> None:
        """Let it work."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self) -> Applied:
        """Wait for its end and give what it says."""
        return Applied(**json.loads(self.process.communicate(timeout=120)[0]))

    def kill(self) -> None:
        """Kill it, as a power cut would; does nothing when it has ended."""
        self.process.kill()
        self.process.communicate()


@contextmanager
def appliers(*made: Applier) -> Iterator[None]:
    """Have all of them ready, let them go at once, and leave none behind."""
    try:
        for each in made:
            each.wait_until_ready()
        for each in made:
            each.go()
        yield
    finally:
        for each in made:
            each.kill()


def apply_due(runtime: Runtime, plan_id: str) -> tuple[int, dict[str, int]]:
    """Apply what is due of a plan, once; tells how often somebody else was at it, and counts lines by state."""
    start(runtime, plan_id)
    gave_way, states = 0, dict[str, int]()
    for chunk in chunks(runtime, plan_id, SESSIONS):
        try:
            for state, count in apply_chunk(runtime, chunk).items():
                states[state] = states.get(state, 0) + count
        except (LeaseHeld, LeaseLost):
            gave_way += 1
        except ConnectorError as error:
            states[type(error).__name__] = states.get(type(error).__name__, 0) + 1
    return gave_way, states


def main(lease_s: str, *plan_ids: str) -> None:
    """Work when told to."""
    settings = read_settings()
    with closing(Database(settings.database_address())) as database, Work(settings, database).runtime() as opened:
        runtime = replace(opened, limits=replace(opened.limits, lease_s=float(lease_s), look_again_s=(0.1, 0.2)))
        print("ready", flush=True)
        sys.stdin.readline()
        began, gave_way, states = time.monotonic(), 0, dict[str, int]()
        for plan_id in plan_ids:
            more, found = apply_due(runtime, plan_id)
            gave_way += more
            states |= found
    said = {"began": began, "ended": time.monotonic(), "gave_way": gave_way, "states": states}
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
