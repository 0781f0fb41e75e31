"""A hybrid lab whose users move in batches of several waves, for processes that are killed in the middle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors import schema
from connectors.database import Database
from datasets.batches import BatchNumbers, BatchOptions
from engine import batches, inventory
from engine.batches import Member
from engine.proof import verify
from lab.catalogue import E5
from lab.records import User
from lab.server import Lab
from lab.settings import Settings
from tests.fakes.independent_checker import check
from tests.fakes.lab_environment import environment_of, skype_environment_of

POLICIES: Mapping[str, str | None] = {"TenantDialPlan": "DP-Vienna", "OnlineVoiceRoutingPolicy": "VRP-Vienna"}
SOURCES = (
    BatchOptions(numbers=BatchNumbers.NUMBER_RANGE, pool="vienna", policies=dict(POLICIES)),
    BatchOptions(numbers=BatchNumbers.KEEP, policies=dict(POLICIES)),
)


@contextmanager
def roomy_lab(folder: Path, users: int) -> Iterator[Lab]:
    """Run a lab with people on the servers, and room for the sessions of the dead."""
    settings = Settings()
    settings.change({"hybrid_share": 0.9, "shells_per_user": 200, "shells_per_tenant": 400})
    with Lab(folder=folder / "lab", users=users, seed=11, settings=settings) as lab:
        yield lab


def written_twice(calls: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], int]:
    """Name what was written for somebody more often than once: in a batch each kind of write is for a user once."""
    counted = Counter((str(call["operation"]), str(call["target"])) for call in calls if call["write"])
    return {key: times for key, times in counted.items() if times > 1}


class BatchKills:
    """A lab, a database and batch after batch of people who were never moved."""

    def __init__(self, lab: Lab, folder: Path, database_url: str, *, wave_size: int) -> None:
        self.lab, self.url, self.wave_size = lab, database_url, wave_size
        self.environment = environment_of(lab.endpoints, folder) | skype_environment_of(lab.endpoints)
        self.environment |= {"CALLWRIGHT_DATABASE_URL": database_url}
        self.database = Database(database_url)
        schema.upgrade(self.database)
        self._people, self._made, self.asked = self._movable(), 0, set[str]()
        self.last = ""

    def now(self) -> datetime:
        """Give the moment."""
        return datetime.now(UTC)

    def _movable(self) -> Iterator[User]:
        """Give licensed people of the servers, one after the other."""
        tenant = self.lab.tenant
        for name in list(tenant.skype):
            user = tenant.users[tenant.by_sam[name]]
            if user.text("usageLocation"):
                tenant.change_licences(user.id, add={E5: ()}, remove=[])
                yield tenant.users[user.id]

    def next_batch(self, users: int) -> None:
        """Make a batch of people; every other one takes numbers of a range, and the others keep theirs."""
        people = [user for user, _ in zip(self._people, range(users), strict=False)]
        assert len(people) == users, "the lab has no more people who could be moved"
        options = SOURCES[self._made % len(SOURCES)].model_copy(update={"wave_size": self.wave_size})
        self._made += 1
        self.last = f"batch {self._made}"
        members = [Member(row, user.upn, user.id, user.upn) for row, user in enumerate(people, start=1)]
        with self.database.write() as connection:
            batches.create(connection, self.last, {}, options, members, by="a test", now=self.now())
        self.asked |= {user.id for user in people}

    def counts(self) -> Counter[str]:
        """Count the users of the latest batch by state."""
        with self.database.read() as connection:
            return batches.counts(connection, batches.find(connection, self.last).id)

    def is_settled(self) -> bool:
        """Tell whether everybody of the latest batch is in Teams; nobody may fail."""
        counts = self.counts()
        assert not counts.keys() & {"failed", "refused", "discarded"}, counts
        return set(counts) == {"migrated"}

    def contradictions(self) -> list[str]:
        """Compare the lab's log with our journal, the journal with itself, and everybody's moves and numbers."""
        found = check(self.url, Path(str(self.lab.endpoints["call_log"])))
        with self.database.read() as connection:
            found += [*map(str, verify(connection).faults), *map(str, inventory.violations(connection))]
        return [*found, *self._not_once("moved", self._moves()), *self._numbers()]

    def _moves(self) -> Counter[str]:
        """Count the moves of each user that had an effect."""
        calls = (each for each in self.lab.calls.since() if each["operation"] == "Move-CsUser" and each["effects"])
        return Counter(self.lab.tenant.by_sam[str(each["target"]).casefold()] for each in calls)

    def _not_once(self, what: str, counted: Counter[str]) -> Iterator[str]:
        """Name who of those in a batch had something done to them not at all or again, and who was in none."""
        for user in self.asked | set(counted):
            wanted = int(user in self.asked)
            if counted[user] != wanted:
                yield f"{user} was {what} {counted[user]} times, and should have been {wanted} times"

    def _numbers(self) -> Iterator[str]:
        """Name users with more or less numbers than they shall have, and numbers that were given out twice."""
        calls = [each for each in self.lab.calls.since() if each["operation"] == "numberAssignments.assign"]
        given = Counter(str(each["target"]) for each in calls if each["effects"])
        yield from (f"{number} was given out {times} times" for number, times in given.items() if times != 1)
        for user in self.asked:
            held = [row.telephone_number for row in self.lab.tenant.numbers_held_by(user) if row.source == "online"]
            if len(held) > 1 or not set(held) <= given.keys():
                yield f"{user} holds {held}"
