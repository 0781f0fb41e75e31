"""A tenant in memory that fits the engine's protocols: state rules without a wire, a log of calls, hooks for faults.

Its rules are those of the reference: one owner per number, a number switches Enterprise Voice on, a licence takes
effect after a delay, and reads may lag behind writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from connectors.errors import AlreadyThere, Invalid, NotFound
from datasets.directory import DeltaPage, UserDelta
from datasets.hybrid import PHONE_SYSTEM_PLAN, HybridAccount
from datasets.users import DirectoryUser, NumberAssignment, SubscribedSku, VoiceUser
from engine.systems import CallingSystem, NumberingSystem, PolicyBatchSystem, Systems
from tests.fakes.fake_directory import FakeDirectory
from tests.fakes.fake_groups import FakeGroups
from tests.fakes.fake_shell import LOCATION, FakeShell
from tests.fakes.fake_skype import FakeSkype, HybridFacts

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
__all__ = ["LOCATION", "SKU", "START", "FakeClock", "FakeTenant", "FakeUser", "shown"]
SKU = "e43b5b99-8dfb-405f-9987-dc307f34bcbd"


class FakeClock:
    """A clock that moves only when told to, or when somebody sleeps."""

    def __init__(self, now: datetime = START) -> None:
        self.now_at = now

    def now(self) -> datetime:
        """Give the moment."""
        return self.now_at

    def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.now_at += timedelta(seconds=seconds)


@dataclass
class FakeUser:
    """One user of the fake tenant."""

    id: str
    upn: str
    employee_id: str
    sam: str
    usage_location: str | None = None
    skus: tuple[str, ...] = ()
    licensed_at: datetime | None = None
    number: str | None = None
    enterprise_voice: bool = False
    policies: dict[str, str] = field(default_factory=dict)
    telephone_number: str | None = None
    ip_phone: str | None = None
    home_phone: str | None = None
    mobile: str | None = None
    number_source: str = "online"
    account_type: str = "user"
    enabled: bool = True


class FakeTenant:
    """Users, numbers, policies and AD attributes in memory; `before` and `after` are called around each call."""

    def __init__(self, clock: FakeClock, users: int = 3, *, licence_delay_s: float = 60.0, lag_s: float = 0.0) -> None:
        self.clock, self.licence_delay_s, self.lag_s = clock, licence_delay_s, lag_s
        self.users = {
            f"id-{n}": FakeUser(f"id-{n}", f"user{n}@lab.test", f"{n:05}", f"user{n}") for n in range(1, users + 1)
        }
        self.policy_ids = {("OnlineVoiceRoutingPolicy", "Vienna"): "p-vienna", ("TenantDialPlan", "AT"): "p-at"}
        self.groups: dict[str, set[str]] = {}
        self.nested: dict[str, set[str]] = {}
        self.licence_groups: dict[str, dict[str, tuple[str, ...]]] = {}
        self.deleted: dict[str, FakeUser] = {}
        self.more_skus: list[SubscribedSku] = []
        self.answered: dict[str, dict[str, DirectoryUser]] = {}
        self.listed: dict[str, NumberAssignment] = {}
        self.locations: dict[str, str | None] = {}
        self.numbering: NumberingSystem | None = None
        self.calling: CallingSystem | None = None
        self.policy_batches: PolicyBatchSystem | None = None
        self.skype: FakeSkype | None = None
        self.hybrid = HybridFacts()
        self.country = ""  # of the only emergency location
        self.calls: list[tuple[str, str, bool]] = []
        self.double_owners = 0
        self.before: Callable[[str, str], None] = lambda name, target: None
        self.after: Callable[[str, str], None] = lambda name, target: None
        self.ignored: set[tuple[str, str]] = set()
        self._history: list[tuple[datetime, dict[str, FakeUser]]] = []

    # ---- machinery

    def systems(self) -> Systems:
        """Give the protocols' view of this tenant."""
        directory, shell = FakeDirectory(self), FakeShell(self)
        return Systems(
            FakeGraph(self),
            FakeTeams(self),
            directory,
            shell,
            self.numbering,
            self.skype,
            calling=self.calling,
            policy_batches=self.policy_batches,
        )

    def writes(self) -> list[tuple[str, str]]:
        """List the write calls that had an effect, in order."""
        return [(name, target) for name, target, is_write in self.calls if is_write]

    def call(self, name: str, target: str, effect: Callable[[], object]) -> None:
        """Carry out a write between the hooks; an ignored one says yes and does nothing."""
        self.before(name, target)
        if (name, target) not in self.ignored:
            self.remember()
            effect()
            self.calls.append((name, target, True))
        self.after(name, target)

    def read(self, name: str, target: str) -> dict[str, FakeUser]:
        """Give the users as a read sees them: perhaps as they were before the latest writes."""
        self.before(name, target)
        self.calls.append((name, target, False))
        self.hybrid.settle(self.clock.now())
        seen, shown_until = self.users, self.clock.now() - timedelta(seconds=self.lag_s)
        for at, users in reversed(self._history if self.lag_s else []):
            if at <= shown_until:
                break
            seen = users
        self.after(name, target)
        return seen

    def remember(self) -> None:
        """Keep the present state for reads that lag."""
        if self.lag_s:
            state = {key: replace(user, policies=dict(user.policies)) for key, user in self.users.items()}
            self._history.append((self.clock.now(), state))

    def user(self, user_id: str) -> FakeUser:
        """Give a user that must exist; raises NotFound."""
        if user_id not in self.users:
            raise NotFound(f"user {user_id} does not exist")
        return self.users[user_id]

    def owners(self) -> dict[str, list[str]]:
        """Give the owners of each assigned number."""
        found: dict[str, list[str]] = {}
        for user in self.users.values():
            if user.number:
                found.setdefault(user.number, []).append(user.id)
        return found

    def has_phone_system(self, user: FakeUser) -> bool:
        """Tell whether the licence has taken effect."""
        at, delay = user.licensed_at, timedelta(seconds=self.licence_delay_s)
        return at is not None and self.clock.now() >= at + delay


