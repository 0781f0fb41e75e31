"""Preflight: what would become of the users of a batch, found out as planning does, without keeping anything of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from config.site_policy import SitePolicy
from datasets.batches import BatchNumbers, BatchOptions, PolicyBatches
from datasets.numbering import PhoneNumber
from datasets.preflight import Check, Concern, Examined, Preflight, Readiness
from engine import inventory
from engine.batches import waves_of
from engine.change import Change
from engine.migration import Goal
from engine.migration_estimate import estimate
from engine.migration_look import Beforehand, holdings
from engine.migration_numbers import Choice, candidates
from engine.migration_plan import Decided, Seen, choose, judge, learn, parts, see
from engine.migration_terms import WaveTerms
from engine.policy_batch_plan import calls_of
from engine.preflight_checks import Supply, readiness
from engine.requests import new_id
from engine.runtime import Runtime
from engine.service_times import service_times
from engine.site_pools import define_site

_SLICE = 500


def examine(
    runtime: Runtime,
    site: SitePolicy,
    options: BatchOptions,
    user_ids: Sequence[str],
    terms: WaveTerms,
    own_plans: Collection[str] = (),
) -> Preflight:
    """Find out what stands in the way of these users, and how long it would take. Writes nothing outside.

    Numbers are chosen on trial, so that every reason is the one that planning would give. `own_plans` are plans of the
    batch that nobody has started: neither they nor the numbers that they claim stand in its way. Raises what planning
    raises.
    """
    decided: list[Decided] = []
    unchecked: tuple[str, ...] = ()
    left, supply, known = 0, Supply(), Beforehand(own_plans, holdings(runtime.systems))
    claimed = _claimed(runtime, own_plans)
    for start in range(0, max(1, len(user_ids)), _SLICE):
        seen = see(runtime, site, options, user_ids[start : start + _SLICE], terms, known)
        if start == 0 or options.numbers is not BatchNumbers.NUMBER_RANGE:  # a range learns of every number at once
            learn(runtime, seen)
        for some in parts(judge(seen, supply), options):
            found, left = _tried(runtime, site, seen, some, claimed)
            decided += found
        unchecked = seen.facts.unchecked
    decided = [*_over_all(options, decided, left)]
    users = tuple(_examined(each, seen.goal) for each in decided)
    changes = _calls(runtime, options, decided)
    with runtime.database.read() as connection:
        measured = service_times(connection, runtime.now())
    sessions = min(terms.sessions, options.concurrency)
    return Preflight(users=users, estimate=estimate(changes, sessions, measured), unchecked=unchecked)


def _calls(runtime: Runtime, options: BatchOptions, decided: Sequence[Decided]) -> list[tuple[Change, ...]]:
    """Give the calls for each user, and those for many of a wave."""
    if options.policy_batches is PolicyBatches.NEVER or runtime.systems.policy_batches is None:
        return [each.changes for each in decided if not each.blocked]
    waves: dict[int, list[tuple[Change, ...]]] = {}
    for each, wave in zip(decided, waves_of(len(decided), options), strict=True):
        waves.setdefault(wave, []).append(() if each.blocked else each.changes)
    return [changes for users in waves.values() for changes in calls_of(users)]


Claimed = Mapping[str, tuple[str, PhoneNumber]]


def _claimed(runtime: Runtime, plan_ids: Collection[str]) -> Claimed:
    """Give the numbers that these plans claim, each with its plan."""
    with runtime.database.read() as connection:
        return {
            row.number.e164: (plan_id, row.number)
            for plan_id in plan_ids
            for row in inventory.claimed_by(connection, plan_id)
        }


def _tried(
    runtime: Runtime, site: SitePolicy, seen: Seen, some: Sequence[Decided], claimed: Claimed
) -> tuple[list[Decided], int]:
    """Decide on trial, as if nothing were claimed; gives how many numbers the pool of the batch has free, too."""
    now, options = runtime.now(), seen.goal.options
    wanted = set(claimed)
    if options.numbers is not BatchNumbers.NUMBER_RANGE:
        wanted = {number for each in some for number in candidates(each.migrant, options)} & set(claimed)
    with runtime.database.write() as connection:
        trial = connection.begin_nested()
        define_site(connection, site)
        for plan_id, number in map(claimed.__getitem__, wanted):
            inventory.give_back(connection, number, plan_id=plan_id, now=now)
        left = _free(connection, options)
        choice = Choice(connection, seen.goal, seen.locations, new_id("p"), now + seen.facts.terms.claim, now)
        found = choose(seen.goal, some, choice)
        trial.rollback()
    return found, left


def _over_all(options: BatchOptions, decided: Sequence[Decided], left: int) -> Iterator[Decided]:
    """Judge what only shows over all slices: a pool that runs out, and a number that two users would have."""
    owners: dict[str, str] = {}
    for each in decided:
        number = each.migrant.chosen.number if each.migrant.chosen and not each.blocked else None
        if number is None:
            yield each
        elif options.numbers is BatchNumbers.NUMBER_RANGE:
            left -= 1
            yield each if left >= 0 else _with(each, Check.POOL_EXHAUSTED, f"pool {options.pool} has too few numbers")
        else:
            other = owners.setdefault(number, each.migrant.label)
            taken = f"{number} is the number of {other} too"
            yield each if other == each.migrant.label else _with(each, Check.NUMBER_TAKEN, taken)


def _free(connection: Connection, options: BatchOptions) -> int:
    if options.numbers is not BatchNumbers.NUMBER_RANGE:
        return 0
    return inventory.counts(connection, str(options.pool)).free


def _with(decided: Decided, check: Check, reason: str) -> Decided:
    remedy = "add a range" if check is Check.POOL_EXHAUSTED else "correct one of the two"
    return replace(decided, concerns=(*decided.concerns, Concern(check=check, reason=reason, remedy=remedy)))


def _examined(decided: Decided, goal: Goal) -> Examined:
    migrant = decided.migrant
    # Which number of a range it will be is decided when the wave is planned.
    is_next = goal.options.numbers is BatchNumbers.NUMBER_RANGE
    return Examined(
        user_id=migrant.user_id,
        label=migrant.label,
        home=migrant.home,
        concerns=decided.concerns,
        number=migrant.chosen.number if migrant.chosen and not is_next else None,
        pool=migrant.pool,
        emergency=_readiness(decided, goal),
    )


def _readiness(decided: Decided, goal: Goal) -> Readiness:
    """Say what stands behind emergency calls; nothing of who is blocked by something else: no number is known."""
    if any(each.check is Check.EMERGENCY_LOCATION for each in decided.concerns):
        return "neither"
    return "" if decided.blocked else readiness(decided.migrant, goal)
