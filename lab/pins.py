"""PINs and client certificates on premises; a PIN is checked against its policy and then forgotten."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from lab import skype
from lab.records import Effect
from lab.rules import Refusal, bad_request
from lab.skype_records import ON_PREMISES, Device, PinState, SkypeUser
from lab.tenant import Tenant

SHORTEST = {"Global": 5, "LongPin": 8}
VALID_DAYS = 180
Holder = SkypeUser | Device


def holder(tenant: Tenant, identity: str) -> Holder:
    """Find who has a PIN: a user, or a common area phone."""
    try:
        return skype.user(tenant, identity)
    except Refusal:
        return skype.device(tenant, "CommonAreaPhone", identity)


def check(pin: str, shortest: int) -> None:
    """Refuse a PIN that is too short, not digits only, or a common pattern."""
    if not pin.isascii() or not pin.isdigit():
        raise bad_request("The PIN must contain digits only.")
    if len(pin) < shortest:
        raise bad_request(f"The PIN does not meet the PIN policy: it must have at least {shortest} digits.")
    steps = {(int(b) - int(a)) % 10 for a, b in pairwise(pin)}
    if len(steps) == 1 and steps <= {0, 1, 9}:
        raise bad_request("The PIN does not meet the PIN policy: common patterns are not allowed.")


def shortest_for(found: Holder) -> int:
    """Give how long a PIN must be under the holder's policy."""
    policy = found.policies.get("PinPolicy", "Global") if isinstance(found, SkypeUser) else "Global"
    return SHORTEST.get(policy, SHORTEST["Global"])


def made(shortest: int) -> str:
    """Make a PIN that meets the policy."""
    while True:
        pin = "".join(secrets.choice("0123456789") for _ in range(shortest))
        try:
            check(pin, shortest)
        except Refusal:
            continue
        return pin


def set_pin(tenant: Tenant, identity: str, pin: str) -> list[Effect]:
    """Set a PIN; it also unlocks."""
    with tenant.lock:
        found = holder(tenant, identity)
        check(pin, shortest_for(found))
        expires = tenant.clock.now() + timedelta(days=VALID_DAYS)
        _store(tenant, found, PinState(expires))
        return [Effect(f"pin:{_subject(found)}", "isPinSet", before=found.pin is not None, after=True)]


def lock(tenant: Tenant, identity: str, *, locked: bool) -> list[Effect]:
    """Lock or unlock a PIN that is set."""
    with tenant.lock:
        found = holder(tenant, identity)
        if found.pin is None:
            raise bad_request(f'No PIN is set for "{identity}".')
        before = found.pin.locked
        _store(tenant, found, replace(found.pin, locked=locked))
        return [Effect(f"pin:{_subject(found)}", "isLockedOut", before, locked)] if before != locked else []


def revoke(tenant: Tenant, identity: str) -> list[Effect]:
    """Revoke every certificate of a user who is homed on premises."""
    with tenant.lock:
        user = skype.user(tenant, identity)
        if user.provider != ON_PREMISES:
            raise bad_request(f'User "{identity}" is not homed on-premises: certificates are not on this server.')
        count = len(user.certificates)
        tenant.skype[user.sam] = replace(user, certificates=())
        return [Effect(f"skype:{user.sam}", "certificates", count, 0)] if count else []


def _store(tenant: Tenant, found: Holder, pin: PinState) -> None:
    if isinstance(found, SkypeUser):
        tenant.skype[found.sam] = replace(found, pin=pin)
    else:
        tenant.devices[found.distinguished_name.casefold()] = replace(found, pin=pin)


def _subject(found: Holder) -> str:
    return found.sam if isinstance(found, SkypeUser) else found.distinguished_name
