"""A Skype for Business Server in memory beside the fake tenant: homes, lines, moves, and a directory synchronisation.

Its rules are those of the reference: a move ends in TeamsOnly and leaves the line in the local directory, which
blocks a number of the cloud until it is cleared and synchronised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connectors.errors import AlreadyThere, Invalid, NotFound
from datasets.call_forwarding import CallForwarding
from datasets.hybrid import PHONE_SYSTEM_PLAN, SKYPE_ONLINE_PLAN_2, TEAMS_PLAN, HybridAccount, SkypeUser
from datasets.unassigned_ranges import UnassignedRange
from datasets.users import DirectoryUser

if TYPE_CHECKING:
    from tests.fakes.tenant import FakeTenant, FakeUser

ONLINE = "sipfed.online.lync.com"
POOL = "pool1.lab.test"


@dataclass
class HybridFacts:
    """What a move depends on in the cloud, and what is on its way there."""

    plan_ids: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unsynchronised: set[str] = field(default_factory=set)
    sip_addresses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    without_mail: set[str] = field(default_factory=set)
    deleted: list[FakeUser] = field(default_factory=list)
    module: str | None = "7.4.0"
    routed: set[str] = field(default_factory=lambda: {"Vienna"})
    without_usages: set[str] = field(default_factory=set)
    units: int = 1000
    under_way: list[tuple[datetime, Callable[[], None]]] = field(default_factory=list)

    def settle(self, now: datetime) -> None:
        """Let everything arrive whose time has come."""
        due = [act for at, act in self.under_way if at <= now]
        self.under_way = [(at, act) for at, act in self.under_way if at > now]
        for act in due:
            act()

    def shown(self, user: FakeUser, account: DirectoryUser) -> HybridAccount:
        """Show a user with what a move depends on."""
        every = (TEAMS_PLAN, SKYPE_ONLINE_PLAN_2, PHONE_SYSTEM_PLAN)
        mail = None if user.id in self.without_mail else user.upn
        return HybridAccount(
            account=account.model_copy(update={"mail": mail}),
            is_synchronised=user.id not in self.unsynchronised,
            sip_addresses=self.sip_addresses.get(user.id, (user.upn,)),
            plan_ids=self.plan_ids.get(user.id, every),
        )


class FakeSkype:
    """The server's part of the tenant; `sync_delay_s` and `move_delay_s` are how long the cloud takes to follow."""

    def __init__(self, tenant: FakeTenant, *, sync_delay_s: float = 0.0, move_delay_s: float = 0.0) -> None:
        self._tenant, self.sync_delay_s, self.move_delay_s = tenant, sync_delay_s, move_delay_s
        self.build: str | None = "7.0.2046.524"
        self.people: dict[str, SkypeUser] = {}
        self.moves: list[tuple[str, str]] = []
        self.forwarding: dict[str, list[str]] = {}
        self.asked: list[str] = []

    def home(self, user_id: str, line: str | None = None, *, voice: bool = True, pool: str = POOL) -> None:
        """Home a user of the tenant on the server; the synchronisation has been there already."""
        user = self._tenant.users[user_id]
        self.people[user.upn] = SkypeUser(
            sip_address=user.upn,
            sam_account_name=user.sam,
            user_principal_name=user.upn,
            registrar_pool=pool,
            hosting_provider="SRV:",
            line_uri=line,
            is_enterprise_voice_enabled=voice,
        )
        user.account_type = "sfbOnPremUser"
        self._synchronise(user, line)

    def user(self, sip_address: str) -> SkypeUser | None:
        """Read one user."""
        self._tenant.read("skype.user", sip_address)
        return self.people.get(sip_address)

    def users(self, sam_account_names: Iterable[str]) -> dict[str, SkypeUser]:
        """Read several users."""
        self._tenant.read("skype.users", "")
        by_sam = {user.sam_account_name: user for user in self.people.values()}
        return {name: by_sam[name] for name in sam_account_names if name in by_sam}

    def everybody(self, *, deadline_s: float) -> Iterator[SkypeUser]:
        """Read everybody."""
        self._tenant.read("skype.everybody", "")
        return iter(list(self.people.values()))

    def front_ends(self) -> dict[str, int]:
        """Count the front ends."""
        self._tenant.read("skype.front_ends", "")
        return {POOL: max(map(len, self.forwarding.values()), default=1)}

    def call_forwarding(self, sip_address: str) -> CallForwarding:
        """Answer as one front end after the other has it."""
        self.asked.append(sip_address)
        self._tenant.read("skype.call_forwarding", sip_address)
        texts = self.forwarding.get(sip_address, [""])
        return CallForwarding(sip_address=sip_address, forwarded_to=texts[len(self.asked) % len(texts)])

    def disable_skype_user(self, sip_address: str) -> None:
        """Take a user from the server."""
        self._tenant.call("disable_skype_user", sip_address, lambda: self.people.pop(sip_address))

    def unassigned_ranges(self) -> list[UnassignedRange]:
        """Read the ranges: there are none."""
        return []

    def server_build(self) -> str | None:
        """Read the build."""
        return self.build

    def cloud_host(self) -> str:
        """Give where users are moved to."""
        return ONLINE

    def move_user(self, sip_address: str, target: str) -> None:
        """Move a user; one who is there already is told so."""
        before = self._known(sip_address)
        if before.home == target:
            raise AlreadyThere(f'User "{sip_address}" is already homed in the target "{target}".')
        user = self._cloud_user(before)
        to_cloud = target == ONLINE
        if to_cloud and SKYPE_ONLINE_PLAN_2 not in self._tenant.hybrid.shown(user, _bare(user)).plan_ids:
            raise Invalid("Skype for Business Online (Plan 2) is required")
        place: dict[str, str | None] = (
            {"hosting_provider": target, "registrar_pool": None} if to_cloud else {"registrar_pool": target}
        )
        place |= {} if to_cloud else {"hosting_provider": "SRV:"}
        self._tenant.call("move_user", user.id, lambda: self._moved(before, place, user, to_cloud=to_cloud))

    def _moved(self, before: SkypeUser, place: dict[str, str | None], user: FakeUser, *, to_cloud: bool) -> None:
        self.people[before.sip_address] = before.model_copy(update=place)
        self.moves.append((before.sip_address, str(place["registrar_pool"] or place["hosting_provider"])))

        def arrive() -> None:
            user.account_type = "user" if to_cloud else "sfbOnPremUser"
            user.policies = {k: v for k, v in user.policies.items() if k != "TeamsUpgradePolicy"}
            if to_cloud:
                user.policies["TeamsUpgradePolicy"] = "UpgradeToTeams"
                user.enterprise_voice = before.is_enterprise_voice_enabled

        self._later(self.move_delay_s, arrive)

    def set_line_uri(self, sip_address: str, line_uri: str | None) -> None:
        """Set or clear a line; the cloud follows after the synchronisation."""
        before = self._known(sip_address)
        if line_uri and any(user.line_uri == line_uri for user in self.people.values() if user != before):
            raise Invalid(f'The LineURI "{line_uri}" is already assigned to another user.')
        user = self._cloud_user(before)

        def change() -> None:
            self.people[sip_address] = before.model_copy(update={"line_uri": line_uri})
            self._later(self.sync_delay_s, lambda: self._synchronise(user, line_uri))

        self._tenant.call("set_line_uri", user.id, change)

    def switch_on_premises_voice(self, sip_address: str, *, enabled: bool) -> None:
        """Switch Enterprise Voice."""
        after = self._known(sip_address).model_copy(update={"is_enterprise_voice_enabled": enabled})
        self._tenant.call("switch_on_premises_voice", sip_address, lambda: self.people.update({sip_address: after}))

    def _known(self, sip_address: str) -> SkypeUser:
        if sip_address not in self.people:
            raise NotFound(f'Management object not found for identity "sip:{sip_address}".')
        return self.people[sip_address]

    def _cloud_user(self, user: SkypeUser) -> FakeUser:
        return next(each for each in self._tenant.users.values() if each.sam == user.sam_account_name)

    def _later(self, delay_s: float, act: Callable[[], None]) -> None:
        if delay_s <= 0:
            act()
            return
        self._tenant.hybrid.under_way.append((self._tenant.clock.now() + timedelta(seconds=delay_s), act))

    @staticmethod
    def _synchronise(user: FakeUser, line: str | None) -> None:
        """Show a line as a number that only the local directory may change, or take it away again."""
        if line is not None and user.number is None:
            user.number, user.number_source = line.removeprefix("tel:"), "onPremises"
        elif line is None and user.number_source == "onPremises":
            user.number, user.number_source = None, "online"


def _bare(user: FakeUser) -> DirectoryUser:
    return DirectoryUser(id=user.id, user_principal_name=user.upn)
