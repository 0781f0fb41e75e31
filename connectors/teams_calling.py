"""Calling settings of users through Teams PowerShell: forwarding, unanswered calls, the call group and how it rings.

Delegates have cmdlets of their own; they are read and not touched.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from connectors.bags import text_or_none, value_of
from connectors.clixml import Bag
from connectors.errors import NotFound
from connectors.powershell import PowerShell
from connectors.writes import writes
from datasets.calling_settings import GROUPS, NAMES, CallingGroup, Settings, group_of
from datasets.teams_calls import TeamsCalls, teams_calls


class TeamsCalling:
    """Calling settings of one tenant, over sessions that are signed in to Teams; safe to share between threads."""

    def __init__(self, shell: PowerShell, *, deadline_s: float = 120.0) -> None:
        self._shell, self._deadline_s = shell, deadline_s

    def settings(self, user_id: str) -> dict[CallingGroup, Settings] | None:
        """Read the settings of a user by group; None for somebody whom Teams does not know."""
        found = self._read(user_id)
        return {group: group_of(group, _properties(found, group)) for group in GROUPS} if found else None

    def calls(self, user_id: str) -> TeamsCalls | None:
        """Read where the calls of a user go, and the delegates; None for somebody whom Teams does not know."""
        found = self._read(user_id)
        if not found:
            return None
        names = [name for group in NAMES.values() for name in group]
        return teams_calls(user_id, {name: value_of(found, name) for name in names}, _delegates(found))

    def sip_address(self, user_id: str) -> str | None:
        """Read a user's SIP address, which need not be the user principal name."""
        found = self._read(user_id)
        return text_or_none(found, "SipUri") if found else None

    def _read(self, user_id: str) -> Bag | None:
        try:
            found = self._shell.cmdlet("Get-CsUserCallingSettings", {"Identity": user_id}, deadline_s=self._deadline_s)
        except NotFound:
            return None
        return found[0] if found else None

    @writes
    def set_group(self, user_id: str, group: CallingGroup, values: Mapping[str, JsonValue]) -> None:
        """Write one group whole; Teams takes no two groups in one call."""
        asked: dict[str, JsonValue] = {"Identity": user_id, **group_of(group, values)}
        self._shell.cmdlet("Set-CsUserCallingSettings", asked, deadline_s=self._deadline_s, writes=True)


def _delegates(bag: Bag) -> list[str]:
    listed = value_of(bag, "Delegates")
    each = listed if isinstance(listed, list) else [listed] if listed else []
    return [str(value_of(one, "Id")) for one in each if isinstance(one, dict)]


def _properties(bag: Bag, group: CallingGroup) -> dict[str, JsonValue]:
    return {name: value_of(bag, name) for name in NAMES[group]}
