"""A company on the stand-in tenant, over its real protocols: Graph, Teams PowerShell and the local directory.

The lab's clock stands still and is moved through its control port; the runtime's `now` is that clock, so that grace
periods, leave dates and deletions of both sides come due together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from config.settings import read_settings
from config.site_policy import SitePolicy
from connectors.database import Database
from engine.opening import open_systems
from engine.runtime import Limits, Runtime
from lab import calling
from lab.catalogue import E3, PHONE_ADD_ON
from lab.clock import Clock
from lab.records import Json
from lab.server import Lab
from lab.settings import Settings
from tests.fakes.firm import Firm, Standing
from tests.fakes.lab_control import LabControl
from tests.fakes.lab_environment import environment_of
from tests.fakes.tenant import START

LIMITS = Limits(lag_window_s=30, poll_s=10, licence_give_up_s=3600, workers=1, lease_s=120, write_deadline_s=30)


@dataclass
class LabGround:
    """The stand-in tenant as the ground of a company; people without an account in the directory are cloud-only."""

    lab: Lab
    control: LabControl
    cloud_only: frozenset[str] = frozenset()
    made: dict[str, str] = field(default_factory=dict)  # object id → employee id, deleted accounts too

    def now(self) -> datetime:
        """Give the lab's moment."""
        return self.lab.clock.now()

    def sleep(self, seconds: float) -> None:
        """Let time pass: what becomes due in the tenant is done before this returns."""
        self.control.advance_clock(seconds)

    def standing(self, employee: str) -> Standing | None:
        """Show the account that carries an employee id."""
        tenant = self.lab.tenant
        tenant.settle()
        user = next((each for each in tenant.users.values() if each.text("employeeId") == employee), None)
        if user is None:
            return None
        account = tenant.find_ad_user(user.text("onPremisesSamAccountName") or "")
        numbers = [number.telephone_number for number in tenant.numbers_held_by(user.id)]
        assert len(numbers) <= 1, f"{employee} has {numbers}"
        return Standing(
            number=numbers[0] if numbers else None,
            policies=dict(tenant.voice(user.id).policies),
            licensed=PHONE_ADD_ON in {licence.sku_id for licence in user.licences},
            enabled=account.enabled if account else bool(user.fields["accountEnabled"]),
            forwarded=calling.of_user(tenant, user.id).forwarding,
            shown=account.attributes.get("telephoneNumber") if account else None,
            country=user.text("usageLocation"),
        )

    def owners(self) -> dict[str, list[str]]:
        """Give who of our people holds each number."""
        numbers = list(self.lab.tenant.numbers.values())
        mine = [(number.telephone_number, self.made.get(number.target_id or "")) for number in numbers]
        return {number: [employee] for number, employee in mine if employee}

    def provision(self, employee: str) -> None:
        """Make an account with the licence that everybody has, through the control port."""
        name = f"worker{int(employee)}"
        fields: dict[str, object] = {
            "userPrincipalName": f"{name}@{self.lab.tenant.domain}",
            "displayName": f"Worker {int(employee)}",
            "employeeId": employee,
            "usageLocation": "AT",
            "accountEnabled": True,
        }
        if employee not in self.cloud_only:
            fields |= {"onPremisesSyncEnabled": True, "onPremisesSamAccountName": name}
        made = self.control.new_user(**fields)
        self.made[str(made["id"])] = employee
        # A licence wants a country; the one that HR says is set by the product.
        self.control.change_user(str(made["id"]), licences=[E3], usageLocation=None)

    def writes(self) -> list[str]:
        """Name the calls that changed something, by the lab's own log."""
        calls = self.control.calls()
        return [f"{call['operation']} {call['target']}" for call in calls if call["write"] and call["effects"]]


@contextmanager
def lab_firm(
    folder: Path, database: Database, site: SitePolicy, *, people: int, cloud_only: int = 0, **settings: Json
) -> Iterator[Firm]:
    """Start a lab with so many people, the last of them cloud-only, and open a company on it."""
    wanted = Settings()
    wanted.change(settings)
    employees = [f"{number:05}" for number in range(1, people + 1)]
    clock = Clock(runs=False, start=START)
    with (
        pytest.MonkeyPatch.context() as patch,
        Lab(folder=folder / "lab", users=0, seed=5, clock=clock, settings=wanted) as lab,
    ):
        control = LabControl(str(lab.endpoints["control_url"]))
        ground = LabGround(lab, control, frozenset(employees[people - cloud_only :]))
        for employee in employees:
            ground.provision(employee)
        for name, value in environment_of(lab.endpoints, folder).items():
            patch.setenv(name, value)
        with open_systems(read_settings()) as systems:
            yield Firm(Runtime(database, systems.for_engine(), LIMITS, ground.now, ground.sleep), ground, site)
        control.close()
