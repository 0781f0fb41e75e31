"""Lines of a snapshot about the servers, about translation rules and about assignment blocks, put into a tenant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from lab import objects, skype
from lab.catalogue import POLICIES as CLOUD_POLICIES
from lab.records import Json
from lab.skype_records import ON_PREMISES, Device, SkypeUser
from lab.tenant import Tenant

Line = Mapping[str, Any]

_DEVICE = {
    "display_name": "DisplayName",
    "display_number": "DisplayNumber",
    "description": "Description",
    "sip_address": "SipAddress",
    "gateway": "Gateway",
}
_RANGE = {
    "announcement_service": "AnnouncementService",
    "announcement_name": "AnnouncementName",
    "auto_attendant": "ExUmAutoAttendantPhoneNumber",
    "priority": "Priority",
}
_RULES = {
    "inbound_pstn_rules": "InboundPstnNumberTranslationRules",
    "inbound_teams_rules": "InboundTeamsNumberTranslationRules",
    "outbound_pstn_rules": "OutboundPstnNumberTranslationRules",
    "outbound_teams_rules": "OutboundTeamsNumberTranslationRules",
}


class Wrong(Exception):
    """A line contradicts the ones before it; the message names the field."""


def rules_of_gateway(line: Line) -> dict[str, Json]:
    """Give the lists of translation rules that a gateway line has."""
    return {cmdlet: list(line[name]) for name, cmdlet in _RULES.items() if name in line}


def translation_rule(tenant: Tenant, line: Line) -> None:
    """Put a translation rule into the tenant."""
    details: dict[str, Json] = {"Description": line.get("description", "")}
    details |= {"Pattern": line["pattern"], "Translation": line["translation"]}
    objects.store(tenant, "TeamsTranslationRule", line["name"], details)


def number_block(tenant: Tenant, line: Line) -> None:
    """Block a number until a moment, or for ever."""
    number = tenant.numbers.get(line["telephone_number"])
    if number is None:
        raise Wrong("telephone_number: no line has this number")
    until = line.get("until")
    moment = datetime.fromisoformat(until) if until else None
    tenant.put_number(replace(number, blocked_until=moment, blocked_forever=moment is None, uploaded=True))


def pool(tenant: Tenant, line: Line) -> None:
    """Add a pool; the first one says that the servers' policies are those of the snapshot."""
    if not tenant.skype_pools:
        shared = {kind: names for kind, names in skype.POLICIES.items() if kind in CLOUD_POLICIES}
        tenant.skype_policies = {**dict.fromkeys(skype.POLICIES, ()), **shared}
    tenant.skype_pools.append(line["fqdn"])
    tenant.settings.skype_build = line.get("build", tenant.settings.skype_build)


def policy(tenant: Tenant, line: Line) -> None:
    """Add a policy of the servers."""
    kind = line["policy_type"]
    if kind not in skype.POLICIES:
        raise Wrong("policy_type: the lab's servers have no such type")
    tenant.skype_policies[kind] = (*tenant.skype_policies.get(kind, ()), line["name"])


def user(tenant: Tenant, line: Line) -> None:
    """Enable an account of the directory."""
    sam, address = line["sam_account_name"].casefold(), line["sip_address"]
    account = tenant.ad_users.get(sam)
    if account is None:
        raise Wrong("sam_account_name: no directory account has this name")
    home, provider = line.get("pool"), line.get("hosting_provider", ON_PREMISES)
    marks = {"msRTCSIP-PrimaryUserAddress": address, "msRTCSIP-UserEnabled": "TRUE"}
    marks |= {"msRTCSIP-DeploymentLocator": provider} | ({"msRTCSIP-PrimaryHomeServer": f"CN={home}"} if home else {})
    tenant.put_ad_user(replace(account, attributes={**account.attributes, **marks}))
    tenant.skype[sam] = SkypeUser(
        sam,
        address,
        home,
        provider=provider,
        enterprise_voice=line.get("has_enterprise_voice", False),
        enabled=line.get("is_enabled", True),
        policies=dict(line.get("policies", {})),
        orbit=line.get("pickup_orbit"),
        changed_at=tenant.clock.now(),
    )
    tenant.skype_by_sip[address.casefold().removeprefix("sip:")] = sam


def unassigned_range(tenant: Tenant, line: Line) -> None:
    """Put a range of unassigned numbers into the tenant."""
    details: dict[str, Json] = {"NumberRangeStart": line["first"], "NumberRangeEnd": line["last"]}
    details |= {cmdlet: line[name] for name, cmdlet in _RANGE.items() if name in line}
    objects.store(tenant, "UnassignedNumber", line["name"], details)


def orbit_range(tenant: Tenant, line: Line) -> None:
    """Put a range of orbits into the tenant."""
    details: dict[str, Json] = {"NumberRangeStart": line["first"], "NumberRangeEnd": line["last"]}
    details |= {"CallParkService": line.get("service", ""), "Type": line.get("orbit_type", "CallPark")}
    objects.store(tenant, "CallParkOrbit", line["name"], details)


def device(tenant: Tenant, line: Line) -> None:
    """Put a phone or an analog device into the tenant."""
    details: dict[str, object] = {cmdlet: line[name] for name, cmdlet in _DEVICE.items() if name in line}
    details |= {"Enabled": line.get("is_enabled", True), "AnalogFax": line.get("is_fax", False)}
    details["EnterpriseVoiceEnabled"] = line.get("has_enterprise_voice", True)
    name = line["distinguished_name"]
    tenant.devices[name.casefold()] = Device(line["device_kind"], name, line["line_uri"], line["pool"], details)


TAKES: Mapping[str, Callable[[Tenant, Line], None]] = {
    "translation_rule": translation_rule,
    "number_block": number_block,
    "skype_pool": pool,
    "skype_policy": policy,
    "skype_user": user,
    "unassigned_range": unassigned_range,
    "orbit_range": orbit_range,
    "skype_device": device,
}
