"""Fills a stand-in tenant with sample people; the same seed and size give the same tenant."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from lab import catalogue, objects
from lab.catalogue import SITE_CODES, SITES, Site
from lab.clock import START, stamp
from lab.grants import policy_id
from lab.history import History
from lab.hybrid import home
from lab.names import ALPHABETS
from lab.records import (
    CALLING_PLAN,
    DIRECT_ROUTING,
    OPERATOR_CONNECT,
    Group,
    Json,
    Licence,
    Location,
    Number,
    Policy,
    Sku,
    opaque_id,
)
from lab.tenant import Tenant

CAPABILITIES = ("conferenceAssignment", "voiceApplicationAssignment", "userAssignment")
FREE_PER_SITE = 20  # uploaded Direct Routing numbers nobody holds
MICROSOFT_NUMBERS = 60


def fill(tenant: Tenant, *, users: int, seed: int, hybrid: float = 0.0) -> None:
    """Put products, policies, locations, people, groups and numbers into an empty tenant.

    `hybrid` is the share of people who are homed on the on-premises servers.
    """
    delay = tenant.settings.directory_sync_delay_s
    with tenant.lock:
        # The sample is synchronised already, however long that takes later.
        tenant.settings.directory_sync_delay_s = 0.0
        tenant.history.sleeping = True
        source = Generator(tenant, users, seed)
        source.configure()
        source.people()
        source.others()
        source.groups()
        if hybrid:
            home(tenant, share=hybrid, seed=seed)
        tenant.settings.directory_sync_delay_s = delay
        # What was before the sample was complete is nobody's business: no lag and no delta reaches into it.
        tenant.history = History()


class Generator:
    """Makes one tenant; every choice comes from one seeded source."""

    def __init__(self, tenant: Tenant, users: int, seed: int) -> None:
        self.tenant, self.users, self.seed = tenant, users, seed
        self.random = random.Random(seed)
        self.names: Counter[str] = Counter()
        self.taken: Counter[Site] = Counter()

    def configure(self) -> None:
        """Make what exists before people: products, policies, locations, inventory."""
        units = {catalogue.E5: self.users + 200, catalogue.VIRTUAL_USER: 50}
        for sku_id, (part, plans) in catalogue.PRODUCTS.items():
            self.tenant.skus[sku_id] = Sku(sku_id, part, plans, units.get(sku_id, self.users // 4 + 25))
        for site, code in zip(SITES, SITE_CODES, strict=True):
            place = opaque_id("location", code), opaque_id("civic", code)
            self.tenant.locations[place[0]] = Location(
                *place, f"{code} office", site.city, site.country, "Contoso", site.street, site.postal_code
            )
        self._routing()
        for policy in self._policies():
            self.tenant.add_policy(policy)
        for number in self._delivered():
            self.tenant.put_number(number)

    def people(self) -> None:
        """Make the people: some with a number, some licensed without one, the others new."""
        for index in range(self.users):
            place = index % len(SITES)
            fields = self._fields(index, place)
            user = self.tenant.create_user(fields, user_id=opaque_id("user", str(self.seed), str(index)))
            fate = self.random.random()
            if fate < 0.60 and fields["usageLocation"]:
                sku = catalogue.E5 if fate < 0.50 else catalogue.E3
                self.tenant.put_user(replace(user, licences=(self._old_licence(sku),)))
            if fate < 0.42 and fields["usageLocation"]:
                self._equip(user.id, place)

    def others(self) -> None:
        """Make what is no ordinary person: resource accounts, guest, leaver, on-prem number."""
        for index in range(2 + self.users // 500):
            self._resource_account(index)
        fields = self._fields(self.users, 0)
        guest: dict[str, Json] = {"userPrincipalName": "partner_example.org#EXT#@contoso.example", "userType": "Guest"}
        self.tenant.create_user({**guest, "displayName": "Partner", "id": opaque_id("guest")}, kind="guest")
        fields["displayName"], fields["department"] = "Leaver Soft-Deleted", "Finance"
        leaver = self.tenant.create_user(fields, user_id=opaque_id("leaver", str(self.seed)))
        self.tenant.put_user(replace(leaver, licences=(self._old_licence(catalogue.E5),)))
        self._equip(leaver.id, 0)
        self.tenant.delete_user(leaver.id)
        if self.users >= 10:
            self._on_premises_owner()

    def groups(self) -> None:
        """Make groups: departments, countries, a nest of both, and one cycle."""
        live = [self.tenant.users[u] for u in self.tenant.order if u in self.tenant.users]
        made: dict[str, list[str]] = {}
        for user in live:
            if user.account_type == "user":
                made.setdefault(f"Department {user.text('department')}", []).append(user.id)
                made.setdefault(f"Country {user.text('country')}", []).append(user.id)
        ids = {name: opaque_id("group", name) for name in made}
        everybody, inner = opaque_id("group", "All"), opaque_id("group", "Ring A")
        departments = [group_id for name, group_id in ids.items() if name.startswith("Department")]
        for name, group_id in ids.items():
            mail = f"{name.lower().replace(' ', '-')}@{self.tenant.domain}"
            self.tenant.put_group(Group(group_id, name, tuple(made[name]), mail=mail))
        self.tenant.put_group(Group(everybody, "All Employees", tuple(departments)))
        # Ring A holds Ring B and Ring B holds Ring A: an expansion that does not remember never ends.
        self.tenant.put_group(Group(inner, "Ring A", (opaque_id("group", "Ring B"), *departments[:1])))
        self.tenant.put_group(Group(opaque_id("group", "Ring B"), "Ring B", (inner, *departments[1:2])))
        if departments:
            self.tenant.grant_policy_to_group(departments[0], "TeamsCallingPolicy", "AllowCalling")

    def _policies(self) -> Iterator[Policy]:
        for kind, names in catalogue.POLICIES.items():
            for name in ("Global", *names):
                details = catalogue.policy_details(kind, name) if kind in _SITE_POLICIES else {}
                yield Policy(kind, name, policy_id(kind, name), "", details)
        for kind, prefix in _SITE_POLICIES.items():
            for code in SITE_CODES:
                name = f"{prefix}-{code}"
                yield Policy(kind, name, policy_id(kind, name), code, catalogue.policy_details(kind, code))

    def _routing(self) -> None:
        """Make usages, a gateway and routes for each site; a new tenant's LocalRoute comes first."""
        made: list[tuple[str, str, dict[str, Json]]] = []
        usages: list[Json] = []
        for order, code in enumerate(SITE_CODES):
            gateway = f"sbc-{code.lower()}.{self.tenant.domain}"
            made.append(("OnlinePSTNGateway", gateway, {"SipSignalingPort": 5061, "Enabled": True}))
            for step, (kind, pattern) in enumerate(_ROUTES.items()):
                usages.append(f"{code}-{kind}")
                route: dict[str, Json] = {"Priority": 2 * order + step + 1, "NumberPattern": pattern}
                route |= {"OnlinePstnUsages": [f"{code}-{kind}"], "OnlinePstnGatewayList": [gateway]}
                made.append(("OnlineVoiceRoute", f"{code}-{kind}", route))
        local: dict[str, Json] = {"Priority": 0, "NumberPattern": r"^(\+1[0-9]{10})$"}
        for kind, name, details in (("OnlineVoiceRoute", "LocalRoute", local), *made):
            objects.store(self.tenant, kind, name, details)
        objects.store(self.tenant, "OnlinePstnUsage", "Global", {"Usage": usages})

    def _delivered(self) -> Iterator[Number]:
        """Give the inventory nobody holds yet, of all three number types."""
        for site in SITES:
            for offset in range(FREE_PER_SITE):
                yield Number(f"+{site.first_number + 9000 + offset}", DIRECT_ROUTING, capabilities=CAPABILITIES)
        american = opaque_id("location", "Seattle")
        for offset in range(MICROSOFT_NUMBERS):
            yield Number(
                f"+{catalogue.CALLING_PLAN_FIRST + offset}",
                CALLING_PLAN,
                location_id=american,
                country="US",
                city="Bellevue",
                capabilities=("userAssignment",),
            )
            yield Number(
                f"+{catalogue.OPERATOR_CONNECT_FIRST + offset}",
                OPERATOR_CONNECT,
                country="GB",
                city="London",
                operator_id=opaque_id("operator"),
                capabilities=CAPABILITIES,
            )

    def _fields(self, index: int, place: int) -> dict[str, Json]:
        """Make one person's directory properties."""
        given, surname = (self.random.choice(names) for names in self.random.choice(ALPHABETS))
        site, chance = SITES[place], self.random.random()
        plain = f"{given[1]}.{surname[1]}"
        self.names[plain] += 1
        alias = plain if self.names[plain] == 1 else f"{plain}{self.names[plain]}"
        upn = f"{alias}@{self.tenant.domain}"
        return {
            "userPrincipalName": upn,
            "displayName": f"{given[0]} {surname[0]}",
            "givenName": given[0],
            "surname": surname[0],
            "mail": upn,
            "mailNickname": alias,
            "accountEnabled": chance > 0.02,
            "usageLocation": site.country if chance < 0.92 else None,
            "country": site.country,
            "city": site.city,
            "department": self.random.choice(catalogue.DEPARTMENTS),
            "jobTitle": self.random.choice(catalogue.TITLES),
            "companyName": "Contoso",
            "officeLocation": f"{SITE_CODES[place]} {self.random.randint(1, 40)}",
            "employeeId": f"{index + 1:08d}",
            "employeeType": "contractor" if chance > 0.95 else "employee",
            "onPremisesSyncEnabled": True,
            "onPremisesSamAccountName": f"{alias[:14]}{index}" if len(alias) > 20 else alias,
            "createdDateTime": stamp(START - timedelta(days=self.random.randint(30, 2000))),
            "businessPhones": [],
            "proxyAddresses": [f"SMTP:{upn}"],
        }

    def _equip(self, user_id: str, place: int) -> None:
        """Give a person a number, Enterprise Voice, policies and telephone attributes."""
        site, code = SITES[place], SITE_CODES[place]
        self.taken[site] += self.random.randint(1, 2)
        offset = self.taken[site]
        # The free uploaded numbers of the site lie at 9000: jump over them in a large tenant.
        number = f"+{site.first_number + offset + (FREE_PER_SITE if offset >= 9000 else 0)}"
        self.tenant.assign_number(user_id, number, DIRECT_ROUTING)
        voice = self.tenant.voice(user_id)
        policies = {"OnlineVoiceRoutingPolicy": f"VRP-{code}", "TenantDialPlan": f"DP-{code}"}
        if self.random.random() < 0.2:
            policies["TeamsCallingPolicy"] = "AllowCalling"
        self.tenant.put_voice(replace(voice, policies=policies))
        sam = self.tenant.users[user_id].text("onPremisesSamAccountName") or ""
        extension = number[-4:]
        phones = {"telephoneNumber": number, "ipPhone": extension, "mobile": f"+43664{offset:07d}"}
        self.tenant.set_ad_user(sam, phones)

    def _resource_account(self, index: int) -> None:
        upn = f"ra-reception{index + 1}@{self.tenant.domain}"
        fields: dict[str, Json] = {
            "userPrincipalName": upn,
            "displayName": f"Reception {index + 1}",
            "usageLocation": "US",
        }
        fields |= {"country": "US", "accountEnabled": False}
        user = self.tenant.create_user(fields, user_id=opaque_id("resource", str(index)), kind="resourceAccount")
        self.tenant.put_user(replace(user, licences=(self._old_licence(catalogue.VIRTUAL_USER),)))
        if index < MICROSOFT_NUMBERS // 2:
            self.tenant.assign_number(user.id, f"+{catalogue.CALLING_PLAN_FIRST + index}", CALLING_PLAN)

    def _on_premises_owner(self) -> None:
        """Let the local directory own one licensed person's number: blocks it online."""
        for user_id in self.tenant.order:
            user = self.tenant.users.get(user_id)
            if user and self.tenant.may_hold(user, DIRECT_ROUTING) and not self.tenant.numbers_of.get(user_id):
                line = f"tel:+{SITES[0].first_number + 8999}"
                self.tenant.set_ad_user(user.text("onPremisesSamAccountName") or "", {"msRTCSIP-Line": line})
                return

    def _old_licence(self, sku_id: str) -> Licence:
        return Licence(sku_id, self.tenant.clock.now() - timedelta(days=30))


_ROUTES = {"National": r"^\+?[0-9]{7,15}$", "International": r"^\+[1-9][0-9]{7,14}$"}
_SITE_POLICIES = {"OnlineVoiceRoutingPolicy": "VRP", "TenantDialPlan": "DP"}
