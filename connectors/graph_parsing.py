"""Graph's directory JSON as records. A field that is missing or null becomes the record's default."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from connectors.graph_calls import Json
from datasets.directory import DeltaPage, DirectoryGroup, Organization, UserDelta
from datasets.hybrid import HybridAccount
from datasets.users import DirectoryUser, SubscribedSku

_TEXT_FIELDS = {
    "userPrincipalName": "user_principal_name",
    "displayName": "display_name",
    "givenName": "given_name",
    "surname": "surname",
}
_OPTIONAL_FIELDS = {
    "mail": "mail",
    "usageLocation": "usage_location",
    "department": "department",
    "companyName": "company_name",
    "employeeId": "employee_id",
    "onPremisesSamAccountName": "on_premises_sam_account_name",
}
_FLAGS = {"accountEnabled": "account_enabled", "onPremisesSyncEnabled": "is_synced"}
USER_SELECT = ",".join(["id", *_TEXT_FIELDS, *_OPTIONAL_FIELDS, *_FLAGS, "assignedLicenses"])
HYBRID_SELECT = f"{USER_SELECT},imAddresses,proxyAddresses,assignedPlans"
GROUP_SELECT = "id,displayName,mail"


def directory_user(raw: Json) -> DirectoryUser:
    """Read a `user`."""
    return DirectoryUser.model_validate({"id": raw["id"], **_user_attributes(raw)})


def hybrid_account(raw: Json) -> HybridAccount:
    """Read a `user` with its synchronisation, SIP addresses and the service plans that are switched on."""
    proxies = [text for text in raw.get("proxyAddresses") or () if text.casefold().startswith("sip:")]
    addresses = [text.casefold() for text in (*(raw.get("imAddresses") or ()), *proxies)]
    plans = raw.get("assignedPlans") or ()
    return HybridAccount(
        account=directory_user(raw),
        is_synchronised=bool(raw.get("onPremisesSyncEnabled")),
        sip_addresses=tuple(dict.fromkeys(text.removeprefix("sip:") for text in addresses)),
        plan_ids=tuple(plan["servicePlanId"] for plan in plans if plan.get("capabilityStatus") in (None, "Enabled")),
    )


def user_delta(raw: Json) -> UserDelta:
    """Read an item of `users/delta`; unchanged attributes may be left out by the service."""
    removed = raw.get("@removed")
    return UserDelta(
        id=raw["id"],
        attributes=_user_attributes(raw),
        removed=None if removed is None else ("deleted" if removed.get("reason") == "deleted" else "changed"),
    )


def delta_page(raw: Json) -> DeltaPage:
    """Read one page of `users/delta`."""
    changes = tuple(user_delta(item) for item in raw.get("value", ()))
    return DeltaPage(changes=changes, delta_link=raw.get("@odata.deltaLink"))


def _user_attributes(raw: Json) -> dict[str, JsonValue]:
    """Give the attributes that are present, under our names; an empty text of an optional field is None."""
    found: dict[str, JsonValue] = {ours: raw[theirs] or "" for theirs, ours in _TEXT_FIELDS.items() if theirs in raw}
    found |= {ours: raw[theirs] or None for theirs, ours in _OPTIONAL_FIELDS.items() if theirs in raw}
    found |= {ours: bool(raw[theirs]) for theirs, ours in _FLAGS.items() if theirs in raw}
    if "assignedLicenses" in raw:
        found["sku_ids"] = [licence["skuId"] for licence in raw["assignedLicenses"] or ()]
    return found


def subscribed_sku(raw: Json) -> SubscribedSku:
    """Read a `subscribedSku`."""
    units: Mapping[str, int] = raw.get("prepaidUnits") or {}
    return SubscribedSku(
        sku_id=raw["skuId"],
        sku_part_number=raw.get("skuPartNumber") or "",
        consumed_units=raw.get("consumedUnits") or 0,
        enabled_units=units.get("enabled") or 0,
        plan_ids=tuple(plan["servicePlanId"] for plan in raw.get("servicePlans") or ()),
    )


def directory_group(raw: Json) -> DirectoryGroup:
    """Read a `group`."""
    return DirectoryGroup(id=raw["id"], display_name=raw.get("displayName") or "", mail=raw.get("mail") or None)


def group_among_others(raw: Json) -> DirectoryGroup | None:
    """Read a `group` among directory roles and administrative units; None for those."""
    return directory_group(raw) if str(raw.get("@odata.type", "")).endswith(".group") else None


def licence_groups(raw: Json) -> dict[str, tuple[str, ...]]:
    """Read which groups give a `user` which products; what is given directly names no group."""
    found: dict[str, tuple[str, ...]] = {}
    for state in raw.get("licenseAssignmentStates") or ():
        if group := state.get("assignedByGroup"):
            found[state["skuId"]] = (*found.get(state["skuId"], ()), group)
    return found


def organization(raw: Json) -> Organization:
    """Read an `organization`."""
    return Organization(
        id=raw["id"], display_name=raw.get("displayName") or "", country=raw.get("countryLetterCode") or None
    )
