"""A process that claims, confirms and gives back numbers; several at once try the inventory's promises.

`python -m tests.fakes.claimers URL NAME ROUNDS` says `ready`, waits for a line, works and prints what it holds.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connectors.database import Database
from connectors.errors import Busy
from datasets.inventory import NumberUnavailable, PoolExhausted
from datasets.numbering import PhoneNumber
from engine import inventory

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
ROOT = Path(__file__).resolve().parents[2]


def run_claimers(url: str, names: list[str], rounds: int, within_s: float = 60) -> list[dict[str, list[str]]]:
    """Let one process for each name work at the same time; gives what each believes to hold at the end."""
    commands = [[sys.executable, "-m", "tests.fakes.claimers", url, name, str(rounds)] for name in names]
    running = [
        subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for command in commands
    ]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [json.loads(process.communicate(timeout=within_s)[0]) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()


class Claimer:
    """One worker: what it claimed and what it was told is assigned."""

    def __init__(self, url: str, name: str) -> None:
        self.database, self.name, self.chance = Database(url), name, random.Random(name)
        self.claimed: list[PhoneNumber] = []
        self.assigned: list[PhoneNumber] = []
        self.refused = 0

    def work(self, rounds: int) -> None:
        """Do one act after another, each in a transaction of its own; a busy database is asked again."""
        acts = (self.claim, self.claim, self.claim_named, self.confirm, self.give_back, self.release)
        for _ in range(rounds):
            act = self.chance.choice(acts)
            while True:
                try:
                    act()
                except Busy:
                    continue
                except (PoolExhausted, NumberUnavailable):
                    self.refused += 1
                break

    def claim(self) -> None:
        """Claim a small block."""
        count = self.chance.randint(1, 3)
        with self.database.write() as connection:
            owners = [self.name] * count
            given = inventory.claim(connection, "p", count, plan_id=self.name, owner_ids=owners, until=LATER, now=NOW)
        self.claimed += given

    def claim_named(self) -> None:
        """Claim a number out of the middle, which others want too: in the pool or in none."""
        number = PhoneNumber(self.chance.choice([43100, 4999]) * 1000 + self.chance.randrange(100, 150))
        with self.database.write() as connection:
            row = inventory.claim_named(connection, number, plan_id=self.name, owner=self.name, until=LATER, now=NOW)
        if row.number not in self.claimed:
            self.claimed.append(row.number)

    def confirm(self) -> None:
        """Turn the oldest claim into an assignment."""
        if self.claimed:
            with self.database.write() as connection:
                inventory.confirm(connection, self.claimed[0], owner=self.name, plan_id=self.name, now=NOW)
            self.assigned.append(self.claimed.pop(0))

    def give_back(self) -> None:
        """Give up the newest claim."""
        if self.claimed:
            with self.database.write() as connection:
                assert inventory.give_back(connection, self.claimed[-1], plan_id=self.name, now=NOW)
            self.claimed.pop()

    def release(self) -> None:
        """Release the oldest assignment."""
        if self.assigned:
            with self.database.write() as connection:
                inventory.release(connection, self.assigned[0], NOW)
            self.assigned.pop(0)


def main(url: str, name: str, rounds: str) -> None:
    """Work when told to."""
    claimer = Claimer(url, name)
    print("ready", flush=True)
    sys.stdin.readline()
    claimer.work(int(rounds))
    held = {"claimed": [n.e164 for n in claimer.claimed], "assigned": [n.e164 for n in claimer.assigned]}
    print(json.dumps(held), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
