"""Calling settings of users: forwarding, unanswered calls, call groups and delegates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lab.records import Effect, Json
from lab.rules import bad_request, not_found
from lab.store import diff
from lab.tenant import Tenant

LARGEST_GROUP, LARGEST_ORDERED_GROUP, MOST_DELEGATES = 25, 5, 25
NEEDS_TARGET = frozenset({"SingleTarget"})


@dataclass(frozen=True, slots=True)
class Delegate:
    """Somebody who may call for somebody else."""

    user_id: str
    may_call: bool = True
    may_receive: bool = True
    may_manage: bool = True


@dataclass(frozen=True, slots=True)
class CallingSettings:
    """What happens to the calls of a user."""

    forwarding: bool = False
    forwarding_type: str = "Immediate"
    forwarding_target: str = ""
    forwarding_target_type: str = "Voicemail"
    unanswered: bool = True
    unanswered_target: str = ""
    unanswered_target_type: str = "Voicemail"
    unanswered_delay: str = "00:00:20"
    group_order: str = "Simultaneous"
    group_targets: tuple[str, ...] = ()
    notification_override: str = "Ring"
    busy_on_busy: str = "RingUser"  # the initial value is a guess
    delegates: tuple[Delegate, ...] = ()


DEFAULTS = CallingSettings()


def of_user(tenant: Tenant, user_id: str) -> CallingSettings:
    """Give the settings of a user; who never touched them has the defaults."""
    found = tenant.calling.get(user_id)
    return found if isinstance(found, CallingSettings) else DEFAULTS


def delegators(tenant: Tenant, user_id: str) -> list[str]:
    """Give the ids of those who have the user as delegate."""
    return [
        owner
        for owner, settings in tenant.calling.items()
        if isinstance(settings, CallingSettings) and any(one.user_id == user_id for one in settings.delegates)
    ]


def change(tenant: Tenant, identity: str, changes: Mapping[str, object]) -> list[Effect]:
    """Change settings as a whole group; refuses a target that is missing or a group that is too large."""
    with tenant.lock:
        user = tenant.telephony_user(identity)
        before = of_user(tenant, user.id)
        after = replace(before, **changes)  # type: ignore[arg-type]  # names are literals of the caller
        _check(after)
        tenant.calling[user.id] = after
        return _effects(user.id, before, after)


def change_delegate(tenant: Tenant, identity: str, delegate: Delegate, *, must_exist: bool) -> list[Effect]:
    """Add a delegate, or change one that must be there."""
    with tenant.lock:
        user = tenant.telephony_user(identity)
        before = of_user(tenant, user.id)
        others = tuple(one for one in before.delegates if one.user_id != delegate.user_id)
        exists = len(others) != len(before.delegates)
        if exists != must_exist:
            said = "is already" if exists else "is not"
            raise bad_request(f"'{delegate.user_id}' {said} a delegate of '{user.upn}'")
        if delegate.user_id == user.id:
            raise bad_request("A user can not be the own delegate.")
        return _store_delegates(tenant, user.id, before, (*others, delegate))


def drop_delegate(tenant: Tenant, identity: str, delegate_id: str) -> list[Effect]:
    """Take a delegate away."""
    with tenant.lock:
        user = tenant.telephony_user(identity)
        before = of_user(tenant, user.id)
        kept = tuple(one for one in before.delegates if one.user_id != delegate_id)
        if len(kept) == len(before.delegates):
            raise not_found(f"'{delegate_id}' is not a delegate of '{user.upn}'")
        return _store_delegates(tenant, user.id, before, kept)


def _store_delegates(
    tenant: Tenant, user_id: str, before: CallingSettings, delegates: Sequence[Delegate]
) -> list[Effect]:
    if len(delegates) > MOST_DELEGATES:
        raise bad_request(f"A user has at most {MOST_DELEGATES} delegates.")
    after = replace(before, delegates=tuple(delegates))
    tenant.calling[user_id] = after
    return _effects(user_id, before, after)


def _check(after: CallingSettings) -> None:
    if after.forwarding and after.forwarding_target_type in NEEDS_TARGET and not after.forwarding_target:
        raise bad_request("ForwardingTarget is required for ForwardingTargetType SingleTarget.")
    if after.unanswered and after.unanswered_target_type in NEEDS_TARGET and not after.unanswered_target:
        raise bad_request("UnansweredTarget is required for UnansweredTargetType SingleTarget.")
    groups = "Group" in (after.forwarding_target_type if after.forwarding else "", after.unanswered_target_type)
    if groups and not after.group_targets:
        raise bad_request("The call group has no targets.")
    if after.forwarding and after.forwarding_target_type == "MyDelegates" and not after.delegates:
        raise bad_request("The user has no delegates.")
    limit = LARGEST_ORDERED_GROUP if after.group_order == "InOrder" else LARGEST_GROUP
    if len(after.group_targets) > limit:
        raise bad_request(f"A call group of this order has at most {limit} targets.")


def _effects(user_id: str, before: CallingSettings, after: CallingSettings) -> list[Effect]:
    pairs: dict[str, tuple[object, object]] = {}
    for name in CallingSettings.__slots__:
        pairs[f"calling:{name}"] = (_json(getattr(before, name)), _json(getattr(after, name)))
    return diff(f"user:{user_id}", pairs)


def _json(value: object) -> Json:
    if isinstance(value, tuple):
        return [one.user_id if isinstance(one, Delegate) else str(one) for one in value]
    return value if isinstance(value, bool | str) else str(value)
