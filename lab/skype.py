"""The on-premises servers: users, policies and lines, and the rules that couple them with Active Directory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from lab.records import AdUser, Effect
from lab.rules import Refusal, bad_request, not_found
from lab.skype_records import ON_PREMISES, Device, SkypeUser
from lab.store import diff
from lab.tenant import Tenant

POOLS = ("pool1", "pool2")
FRONT_ENDS = 3
LINE = re.compile(r"tel:\+?[0-9]{1,15}(;ext=[0-9]{1,10})?", re.IGNORECASE)
POLICIES: dict[str, tuple[str, ...]] = {
    "VoicePolicy": ("International", "National"),
    "DialPlan": ("Vienna", "Berlin"),
    "ConferencingPolicy": ("Small",),
    "ClientPolicy": ("Frontline",),
    "ClientVersionPolicy": (),
    "ExternalAccessPolicy": ("Federation-Only",),
    "LocationPolicy": ("Vienna",),
    "MobilityPolicy": ("NoMobile",),
    "PinPolicy": ("LongPin",),
    "PresencePolicy": (),
    "HostedVoicemailPolicy": ("Cloud",),
    "ArchivingPolicy": (),
    "UserServicesPolicy": (),
    "VoiceRoutingPolicy": ("Hybrid",),
    "IPPhonePolicy": (),
    "CallViaWorkPolicy": (),
    "PersistentChatPolicy": (),
    "ThirdPartyVideoSystemPolicy": (),
    "TeamsUpgradePolicy": ("Islands", "SfBOnly", "SfBWithTeamsCollab", "SfBWithTeamsCollabAndMeetings"),
}
_ATTRIBUTES = (
    "msRTCSIP-PrimaryUserAddress",
    "msRTCSIP-UserEnabled",
    "msRTCSIP-DeploymentLocator",
    "msRTCSIP-PrimaryHomeServer",
)


def pools(tenant: Tenant) -> list[str]:
    """Give the pools of the deployment."""
    return list(tenant.skype_pools) or [f"{name}.{tenant.domain}" for name in POOLS]


def policies_of(tenant: Tenant, policy_type: str) -> tuple[str, ...]:
    """Give the policies of a type that the deployment has."""
    return (tenant.skype_policies or POLICIES)[policy_type]


def pool(tenant: Tenant, text: str) -> str:
    """Find a pool by its name or refuse."""
    found = next((name for name in pools(tenant) if name.lower() == text.lower()), None)
    if found is None:
        raise not_found(f'Cannot find Registrar pool "{text}". Verify that it is in the topology.')
    return found


def account(tenant: Tenant, identity: str) -> AdUser:
    r"""Find a directory account: SIP address, UPN, domain\logon, display name or distinguished name."""
    folded = identity.casefold()
    bare = folded.rpartition("\\")[2]
    found = tenant.find_ad_user(bare)
    if found is None:
        found = _by_sip(tenant, folded.removeprefix("sip:"), with_prefix=folded.startswith("sip:"))
    if found is None:
        found = _by_name(tenant, folded)
    if found is None:
        raise missing(identity)
    return found


def _by_sip(tenant: Tenant, address: str, *, with_prefix: bool) -> AdUser | None:
    sam = tenant.skype_by_sip.get(address)
    if sam is None and not with_prefix:
        user_id = tenant.by_upn.get(address)
        user = tenant.users.get(user_id) if user_id else None
        sam = (user.text("onPremisesSamAccountName") or "").casefold() if user else None
    return tenant.ad_users.get(sam) if sam else None


def _by_name(tenant: Tenant, folded: str) -> AdUser | None:
    names = (row for row in tenant.ad_users.values() if folded in (row.upn.casefold(), _display(row)))
    return next(names, None)


def _display(row: AdUser) -> str:
    return row.attributes.get("displayName", "").casefold()


def missing(identity: str) -> Refusal:
    """Say that nobody is meant by an identity."""
    return not_found(f'Management object not found for identity "{identity}".')


def user(tenant: Tenant, identity: str) -> SkypeUser:
    """Find an enabled user or refuse: who is in the directory only is not there."""
    found = tenant.skype.get(account(tenant, identity).sam_account_name.casefold())
    if found is None:
        raise missing(identity)
    return found


def line_of(tenant: Tenant, sam: str) -> str | None:
    """Give the line of a user."""
    row = tenant.ad_users.get(sam)
    return row.attributes.get("msRTCSIP-Line") if row else None


def put(tenant: Tenant, before: SkypeUser | None, after: SkypeUser) -> list[Effect]:
    """Store a user and tell what changed."""
    stored = replace(after, changed_at=tenant.clock.now())
    if before:
        tenant.skype_by_sip.pop(_bare(before.sip_address), None)
    tenant.skype_by_sip[_bare(stored.sip_address)] = stored.sam
    tenant.skype[stored.sam] = stored
    return diff(f"skype:{stored.sam}", _pairs(before, stored))


def _pairs(before: SkypeUser | None, after: SkypeUser | None) -> dict[str, tuple[object, object]]:
    names = ("sip_address", "pool", "provider", "enterprise_voice", "enabled", "orbit")
    pairs: dict[str, tuple[object, object]] = {n: (getattr(before, n, None), getattr(after, n, None)) for n in names}
    for field, prefix in (("policies", "policy:"), ("flags", "")):
        old, new = getattr(before, field, {}), getattr(after, field, {})
        pairs |= {f"{prefix}{key}": (old.get(key), new.get(key)) for key in {**old, **new}}
    return pairs


def _bare(address: str) -> str:
    return address.casefold().removeprefix("sip:")


# Enabling, changing, disabling


def enable(tenant: Tenant, identity: str, sip_address: str, pool_name: str) -> list[Effect]:
    """Enable a directory account for a pool; the cloud hears of it with the next synchronisation."""
    with tenant.lock:
        row = account(tenant, identity)
        sam = row.sam_account_name.casefold()
        if sam in tenant.skype:
            raise bad_request(f'User "{identity}" is already enabled for Skype for Business Server.')
        check_sip(tenant, sip_address, sam)
        home = pool(tenant, pool_name)
        effects = put(tenant, None, SkypeUser(sam, sip_address, home))
        changes: dict[str, str | None] = dict(
            zip(_ATTRIBUTES, (sip_address, "TRUE", ON_PREMISES, f"CN={home}"), strict=True)
        )
        announce_home(tenant, sam, on_premises=True)
        return effects + tenant.set_ad_user(sam, changes)


def announce_home(tenant: Tenant, sam: str, *, on_premises: bool) -> None:
    """Let the cloud know where a user is homed, after the synchronisation delay."""
    user_id = tenant.by_sam.get(sam)
    if user_id is None:
        return

    def arrive() -> None:
        if user_id in tenant.users:
            tenant.change_voice(tenant.voice(user_id), homed_on_premises=on_premises)

    tenant.schedule(tenant.settings.directory_sync_delay_s, arrive)


def check_sip(tenant: Tenant, address: str, sam: str) -> None:
    """Refuse an address of the wrong form, and one somebody has."""
    if not re.fullmatch(r"sip:[^@\s]+@[^@\s]+", address, re.IGNORECASE):
        raise bad_request(f'The SIP address "{address}" is not valid: it must have the form sip:name@domain.')
    if tenant.skype_by_sip.get(_bare(address), sam) != sam:
        raise bad_request(f'The SIP address "{address}" is already in use.')


def change(
    tenant: Tenant, identity: str, changes: Mapping[str, object], lines: Mapping[str, str | None]
) -> list[Effect]:
    """Change a user and the lines, which are attributes of the directory; a line has one owner."""
    with tenant.lock:
        before = user(tenant, identity)
        line = lines.get("msRTCSIP-Line")
        if line is not None:
            check_line(tenant, line, owner=before.sam)
        flags = {**before.flags, **{k: v for k, v in changes.items() if k not in _OWN}}
        own = {_OWN[k]: v for k, v in changes.items() if k in _OWN}
        if "sip_address" in own:
            check_sip(tenant, str(own["sip_address"]), before.sam)
        after = replace(before, flags=flags, **own)  # type: ignore[arg-type]  # the names are those of _OWN
        if after.enterprise_voice and after.provider != ON_PREMISES and not before.enterprise_voice:
            raise bad_request(f'User "{identity}" is homed online: change it with the Teams cmdlets.')
        effects = put(tenant, before, after)
        return effects + (tenant.set_ad_user(before.sam, dict(lines)) if lines else [])


_OWN = {"EnterpriseVoiceEnabled": "enterprise_voice", "Enabled": "enabled", "SipAddress": "sip_address"}


def check_line(tenant: Tenant, line: str, *, owner: str = "") -> None:
    """Refuse a line of the wrong form or of somebody else; an extension makes it another line."""
    if not LINE.fullmatch(line):
        raise bad_request(f'The LineURI "{line}" is not valid: it must have the form tel:+E164 or tel:+E164;ext=n.')
    folded = line.casefold()
    for sam in tenant.skype:
        if sam != owner and (line_of(tenant, sam) or "").casefold() == folded:
            raise bad_request(f'The LineURI "{line}" is already assigned to another user.')
    for device in tenant.devices.values():
        if device.distinguished_name.casefold() != owner and device.line_uri.casefold() == folded:
            raise bad_request(f'The LineURI "{line}" is already assigned to another user.')


def disable(tenant: Tenant, identity: str) -> list[Effect]:
    """Disable a user: every attribute and policy is gone, the account stays."""
    with tenant.lock:
        before = user(tenant, identity)
        del tenant.skype[before.sam]
        tenant.skype_by_sip.pop(_bare(before.sip_address), None)
        changes: dict[str, str | None] = dict.fromkeys((*_ATTRIBUTES, "msRTCSIP-Line", "msRTCSIP-PrivateLine"))
        announce_home(tenant, before.sam, on_premises=False)
        effects = diff(f"skype:{before.sam}", _pairs(before, None))
        return effects + tenant.set_ad_user(before.sam, changes)


def grant(tenant: Tenant, identity: str, policy_type: str, name: str | None) -> list[Effect]:
    """Grant a policy; null takes it away."""
    with tenant.lock:
        before = user(tenant, identity)
        policies = dict(before.policies)
        policies.pop(policy_type, None)
        if name:
            policies[policy_type] = policy_name(tenant, policy_type, name)
        return put(tenant, before, replace(before, policies=policies))


def policy_name(tenant: Tenant, policy_type: str, name: str) -> str:
    """Find a policy of the deployment by name, with or without `tag:`."""
    bare = name[4:] if name.casefold().startswith("tag:") else name
    found = next((known for known in policies_of(tenant, policy_type) if known.casefold() == bare.casefold()), None)
    if found is None:
        raise not_found(f'Cannot find policy "{name}" of type {policy_type}.')
    return found


def device(tenant: Tenant, kind: str, identity: str) -> Device:
    """Find a device by distinguished name or SIP address."""
    folded = identity.casefold()
    for row in tenant.devices.values():
        if row.kind == kind and folded in (row.distinguished_name.casefold(), row.sip_address.casefold()):
            return row
    raise missing(identity)