def shown(user: FakeUser) -> DirectoryUser:
    """Show a user as Graph does."""
    return DirectoryUser(
        id=user.id,
        user_principal_name=user.upn,
        display_name=user.upn,
        usage_location=user.usage_location,
        employee_id=user.employee_id,
        on_premises_sam_account_name=user.sam,
        sku_ids=user.skus,
        account_enabled=user.enabled,
    )


def _changed(user_id: str, user: DirectoryUser | None) -> UserDelta:
    attributes = user.model_dump(mode="json", exclude={"id"}) if user else {}
    return UserDelta(id=user_id, attributes=attributes, removed=None if user else "deleted")


class FakeGraph(FakeGroups):
    """Graph's part of the tenant."""

    def user(self, user: str) -> DirectoryUser | None:
        """Read one user by id or UPN."""
        seen = self._tenant.read("graph.user", user)
        found = seen.get(user) or next((u for u in seen.values() if u.upn == user), None)
        return None if found is None else shown(found)

    def users_named(self, names: Iterable[str]) -> dict[str, DirectoryUser]:
        """Find users by id, UPN or SIP address."""
        seen = self._tenant.read("graph.users_named", "").values()
        sip = self._tenant.hybrid.sip_addresses
        pairs = (
            (n, user) for n in names for user in seen if n.casefold() in (user.id, user.upn, *sip.get(user.id, ()))
        )
        return {name: shown(user) for name, user in pairs}

    def users_by_employee_ids(self, ids: Iterable[str]) -> dict[str, list[DirectoryUser]]:
        """Read users by employee id."""
        ids, seen = set(ids), self._tenant.read("graph.users", "")
        found: dict[str, list[DirectoryUser]] = {}
        for user in seen.values():
            if user.employee_id in ids:
                found.setdefault(user.employee_id, []).append(shown(user))
        return found

    def users_by_ids(self, ids: Iterable[str]) -> dict[str, DirectoryUser]:
        """Read several users."""
        seen = self._tenant.read("graph.users", "")
        return {name: shown(seen[name]) for name in ids if name in seen}

    def hybrid_accounts(self, ids: Iterable[str]) -> dict[str, HybridAccount]:
        """Read several users with what a move depends on."""
        seen = self._tenant.read("graph.hybrid", "")
        return {name: self._tenant.hybrid.shown(seen[name], shown(seen[name])) for name in ids if name in seen}

    def users_delta(self, link: str | None = None) -> Iterator[DeltaPage]:
        """Read what changed since an earlier answer, one user to a page."""
        now = {name: shown(user) for name, user in self._tenant.read("graph.users_delta", link or "").items()}
        before = self._tenant.answered.get(link or "", {} if not link else None)
        if before is None:
            raise NotFound("the delta link has expired")
        self._tenant.answered[f"link-{len(self._tenant.answered)}"] = now
        for name in sorted({*before, *now}):
            if before.get(name) != now.get(name):
                yield DeltaPage(changes=(_changed(name, now.get(name)),))
        yield DeltaPage(changes=(), delta_link=list(self._tenant.answered)[-1])

    def deleted_users(self) -> Iterator[DirectoryUser]:
        """Read the soft-deleted users."""
        return map(shown, self._tenant.hybrid.deleted)

    def subscribed_skus(self) -> list[SubscribedSku]:
        """Read the tenant's licences."""
        n, units = sum(SKU in user.skus for user in self._tenant.users.values()), self._tenant.hybrid.units
        about = {"sku_part_number": "MCOEV", "plan_ids": (PHONE_SYSTEM_PLAN,)}
        sku = SubscribedSku.model_validate({"sku_id": SKU, "consumed_units": n, "enabled_units": units, **about})
        return [sku, *self._tenant.more_skus]

    def set_usage_location(self, user_id: str, country: str) -> None:
        """Write the usage location."""
        self._tenant.call(
            "set_usage_location", user_id, lambda: setattr(self._tenant.user(user_id), "usage_location", country)
        )

    def assign_licence(self, user_id: str, sku_id: str) -> None:
        """Give a licence; the user needs a usage location first."""
        user = self._tenant.user(user_id)
        if not user.usage_location:
            raise Invalid("License assignment cannot be done for user with invalid usage location.")
        self._tenant.call("assign_licence", user_id, lambda: self._give(user, sku_id))

    def _give(self, user: FakeUser, sku_id: str) -> None:
        if sku_id not in user.skus:
            user.skus, user.licensed_at = (*user.skus, sku_id), self._tenant.clock.now()

    def remove_licence(self, user_id: str, sku_id: str) -> None:
        """Take a licence away, and with the last one of Teams Phone the number."""
        user = self._tenant.user(user_id)
        self._tenant.call("remove_licence", user_id, lambda: self._take(user, sku_id))

    def _take(self, user: FakeUser, sku_id: str) -> None:
        user.skus = tuple(sku for sku in user.skus if sku != sku_id)
        if not {sku.sku_id for sku in self.subscribed_skus() if sku.has_phone_system} & {*user.skus}:
            user.licensed_at, user.number, user.enterprise_voice = None, None, False

    def set_account_enabled(self, user_id: str, *, enabled: bool) -> None:
        """Let a user sign in, or not any more."""
        user = self._tenant.user(user_id)
        self._tenant.call("set_account_enabled", user_id, lambda: setattr(user, "enabled", enabled))

    def delete_user(self, user_id: str) -> None:
        """Delete a user; a number that is left stays with the deleted one."""
        tenant = self._tenant
        tenant.user(user_id)
        tenant.call("delete_user", user_id, lambda: tenant.deleted.update({user_id: tenant.users.pop(user_id)}))

    def restore_user(self, user_id: str) -> None:
        """Bring a deleted user back."""
        tenant = self._tenant
        if user_id not in tenant.deleted:
            raise NotFound(f"user {user_id} is not among the deleted ones")
        tenant.call("restore_user", user_id, lambda: tenant.users.update({user_id: tenant.deleted.pop(user_id)}))


