"""The telephone number inventory beyond assignment: upload, release, tags, capabilities, policies of a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lab import rules
from lab.records import CALLING_PLAN, DIRECT_ROUTING, Effect, Json, Number, PhoneConfiguration
from lab.rules import bad_request
from lab.store import diff
from lab.tenant import Tenant

CAPABILITIES = ("conferenceAssignment", "voiceApplicationAssignment", "userAssignment")
# SharedCalling comes with uploads only; TeamsPhoneMobile is what operators deliver.
KNOWN_CAPABILITIES = (*CAPABILITIES, "sharedCalling", "teamsPhoneMobile")
NUMBER_POLICIES = (
    "CallingLineIdentity",
    "OnlineDialOutPolicy",
    "OnlineVoiceRoutingPolicy",
    "TeamsEmergencyCallingPolicy",
    "TeamsEmergencyCallRoutingPolicy",
    "TeamsSharedCallingRoutingPolicy",
    "TenantDialPlan",
)
MOST_TAGS = LONGEST_TAG = 50


@dataclass(frozen=True, slots=True)
class Attributes:
    """What an upload says about all of its numbers."""

    location_id: str | None = None
    network_site_id: str | None = None
    capabilities: Sequence[str] = CAPABILITIES
    reverse_lookup: Sequence[str] = ()
    tags: Sequence[str] = ()


def upload(tenant: Tenant, text: str, given: Attributes) -> list[Effect]:
    """Put a Direct Routing number into the inventory; one that was only assigned so far is adopted."""
    with tenant.lock:
        key = rules.telephone_number(text)
        known = tenant.numbers.get(key)
        if known and (known.uploaded or known.number_type != DIRECT_ROUTING):
            raise bad_request(f"Telephone Number '{key}' already exists in tenant '{tenant.tenant_id}'")
        if given.location_id and given.location_id not in tenant.locations:
            raise bad_request(f"Location '{given.location_id}' is not found")
        _check_tags(given.tags)
        row = replace(
            known or Number(key, DIRECT_ROUTING),
            uploaded=True,
            location_id=given.location_id or (known.location_id if known else None),
            network_site_id=given.network_site_id,
            capabilities=tuple(given.capabilities),
            reverse_lookup=tuple(given.reverse_lookup),
            tags=tuple(given.tags),
        )
        tenant.put_number(row)
        return diff(f"number:{key}", {"numberType": (None, DIRECT_ROUTING)})


def release(tenant: Tenant, text: str) -> list[Effect]:
    """Take an unassigned number out of the inventory for good."""
    with tenant.lock:
        key = rules.telephone_number(text)
        number = tenant.numbers.get(key)
        if number is None:
            raise rules.not_in_inventory(key, tenant.tenant_id)
        if number.target_id is not None:
            raise bad_request(f"Telephone Number '{key}' is assigned and can not be released")
        if number.number_type == CALLING_PLAN:
            raise bad_request(f"Release is not supported for Telephone Number '{key}'")
        tenant.drop_number(number)
        return diff(f"number:{key}", {"numberType": (number.number_type, None)})


def change_tags(tenant: Tenant, text: str, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> list[Effect]:
    """Add and take tags of a number; case does not matter."""
    with tenant.lock:
        number = _row(tenant, text)
        gone = {word.casefold() for word in (*remove, *add)}
        kept = [word for word in number.tags if word.casefold() not in gone]
        if remove and len(kept) == len(number.tags):
            raise rules.not_found(f"Tag '{remove[0]}' is not assigned to Telephone Number '{number.telephone_number}'")
        wanted = (*kept, *add)
        _check_tags(wanted)
        return tenant.replace_number(number, replace(number, tags=wanted))


def all_tags(tenant: Tenant) -> list[str]:
    """Give every tag in use once, sorted."""
    spoken = {word.casefold(): word for number in tenant.numbers.values() for word in number.tags}
    return sorted(spoken.values(), key=str.casefold)


def change_capabilities(tenant: Tenant, text: str, *, add: Sequence[str], remove: Sequence[str]) -> list[Effect]:
    """Add and take what a Direct Routing number may be used for."""
    with tenant.lock:
        number = _row(tenant, text)
        if number.number_type != DIRECT_ROUTING:
            raise bad_request("AcquiredCapabilities can be updated for Direct Routing numbers only.")
        kept = [name for name in number.capabilities if name not in remove]
        wanted = tuple(dict.fromkeys((*kept, *add)))
        return tenant.replace_number(number, replace(number, capabilities=wanted))


def grant_policy(tenant: Tenant, text: str, policy_type: str, name: str | None) -> list[Effect]:
    """Grant a policy to a number itself; None takes it away."""
    with tenant.lock:
        number = _row(tenant, text)
        kind = next((known for known in NUMBER_POLICIES if known.casefold() == policy_type.casefold()), None)
        if kind is None:
            raise bad_request(f"Policy type '{policy_type}' is not supported for telephone numbers")
        if number.target_id is None:
            raise bad_request(f"Telephone Number '{number.telephone_number}' is not assigned to the user")
        policies = {**(number.policies or {})}
        policies.pop(kind, None)
        if name:
            policies[kind] = tenant.policy(kind, name).name
        return tenant.replace_number(number, replace(number, policies=policies or None))


def configure(tenant: Tenant, changes: Mapping[str, Json]) -> list[Effect]:
    """Change what holds for every number; a block for ever and one of days exclude each other."""
    with tenant.lock:
        before = tenant.phone_configuration
        after = replace(before, **changes)  # type: ignore[arg-type]  # names are literals of the caller
        if after.blocked_forever and after.blocked_days:
            raise bad_request("AssignmentBlockedForever and AssignmentBlockedDays are mutually exclusive.")
        tenant.phone_configuration = after
        names = PhoneConfiguration.__slots__
        pairs = {name: (getattr(before, name), getattr(after, name)) for name in names}
        return diff(f"tenant:{tenant.tenant_id}", pairs)


def _row(tenant: Tenant, text: str) -> Number:
    key = rules.telephone_number(text)
    number = tenant.numbers.get(key)
    if number is None:
        raise rules.not_in_inventory(key, tenant.tenant_id)
    return number


def _check_tags(tags: Sequence[str]) -> None:
    if len(tags) > MOST_TAGS or any(len(word) > LONGEST_TAG for word in tags):
        raise bad_request("A tag has at most 50 characters, a number at most 50 tags.")
