"""The PowerShell-only part of a fake tenant, apart from its number inventory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from connectors.rows import RowResult
from datasets.users import EmergencyLocation
from datasets.voice_rows import VoicePolicy, VoiceSwitch

if TYPE_CHECKING:
    from tests.fakes.tenant import FakeTenant

LOCATION = "6f0d5cf5-b4b3-4b9e-8a3e-3d7b1a3f0c11"


class FakeShell:
    """The PowerShell-only part of the tenant."""

    def __init__(self, tenant: FakeTenant) -> None:
        self._tenant = tenant

    def locations(self) -> list[EmergencyLocation]:
        """Read the emergency locations."""
        return [
            EmergencyLocation(
                location_id=LOCATION, civic_address_id=LOCATION, description="Vienna HQ", country=self._tenant.country
            )
        ]

    def module_version(self) -> str | None:
        """Read the version of the Teams module."""
        return self._tenant.hybrid.module

    def voice_routing_policies(self) -> list[VoicePolicy]:
        """Read the voice routing policies, each with one usage of its own name unless it is to have none."""
        without = self._tenant.hybrid.without_usages
        names = [name for kind, name in self._tenant.policy_ids if kind == "OnlineVoiceRoutingPolicy"]
        return [VoicePolicy(name=name, usages=() if name in without else (name,)) for name in names]

    def routed_usages(self) -> frozenset[str]:
        """Name the usages that routes carry."""
        return frozenset(self._tenant.hybrid.routed)

    def set_enterprise_voice(self, rows: Sequence[VoiceSwitch]) -> list[RowResult]:
        """Switch Enterprise Voice, row by row."""
        return [self._switch(row) for row in rows]

    def _switch(self, row: VoiceSwitch) -> RowResult:
        user = self._tenant.user(row.user_id)
        self._tenant.call("set_enterprise_voice", user.id, lambda: setattr(user, "enterprise_voice", row.enabled))
        return RowResult(row.user_id)
