"""A company on a fake tenant: its HR says who is hired, moves, is on leave and leaves, and days go by."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from config.site_lifecycle import LeaverRules, LeaveRules, LifecycleRules
from config.site_policy import SitePolicy
from config.site_pools import NumberRange, SitePool
from config.site_templates import LifecycleTemplate, Match
from connectors.database import Database
from tests.fakes.calling import FakeCalling
from tests.fakes.firm import GRACE_DAYS, Firm, Standing
from tests.fakes.numbering import FakeNumbering
from tests.fakes.plans import runtime_on
from tests.fakes.tenant import SKU, FakeClock, FakeTenant, FakeUser

__all__ = ["GRACE_DAYS", "Company", "company", "company_site"]

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


def pool(name: str, country: str, start: str, end: str) -> SitePool:
    spans = (NumberRange(start=start, end=end),)
    return SitePool(name=name, country=country, number_type="directRouting", ranges=spans)


POOLS = (
    pool("vienna", "AT", "+431234500", "+431234539"),
    pool("berlin", "DE", "+493012345600", "+493012345639"),
)


def company_site(germany: LifecycleTemplate = GERMANY, rules: LifecycleRules = RULES) -> SitePolicy:
    """Give a site policy with two countries."""
    return SitePolicy(folder=Path(), pools=POOLS, templates=(AUSTRIA, germany), lifecycle=rules)


@dataclass
class FakeGround:
    """The fake tenant as the ground of a company."""

    tenant: FakeTenant
    calling: FakeCalling

    def now(self) -> datetime:
        """Give the moment."""
        return self.tenant.clock.now()

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.tenant.clock.sleep(seconds)

    def standing(self, employee: str) -> Standing | None:
        """Show the account that carries an employee id."""
        user = next((each for each in self.tenant.users.values() if each.employee_id == employee), None)
        if user is None:
            return None
        forwarding = (self.calling.settings(user.id) or {})["forwarding"]
        return Standing(
            number=user.number,
            policies=dict(user.policies),
            licensed=SKU in user.skus,
            enabled=user.enabled,
            forwarded=bool(forwarding["IsForwardingEnabled"]),
            shown=user.telephone_number,
            country=user.usage_location,
        )

    def owners(self) -> dict[str, list[str]]:
        """Give who holds each number."""
        found: dict[str, list[str]] = {}
        for user in (*self.tenant.users.values(), *self.tenant.deleted.values()):
            if user.number:
                found.setdefault(user.number, []).append(user.employee_id)
        return found

    def provision(self, employee: str) -> None:
        """Make an account of the same name and another id."""
        number = int(employee)
        made = f"id-{number}-{len(self.tenant.deleted)}"
        self.tenant.users[made] = FakeUser(made, f"user{number}@lab.test", employee, f"user{number}")

    def writes(self) -> list[str]:
        """Name the writes."""
        return [f"{name} {target}" for name, target in self.tenant.writes()]


@dataclass
class Company(Firm):
    """A firm on a fake tenant, whose parts a test may turn."""

    tenant: FakeTenant = field(kw_only=True)
    calling: FakeCalling = field(kw_only=True)
    numbering: FakeNumbering = field(kw_only=True)

    def number_of(self, number: int) -> str | None:
        """Give somebody's number."""
        user = self.tenant.users.get(f"id-{number}")
        return None if user is None else user.number


def company(database: Database, site: SitePolicy | None = None, *, users: int = 4) -> Company:
    """Give a company whose people have accounts and no telephones yet."""
    tenant = FakeTenant(FakeClock(), users, licence_delay_s=0)
    tenant.policy_ids |= {
        ("OnlineVoiceRoutingPolicy", "Berlin"): "p-berlin",
        ("OnlineVoiceRoutingPolicy", "NoCalls"): "p-none",
    }
    calling, numbering = FakeCalling(tenant), FakeNumbering(tenant)
    return Company(
        runtime_on(database, tenant),
        FakeGround(tenant, calling),
        site or company_site(),
        tenant=tenant,
        calling=calling,
        numbering=numbering,
    )
