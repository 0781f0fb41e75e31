"""The kinds of change: what may be repeated, what can be taken back, and how long a read may lag behind a write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import JsonValue

from engine.change import Change


@dataclass(frozen=True)
class Kind:
    """What the engine must know about one kind of remote call.

    `lag_s` is the time after which a read that still shows no effect counts as absence; the figures are ours, since
    Microsoft documents none (reference: Teams PowerShell, documented delays). `fresh_users_lag` says that NotFound may
    only mean that a freshly licensed user is not provisioned yet. `runs_for_s` is how long the system may still be at
    work on a call that it accepted: an order of many numbers. A wait sends nothing: it is done when its effects show.
    """

    name: str
    idempotent: bool
    lag_s: float
    invert: Callable[[Change], Change] | None
    irreversible: str = ""
    system: str = "Teams"
    fresh_users_lag: bool = False
    is_local: bool = False
    is_destructive: bool = False
    is_wait: bool = False
    runs_for_s: float = 0


def _inverted(change: Change, kind: str, **parameters: JsonValue) -> Change:
    return Change(
        kind=kind,
        target=change.target,
        parameters={**change.parameters, **parameters},
        effects=tuple(effect.inverted() for effect in change.effects),
        reason=f"takes back: {change.reason or change.kind}",
    )


def _invert_usage_location(change: Change) -> Change:
    return _inverted(change, "set_usage_location", country=change.effects[0].before)


def _invert_policies(change: Change) -> Change:
    """Give back what was there; types that had no direct policy are revoked by the same change."""
    before: dict[str, JsonValue] = {e.attribute.removeprefix("policy:"): e.before for e in change.effects}
    return _inverted(change, "set_policies", policies=before)


def _invert_directory(change: Change) -> Change:
    before: dict[str, JsonValue] = {e.attribute: e.before for e in change.effects}
    return _inverted(change, "write_directory", attributes=before)


def _invert_voice(change: Change) -> Change:
    return _inverted(change, "set_enterprise_voice", enabled=change.effects[0].before)


def _invert_calling(change: Change) -> Change:
    return _inverted(change, "set_calling_settings", settings=change.effects[0].before)


def _invert_move(kind: str) -> Callable[[Change], Change]:
    return lambda change: _inverted(change, kind, target=change.effects[0].before)


def _to(kind: str) -> Callable[[Change], Change]:
    return lambda change: _inverted(change, kind)


def _invert_location(change: Change) -> Change:
    return _inverted(change, "set_number_location", location_id=change.effects[0].before)


def _invert_enabled(change: Change) -> Change:
    return _inverted(change, change.kind, enabled=change.effects[0].before)


# How long an order may take is not documented; an hour is a guess on the safe side.
_ORDER_RUNS_S = 3600.0


_SKYPE = "Skype for Business Server"


def _wait(name: str, back: str) -> Kind:
    return Kind(name, True, 0, _to(back), is_wait=True)


_GONE = "a deleted directory account is gone ; have it made anew"
_WIPED = "line, policies and settings on the server are gone ; enable the user there anew"


_OLD_PIN = "nobody knows the old PIN ; set a new one"
_REVOKED = "a revoked certificate is never valid again ; the phone gets a new one when it signs in"


def _local(name: str, irreversible: str) -> Kind:
    return Kind(name, True, 0, None, irreversible, "Callwright", is_local=True)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("set_usage_location", True, 60, _invert_usage_location, system="Graph"),
        Kind("assign_licence", True, 60, _to("remove_licence"), system="Graph"),
        Kind("remove_licence", True, 60, _to("assign_licence"), system="Graph", is_destructive=True),
        Kind("assign_number", False, 120, _to("unassign_number"), fresh_users_lag=True),
        Kind("unassign_number", False, 120, _to("assign_number"), is_destructive=True),
        Kind("set_enterprise_voice", True, 120, _invert_voice, fresh_users_lag=True),
        Kind("set_policies", True, 120, _invert_policies, fresh_users_lag=True),
        # What it does to users is in their own changes, and undone there.
        Kind("assign_policy_batch", False, 120, _to("assign_policy_batch")),
        Kind("write_directory", True, 60, _invert_directory, system="Active Directory"),
        Kind("set_calling_settings", True, 120, _invert_calling, fresh_users_lag=True),
        Kind("set_number_location", True, 120, _invert_location),
        Kind("upload_numbers", False, 120, None, "release them with an order of their own", runs_for_s=_ORDER_RUNS_S),
        Kind("release_numbers", False, 120, None, "upload them again with an order", runs_for_s=_ORDER_RUNS_S),
        Kind("block_number", True, 120, _to("lift_block")),
        Kind("lift_block", True, 120, None, "the block's end is not known any more"),
        Kind("announce_number", False, 120, _to("end_announcement")),
        Kind("end_announcement", True, 120, _to("announce_number")),
        # A move takes a minute or two and tells nothing while it goes on; ten minutes are a guess on the safe side.
        Kind("move_to_teams", False, 600, _invert_move("move_to_pool"), system=_SKYPE),
        Kind("move_to_pool", False, 600, _invert_move("move_to_teams"), system=_SKYPE, is_destructive=True),
        Kind("clear_on_premises_line", True, 60, _to("set_on_premises_line"), system=_SKYPE, is_destructive=True),
        Kind("set_on_premises_line", True, 60, _to("clear_on_premises_line"), system=_SKYPE),
        _wait("await_teams_only", "await_on_premises"),
        _wait("await_on_premises", "await_teams_only"),
        _wait("await_line_release", "await_on_premises"),
        _wait("await_voice", "await_on_premises"),
        Kind("set_account_enabled", True, 60, _invert_enabled, system="Graph"),
        Kind("set_ad_account_enabled", True, 60, _invert_enabled, system="Active Directory"),
        Kind("join_group", True, 60, _to("leave_group"), system="Graph"),
        Kind("leave_group", True, 60, _to("join_group"), system="Graph", is_destructive=True),
        Kind("delete_user", True, 60, _to("restore_user"), system="Graph", is_destructive=True),
        Kind("restore_user", True, 60, _to("delete_user"), system="Graph"),
        Kind("delete_ad_user", True, 60, None, _GONE, system="Active Directory", is_destructive=True),
        Kind("disable_skype_user", True, 60, None, _WIPED, system=_SKYPE, is_destructive=True),
        # Known to the record and to undo; no command of ours sends them yet.
        Kind("reset_pin", False, 60, None, _OLD_PIN, system=_SKYPE, is_destructive=True),
        Kind("revoke_certificates", True, 60, None, _REVOKED, system=_SKYPE, is_destructive=True),
        _local("reserve_number", "a reservation ends by itself"),
        _local("record_holder", "it records what Teams shows"),
        _local("give_back_claim", "the number may be somebody else's by now"),
        _local("let_rest", "it records what Teams shows"),
        _local("learn_numbers", "it records what Teams lists ; retire the pool instead"),
        _local("end_reservation", "the number may be somebody else's by now ; reserve it again"),
        _local("end_grace", "the number may be somebody else's by now"),
    )
}


def kind_of(change: Change) -> Kind:
    """Give the kind of a change; raises KeyError for a kind that nobody defined."""
    return KINDS[change.kind]


def why_irreversible(kind: str) -> str:
    """Say why a kind of change cannot be taken back; empty when it can, or when the kind is of another time."""
    found = KINDS.get(kind)
    return "" if found is None or found.invert is not None else found.irreversible


def system_of(kind: str) -> str:
    """Name the system that a kind of change writes to; empty for a kind of another time."""
    found = KINDS.get(kind)
    return "" if found is None else found.system
