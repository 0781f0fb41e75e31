"""Fills a stand-in tenant from a snapshot file of a real one: `docs/snapshot.schema.json` is the form of its lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson

from lab import objects
from lab.catalogue import POLICIES, PRODUCTS
from lab.clock import START, stamp
from lab.history import History
from lab.line_schema import fault_of, read_rules
from lab.records import (
    DIRECT_ROUTING,
    PRIMARY,
    AdUser,
    CivicAddress,
    Group,
    GroupPolicy,
    Json,
    Licence,
    Location,
    Number,
    Policy,
    ServicePlan,
    Sku,
    User,
    Voice,
    opaque_id,
)
from lab.rules import bad_request
from lab.snapshot_skype import TAKES, Wrong, rules_of_gateway
from lab.tenant import Tenant

SCHEMA_FILE = Path(__file__).resolve().parent.parent / "docs" / "snapshot.schema.json"
Line = Mapping[str, Any]

# Snapshot field → Graph property; flags and lists are treated apart.
_TEXTS = {
    "display_name": "displayName",
    "given_name": "givenName",
    "surname": "surname",
    "mail": "mail",
    "usage_location": "usageLocation",
    "country": "country",
    "city": "city",
    "office": "officeLocation",
    "department": "department",
    "company": "companyName",
    "job_title": "jobTitle",
    "employee_id": "employeeId",
    "employee_type": "employeeType",
    "sam_account_name": "onPremisesSamAccountName",
    "mobile_phone": "mobilePhone",
}
_SHARED = ("usageLocation", "country", "city", "department", "companyName", "jobTitle", "employeeType")
_LDAP = {
    "telephone_number": "telephoneNumber",
    "ip_phone": "ipPhone",
    "mobile": "mobile",
    "home_phone": "homePhone",
    "msrtcsip_line": "msRTCSIP-Line",
    "employee_id": "employeeID",
}
_MIRRORED = {
    "displayName": "displayName",
    "givenName": "givenName",
    "surname": "sn",
    "mail": "mail",
    "department": "department",
    "jobTitle": "title",
}
_ADDRESS = {
    "description": "Description",
    "company": "CompanyName",
    "street": "StreetName",
    "city": "City",
    "postal_code": "PostalCode",
    "country": "CountryOrRegion",
}
# What each service brings; a product of the snapshot names its services only.
_FEATURES = {plan.plan_id: plan.feature for _, plans in PRODUCTS.values() for plan in plans}
_OF_NAMES = {plan.name: plan.feature for _, plans in PRODUCTS.values() for plan in plans}


def read_lines(path: Path) -> Iterator[tuple[str, Line]]:
    """Give each line with its place; refuses the first wrong one by file, line and field."""
    rules = read_rules(SCHEMA_FILE)
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                where = f"{path}:{number}"
                line = _parsed(text, where)
                if (fault := fault_of(rules, line)) is not None:
                    raise bad_request(f"{where}: {': '.join(part for part in fault if part)}")
                if (line["kind"] == "snapshot") != (number == 1):
                    raise bad_request(f"{where}: kind: the first line, and no other, must be of kind 'snapshot'")
                yield where, line
    except OSError as error:
        raise bad_request(f"{path}: cannot be read ({error.strerror})") from error


def tenant_id_of(path: Path) -> str:
    """Give the tenant's id from the first line."""
    for _, line in read_lines(path):
        return str(line["tenant_id"])
    raise bad_request(f"{path}:1: is empty")


def load(tenant: Tenant, path: Path) -> None:
    """Put everything of a snapshot into an empty tenant; refuses what cannot be loaded, by its place."""
    with tenant.lock:
        tenant.history.sleeping = True
        loader = _Loader(tenant)
        for where, line in read_lines(path):
            loader.take(where, line)
        loader.finish()
        tenant.history = History()


