"""The one module that calls the write methods of connectors, itself called by `engine/line.py` after the intent.

Each writer sends the one remote call that a change stands for and returns when the system has accepted it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from connectors.errors import Invalid, Unsupported
from datasets.calling_settings import CallingGroup, Settings
from datasets.number_orders import OrderKind
from datasets.phone_attributes import PhoneAttributes
from datasets.treatments import Treatment
from datasets.voice_rows import VoiceSwitch
from engine.change import Change
from engine.systems import DirectorySystem, NumberingSystem, SkypeSystem, Systems

Writer = Callable[[Systems, Change, float], None]


def write(systems: Systems, change: Change, deadline_s: float) -> None:
    """Send one change. Raises errors of `connectors.errors`."""
    writer = _WRITERS.get(change.kind)
    if writer is None:
        raise Unsupported(f"{change.kind} cannot be sent by this version of Callwright ; update it, or do it by hand")
    writer(systems, change, deadline_s)


def begin_policy_operation(systems: Systems, change: Change, user_ids: Sequence[str], name: str) -> str:
    """Start giving many users a policy; gives the operation's id. Raises errors of `connectors.errors`."""
    if systems.policy_batches is None:
        raise Unsupported("policies for many users need Teams PowerShell ; set powershell.server")
    policy = cast("str | None", change.parameters["policy_name"])
    return systems.policy_batches.begin_policy_operation(_text(change, "policy_type"), policy, user_ids, name)


def _text(change: Change, name: str) -> str:
    return cast(str, change.parameters[name])


def _set_usage_location(systems: Systems, change: Change, _deadline_s: float) -> None:
    systems.graph.set_usage_location(_text(change, "user_id"), _text(change, "country"))


def _assign_licence(systems: Systems, change: Change, _deadline_s: float) -> None:
    systems.graph.assign_licence(_text(change, "user_id"), _text(change, "sku_id"))


def _remove_licence(systems: Systems, change: Change, _deadline_s: float) -> None:
    systems.graph.remove_licence(_text(change, "user_id"), _text(change, "sku_id"))


def _assign_number(systems: Systems, change: Change, deadline_s: float) -> None:
    location = cast("str | None", change.parameters.get("location_id"))
    operation = systems.teams.assign_number(
        _text(change, "number"), _text(change, "user_id"), _text(change, "number_type"), location
    )
    systems.teams.wait_for_operation(operation, deadline_s)


def _unassign_number(systems: Systems, change: Change, deadline_s: float) -> None:
    operation = systems.teams.unassign_number(_text(change, "number"), _text(change, "number_type"))
    systems.teams.wait_for_operation(operation, deadline_s)


def _set_policies(systems: Systems, change: Change, _deadline_s: float) -> None:
    """Grant the named policies and revoke those set to None; both calls are idempotent, so the pair may be repeated."""
    policies = cast("dict[str, str | None]", change.parameters["policies"])
    grants = {kind: _policy_id(systems, kind, name) for kind, name in policies.items() if name is not None}
    revokes = [kind for kind, name in policies.items() if name is None]
    if grants:
        systems.teams.grant_policies(_text(change, "user_id"), grants)
    if revokes:
        systems.teams.revoke_policies(_text(change, "user_id"), revokes)


def _policy_id(systems: Systems, policy_type: str, name: str) -> str:
    found = systems.teams.policy_id(policy_type, name)
    if found is None:
        raise Invalid(f"{policy_type} '{name}' does not exist in the tenant ; create it or correct the template")
    return found


def _set_enterprise_voice(systems: Systems, change: Change, _deadline_s: float) -> None:
    if systems.shell is None:
        raise Unsupported("Enterprise Voice without a number needs Teams PowerShell ; set powershell.server")
    switch = VoiceSwitch(user_id=_text(change, "user_id"), enabled=bool(change.parameters["enabled"]))
    for answer in systems.shell.set_enterprise_voice([switch]):
        answer.checked()


def _write_directory(systems: Systems, change: Change, _deadline_s: float) -> None:
    if systems.directory is None:
        raise Unsupported("the write-back to Active Directory needs the PowerShell endpoint ; set powershell.server")
    names = ("sam_account_name", "attributes")
    row = PhoneAttributes.model_validate({name: change.parameters[name] for name in names})
    for answer in systems.directory.set_phone_attributes([row]):
        answer.checked()


def _set_calling_settings(systems: Systems, change: Change, _deadline_s: float) -> None:
    if systems.calling is None:
        raise Unsupported("calling settings need Teams PowerShell ; set powershell.server")
    group = cast(CallingGroup, change.parameters["group"])
    systems.calling.set_group(_text(change, "user_id"), group, cast(Settings, change.parameters["settings"]))


def _set_number_location(systems: Systems, change: Change, _deadline_s: float) -> None:
    location = cast("str | None", change.parameters["location_id"])
    systems.teams.update_number_location(_text(change, "number"), location)


def _numbering(systems: Systems) -> NumberingSystem:
    if systems.numbering is None:
        raise Unsupported("blocks, announcements and orders of numbers need Teams PowerShell ; set powershell.server")
    return systems.numbering


