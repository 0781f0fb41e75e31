"""Number acts in tests: a runtime over a fake tenant whose people are licensed, and plans applied to their end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from config.site_policy import SitePolicy, read_site
from connectors.database import Database
from datasets.inventory import Pool, Span, Taken
from datasets.numbering import PhoneNumber
from engine import inventory, plan_store
from engine.plan import LineState
from engine.plan_store import StoredLine
from engine.requests import Actor, open_request
from engine.runtime import Runtime
from tests.fakes.checkout import ROOT
from tests.fakes.numbering import FakeNumbering
from tests.fakes.plans import apply_all, runtime_on
from tests.fakes.tenant import SKU, FakeClock, FakeTenant

POOL = "head-office"  # not a pool of the site policy, so no location is sent
FIRST, LAST = "+431234500", "+431234509"


@dataclass(frozen=True)
class Desk:
    """What somebody who works with numbers has at hand."""

    runtime: Runtime
    tenant: FakeTenant
    numbering: FakeNumbering
    site: SitePolicy

    def request(self, kind: str = "tests") -> str:
        """Open a request."""
        with self.runtime.database.write() as connection:
            return open_request(
                connection,
                kind,
                Actor(kind="os_user", name="t"),
                parameters={},
                flow_run_id=None,
                now=self.runtime.now(),
            )

    def apply(self, plan_id: str) -> list[StoredLine]:
        """Apply a plan and give its lines."""
        apply_all(self.runtime, plan_id)
        return self.lines(plan_id)

    def lines(self, plan_id: str) -> list[StoredLine]:
        """Give the lines of a plan."""
        with self.runtime.database.read() as connection:
            return plan_store.load_lines(connection, plan_id)

    def states(self, plan_id: str) -> list[LineState]:
        """Give the states of a plan's lines."""
        return [line.state for line in self.lines(plan_id)]

    def find(self, number: str) -> Taken | None:
        """Read what the inventory knows of a number."""
        with self.runtime.database.read() as connection:
            return inventory.find(connection, PhoneNumber.from_e164(number))

    def state(self, number: str) -> str:
        """Read the state of a number."""
        with self.runtime.database.read() as connection:
            return inventory.state_of(connection, PhoneNumber.from_e164(number)).value


def desk(database: Database, *, users: int = 3, kind: str = "directRouting", has_blocks: bool = True) -> Desk:
    """Give a desk with a pool of ten numbers and licensed people."""
    tenant = FakeTenant(FakeClock(), users, licence_delay_s=0)
    for user in tenant.users.values():
        user.skus, user.licensed_at = (SKU,), tenant.clock.now() - timedelta(days=1)
    numbering = FakeNumbering(tenant, has_blocks=has_blocks)
    runtime = runtime_on(database, tenant)
    with database.write() as connection:
        pool = Pool(name=POOL, kind=kind, spans=(Span.read(FIRST, LAST),))
        inventory.define_pool(connection, pool)
    return Desk(runtime, tenant, numbering, read_site(Path(ROOT / "config" / "sample")))
