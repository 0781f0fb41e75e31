"""The memory of the stand-in tenant: its objects, the indexes over them, and the one way an object is replaced."""

from __future__ import annotations

import heapq
import itertools
import threading
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from datetime import datetime, timedelta

from lab.clock import Clock
from lab.history import History
from lab.records import (
    AdUser,
    CivicAddress,
    ConfigObject,
    Effect,
    Group,
    GroupPolicy,
    Location,
    Number,
    Operation,
    Order,
    PhoneConfiguration,
    Policy,
    PolicyBatch,
    Sku,
    User,
    Voice,
)
from lab.remembered import Remembered
from lab.rules import missing, telephone_number
from lab.settings import Settings
from lab.skype_records import Device, Forwarding, SkypeUser

# What reads of the past can see as it was, beside users, their telephony, numbers and directory accounts.
REMEMBERED = (
    "deleted",
    "groups",
    "skus",
    "policies",
    "policies_by_id",
    "tenant_policies",
    "locations",
    "addresses",
    "objects",
    "calling",
    "skype",
    "devices",
)


class Store:
    """Objects by key with indexes; take `lock` around reads of several objects."""

    def __init__(self, tenant_id: str, clock: Clock, settings: Settings) -> None:
        self.tenant_id, self.clock, self.settings = tenant_id, clock, settings
        self.domain, self.display_name = "contoso.example", "Contoso"
        self.lock = threading.RLock()
        self.modes: frozenset[str] = frozenset()  # the failure modes that are played during this write
        self.history, remember = History(), self._remember
        self.users: dict[str, User] = {}
        self.deleted: dict[str, User] = Remembered("deleted", remember)  # soft-deleted accounts, restorable for 30 days
        self.order: list[str] = []  # ids of users by age, also of those no longer there
        self.voices: dict[str, Voice] = {}
        self.numbers: dict[str, Number] = {}
        self.sorted_numbers: list[str] = []
        self.groups: dict[str, Group] = Remembered("groups", remember)
        self.skus: dict[str, Sku] = Remembered("skus", remember)
        self.policies: dict[tuple[str, str], Policy] = Remembered("policies", remember)
        self.policies_by_id: dict[str, Policy] = Remembered("policies_by_id", remember)
        self.group_policies: list[GroupPolicy] = []
        self.tenant_policies: dict[str, str] = Remembered(
            "tenant_policies", self._remember
        )  # the instances made defaults
        self.policy_batches: dict[str, PolicyBatch] = {}
        self.locations: dict[str, Location] = Remembered("locations", remember)
        self.addresses: dict[str, CivicAddress] = Remembered("addresses", remember)
        self.objects: dict[tuple[str, str], ConfigObject] = Remembered(
            "objects", self._remember
        )  # by kind and folded name
        self.calling: dict[str, object] = Remembered(
            "calling", self._remember
        )  # by user, unless they are the default ones
        self.skype: dict[str, SkypeUser] = Remembered(
            "skype", self._remember
        )  # on-premises users by folded sAMAccountName
        self.skype_by_sip: dict[str, str] = {}
        self.skype_pools: list[str] = []  # of a loaded tenant; the sample has its own
        self.skype_policies: dict[str, tuple[str, ...]] = {}  # the same for policies of the servers
        self.devices: dict[str, Device] = Remembered("devices", remember)  # by folded distinguished name
        self.forwarding: dict[str, list[tuple[datetime, Forwarding]]] = {}  # on-premises, every version
        self.phone_configuration = PhoneConfiguration()
        self.orders: dict[str, Order] = {}
        self.exports: dict[str, list[str]] = {}  # the files of export orders, once they are made
        self.ad_users: dict[str, AdUser] = {}  # by folded sAMAccountName
        self.operations: dict[str, Operation] = {}
        self.pending: set[str] = set()  # numbers an operation is working on
        self.by_upn: dict[str, str] = {}
        self.by_sip: dict[str, str] = {}
        self.by_employee: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self.by_sam: dict[str, str] = {}
        self.ad_by_guid: dict[str, str] = {}
        self.ad_by_dn: dict[str, str] = {}
        self.groups_of: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self.numbers_of: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self.by_base: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self.consumed: defaultdict[str, int] = defaultdict(int)
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._tickets = itertools.count()

    # Looking up

    def find_user(self, identity: str) -> User | None:
        """Find a live account by object id, UPN, or SIP address with or without `sip:`."""
        folded = identity.casefold()
        user_id = folded if folded in self.users else self.by_upn.get(folded) or self.by_sip.get(_bare_sip(folded))
        return self.users.get(user_id) if user_id else None

    def user(self, identity: str) -> User:
        """Find a live account or refuse."""
        found = self.find_user(identity)
        if found is None:
            raise missing(identity)
        return found

    def find_holder(self, user_id: str) -> User | None:
        """Find who an assignment points to: a live or a soft-deleted account, or nobody (a ghost)."""
        return self.users.get(user_id) or self.deleted.get(user_id)

    def voice(self, user_id: str) -> Voice:
        """Give what the telephony service knows of a user."""
        return self.voices.get(user_id) or Voice(user_id)

    def find_number(self, text: str) -> Number | None:
        """Find a row of the inventory; `+` may be omitted."""
        return self.numbers.get(telephone_number(text))

    def numbers_held_by(self, user_id: str) -> list[Number]:
        """Give the numbers of a user, the primary one first."""
        # The list is a copy: another protocol's thread may change the index meanwhile.
        held = [number for key in list(self.numbers_of.get(user_id, ())) if (number := self.numbers.get(key))]
        return sorted(held, key=lambda number: number.category != "primary")

    def find_ad_user(self, identity: str) -> AdUser | None:
        """Find a directory account by sAMAccountName, distinguished name or GUID."""
        folded = identity.casefold()
        sam = folded if folded in self.ad_users else self.ad_by_dn.get(folded) or self.ad_by_guid.get(folded)
        return self.ad_users.get(sam) if sam else None

    def find_policy(self, policy_type: str, name: str) -> Policy | None:
        """Find a policy instance by type and name, with or without `Tag:`; case does not matter."""
        bare = name[4:] if name.casefold().startswith("tag:") else name
        return self.policies.get((policy_type.casefold(), bare.casefold()))

    def policies_of_type(self, policy_type: str) -> list[Policy]:
        """Give every instance of a policy type, `Global` first."""
        found = [policy for (kind, _), policy in self.policies.items() if kind == policy_type.casefold()]
        return sorted(found, key=lambda policy: (policy.name != "Global", policy.name))

    def group_id(self, identity: str) -> str:
        """Give the id of a group by id, mail or SIP address; what no group has comes back as it is."""
        bare = _bare_sip(identity)
        if bare in self.groups:
            return bare
        return next((group.id for group in self.groups.values() if group.mail.casefold() == bare != ""), identity)

    def transitive_members(self, group_id: str) -> Iterator[str]:
        """Give the ids of users and groups below a group once each; cycles end."""
        seen, waiting = {group_id}, [group_id]
        while waiting:
            for member in self.groups[waiting.pop()].members:
                if member in seen:
                    continue
                seen.add(member)
                yield member
                if member in self.groups:
                    waiting.append(member)

    # Replacing

    def put_user(self, user: User) -> None:
        """Store a live account and keep the indexes right."""
        before = self.users.get(user.id)
        self._remember("user", user.id, before)
        if before is None:
            self.order.append(user.id)
        else:
            self._unindex_user(before)
        self.users[user.id] = user
        self._index_user(user)

    def drop_user(self, user: User) -> None:
        """Take an account out of the live ones."""
        self._remember("user", user.id, user)
        self._unindex_user(user)
        del self.users[user.id]

    def put_voice(self, voice: Voice) -> None:
        """Store a user's telephony state."""
        before = self.voices.get(voice.user_id)
        self._remember("voice", voice.user_id, before)
        if before and before.sip_address:
            self.by_sip.pop(_bare_sip(before.sip_address), None)
        if voice.sip_address:
            self.by_sip[_bare_sip(voice.sip_address)] = voice.user_id
        self.voices[voice.user_id] = voice

    def put_number(self, number: Number) -> None:
        """Store a row of the inventory."""
        key = number.telephone_number
        before = self.numbers.get(key)
        self._remember("number", key, before)
        if before is None:
            insort(self.sorted_numbers, key)
            self.by_base[number.base][key] = None
        elif before.target_id:
            self.numbers_of[before.target_id].pop(key, None)
        if number.target_id:
            self.numbers_of[number.target_id][key] = None
        self.numbers[key] = number

    def drop_number(self, number: Number) -> None:
        """Take a row out of the inventory."""
        key = number.telephone_number
        self._remember("number", key, number)
        if number.target_id:
            self.numbers_of[number.target_id].pop(key, None)
        del self.sorted_numbers[bisect_left(self.sorted_numbers, key)]
        self.by_base[number.base].pop(key, None)
        del self.numbers[key]

    def put_ad_user(self, account: AdUser) -> None:
        """Store a directory account."""
        sam = account.sam_account_name.casefold()
        self._remember("ad", sam, self.ad_users.get(sam))
        self.ad_users[sam] = account
        self.ad_by_dn[account.distinguished_name.casefold()] = sam
        self.ad_by_guid[account.object_guid.casefold()] = sam

    def drop_ad_user(self, account: AdUser) -> None:
        """Take a directory account away."""
        sam = account.sam_account_name.casefold()
        self._remember("ad", sam, account)
        self.ad_users.pop(sam, None)
        self.ad_by_dn.pop(account.distinguished_name.casefold(), None)
        self.ad_by_guid.pop(account.object_guid.casefold(), None)

    def put_group(self, group: Group) -> None:
        """Store a group and whose member everybody is."""
        for member in self.groups[group.id].members if group.id in self.groups else ():
            self.groups_of[member].pop(group.id, None)
        for member in group.members:
            self.groups_of[member][group.id] = None
        self.groups[group.id] = group

    def add_policy(self, policy: Policy) -> None:
        """Store a policy instance."""
        self.policies[(policy.policy_type.casefold(), policy.name.casefold())] = policy
        self.policies_by_id[policy.policy_id] = policy

    def forget_policy(self, policy: Policy) -> None:
        """Take a policy instance away."""
        self.policies.pop((policy.policy_type.casefold(), policy.name.casefold()), None)
        self.policies_by_id.pop(policy.policy_id, None)

    # Time

    def schedule(self, delay_s: float, action: Callable[[], None]) -> datetime:
        """Do something after a delay of the lab clock, or at once; gives the moment."""
        due = self.clock.now() + timedelta(seconds=delay_s)
        if delay_s <= 0:
            action()
        else:
            with self.lock:
                heapq.heappush(self._due, (due, next(self._tickets), action))
        return due

    def settle(self) -> None:
        """Do what has become due; every read and write calls this first."""
        if not self._due:
            return
        with self.lock:
            while self._due and self._due[0][0] <= self.clock.now():
                heapq.heappop(self._due)[2]()

    def _remember(self, kind: str, key: Hashable, before: object) -> None:
        self.history.add(self.clock.now(), (kind, key), before)

    def _index_user(self, user: User) -> None:
        self.by_upn[user.upn.casefold()] = user.id
        if employee := user.text("employeeId"):
            self.by_employee[employee.casefold()][user.id] = None
        if sam := user.text("onPremisesSamAccountName"):
            self.by_sam[sam.casefold()] = user.id
        for licence in user.licences:
            self.consumed[licence.sku_id] += 1

    def _unindex_user(self, user: User) -> None:
        self.by_upn.pop(user.upn.casefold(), None)
        if employee := user.text("employeeId"):
            self.by_employee[employee.casefold()].pop(user.id, None)
        if sam := user.text("onPremisesSamAccountName"):
            self.by_sam.pop(sam.casefold(), None)
        for licence in user.licences:
            self.consumed[licence.sku_id] -= 1


def diff(subject: str, pairs: dict[str, tuple[object, object]]) -> list[Effect]:
    """Make effects of the attributes whose value really changed."""
    return [Effect(subject, name, before, after) for name, (before, after) in pairs.items() if before != after]  # type: ignore[arg-type]  # JSON by construction


def _bare_sip(address: str) -> str:
    """Strip `sip:` from an address and fold its case."""
    return address.casefold().removeprefix("sip:")
