"""Gates: what must be true at the very moment before a change is sent, or the change is refused (pure).

They hold whoever planned the change: a leaver's steps, a rollback, a bulk edit. Each guards an order that the systems
themselves do not: a licence that goes takes the number with it in silence, and a deleted user keeps a number for weeks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.change import Change, Effect
from engine.readers import Observed


@dataclass(frozen=True)
class Gate:
    """Which attributes of the change's own user, in the system where it is, to look at, and what they must not be."""

    attributes: tuple[str, ...]
    bars: Callable[[Change, dict[str, object]], str | None]


def _number_first(change: Change, seen: dict[str, object]) -> str | None:
    number = seen["number"]
    if number is None or change.parameters.get("frees_number") is False:
        return None
    return f"{number} is still assigned and would be freed in silence ; take the number away first"


def _number_and_account_first(_change: Change, seen: dict[str, object]) -> str | None:
    if seen["number"] is not None:
        return f"{seen['number']} is still assigned, and a deleted user keeps a number ; take it away first"
    if seen["account_enabled"]:
        return "the account is still enabled ; disable it first"
    return None


def _account_first(_change: Change, seen: dict[str, object]) -> str | None:
    return "the account is still enabled ; disable it first" if seen["enabled"] else None


def _line_first(_change: Change, seen: dict[str, object]) -> str | None:
    line = seen["line"]
    return f"{line} is still the user's line there and would be lost to its pool ; clear it first" if line else None


GATES: dict[str, Gate] = {
    "remove_licence": Gate(("number",), _number_first),
    "delete_user": Gate(("number", "account_enabled"), _number_and_account_first),
    "delete_ad_user": Gate(("enabled",), _account_first),
    "disable_skype_user": Gate(("line",), _line_first),
}


def to_look_at(change: Change) -> list[Effect]:
    """Name the values that decide whether a change may be sent; none for a kind without a gate."""
    gate = GATES.get(change.kind)
    return [Effect(object=_of(change), attribute=name) for name in gate.attributes] if gate else []


def barred(change: Change, seen: Observed) -> str | None:
    """Say why a change must not be sent now; None when it may."""
    gate = GATES.get(change.kind)
    return None if gate is None else gate.bars(change, {name: seen[_of(change), name] for name in gate.attributes})


def _of(change: Change) -> str:
    if address := change.parameters.get("sip_address"):
        return f"skype:{address}"
    name = change.parameters.get("sam_account_name")
    return f"ad:{name}" if name else f"user:{change.parameters['user_id']}"