class FakeTeams:
    """Teams' part of the tenant."""

    def __init__(self, tenant: FakeTenant) -> None:
        self._tenant = tenant

    def number(self, number: str) -> NumberAssignment | None:
        """Read a number; one that nobody holds has a row only when it is listed."""
        seen = self._tenant.read("teams.number", number)
        owner = next((user.id for user in seen.values() if user.number == number), None)
        row = self._tenant.listed.get(number)
        if row is None and owner is None:
            return None
        placed = self._tenant.locations.get(number)
        row = row or NumberAssignment(telephone_number=number, number_type="directRouting", location_id=placed)
        source = seen[owner].number_source if owner else row.number_source
        holder = owner or row.assignment_target_id
        return row.model_copy(update={"assignment_target_id": holder, "number_source": source})

    def voice_user(self, user_id: str) -> VoiceUser | None:
        """Read what Teams Phone knows about a user."""
        seen = self._tenant.read("teams.voice_user", user_id)
        return self._voice(seen[user_id]) if user_id in seen else None

    def numbers(self, filter: str | None = None) -> Iterator[NumberAssignment]:
        """Read the numbers that are assigned or listed, whatever the filter says."""
        self._tenant.read("teams.numbers", "")
        names = dict.fromkeys((*self._tenant.owners(), *self._tenant.listed))
        return (row for number in names if (row := self.number(number)) is not None)

    def voice_users_by_ids(self, user_ids: Iterable[str]) -> dict[str, VoiceUser]:
        """Read several users."""
        seen = self._tenant.read("teams.voice_users", "")
        return {name: self._voice(seen[name]) for name in user_ids if name in seen}

    def voice_users(self) -> Iterator[VoiceUser]:
        """Read everybody."""
        return map(self._voice, self._tenant.read("teams.voice_users", "").values())

    def _voice(self, user: FakeUser) -> VoiceUser:
        return VoiceUser(
            id=user.id,
            user_principal_name=user.upn,
            account_type=user.account_type,
            is_enterprise_voice_enabled=user.enterprise_voice,
            feature_types=("Teams", "PhoneSystem") if self._tenant.has_phone_system(user) else ("Teams",),
            telephone_numbers=(user.number,) if user.number else (),
            policies=dict(user.policies),
        )

    def policy_id(self, policy_type: str, name: str) -> str | None:
        """Find a policy's id."""
        return self._tenant.policy_ids.get((policy_type, name))

    def assign_number(self, number: str, user_id: str, number_type: str, location_id: str | None = None) -> str:
        """Assign a number; not idempotent for others, counted when it would double one."""
        user = self._tenant.user(user_id)
        if not self._tenant.has_phone_system(user):
            raise Invalid(f"User '{user.upn}' lacks appropriate licenses to assign a '{number_type}' number")
        if user.number_source == "onPremises":
            raise Invalid(
                f"The user '{user.upn}' already has a telephone number set in the on-premises Active Directory"
            )
        if any(owner != user_id for owner in self._tenant.owners().get(number, [])):
            self._tenant.double_owners += 1
            raise AlreadyThere(f"Telephone Number '{number}' has already been assigned to another user")
        self._tenant.call("assign_number", user_id, lambda: self._assign(user, number, location_id))
        return f"operation-{number}"

    def _assign(self, user: FakeUser, number: str, location_id: str | None) -> None:
        user.number, user.enterprise_voice = number, True
        if location_id is not None:
            self._place(number, location_id)

    def wait_for_operation(self, operation_id: str, deadline_s: float) -> None:
        """Return at once: the fake carries out operations synchronously."""

    def unassign_number(self, number: str, number_type: str) -> str:
        """Take a number away."""
        owners = self._tenant.owners().get(number, [])
        if not owners:
            raise NotFound(f"Telephone Number '{number}' is not assigned")
        user = self._tenant.user(owners[0])
        self._tenant.call("unassign_number", user.id, lambda: self._unassign(user))
        return f"operation-{number}"

    @staticmethod
    def _unassign(user: FakeUser) -> None:
        user.number, user.enterprise_voice = None, False

    def update_number_location(self, number: str, location_id: str | None) -> None:
        """Set the location of a listed number."""
        self._tenant.call("set_number_location", number, lambda: self._place(number, location_id))

    def _place(self, number: str, location_id: str | None) -> None:
        self._tenant.locations[number] = location_id
        if row := self._tenant.listed.get(number):
            self._tenant.listed[number] = row.model_copy(update={"location_id": location_id})

    def grant_policies(self, user_id: str, policies: Mapping[str, str]) -> None:
        """Assign policies."""
        names = {policy: name for (_, name), policy in self._tenant.policy_ids.items()}
        user = self._tenant.user(user_id)
        granted = {kind: names[policy] for kind, policy in policies.items()}
        self._tenant.call("grant_policies", user_id, lambda: user.policies.update(granted))

    def revoke_policies(self, user_id: str, policy_types: Sequence[str]) -> None:
        """Remove direct assignments."""
        user = self._tenant.user(user_id)
        left = {kind: name for kind, name in user.policies.items() if kind not in policy_types}
        self._tenant.call("revoke_policies", user_id, lambda: setattr(user, "policies", left))
