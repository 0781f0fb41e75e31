"""Where the calls of a user go in Teams: forwarded, ringing elsewhere too, unanswered, and who may answer (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import JsonValue

from datasets.record import Record

_PLACES = {"Voicemail": "voicemail", "MyDelegates": "delegates"}


class TeamsCalls(Record):
    """Calling settings of a user as a search shows them, empty where nothing is set, and when they were read."""

    identity: ClassVar[tuple[str, ...]] = ("user_id",)

    user_id: str
    forwarded_to: str = ""
    rings_too: str = ""
    unanswered_to: str = ""
    delegates: str = ""
    as_of: str = ""


def teams_calls(user_id: str, found: Mapping[str, JsonValue], delegates: Sequence[str]) -> TeamsCalls:
    """Give the settings of a user from the properties that Teams answers, under Teams' names."""
    target = _target(found, "Forwarding") if found.get("IsForwardingEnabled") else ""
    is_too = found.get("ForwardingType") == "Simultaneous"
    unanswered = _target(found, "Unanswered") if found.get("IsUnansweredEnabled") else ""
    return TeamsCalls(
        user_id=user_id,
        forwarded_to="" if is_too else target,
        rings_too=target if is_too else "",
        unanswered_to=unanswered + _after(found) if unanswered else "",
        delegates=", ".join(sorted(delegates)),
    )


def _target(found: Mapping[str, JsonValue], kind: str) -> str:
    where = str(found.get(f"{kind}TargetType") or "")
    if where == "Group":
        members = found.get("CallGroupTargets")
        named = ", ".join(map(str, members)) if isinstance(members, list) else str(members or "")
        return f"call group: {named}" if named else "call group"
    return _PLACES.get(where) or str(found.get(f"{kind}Target") or where)


def _after(found: Mapping[str, JsonValue]) -> str:
    """Give the delay in seconds; Teams gives it as hh:mm:ss."""
    parts = str(found.get("UnansweredDelay") or "").split(":")
    if not all(part.isdigit() for part in parts):
        return ""
    seconds = 0
    for part in parts:
        seconds = seconds * 60 + int(part)
    return f" after {seconds} s"
