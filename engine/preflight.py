"""Preflight: what would become of the users of a batch, found out as planning does, without keeping anything of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from config.site_policy import SitePolicy
from datasets.batches import BatchNumbers, BatchOptions, PolicyBatches
from datasets.preflight import Check, Concern, Examined, Preflight
from engine import inventory
from engine.batches import waves_of
from engine.change import Change
from engine.migration_estimate import estimate
from engine.migration_numbers import Choice
from engine.migration_plan import Decided, Seen, choose, judge, learn, parts, see
from engine.migration_terms import WaveTerms
from engine.policy_batch_plan import calls_of
from engine.requests import new_id
from engine.runtime import Runtime
from engine.service_times import service_times
from engine.site_pools import define_site

_SLICE = 500


def examine(
    runtime: Runtime, site: SitePolicy, options: BatchOptions, user_ids: Sequence[str], terms: WaveTerms
) -> Preflight:
    """Find out what stands in the way of these users, and how long it would take. Writes nothing outside.

    Numbers are chosen on trial, so that every reason is the one that planning would give. Raises what planning raises.
    """
    decided: list[Decided] = []
    unchecked: tuple[str, ...] = ()
    left = 0
    for start in range(0, max(1, len(user_ids)), _SLICE):
        seen = see(runtime, site, options, user_ids[start : start + _SLICE], terms)
        learn(runtime, seen)
        for some in parts(judge(seen), options):
            found, left = _tried(runtime, site, seen, some)
            decided += found
        unchecked = seen.facts.unchecked
    decided = [*_over_all(options, decided, left)]
    users = tuple(_examined(each, options) for each in decided)
    changes = _calls(runtime, options, decided)
    with runtime.database.read() as connection:
        measured = service_times(connection, runtime.now())
    return Preflight(users=users, estimate=estimate(changes, terms.sessions, measured), unchecked=unchecked)


def _calls(runtime: Runtime, options: BatchOptions, decided: Sequence[Decided]) -> list[tuple[Change, ...]]:
    """Give the calls for each user, and those for many of a wave."""
    if options.policy_batches is PolicyBatches.NEVER or runtime.systems.policy_batches is None:
        return [each.changes for each in decided if not each.blocked]
    waves: dict[int, list[tuple[Change, ...]]] = {}
    for each, wave in zip(decided, waves_of(len(decided), options), strict=True):
        waves.setdefault(wave, []).append(() if each.blocked else each.changes)
    return [changes for users in waves.values() for changes in calls_of(users)]


def _tried(runtime: Runtime, site: SitePolicy, seen: Seen, some: Sequence[Decided]) -> tuple[list[Decided], int]:
    """Decide on trial; gives how many numbers the pool of the batch has free, too."""
    now = runtime.now()
    with runtime.database.write() as connection:
        trial = connection.begin_nested()
        define_site(connection, site)
        left = _free(connection, seen.goal.options)
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


def _examined(decided: Decided, options: BatchOptions) -> Examined:
    migrant = decided.migrant
    is_next = (
        options.numbers is BatchNumbers.NUMBER_RANGE
    )  # which number it will be is decided when the wave is planned
    return Examined(
        user_id=migrant.user_id,
        label=migrant.label,
        home=migrant.home,
        concerns=decided.concerns,
        number=migrant.chosen.number if migrant.chosen and not is_next else None,
    )
