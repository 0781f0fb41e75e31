"""A company at work: its HR speaks, days go by, and what is due is done, whatever tenant lies below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Protocol

from sqlalchemy import func, select

from config.sections import FeedLimits
from config.site_policy import SitePolicy
from datasets.inventory import NumberState
from datasets.people import Person
from datasets.tables.inventory import taken
from datasets.tables.plans import plan_lines, plans
from engine import departures, feeds, outcomes, plan_store
from engine.apply import apply_chunk, chunks, start
from engine.drift import Difference, Rules
from engine.drift_run import plan_drift
from engine.guards import Guard
from engine.lives import Lives
from engine.moments import by_moment
from engine.number_endings import plan_endings
from engine.observe import Row
from engine.plan import OPEN_LINES
from engine.requests import Actor, open_request
from engine.resolve import Planning, Resolved, Waits, resolve
from engine.runtime import Runtime

GRACE_DAYS = 30


@dataclass(frozen=True)
class Standing:
    """What one person has in a tenant, seen without the product's eyes; `shown` is the directory's telephone number."""

    number: str | None = None
    policies: Mapping[str, str] = field(default_factory=dict)
    licensed: bool = False
    enabled: bool = True
    forwarded: bool = False
    shown: str | None = None
    country: str | None = None


class Ground(Protocol):
    """The tenant below a company: how time passes there, what it holds, and what HR's provisioning does to it."""

    def now(self) -> datetime:
        """Give the moment."""

    def sleep(self, seconds: float) -> None:
        """Let time pass, for the tenant and for those who work on it."""

    def standing(self, employee: str) -> Standing | None:
        """Show the account that carries an employee id; None when there is none."""

    def owners(self) -> dict[str, list[str]]:
        """Give who holds each number, by employee id; deleted accounts count too."""

    def provision(self, employee: str) -> None:
        """Make an account for somebody who has none."""

    def writes(self) -> list[str]:
        """Name the calls that changed something, in order."""


