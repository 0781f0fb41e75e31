"""Plan the same change, or one of each row of a sheet, for many users: one line per user, and only what differs.

A plan like any other: reviewed, approved, applied, recorded, taken back. Users who are so already are counted, users
whom nobody knows have a line that says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic import JsonValue

from config.errors import InputRefused
from config.site_policy import SitePolicy
from config.user_types import UserType, inapplicable, observed_type
from datasets.bulk_edits import Edits
from datasets.users import AdUser, DirectoryUser, VoiceUser
from engine import claims, departures, inventory, plan_store
from engine.change import Change
from engine.converge import Target, converge
from engine.number_acts import Asked, Person, Recipient, assigning, releasing
from engine.onboarding import being_deleted
from engine.overlay import recent_effects
from engine.plan import Line, LineState, Plan
from engine.readers import Observed, directory_value, voice_value
from engine.requests import new_id
from engine.runtime import Runtime
from engine.site_pools import define_site
from engine.voices import read_voices

DIRECTORY = ("telephoneNumber", "ipPhone")
MOST_USERS = 20_000
_FIRST = ("set_usage_location", "assign_licence")


@dataclass(frozen=True)
class Terms:
    """How long claims of the plan last, and how long a number rests that is taken away."""

    claim: timedelta
    grace_days: int


@dataclass
class _Seen:
    """What the systems know of the users of an edit."""

    accounts: dict[str, DirectoryUser]
    voices: dict[str, VoiceUser]
    unreadable: dict[str, str]
    directory: Mapping[str, AdUser]
    recent: Observed
    busy: dict[str, str]
    skus: dict[str, str]
    phone_licences: frozenset[str]


def plan_bulk_edit(
    runtime: Runtime, site: SitePolicy, request_id: str, wanted: Mapping[str, Edits], terms: Terms
) -> str:
    """Plan edits by user (id or name) and store the plan; gives its id. Raises InputRefused, claiming nothing then."""
    if not wanted:
        raise InputRefused("nobody is chosen", where="bulk edit", remedy="use another filter, text or file")
    if len(wanted) > MOST_USERS:
        raise InputRefused(f"{len(wanted)} users in one edit", where="bulk edit", remedy=f"choose {MOST_USERS} at most")
    with runtime.database.write() as connection:
        define_site(connection, site)
    seen = _look(runtime, wanted)
    wanted = _once_each(wanted, seen.accounts)
    _check(runtime, wanted, seen)
    plan_id = new_id("p")
    planner = _Planner(runtime, site, plan_id, seen, terms)
    with claims.kept_by(runtime, plan_id):
        lines = tuple(planner.line(name, edits) for name, edits in wanted.items())
        with runtime.database.write() as connection:
            plan_store.save(connection, Plan(id=plan_id, request_id=request_id, lines=lines), runtime.now())
    return plan_id


def _look(runtime: Runtime, wanted: Mapping[str, Edits]) -> _Seen:
    systems = runtime.systems
    accounts = systems.graph.users_by_ids([name for name in wanted if "@" not in name])
    accounts |= systems.graph.users_named([name for name in wanted if name not in accounts])
    ids = list(dict.fromkeys(account.id for account in accounts.values()))
    voices, unreadable = read_voices(systems.teams, ids)
    is_written = any(name in edits for edits in wanted.values() for name in DIRECTORY)
    sams = [a.on_premises_sam_account_name for a in accounts.values() if a.on_premises_sam_account_name]
    directory = systems.directory.users(sams) if is_written and systems.directory is not None else {}
    subscribed = systems.graph.subscribed_skus()
    skus = {sku.sku_part_number.upper(): sku.sku_id for sku in subscribed}
    phone = frozenset(sku.sku_id for sku in subscribed if sku.has_phone_system)
    objects = [f"user:{each}" for each in ids] + [f"ad:{sam}" for sam in directory]
    with runtime.database.read() as connection:
        recent = recent_effects(connection, objects, now=runtime.now(), limits=runtime.limits)
        lines = plan_store.open_lines(connection, [f"user:{each}" for each in ids])
        busy = {
            line.object: f"plan {line.plan_id} is still working on this user ; wait for it"
            for line in lines
            if plan_store.has_sent(line)
        }
        deletions = departures.deletions(connection, accounts.values())
        busy |= {f"user:{user_id}": being_deleted(each) for user_id, each in deletions.items()}
    return _Seen(accounts, voices, unreadable, directory, recent, busy, skus, phone)


def _once_each(wanted: Mapping[str, Edits], accounts: Mapping[str, DirectoryUser]) -> dict[str, Edits]:
    """Give everybody one edit, under the first of their names. Raises InputRefused for a contradiction."""
    found, first = dict[str, Edits](), dict[str, str]()
    for name, edits in wanted.items():
        known = first.setdefault(accounts[name].id, name) if name in accounts else name
        if found.setdefault(known, edits) != edits:
            what = f"{known} and {name} are one user, and get different values"
            raise InputRefused(what, where="bulk edit", remedy="keep one of the two")
    return found


def _check(runtime: Runtime, wanted: Mapping[str, Edits], seen: _Seen) -> None:
    """Refuse the whole edit for a policy, a licence or a pool that does not exist, or too few licences."""
    pairs = {(name, value) for edits in wanted.values() for name, value in edits.items() if value is not None}
    for name, value in sorted(pairs, key=str):
        kind, _, rest = name.partition(":")
        if kind == "policy" and runtime.systems.teams.policy_id(rest, str(value)) is None:
            raise InputRefused(f"{rest} {value!r} does not exist in the tenant", remedy="create it or correct the name")
        if kind == "licence" and rest not in seen.skus:
            raise InputRefused(f"licence {rest} is not subscribed", remedy="buy it or correct the name")
        if kind == "number":
            _require_pool(runtime, str(value).removeprefix("pool:"))
    _check_licences(runtime, wanted, seen)


def _require_pool(runtime: Runtime, name: str) -> None:
    with runtime.database.read() as connection:
        if inventory.read_pool(connection, name) is None:
            raise InputRefused(f"there is no pool {name!r}", remedy="./callwright numbers pools lists them")


def _check_licences(runtime: Runtime, wanted: Mapping[str, Edits], seen: _Seen) -> None:
    skus = runtime.systems.graph.subscribed_skus()
    left = {sku.sku_part_number.upper(): sku.enabled_units - sku.consumed_units for sku in skus}
    for part in sorted({name for edits in wanted.values() for name in edits if name.startswith("licence:")}):
        name = part.partition(":")[2]
        missing = [who for who, edits in wanted.items() if edits.get(part) and not _has(seen, who, name)]
        if len(missing) > left.get(name, 0):
            what = f"{len(missing)} users would get {name}, {left.get(name, 0)} are left"
            raise InputRefused(what, remedy="buy some, or choose fewer users")


def _has(seen: _Seen, who: str, part: str) -> bool:
    account = seen.accounts.get(who)
    return account is not None and seen.skus.get(part) in account.sku_ids


class _Planner:
    """Makes the line of each user."""

    def __init__(self, runtime: Runtime, site: SitePolicy, plan_id: str, seen: _Seen, terms: Terms) -> None:
        self._runtime, self._site, self._plan_id, self._seen, self._terms = runtime, site, plan_id, seen, terms

    def line(self, name: str, edits: Edits) -> Line:
        """Give the line of one user."""
        account = self._seen.accounts.get(name)
        if account is None:
            return _line(
                f"user:{name}", name, "refused", f"nobody is called {name} ; correct the name or the object id"
            )
        obj = f"user:{account.id}"
        label = account.user_principal_name
        if reason := self._hindrance(account) or self._inapplicable(account, edits):
            return _line(obj, label, "refused", reason)
        try:
            changes, problems = self._changes(account, edits)
        except InputRefused as error:
            return _line(obj, label, "refused", str(error))
        if problems:
            return _line(obj, label, "refused", "; ".join(problems))
        if not changes:
            return _line(obj, label, "unchanged", "is so already")
        return _line(obj, label, "planned", "", changes)

    def _hindrance(self, account: DirectoryUser) -> str:
        if busy := self._seen.busy.get(f"user:{account.id}"):
            return busy
        if account.id in self._seen.unreadable:
            return f"cannot be read now: {self._seen.unreadable[account.id]}"
        if account.id not in self._seen.voices:
            return "Teams does not know this user yet ; give a licence with Teams and wait until it has replicated"
        return ""

    def _inapplicable(self, account: DirectoryUser, edits: Edits) -> str:
        """Say which policies have no effect on this user; taking one away always may."""
        given = [name.partition(":")[2] for name, value in edits.items() if name.startswith("policy:") and value]
        user_type = observed_type(UserType.ENTERPRISE, self._seen.voices[account.id].account_type)
        said = inapplicable(user_type, given)
        return f"{said} ; move the user first, or leave the policy out" if said else ""

    def _changes(self, account: DirectoryUser, edits: Edits) -> tuple[list[Change], list[str]]:
        obj, live = f"user:{account.id}", self._live(account, edits)
        wanted: Observed = {}
        for name, value in edits.items():
            if name in DIRECTORY:
                wanted[self._directory_object(account), name] = value
            elif name != "number":
                wanted[obj, self._effect_name(name)] = value
        until = self._runtime.now() + timedelta(days=self._terms.grace_days)
        numbers = self._numbers(account, edits, live)
        live |= {effect.key_pair: effect.after for change in numbers for effect in change.effects}
        phone = self._seen.phone_licences
        way = converge(Target(account.id, wanted, live, f"bulk edit {self._plan_id}", until, phone_licences=phone))
        first = [change for change in way.changes if change.kind in _FIRST]
        rest = [change for change in way.changes if change.kind not in _FIRST]
        return [*first, *numbers, *rest], list(way.problems)

    def _numbers(self, account: DirectoryUser, edits: Edits, live: Observed) -> list[Change]:
        if "number" not in edits:
            return []
        has = live.get((f"user:{account.id}", "number"))
        person = Person(account, self._seen.voices[account.id], None if has is None else str(has))
        if edits["number"] is None:
            if has is None:
                return []
            return releasing(self._runtime, self._site, person, str(has), grace_days=self._terms.grace_days)
        if has is not None:  # numbers are sticky: who has one keeps it
            return []
        asked = Asked(account.id, pool=str(edits["number"]).removeprefix("pool:"))
        recipient = Recipient(person, asked)
        return assigning(self._runtime, self._site, self._plan_id, recipient, claim=self._terms.claim)

    def _live(self, account: DirectoryUser, edits: Edits) -> Observed:
        obj, voice = f"user:{account.id}", self._seen.voices[account.id]
        names = {"number", "enterprise_voice", *(self._effect_name(name) for name in edits if name not in DIRECTORY)}
        names |= {f"licence:{sku}" for sku in self._seen.phone_licences}
        found: Observed = {(obj, name): self._value(account, voice, name) for name in names}
        if ad := self._seen.directory.get(account.on_premises_sam_account_name or ""):
            of = f"ad:{ad.sam_account_name}"
            found |= {(of, "telephoneNumber"): ad.telephone_number or None, (of, "ipPhone"): ad.ip_phone or None}
        return found | {key: value for key, value in self._seen.recent.items() if key in found}

    def _value(self, account: DirectoryUser, voice: VoiceUser, name: str) -> JsonValue:
        if name == "usage_location" or name.startswith("licence:"):
            return directory_value(account, name)
        return voice_value(voice, name)

    def _effect_name(self, name: str) -> str:
        kind, _, part = name.partition(":")
        return f"licence:{self._seen.skus[part]}" if kind == "licence" else name

    def _directory_object(self, account: DirectoryUser) -> str:
        ad = self._seen.directory.get(account.on_premises_sam_account_name or "")
        if ad is None:
            raise InputRefused("has no account in Active Directory", remedy="leave out telephoneNumber and ipPhone")
        return f"ad:{ad.sam_account_name}"


def _line(obj: str, label: str, state: str, reason: str, changes: Sequence[Change] = ()) -> Line:
    return Line(
        object=obj,
        label=label,
        success="edited",
        source={"user": label, "named": True},
        changes=tuple(changes),
        state=LineState(state),
        reason=reason,
    )