class _Loader:
    """Takes one line after the other; members of groups are gathered until the end."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self._members: dict[str, list[str]] = {}
        self._knows_domain = False
        self._since = tenant.clock.now() - timedelta(days=30)
        self._takes: dict[str, Callable[[Line], None]] = {
            "snapshot": self._header,
            "product": self._product,
            "policy": self._policy,
            "usages": self._usages,
            "gateway": self._gateway,
            "route": self._route,
            "location": self._location,
            "user": self._user,
            "voice": self._voice,
            "number": self._number,
            "group": self._group,
            "members": self._more_members,
            "group_policy": self._group_policy,
            "ad_account": self._ad_account,
        }
        for kind in POLICIES:
            self._add_policy(kind, "Global")

    def take(self, where: str, line: Line) -> None:
        """Put one line into the tenant."""
        try:
            if line["kind"] in TAKES:
                TAKES[line["kind"]](self.tenant, line)
            else:
                self._takes[line["kind"]](line)
        except Wrong as error:
            raise bad_request(f"{where}: {error}") from None

    def finish(self) -> None:
        """Give the groups their members."""
        for group_id, members in self._members.items():
            group = self.tenant.groups[group_id]
            self.tenant.put_group(replace(group, members=tuple(dict.fromkeys(members))))

    def _header(self, line: Line) -> None:
        self.tenant.display_name = line.get("tenant_name", "")

    def _product(self, line: Line) -> None:
        plans = tuple(_plan(plan) for plan in line.get("plans", ()))
        self.tenant.skus[line["sku_id"]] = Sku(line["sku_id"], line["part_number"], plans, line["enabled_units"])

    def _policy(self, line: Line) -> None:
        self._add_policy(line["policy_type"], "Global")
        self._add_policy(line["policy_type"], line["name"], line.get("description", ""), _details(line))

    def _add_policy(
        self, kind: str, name: str, description: str = "", details: Mapping[str, Json] | None = None
    ) -> None:
        if name == "Global" and self.tenant.find_policy(kind, name) and not description and not details:
            return
        policy_id = opaque_id("policy", kind, name).replace("-", "") + "_"
        self.tenant.add_policy(Policy(kind, name, policy_id, description, details or {}))

    def _known_policy(self, kind: str, name: str) -> str:
        """Give the name of a policy that somebody has; one that was not listed is added."""
        found = self.tenant.find_policy(kind, name)
        if found is None:
            self._add_policy(kind, "Global")
            self._add_policy(kind, name)
        return found.name if found else name

    def _usages(self, line: Line) -> None:
        objects.store(self.tenant, "OnlinePstnUsage", "Global", {"Usage": list(line["names"])})

    def _gateway(self, line: Line) -> None:
        details: dict[str, Json] = {"SipSignalingPort": line.get("sip_port", 5061)}
        details |= {"Enabled": line.get("is_enabled", False)} | rules_of_gateway(line)
        objects.store(self.tenant, "OnlinePSTNGateway", line["fqdn"], details)

    def _route(self, line: Line) -> None:
        details: dict[str, Json] = {"NumberPattern": line["number_pattern"], "Priority": line.get("priority", 0)}
        details |= {"OnlinePstnUsages": line.get("usages", []), "OnlinePstnGatewayList": line.get("gateways", [])}
        objects.store(self.tenant, "OnlineVoiceRoute", line["name"], details | _described(line))

    def _location(self, line: Line) -> None:
        names = ("description", "city", "country", "company", "street", "postal_code")
        place = (line["location_id"], line["civic_address_id"])
        self.tenant.locations[place[0]] = Location(*place, **{name: line.get(name, "") for name in names})
        if place[1] not in self.tenant.addresses:
            details: dict[str, Json] = {cmdlet: line[name] for name, cmdlet in _ADDRESS.items() if name in line}
            self.tenant.addresses[place[1]] = CivicAddress(place[1], place[0], details)

    def _user(self, line: Line) -> None:
        upn = line["user_principal_name"]
        key = line["id"].casefold()
        if self.tenant.find_holder(key):
            raise Wrong("id: another line has this id")
        if not line.get("is_deleted") and upn.casefold() in self.tenant.by_upn:
            raise Wrong("user_principal_name: another user has this name")
        if not self._knows_domain and line.get("user_type") != "Guest":
            self.tenant.domain, self._knows_domain = upn.rpartition("@")[2] or self.tenant.domain, True
        user = User(key, _fields(line), tuple(self._licence(item) for item in line.get("licences", ())))
        if line.get("user_type") == "Guest":
            user = replace(user, account_type="guest")
        if line.get("is_deleted"):
            self.tenant.deleted[key] = replace(user, deleted_at=self.tenant.clock.now())
        else:
            self.tenant.put_user(user)
        self.tenant.put_voice(Voice(key, sip_address=f"sip:{upn}", modified_at=self._since))

    def _licence(self, item: Line) -> Licence:
        sku_id = item["sku_id"]
        if sku_id not in self.tenant.skus:
            raise Wrong(f"licences: the snapshot has no product {sku_id}")
        return Licence(sku_id, self._since, tuple(item.get("disabled_plans", ())))

    def _voice(self, line: Line) -> None:
        user = self.tenant.find_holder(line["user_id"].casefold())
        if user is None:
            raise Wrong("user_id: no user has this id")
        kind = line.get("account_type", "user")
        if kind in ("resourceAccount", "guest") and user.id in self.tenant.users:
            self.tenant.put_user(replace(user, account_type=kind))
        policies = {kind: self._known_policy(kind, name) for kind, name in line.get("policies", {}).items()}
        self.tenant.put_voice(
            replace(
                self.tenant.voice(user.id),
                enterprise_voice=line.get("has_enterprise_voice", False),
                policies=policies,
                homed_on_premises=kind == "sfbOnPremUser",
            )
        )

    def _number(self, line: Line) -> None:
        if line["telephone_number"] in self.tenant.numbers:
            raise Wrong("telephone_number: another line has this number")
        holder = line.get("holder_id")
        user = self.tenant.find_holder(holder.casefold()) if holder else None
        self.tenant.put_number(
            Number(
                line["telephone_number"],
                line["number_type"],
                # Direct Routing numbers need not be uploaded: one that is given back disappears.
                uploaded=line["number_type"] != DIRECT_ROUTING or holder is None,
                target_id=user.id if user else holder,
                target_type=user.account_type if user else "user",
                category=line.get("category", PRIMARY),
                location_id=line.get("location_id"),
                country=line.get("country"),
                city=line.get("city"),
                source=line.get("source", "online"),
                capabilities=tuple(line.get("capabilities", ())),
            )
        )

    def _group(self, line: Line) -> None:
        key = line["id"].casefold()
        self.tenant.put_group(Group(key, line["display_name"], description=line.get("description", "")))

    def _more_members(self, line: Line) -> None:
        key = line["group_id"].casefold()
        if key not in self.tenant.groups:
            raise Wrong("group_id: no group has this id")
        self._members.setdefault(key, []).extend(member.casefold() for member in line["member_ids"])

    def _group_policy(self, line: Line) -> None:
        key = line["group_id"].casefold()
        if key not in self.tenant.groups:
            raise Wrong("group_id: no group has this id")
        name = self._known_policy(line["policy_type"], line["name"])
        self.tenant.group_policies.append(GroupPolicy(key, line["policy_type"], name, line.get("rank", 1)))

    def _ad_account(self, line: Line) -> None:
        sam = line["sam_account_name"]
        user_id = self.tenant.by_sam.get(sam.casefold())
        user = self.tenant.users.get(user_id or "")
        attributes = {ldap: text for name, ldap in _MIRRORED.items() if user and (text := user.text(name))}
        attributes |= {ldap: line[name] for name, ldap in _LDAP.items() if name in line}
        suffix = ",".join(f"DC={part}" for part in self.tenant.domain.split("."))
        upn = line.get("user_principal_name", "")
        place, enabled = f"CN={sam},OU=People,{suffix}", line.get("is_enabled", True)
        self.tenant.put_ad_user(AdUser(sam, place, opaque_id("ad", sam.casefold()), upn, enabled, attributes))
        if user and "msrtcsip_line" in line:
            self.tenant.put_voice(replace(self.tenant.voice(user.id), on_prem_line_uri=line["msrtcsip_line"]))


def _described(line: Line) -> dict[str, Json]:
    return {"Description": line["description"]} if "description" in line else {}


def _parsed(text: bytes, where: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"{where}: is no JSON: {error.msg}") from error


def _plan(item: Line) -> ServicePlan:
    plan_id, name = item["plan_id"], item["name"]
    return ServicePlan(plan_id, name, _FEATURES.get(plan_id) or _OF_NAMES.get(name))


def _details(line: Line) -> dict[str, Json]:
    """Give the properties that the Get cmdlets show: usages of a routing policy, rules of a dial plan."""
    if line["policy_type"] == "OnlineVoiceRoutingPolicy":
        return {"OnlinePstnUsages": list(line.get("usages", ())), "RouteType": "BYOT"}
    if line["policy_type"] != "TenantDialPlan":
        return {}
    rules: list[Json] = [_rule(rule, priority) for priority, rule in enumerate(line.get("rules", ()))]
    return {"SimpleName": line["name"], "NormalizationRules": rules}


def _rule(rule: Line, priority: int) -> dict[str, Json]:
    return {
        "Name": rule["name"],
        "Description": rule.get("description", ""),
        "Pattern": rule["pattern"],
        "Translation": rule["translation"],
        "IsInternalExtension": rule.get("is_internal_extension", False),
        "Priority": priority,
    }


def _fields(line: Line) -> dict[str, Json]:
    """Give a user's Graph properties."""
    upn = line["user_principal_name"]
    fields: dict[str, Json] = {graph: line.get(name) for name, graph in _TEXTS.items()}
    # The few values of these are one text in memory, not one for each of 100,000 people.
    fields |= {name: sys.intern(text) for name in _SHARED if isinstance(text := fields[name], str)}
    return fields | {
        "userPrincipalName": upn,
        "accountEnabled": line.get("is_enabled", True),
        "userType": line.get("user_type"),
        "onPremisesSyncEnabled": line.get("is_synchronised") or None,
        "businessPhones": line.get("business_phones", []),
        "mailNickname": upn.partition("@")[0],
        "proxyAddresses": [f"SMTP:{line['mail']}"] if "mail" in line else [],
        "createdDateTime": stamp(START - timedelta(days=30)),
    }
