"""Calling settings of a user, group by group: what happens to calls that are forwarded or not answered.

Teams changes a group as a whole. A group that is switched off is only that: what it would do otherwise does not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from pydantic import JsonValue

CallingGroup = Literal["forwarding", "unanswered", "call_group", "notification"]
GROUPS: tuple[CallingGroup, ...] = get_args(CallingGroup)
# The names are those of Teams: properties when read, parameters when written.
NAMES: dict[CallingGroup, tuple[str, ...]] = {
    "forwarding": ("IsForwardingEnabled", "ForwardingType", "ForwardingTargetType", "ForwardingTarget"),
    "unanswered": ("IsUnansweredEnabled", "UnansweredTargetType", "UnansweredDelay", "UnansweredTarget"),
    "call_group": ("CallGroupOrder", "CallGroupTargets"),
    "notification": ("GroupNotificationOverride",),
}
SWITCHES: dict[CallingGroup, str] = {"forwarding": "IsForwardingEnabled", "unanswered": "IsUnansweredEnabled"}
Settings = dict[str, JsonValue]


def group_of(group: CallingGroup, properties: Mapping[str, JsonValue]) -> Settings:
    """Give a group in the one form that is compared: only what counts, and a list where Teams has a list."""
    switch = SWITCHES.get(group)
    if switch is not None and not properties.get(switch):
        return {switch: False}
    found = {name: properties.get(name) for name in NAMES[group]}
    if "CallGroupTargets" in found:
        found["CallGroupTargets"] = _listed(found["CallGroupTargets"])
    return {name: value for name, value in found.items() if value not in (None, "")}


def _listed(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else [] if value in (None, "") else [value]


def in_order(groups: Mapping[CallingGroup, JsonValue]) -> Sequence[CallingGroup]:
    """Order the groups so that none refers to what is not there: first off, then the call group, then on."""

    def place(group: CallingGroup) -> int:
        value = groups[group]
        is_off = isinstance(value, dict) and value.get(SWITCHES.get(group, "")) is False
        return 0 if is_off else 1 if group == "call_group" else 2

    return sorted(groups, key=lambda group: (place(group), GROUPS.index(group)))