def _block_number(systems: Systems, change: Change, _deadline_s: float) -> None:
    _numbering(systems).block_number(_text(change, "number"), cast(int, change.parameters["days"]))


def _lift_block(systems: Systems, change: Change, _deadline_s: float) -> None:
    _numbering(systems).lift_block(_text(change, "number"))


def _announce_number(systems: Systems, change: Change, _deadline_s: float) -> None:
    _numbering(systems).make_announcement(Treatment.model_validate(dict(change.parameters)))


def _end_announcement(systems: Systems, change: Change, _deadline_s: float) -> None:
    _numbering(systems).end_announcement(_text(change, "number"))


def _place_order(systems: Systems, change: Change, deadline_s: float, kind: OrderKind) -> None:
    """Place an order and wait for its end; one that takes longer is settled by reading."""
    numbering = _numbering(systems)
    order = numbering.place_order(kind, cast("list[str]", change.parameters["numbers"]))
    numbering.wait_for_order(kind, order, deadline_s)


def _upload_numbers(systems: Systems, change: Change, deadline_s: float) -> None:
    _place_order(systems, change, deadline_s, "upload")


def _release_numbers(systems: Systems, change: Change, deadline_s: float) -> None:
    _place_order(systems, change, deadline_s, "release")


def _skype(systems: Systems) -> SkypeSystem:
    if systems.skype is None:
        raise Unsupported("moves need the Skype for Business Server's PowerShell ; set ocs_powershell.server")
    return systems.skype


def _move(systems: Systems, change: Change, _deadline_s: float) -> None:
    _skype(systems).move_user(_text(change, "sip_address"), _text(change, "target"))


def _clear_line(systems: Systems, change: Change, _deadline_s: float) -> None:
    _skype(systems).set_line_uri(_text(change, "sip_address"), None)


def _set_line(systems: Systems, change: Change, _deadline_s: float) -> None:
    _skype(systems).set_line_uri(_text(change, "sip_address"), _text(change, "line"))


def _set_account_enabled(systems: Systems, change: Change, _deadline_s: float) -> None:
    systems.graph.set_account_enabled(_text(change, "user_id"), enabled=bool(change.parameters["enabled"]))


def _delete_user(systems: Systems, change: Change, _deadline_s: float) -> None:
    systems.graph.delete_user(_text(change, "user_id"))


def _join_group(systems: Systems, change: Change, _deadline_s: float) -> None:
    systems.graph.add_member(_text(change, "group"), _text(change, "user_id"))


def _leave_group(systems: Systems, change: Change, _deadline_s: float) -> None:
    systems.graph.remove_member(_text(change, "group"), _text(change, "user_id"))


def _restore_user(systems: Systems, change: Change, _deadline_s: float) -> None:
    systems.graph.restore_user(_text(change, "user_id"))


def _directory(systems: Systems) -> DirectorySystem:
    if systems.directory is None:
        raise Unsupported("accounts of Active Directory need the PowerShell endpoint ; set powershell.server")
    return systems.directory


def _set_ad_account_enabled(systems: Systems, change: Change, _deadline_s: float) -> None:
    enabled = bool(change.parameters["enabled"])
    _directory(systems).set_ad_account_enabled(_text(change, "sam_account_name"), enabled=enabled)


def _delete_ad_user(systems: Systems, change: Change, _deadline_s: float) -> None:
    _directory(systems).remove_ad_user(_text(change, "sam_account_name"))


def _disable_skype_user(systems: Systems, change: Change, _deadline_s: float) -> None:
    _skype(systems).disable_skype_user(_text(change, "sip_address"))


def _nothing(_systems: Systems, _change: Change, _deadline_s: float) -> None:
    """Do nothing outside: what lives in our inventory is changed in the outcome's transaction."""


_WRITERS: dict[str, Writer] = {
    "set_usage_location": _set_usage_location,
    "assign_licence": _assign_licence,
    "remove_licence": _remove_licence,
    "assign_number": _assign_number,
    "unassign_number": _unassign_number,
    "set_policies": _set_policies,
    "set_enterprise_voice": _set_enterprise_voice,
    "write_directory": _write_directory,
    "set_calling_settings": _set_calling_settings,
    "set_number_location": _set_number_location,
    "upload_numbers": _upload_numbers,
    "release_numbers": _release_numbers,
    "block_number": _block_number,
    "lift_block": _lift_block,
    "announce_number": _announce_number,
    "end_announcement": _end_announcement,
    "move_to_teams": _move,
    "move_to_pool": _move,
    "clear_on_premises_line": _clear_line,
    "set_on_premises_line": _set_line,
    **dict.fromkeys(("await_teams_only", "await_on_premises", "await_line_release", "await_voice"), _nothing),
    "set_account_enabled": _set_account_enabled,
    "set_ad_account_enabled": _set_ad_account_enabled,
    "delete_user": _delete_user,
    "restore_user": _restore_user,
    "join_group": _join_group,
    "leave_group": _leave_group,
    "delete_ad_user": _delete_ad_user,
    "disable_skype_user": _disable_skype_user,
    "reserve_number": _nothing,
    **dict.fromkeys(("end_reservation", "end_grace", "record_holder", "give_back_claim", "let_rest"), _nothing),
    "learn_numbers": _nothing,
}
