"""Look at the users of a wave, in bulk: directory, Teams, Skype for Business Server, our own record. Reading only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection

from datasets.batches import BatchNumbers, BatchOptions
from datasets.hybrid import HybridAccount, SkypeUser
from datasets.users import AdUser
from engine import history, plan_store
from engine.migration import Goal, Migrant
from engine.migration_terms import WaveTerms
from engine.moving import number_of_line
from engine.overlay import recent_effects
from engine.preflight_checks import (
    BUILD_UNCHECKED,
    EMERGENCY_ROUTING,
    EMERGENCY_USAGES_UNCHECKED,
    HOST_UNCHECKED,
    MAILBOX_UNCHECKED,
    MODULE_UNCHECKED,
    USAGES_UNCHECKED,
    Facts,
)
from engine.readers import Observed
from engine.runtime import Runtime
from engine.systems import Systems
from engine.voices import read_voices

_FROM_THE_DIRECTORY = (BatchNumbers.HOME, BatchNumbers.MOBILE, BatchNumbers.IP_PHONE, BatchNumbers.PHONE)


class Holding(NamedTuple):
    """A number of the tenant with its holder, and whether the on-premises directory is its master: there are many."""

    telephone_number: str
    assignment_target_id: str
    is_on_premises: bool


@dataclass(frozen=True)
class Beforehand:
    """What is known before users are looked at.

    `own_plans` are plans of their own batch that nobody has started: no user is busy with one. `held` are the numbers
    of the tenant, where they were read already.
    """

    own_plans: Collection[str] = ()
    held: tuple[Holding, ...] | None = None


@dataclass(frozen=True)
class Sight:
    """The users of a wave as they were seen, and every number that the tenant lists as somebody's."""

    migrants: tuple[Migrant, ...]
    held: tuple[Holding, ...]


def look(runtime: Runtime, options: BatchOptions, user_ids: Sequence[str], known: Beforehand) -> Sight:
    """Read what a wave needs to know. Raises what the connectors raise."""
    systems = runtime.systems
    accounts = systems.graph.hybrid_accounts(user_ids)
    deleted = _deleted(runtime, user_ids, accounts)
    voices, unreadable = read_voices(systems.teams, list(accounts))
    skype = _skype_users(runtime, accounts.values())
    ad = _directory_users(runtime, options, accounts.values())
    held = holdings(systems) if known.held is None else known.held
    with runtime.database.read() as connection:
        recent = _recent(connection, runtime, user_ids, skype, accounts)
        open_lines = plan_store.open_lines(connection, map(_object, user_ids))
        busy = {line.object: line.plan_id for line in open_lines if line.plan_id not in known.own_plans}
        cleared = _cleared(connection, user_ids, skype) if options.numbers is BatchNumbers.KEEP else {}
    masters: dict[str, dict[str, bool]] = {user_id: {} for user_id in user_ids}
    for row in held:
        if row.assignment_target_id in masters:
            masters[row.assignment_target_id][row.telephone_number] = row.is_on_premises
    made = (
        Migrant(
            user_id=user_id,
            hybrid=accounts.get(user_id),
            is_deleted=user_id in deleted,
            voice=voices.get(user_id),
            skype=skype.get(user_id),
            ad=ad.get(user_id),
            recent=recent.get(user_id, {}),
            unreadable=unreadable.get(user_id),
            busy_with=busy.get(_object(user_id)),
            voice_numbers=masters[user_id],
            cleared=cleared.get(user_id),
        )
        for user_id in user_ids
    )
    return Sight(tuple(made), held)


def holdings(systems: Systems) -> tuple[Holding, ...]:
    """Read every number of the tenant that is somebody's."""
    return tuple(
        Holding(row.telephone_number, row.assignment_target_id, row.number_source == "onPremises")
        for row in systems.teams.numbers()
        if row.assignment_target_id
    )


def _object(user_id: str) -> str:
    return f"user:{user_id}"


def _deleted(runtime: Runtime, user_ids: Sequence[str], found: Mapping[str, HybridAccount]) -> frozenset[str]:
    """Tell which of those without an account are soft-deleted; the list is read only when somebody is missing."""
    missing = {user_id for user_id in user_ids if user_id not in found}
    if not missing:
        return frozenset()
    return frozenset(user.id for user in runtime.systems.graph.deleted_users() if user.id in missing)


def _skype_users(runtime: Runtime, accounts: Iterable[HybridAccount]) -> dict[str, SkypeUser]:
    """Read the users of the server by their accounts; nobody where no server is set."""
    if runtime.systems.skype is None:
        return {}
    names = _sam_names(accounts)
    found = runtime.systems.skype.users(names.values()) if names else {}
    return {user_id: found[sam] for user_id, sam in names.items() if sam in found}


