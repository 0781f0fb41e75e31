"""A company on a fake tenant: its HR says who is hired, moves, is on leave and leaves, and days go by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from sqlalchemy import select

from config.sections import FeedLimits
from config.site_lifecycle import LeaverRules, LeaveRules, LifecycleRules
from config.site_policy import SitePolicy
from config.site_pools import NumberRange, SitePool
from config.site_templates import LifecycleTemplate, Match
from connectors.database import Database
from datasets.people import Person
from datasets.tables.inventory import taken
from datasets.tables.plans import plan_lines, plans
from engine import departures, outcomes, plan_store
from engine.apply import apply_chunk, chunks, start
from engine.lives import Guard, Lives, newest_rows
from engine.observe import Row
from engine.requests import Actor, open_request
from engine.resolve import Resolved, Waits, resolve
from engine.runtime import Runtime
from tests.fakes.calling import FakeCalling
from tests.fakes.numbering import FakeNumbering
from tests.fakes.plans import runtime_on
from tests.fakes.tenant import FakeClock, FakeTenant

GRACE_DAYS = 30
RULES = LifecycleRules(
    leaver=LeaverRules(
        forward_after_days=1,
        unassign_after_days=10,
        licences_after_days=12,
        disable_after_days=14,
        delete_after_days=44,
    ),
    leave=LeaveRules(policies={"OnlineVoiceRoutingPolicy": "NoCalls"}),
)
AUSTRIA = LifecycleTemplate(
    name="austria",
    match=Match(usage_location=("AT",)),
    pool="vienna",
    licences=("MCOEV",),
    policies={"OnlineVoiceRoutingPolicy": "Vienna", "TenantDialPlan": "AT"},
    write_back=("telephoneNumber",),
)
GERMANY = LifecycleTemplate(
    name="germany",
    match=Match(usage_location=("DE",)),
    pool="berlin",
    licences=("MCOEV",),
    policies={"OnlineVoiceRoutingPolicy": "Berlin"},
    new_number_on="country",
)
STICKY = GERMANY.model_copy(update={"new_number_on": "never"})


def _pool(name: str, country: str, start: str, end: str) -> SitePool:
    spans = (NumberRange(start=start, end=end),)
    return SitePool(name=name, country=country, number_type="directRouting", ranges=spans)


POOLS = (
    _pool("vienna", "AT", "+431234500", "+431234539"),
    _pool("berlin", "DE", "+493012345600", "+493012345639"),
)


def company_site(germany: LifecycleTemplate = GERMANY, rules: LifecycleRules = RULES) -> SitePolicy:
    """Give a site policy with two countries."""
    return SitePolicy(folder=Path(), pools=POOLS, templates=(AUSTRIA, germany), lifecycle=rules)


@dataclass
class Company:
    """What a test works with; `last` is what came of the newest feed."""

    runtime: Runtime
    tenant: FakeTenant
    calling: FakeCalling
    numbering: FakeNumbering
    site: SitePolicy
    feeds: int = 0
    last: Resolved | None = None
    plan_ids: list[str] = field(default_factory=list)

    @property
    def today(self) -> date:
        """Give the day."""
        return self.tenant.clock.now().date()

    def person(self, number: int, **more: object) -> Person:
        """Give HR's words about the person with this number."""
        said = {"employee_id": f"{number:05}", "usage_location": "AT", "department": "Sales", "location": "Vienna"}
        return Person.model_validate(said | more)

    def feed(self, *people: Person, limits: FeedLimits | None = None) -> list[str]:
        """Read a feed a minute after the last, carry out what it wants, and name the kinds of changes in order."""
        self.feeds += 1
        self.tenant.clock.sleep(60)
        rows = [Row(f"f-{self.feeds}", line, person) for line, person in enumerate(people, start=2)]
        return self.plan(rows, Guard(limits, len(rows)) if limits else None)

    def plan(self, rows: Sequence[Row], guard: Guard | None = None) -> list[str]:
        """Plan rows and carry the plan out."""
        lives = Lives(self.runtime, self.site, grace_days=GRACE_DAYS, guard=guard)
        newest, _ = newest_rows(rows)
        self.last = resolve(self.runtime, self.site, self.request(), newest, waits=Waits(), lives=lives)
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

    def lines(self) -> list[plan_store.StoredLine]:
        """Give the lines of the newest plan."""
        assert self.last is not None
        with self.runtime.database.read() as connection:
            return plan_store.load_lines(connection, self.last.plan_id)

    def steps(self) -> list[str]:
        """Take the steps that are due for those who leave; names the kinds of changes."""
        with self.runtime.database.read() as connection:
            rows = [Row(each.feed_id, each.line, each.person) for each in departures.people_leaving(connection)]
        return self.plan(rows)

    def days(self, count: int) -> None:
        """Let days go by."""
        self.tenant.clock.sleep(timedelta(days=count).total_seconds())

    def nights(self, count: int) -> list[str]:
        """Let days go by and take the due steps every night; names the kinds of all changes."""
        made: list[str] = []
        for _ in range(count):
            self.days(1)
            made += self.steps()
        return made

    def states(self) -> list[str]:
        """Give the states of the newest plan's lines."""
        return [line.state.value for line in self.lines()]

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

    def number_of(self, number: int) -> str | None:
        """Give somebody's number."""
        user = self.tenant.users.get(f"id-{number}")
        return None if user is None else user.number

    def open_lines(self) -> int:
        """Count what is not at its end."""
        with self.runtime.database.read() as connection:
            query = select(plan_lines.c.state).join(plans, plans.c.id == plan_lines.c.plan_id)
            return sum(state in ("planned", "waiting", "unknown") for state in connection.execute(query).scalars())


def company(database: Database, site: SitePolicy | None = None, *, users: int = 4) -> Company:
    """Give a company whose people have accounts and no telephones yet."""
    tenant = FakeTenant(FakeClock(), users, licence_delay_s=0)
    tenant.policy_ids |= {
        ("OnlineVoiceRoutingPolicy", "Berlin"): "p-berlin",
        ("OnlineVoiceRoutingPolicy", "NoCalls"): "p-none",
    }
    calling, numbering = FakeCalling(tenant), FakeNumbering(tenant)
    return Company(runtime_on(database, tenant), tenant, calling, numbering, site or company_site())
