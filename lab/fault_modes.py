"""Named failure modes of the real platform: refusals of certain calls, and writes that end otherwise than they say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from lab.locations import new_id
from lab.records import DIRECT_ROUTING, Effect, Number, User
from lab.rules import Refusal, bad_request, on_premises_number, service_unavailable
from lab.store import diff
from lab.tenant import Tenant

ASSIGNING = "Set-CsPhoneNumberAssignment|numberAssignments.assign"
RELEASING = "Remove-CsPhoneNumberAssignment|numberAssignments.unassign|users.assignLicense"

# Mode → the calls it is about, unless the entry says otherwise.
OPERATIONS: Mapping[str, str] = {
    "error_object": "Set-CsPhoneNumberAssignment|Remove-CsPhoneNumberAssignment",
    "service_unavailable": "*",
    "ghost_assignment": RELEASING,
    "not_effective": ASSIGNING,
    "on_premises_number": ASSIGNING,
    "line_left_behind": RELEASING,
    "extension_clash": ASSIGNING,
    "move_fails": "Move-CsUser",
    "shell_quota": "WSMan-Create",
    "tenant_shell_quota": "WSMan-Create",
    "licence_releases_number": "users.assignLicense",
    "held_by_deleted_user": ASSIGNING,
    "held_by_resource_account": ASSIGNING,
    "usage_overflow": "calls.route",
}
MODES = frozenset(OPERATIONS)

_REFUSALS: Mapping[str, Callable[[str], Refusal]] = {
    "service_unavailable": lambda _target: service_unavailable(),
    "on_premises_number": on_premises_number,
    "move_fails": lambda target: bad_request(f'Move failed for user "{target}". Please try again later.'),
}


def check_read(modes: Collection[str]) -> None:
    """Refuse a read where a mode wants that."""
    if "service_unavailable" in modes:
        raise service_unavailable()


def act(tenant: Tenant, modes: Collection[str], mutation: Callable[[], list[Effect]], target: str) -> list[Effect]:
    """Carry out a write as the modes would have it."""
    if not modes:
        return mutation()
    for name in _REFUSALS:
        if name in modes:
            raise _REFUSALS[name](target)
    with tenant.lock:
        for name in _HOLDERS.keys() & set(modes):
            _hold(tenant, target, _HOLDERS[name](tenant))
        tenant.modes = frozenset(modes)
        try:
            effects = mutation()
        finally:
            tenant.modes = frozenset()
        return effects + [more for name in _SPOILERS if name in modes for more in _SPOILERS[name](tenant, effects)]


def _hold(tenant: Tenant, number: str, holder: User) -> None:
    """Let the number that is asked for turn out to be somebody's already, unless it is."""
    row = tenant.numbers.get(number) or Number(number, DIRECT_ROUTING, uploaded=False)
    if row.target_id is None:
        tenant.put_number(replace(row, target_id=holder.id, target_type=holder.account_type))


def _deleted_user(tenant: Tenant) -> User:
    """Give a soft-deleted account; somebody who left is invented when there is none."""
    if not tenant.deleted:
        tenant.delete_user(_invented(tenant, "left", "user").id)
    return next(iter(tenant.deleted.values()))


def _resource_account(tenant: Tenant) -> User:
    """Give a resource account; one is invented when there is none."""
    found = (user for user in tenant.users.values() if user.account_type == "resourceAccount")
    return next(found, None) or _invented(tenant, "ra-invented", "resourceAccount")


def _invented(tenant: Tenant, name: str, kind: str) -> User:
    upn = f"{name}-{new_id()[:8]}@{tenant.domain}"
    return tenant.create_user({"userPrincipalName": upn, "displayName": name}, kind=kind)


_HOLDERS: Mapping[str, Callable[[Tenant], User]] = {
    "held_by_deleted_user": _deleted_user,
    "held_by_resource_account": _resource_account,
}


def _released(effects: list[Effect]) -> list[tuple[str, str]]:
    """Give the numbers that were just released, with who had them."""
    rows = [effect for effect in effects if effect.attribute == "assignmentTargetId" and effect.after is None]
    return [(effect.object.removeprefix("number:"), str(effect.before)) for effect in rows]


def _make_ghosts(tenant: Tenant, effects: list[Effect]) -> list[Effect]:
    """Let a released number belong to an id that nobody has."""
    found: list[Effect] = []
    for key, _ in _released(effects):
        number = tenant.numbers.get(key) or Number(key, DIRECT_ROUTING)
        found += tenant.replace_number(number, replace(number, target_id=new_id()))
    return found


def _take_dial_pad(tenant: Tenant, effects: list[Effect]) -> list[Effect]:
    """Accept the assignment and leave the user without a dial pad."""
    holders = {str(e.after) for e in effects if e.attribute == "assignmentTargetId" and e.after is not None}
    changes = [tenant.change_voice(tenant.voice(user), enterprise_voice=False) for user in sorted(holders)]
    return [effect for change in changes for effect in change]


def _leave_line(tenant: Tenant, effects: list[Effect]) -> list[Effect]:
    """Leave the on-premises line of the cloud's directory behind, so that it shows and blocks."""
    found: list[Effect] = []
    for key, holder in _released(effects):
        before = tenant.voice(holder)
        tenant.put_voice(replace(before, on_prem_line_uri=f"tel:{key}"))
        found += diff(f"user:{holder}", {"onPremLineUri": (before.on_prem_line_uri, f"tel:{key}")})
    return found


_SPOILERS: Mapping[str, Callable[[Tenant, list[Effect]], list[Effect]]] = {
    "ghost_assignment": _make_ghosts,
    "not_effective": _take_dial_pad,
    "line_left_behind": _leave_line,
}
