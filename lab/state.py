"""What the control port shows of the tenant's state, and the changes that come from outside of any call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from lab import skype
from lab.clock import stamp
from lab.records import POLICY_TARGET, AdUser, Effect, Json, Number, User
from lab.rules import bad_request, missing, number_type, telephone_number
from lab.tenant import Tenant


def user(tenant: Tenant, identity: str) -> dict[str, Json]:
    """Show everything about one person, live or soft-deleted, without any lag."""
    tenant.settle()
    with tenant.lock:
        found = tenant.find_user(identity) or tenant.deleted.get(identity.casefold())
        if found is None:
            raise missing(identity)
        return _user(tenant, found)


def users(tenant: Tenant) -> list[dict[str, Json]]:
    """Show everybody, soft-deleted people too."""
    tenant.settle()
    with tenant.lock:
        return [_user(tenant, found) for found in (*tenant.users.values(), *tenant.deleted.values())]


def change_user(tenant: Tenant, identity: str, body: Mapping[str, Json]) -> str:
    """Change a person: Graph properties, deletion, home, licences, `ad` attributes."""
    with tenant.lock:
        found = tenant.find_user(identity) or tenant.deleted.get(identity.casefold())
        if found is None:
            raise missing(identity)
        for name, value in body.items():
            _change(tenant, found.id, name, value)
        return found.id


def property_names(body: Mapping[str, Json]) -> dict[str, Json]:
    """Accept `usage_location` for `usageLocation`: test code is written in Python."""
    return {re.sub(r"_(\w)", lambda match: match[1].upper(), name): value for name, value in body.items()}


def numbers(tenant: Tenant) -> list[Json]:
    """Show the inventory."""
    tenant.settle()
    with tenant.lock:
        return [_number(tenant, tenant.numbers[key]) for key in tenant.sorted_numbers]


def change_number(tenant: Tenant, text: str, body: Mapping[str, Json]) -> Json:
    """Put a number into the inventory, or change who holds it: an id nobody has makes a ghost."""
    with tenant.lock:
        key = telephone_number(text)
        kind = number_type(str(body.get("numberType", "directRouting")))
        number = tenant.numbers.get(key) or Number(key, kind)
        target = body.get("assignmentTargetId", number.target_id)
        source = str(body.get("numberSource", number.source))
        after = replace(number, target_id=str(target) if target else None, source=source)
        tenant.put_number(after)
        return _number(tenant, after)


def change_sku(tenant: Tenant, name: str, body: Mapping[str, Json]) -> Json:
    """Change how many units of a product the tenant has."""
    with tenant.lock:
        for sku in tenant.skus.values():
            if name.casefold() in (sku.sku_id, sku.part_number.casefold()):
                tenant.skus[sku.sku_id] = replace(sku, enabled=int(str(body.get("enabled", sku.enabled))))
                return {"skuId": sku.sku_id, "enabled": tenant.skus[sku.sku_id].enabled}
        raise missing(name)


def summary(tenant: Tenant) -> dict[str, Json]:
    """Count what there is."""
    tenant.settle()
    with tenant.lock:
        held = [number for number in tenant.numbers.values() if number.target_id]
        people = [number for number in held if number.target_type != POLICY_TARGET]
        ghosts = [n.telephone_number for n in people if tenant.find_holder(str(n.target_id)) is None]
        return {
            "users": len(tenant.users),
            "deleted": len(tenant.deleted),
            "numbers": len(tenant.numbers),
            "assigned": len(held),
            "ghosts": ghosts,
            "groups": len(tenant.groups),
            "pending_operations": len(tenant.pending),
        }


def _user(tenant: Tenant, found: User) -> dict[str, Json]:
    voice = tenant.voice(found.id)
    account = tenant.find_ad_user(found.text("onPremisesSamAccountName") or "")
    return {
        "id": found.id,
        **found.fields,
        "accountType": found.account_type,
        "deleted": found.deleted_at is not None,
        "licences": [{"skuId": held.sku_id, "assignedAt": stamp(held.assigned_at)} for held in found.licences],
        "featureTypes": sorted(tenant.features(found)),
        "isEnterpriseVoiceEnabled": voice.enterprise_voice,
        "telephoneNumbers": [number.telephone_number for number in tenant.numbers_held_by(found.id)],
        "policies": dict(voice.policies),
        "onPremLineUri": voice.on_prem_line_uri,
        "homedOnPremises": voice.homed_on_premises,
        "ad": dict(account.attributes) if account else None,
        "onPremises": _on_premises(tenant, account),
    }


def _on_premises(tenant: Tenant, account: AdUser | None) -> Json:
    """Show what the on-premises servers know of a person, None when they are not enabled there."""
    found = tenant.skype.get(account.sam_account_name.casefold()) if account else None
    if found is None:
        return None
    return {
        "sipAddress": found.sip_address,
        "pool": found.pool,
        "hostingProvider": found.provider,
        "enterpriseVoice": found.enterprise_voice,
        "lineUri": skype.line_of(tenant, found.sam),
        "policies": dict(found.policies),
        "pickupOrbit": found.orbit,
        "pinIsSet": found.pin is not None,
        "certificates": len(found.certificates),
    }


def _home(tenant: Tenant, user_id: str, wanted: Mapping[str, Json]) -> list[Effect]:
    """Home a person on the on-premises servers, or change what is so there."""
    user = tenant.user(user_id)
    sam = (user.text("onPremisesSamAccountName") or "").casefold()
    unknown = set(wanted) - {"pool", "enterpriseVoice", "lineUri"}
    if unknown or sam not in tenant.ad_users:
        raise bad_request("onPremises: takes pool, enterpriseVoice and lineUri, for who is in the local directory")
    effects: list[Effect] = []
    if sam not in tenant.skype:
        home = str(wanted.get("pool") or skype.pools(tenant)[0])
        effects += skype.enable(tenant, sam, f"sip:{user.upn}", home)
    voice = bool(wanted.get("enterpriseVoice", tenant.skype[sam].enterprise_voice))
    line = wanted.get("lineUri")
    lines = {"msRTCSIP-Line": None if line is None else str(line)} if "lineUri" in wanted else {}
    return effects + skype.change(tenant, sam, {"EnterpriseVoiceEnabled": voice}, lines)


def _number(tenant: Tenant, number: Number) -> Json:
    holder = tenant.find_holder(number.target_id) if number.target_id else None
    return {
        "telephoneNumber": number.telephone_number,
        "numberType": number.number_type,
        "assignmentTargetId": number.target_id,
        "holder": holder.upn if holder else None,
        "ghost": number.target_id is not None and holder is None,
        "locationId": number.location_id,
        "numberSource": number.source,
        "blocked": tenant.is_blocked(number),
    }


def _change(tenant: Tenant, user_id: str, name: str, value: Json) -> list[Effect]:
    """Carry out one line of a change."""
    match name:
        case "deleted":
            return tenant.delete_user(user_id) if value else tenant.restore_user(user_id)
        case "purged":
            return tenant.purge_user(user_id)
        case "homedOnPremises":
            return tenant.change_voice(tenant.voice(user_id), homed_on_premises=bool(value))
        case "onPremises" if isinstance(value, Mapping):
            return _home(tenant, user_id, value)
        case "onPremises" if value is None:
            return skype.disable(tenant, tenant.user(user_id).text("onPremisesSamAccountName") or "")
        case "licences" if isinstance(value, list):
            held = [licence.sku_id for licence in tenant.user(user_id).licences]
            wanted = [str(sku_id) for sku_id in value]
            add = {sku_id: () for sku_id in wanted if sku_id not in held}
            return tenant.change_licences(user_id, add=add, remove=[s for s in held if s not in wanted])
        case "ad" if isinstance(value, Mapping):
            sam = tenant.user(user_id).text("onPremisesSamAccountName") or ""
            return tenant.set_ad_user(sam, {k: None if v is None else str(v) for k, v in value.items()})
        case "id" | "licences" | "ad" | "onPremises":
            raise bad_request(f"'{name}' cannot be changed like that")
        case _:
            return tenant.patch_user(user_id, {name: value}, forced=True)
