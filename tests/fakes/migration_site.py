"""A batch of users between a Skype for Business Server and Teams, in memory; waves planned and applied to their end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from config.site_policy import SitePolicy
from connectors.database import Database
from datasets.batches import BatchOptions
from datasets.numbering import PhoneNumber
from datasets.preflight import Examined
from engine import inventory, plan_store
from engine.migration_plan import plan_wave
from engine.migration_terms import WaveTerms
from engine.plan_store import StoredLine
from engine.preflight import examine
from engine.requests import Actor, open_request
from engine.rollback import Choice, Terms, plan_rollback
from engine.runtime import Runtime
from tests.fakes.fake_skype import FakeSkype
from tests.fakes.plans import apply_all, runtime_on
from tests.fakes.sites import site
from tests.fakes.tenant import SKU, FakeClock, FakeTenant

LINE = "tel:+431234501"
NUMBER = "+431234501"
POLICIES = {"OnlineVoiceRoutingPolicy": "Vienna", "TenantDialPlan": "AT"}


@dataclass(frozen=True)
class Deployment:
    """What somebody who migrates has at hand."""

    runtime: Runtime
    tenant: FakeTenant
    skype: FakeSkype
    terms: WaveTerms = field(default_factory=WaveTerms)

    @property
    def site(self) -> SitePolicy:
        """Give the site policy: one pool."""
        return site()

    def request(self) -> str:
        """Open a request."""
        actor = Actor(kind="os_user", name="t")
        with self.runtime.database.write() as connection:
            return open_request(connection, "migration", actor, parameters={}, flow_run_id=None, now=self.runtime.now())

    def plan(self, options: BatchOptions, *user_ids: str) -> str:
        """Plan a wave of these users."""
        return plan_wave(self.runtime, self.site, options, user_ids, self.request(), self.terms)

    def examined(self, options: BatchOptions, *user_ids: str, own_plans: tuple[str, ...] = ()) -> list[Examined]:
        """Examine these users; `own_plans` are of their batch."""
        return list(examine(self.runtime, self.site, options, user_ids, self.terms, own_plans).users)

    def lines(self, plan_id: str) -> list[StoredLine]:
        """Give the lines of a plan."""
        with self.runtime.database.read() as connection:
            return plan_store.load_lines(connection, plan_id)

    def apply(self, plan_id: str) -> list[StoredLine]:
        """Visit a plan once and give its lines."""
        apply_all(self.runtime, plan_id)
        return self.lines(plan_id)

    def settle(self, plan_id: str, visits: int = 60) -> list[StoredLine]:
        """Visit a plan until it is settled, and give its lines."""
        for _ in range(visits):
            lines = self.apply(plan_id)
            with self.runtime.database.read() as connection:
                if plan_store.header(connection, plan_id).state == "settled":
                    break
            self.tenant.clock.sleep(self.runtime.limits.poll_s)
        return lines

    def migrate(self, options: BatchOptions, *user_ids: str) -> list[StoredLine]:
        """Plan a wave and bring it to its end."""
        return self.settle(self.plan(options, *user_ids))

    def undo(self, plan_id: str) -> list[StoredLine]:
        """Take a wave back and give the lines of that."""
        self.tenant.clock.sleep(3600)
        return self.settle(plan_rollback(self.runtime, self.request(), Choice(plan_id), Terms()))

    def state_of(self, number: str) -> str:
        """Read the state of a number of ours."""
        with self.runtime.database.read() as connection:
            return inventory.state_of(connection, PhoneNumber.from_e164(number)).value

    def snapshot(self) -> dict[str, object]:
        """Give everything about the users here and there."""
        users = {key: vars(user) | {"licensed_at": None} for key, user in self.tenant.users.items()}
        return {"cloud": users, "server": dict(self.skype.people)}


def deployment(database: Database, *, users: int = 3, sync_delay_s: float = 0, move_delay_s: float = 0) -> Deployment:
    """Give a deployment of licensed users; who is to be homed on the server says `home`."""
    tenant = FakeTenant(FakeClock(), users, licence_delay_s=0)
    for user in tenant.users.values():
        user.skus, user.licensed_at = (SKU,), tenant.clock.now() - timedelta(days=1)
        user.usage_location = "AT"
    tenant.skype = FakeSkype(tenant, sync_delay_s=sync_delay_s, move_delay_s=move_delay_s)
    return Deployment(runtime_on(database, tenant), tenant, tenant.skype)