@dataclass
class Firm:
    """What a test works with; `last` is what came of the newest feed."""

    runtime: Runtime
    ground: Ground
    site: SitePolicy
    feeds: int = 0
    last: Resolved | None = None
    says_parts: bool = False
    plan_ids: list[str] = field(default_factory=list)

    @property
    def today(self) -> date:
        """Give the day."""
        return self.ground.now().date()

    def person(self, number: int, **more: object) -> Person:
        """Give HR's words about the person with this number."""
        said = {"employee_id": f"{number:05}", "usage_location": "AT", "department": "Sales", "location": "Vienna"}
        return Person.model_validate(said | more)

    # ---- what happens

    def feed(self, *people: Person, limits: FeedLimits | None = None) -> list[str]:
        """Read a feed a minute after the last, carry out what it wants, and name the kinds of changes in order."""
        self.feeds += 1
        self.ground.sleep(60)
        rows = [Row(f"f-{self.feeds}", line, person) for line, person in enumerate(people, start=2)]
        request_id = self.request()
        with self.runtime.database.write() as connection:
            feeds.record_feed(
                connection,
                people=[(row.line, row.person) for row in rows],
                bad=(),
                feed_id=f"f-{self.feeds}",
                name="people",
                digest=f"{self.feeds}",
                kind="events",
                request_id=request_id,
                now=self.runtime.now(),
            )
            feeds.accept(connection, f"f-{self.feeds}")
        return self.plan(rows, Guard(limits, len(rows)) if limits else None, request_id=request_id)

    def plan(
        self,
        rows: Sequence[Row],
        guard: Guard | None = None,
        *,
        request_id: str | None = None,
        closing: Sequence[plan_store.StoredLine] = (),
    ) -> list[str]:
        """Plan rows and carry the plan out."""
        lives = Lives(self.runtime, self.site, grace_days=GRACE_DAYS, says_parts=self.says_parts)
        told = by_moment(rows, self.runtime.now())
        request = request_id or self.request()
        planning = Planning(closing=closing, lives=lives, guard=guard, later=told.later)
        self.last = resolve(self.runtime, self.site, request, told.now, waits=Waits(), planning=planning)
        self.plan_ids.append(self.last.plan_id)
        self.carry_out(self.last.plan_id)
        return [stored.change.kind for line in self.lines() for stored in line.changes]

    def request(self) -> str:
        """Open a request."""
        with self.runtime.database.write() as connection:
            actor, now = Actor(kind="hr_feed", name="hr"), self.runtime.now()
            return open_request(connection, "lifecycle", actor, parameters={}, flow_run_id=None, now=now)

    def carry_out(self, plan_id: str) -> None:
        """Apply a plan as far as it goes now."""
        start(self.runtime, plan_id)
        for chunk in chunks(self.runtime, plan_id, 1):
            apply_chunk(self.runtime, chunk)

    def steps(self) -> list[str]:
        """Take the steps that are due for those who leave; names the kinds of changes."""
        with self.runtime.database.read() as connection:
            rows = [Row(each.feed_id, each.line, each.person) for each in departures.people_leaving(connection)]
        return self.plan(rows)

    def go_on(self) -> None:
        """Plan anew whoever waits and whose moment has come, and visit the plans in which something is due."""
        with self.runtime.database.read() as connection:
            waiting = plan_store.lines_to_replan(connection, self.runtime.now())
            rows = [outcomes.row_of(connection, line) for line in waiting]
        if rows:
            self.plan(rows, closing=waiting)
        with self.runtime.database.read() as connection:
            due = plan_store.due_plans(connection, self.runtime.now())
        for plan_id in due:
            self.carry_out(plan_id)

    def settle(self) -> None:
        """Continue until nothing is open but what waits for an account, for its moment or for another plan."""
        for _ in range(40):
            if not self._under_way():
                return
            self.ground.sleep(30)
            self.go_on()
        raise AssertionError(f"still open after many visits: {self.open_lines()}")

    def _under_way(self) -> int:
        c = plan_lines.c
        with self.runtime.database.read() as connection:
            query = select(func.count()).select_from(plan_lines).where(c.state.in_(OPEN_LINES))
            waits_long = c.condition.in_(plan_store.PLANNED_ANEW)
            return int(connection.execute(query.where(c.condition.is_(None) | ~waits_long)).scalar_one())

    def drift(self, shrink_percent: float = 100) -> list[Difference]:
        """Compare everybody with their templates, carry out what converges; give what differed."""
        found: list[Difference] = []
        rules = Rules(most_percent=100, shrink_percent=shrink_percent)
        plan_id, _ = plan_drift(self.runtime, self.site, self.request(), rules, found.extend)
        self.carry_out(plan_id)
        return found

    def release_rested(self) -> None:
        """End the grace periods that are over."""
        self.carry_out(plan_endings(self.runtime, self.request(), NumberState.GRACE))

    def days(self, count: int) -> None:
        """Let days go by."""
        self.ground.sleep(timedelta(days=count).total_seconds())

    def nights(self, count: int) -> list[str]:
        """Let days go by and take the due steps every night; names the kinds of all changes."""
        made: list[str] = []
        for _ in range(count):
            self.days(1)
            made += self.steps()
        return made

    # ---- what can be seen of it

    def lines(self) -> list[plan_store.StoredLine]:
        """Give the lines of the newest plan."""
        assert self.last is not None
        with self.runtime.database.read() as connection:
            return plan_store.load_lines(connection, self.last.plan_id)

    def states(self) -> list[str]:
        """Give the states of the newest plan's lines."""
        return self.states_of(self.plan_ids[-1])

    def states_of(self, plan_id: str) -> list[str]:
        """Give the states of a plan's lines."""
        with self.runtime.database.read() as connection:
            return [line.state.value for line in plan_store.load_lines(connection, plan_id)]

    def outcomes(self) -> list[str]:
        """Give what came of the newest plan's lines."""
        return [str(outcomes.outcome_of(line)) for line in self.lines()]

    def departure_states(self) -> list[str]:
        """Give the states of all departures."""
        with self.runtime.database.read() as connection:
            return [each.state for each in departures.listed(connection, everything=True)]

    def inventory(self) -> dict[str, str]:
        """Give the state of every number that is not free."""
        with self.runtime.database.read() as connection:
            rows = connection.execute(select(taken.c.n, taken.c.state)).all()
        return {f"+{row.n}": str(row.state) for row in rows}

    def open_lines(self) -> dict[str, str]:
        """Say of each person whose line is not at its end how it stands and why."""
        return self._lines_in("planned", "waiting", "unknown")

    def troubles(self) -> dict[str, str]:
        """Say of each person of whom something failed or was refused, how and why."""
        return self._lines_in("unknown", "failed", "refused")

    def _lines_in(self, *states: str) -> dict[str, str]:
        c = plan_lines.c
        with self.runtime.database.read() as connection:
            query = select(c.label, c.source, c.state, c.reason).join(plans, plans.c.id == c.plan_id)
            rows = connection.execute(query.where(c.state.in_(states))).all()
        return {str(row.source.get("employee_id", row.label)): f"{row.state}: {row.reason}" for row in rows}