def _directory_users(runtime: Runtime, options: BatchOptions, accounts: Iterable[HybridAccount]) -> dict[str, AdUser]:
    directory = runtime.systems.directory
    if directory is None or not (options.write_back or options.numbers in _FROM_THE_DIRECTORY):
        return {}
    names = _sam_names(accounts)
    found = directory.users(names.values())
    return {user_id: found[sam] for user_id, sam in names.items() if sam in found}


def _sam_names(accounts: Iterable[HybridAccount]) -> dict[str, str]:
    return {each.id: sam for each in accounts if (sam := each.account.on_premises_sam_account_name)}


def _recent(
    connection: Connection,
    runtime: Runtime,
    user_ids: Sequence[str],
    skype: Mapping[str, SkypeUser],
    accounts: Mapping[str, HybridAccount],
) -> dict[str, Observed]:
    """Give our own verified effects that reads may not show yet, by user."""
    whose = {_object(user_id): user_id for user_id in user_ids}
    whose |= {user.object: user_id for user_id, user in skype.items()}
    whose |= {f"ad:{sam}": user_id for user_id, sam in _sam_names(accounts.values()).items()}
    found: dict[str, Observed] = {}
    for key, value in recent_effects(connection, whose, now=runtime.now(), limits=runtime.limits).items():
        found.setdefault(whose[key[0]], {})[key] = value
    return found


def _cleared(connection: Connection, user_ids: Sequence[str], skype: Mapping[str, SkypeUser]) -> dict[str, str]:
    """Give the numbers whose lines we cleared for users who have no line now: a wave that stopped half-way."""
    without = [user_id for user_id in user_ids if user_id in skype and skype[user_id].line_uri is None]
    found: dict[str, str] = {}
    for done in history.done_to(connection, map(_object, without)):
        number = number_of_line(done.parameters["line"]) if done.kind == "clear_on_premises_line" else None
        if number is not None:
            found[done.object.removeprefix("user:")] = number
    return found


def goal_of(runtime: Runtime, options: BatchOptions, terms: WaveTerms, sight: Sight) -> Goal:
    """Say where the wave leads; the server is asked for the cloud's host only when somebody moves there."""
    moves = any(migrant.must_move for migrant in sight.migrants)
    host = runtime.systems.skype.cloud_host() if moves and runtime.systems.skype else ""
    skus = {sku.sku_part_number: sku for sku in runtime.systems.graph.subscribed_skus()}
    return Goal(options, skus, host, terms.grace.days)


def facts_of(runtime: Runtime, options: BatchOptions, terms: WaveTerms, sight: Sight) -> Facts:
    """Read what holds for everybody: versions, policies, usages, and who holds which number."""
    systems = runtime.systems
    moves = any(migrant.must_move for migrant in sight.migrants)
    build = systems.skype.server_build() if moves and systems.skype else None
    module = systems.shell.module_version() if moves and systems.shell else None
    wanted = [(kind, name) for kind, name in sorted(options.policies.items()) if name]
    missing = tuple(pair for pair in wanted if systems.teams.policy_id(*pair) is None)
    routing = options.policies.get("OnlineVoiceRoutingPolicy")
    unchecked = [MAILBOX_UNCHECKED]
    if moves:
        unchecked += [HOST_UNCHECKED if module else MODULE_UNCHECKED] + ([] if build else [BUILD_UNCHECKED])
    unchecked += [USAGES_UNCHECKED] if routing and systems.shell is None else []
    unchecked += [EMERGENCY_USAGES_UNCHECKED] if options.policies.get(EMERGENCY_ROUTING) else []
    usages = _usages(systems, routing) if routing and not missing else None
    return Facts(
        terms=terms,
        has_skype=systems.skype is not None,
        build=build,
        module=module,
        missing_policies=missing,
        unrouted=_unrouted(systems, usages or ()),
        without_usages=routing if usages == () else None,
        unchecked=tuple(unchecked),
        holders={row.telephone_number: row.assignment_target_id for row in sight.held},
    )


def _usages(systems: Systems, policy: str) -> tuple[str, ...] | None:
    """Give the usages of a voice routing policy; None where nobody can tell."""
    if systems.shell is None:
        return None
    found = systems.shell.voice_routing_policies()
    return next((each.usages for each in found if each.name.casefold() == policy.casefold()), None)


def _unrouted(systems: Systems, usages: Sequence[str]) -> tuple[str, ...]:
    """Name the usages with which no call can leave (M51)."""
    routed = systems.shell.routed_usages() if systems.shell and usages else ()
    return tuple(usage for usage in usages if usage not in routed)
