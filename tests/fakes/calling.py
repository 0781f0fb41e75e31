"""Calling settings of a fake tenant, group by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pydantic import JsonValue

from datasets.calling_settings import GROUPS, CallingGroup, Settings, group_of
from datasets.teams_calls import TeamsCalls, teams_calls
from tests.fakes.tenant import FakeTenant

DEFAULTS: Settings = {
    "IsForwardingEnabled": False,
    "IsUnansweredEnabled": True,
    "UnansweredTargetType": "Voicemail",
    "UnansweredDelay": "00:00:20",
    "CallGroupOrder": "Simultaneous",
    "CallGroupTargets": cast(JsonValue, []),
    "GroupNotificationOverride": "Ring",
}


class FakeCalling:
    """What Teams PowerShell tells of and does to calling settings."""

    def __init__(self, tenant: FakeTenant) -> None:
        self._tenant = tenant
        self.groups: dict[str, dict[CallingGroup, Settings]] = {}
        self.delegates: dict[str, list[str]] = {}
        self.asked: list[str] = []
        tenant.calling = self

    def settings(self, user_id: str) -> dict[CallingGroup, Settings] | None:
        """Read the settings of a user."""
        if user_id not in self._tenant.users:
            return None
        return {group: group_of(group, DEFAULTS) for group in GROUPS} | self.groups.get(user_id, {})

    def calls(self, user_id: str) -> TeamsCalls | None:
        """Tell where calls go, and the delegates."""
        self.asked.append(user_id)
        self._tenant.before("calling.calls", user_id)
        found = self.settings(user_id)
        if found is None:
            return None
        values = {name: value for group in found.values() for name, value in group.items()}
        return teams_calls(user_id, values, self.delegates.get(user_id, []))

    def sip_address(self, user_id: str) -> str | None:
        """Read a SIP address."""
        user = self._tenant.users.get(user_id)
        return None if user is None else f"sip:{user.upn}"

    def set_group(self, user_id: str, group: CallingGroup, values: Mapping[str, JsonValue]) -> None:
        """Write one group."""
        mine = self.groups.setdefault(user_id, {})
        self._tenant.call("set_calling_settings", user_id, lambda: mine.update({group: group_of(group, values)}))
