"""Bring the pools of the site policy into the inventory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from config.site_policy import SitePolicy
from config.site_pools import Forbidden, SitePool
from datasets.inventory import Pool, Span, WithheldSpan, parts_beside, parts_within
from engine import inventory

FORBIDDEN = "forbidden in "
"""How the reason of numbers begins that are withheld because their country forbids them."""


def define_site(connection: Connection, site: SitePolicy) -> None:
    """Take the whole policy over: its pools, and what countries forbid. Raises InputRefused."""
    define_pools(connection, site.pools, site.forbidden)


def define_pools(connection: Connection, pools: Iterable[SitePool], forbidden: Sequence[Forbidden] = ()) -> None:
    """Make the inventory's pools what the site policy says; pools it does not name stay. Raises InputRefused."""
    wanted = [inventory_pool(pool) for pool in pools]
    for pool in wanted:
        known = inventory.read_pool(connection, pool.name)
        inventory.define_pool(connection, forbid(with_additions(pool, known) if known else pool, forbidden))
    for name in sorted(set(inventory.pool_names(connection)) - {pool.name for pool in wanted}):
        if known := inventory.read_pool(connection, name):
            inventory.define_pool(connection, forbid(known, forbidden))


def forbid(pool: Pool, forbidden: Iterable[Forbidden]) -> Pool:
    """Give the pool with what its country forbids withheld, and nothing that it no longer forbids."""
    held = [span.run for span in pool.spans]
    kept = [span for span in pool.withheld if not span.reason.startswith(FORBIDDEN)]
    for each in forbidden:
        if each.country != pool.country:
            continue
        for stretch in each.ranges:
            span = _withheld(stretch.start, stretch.end, f"{FORBIDDEN}{each.country}: {each.reason}")
            beside = [span.run for span in kept]
            kept += [part for inside in parts_within(span, held) for part in parts_beside(inside, beside)]
    return pool.model_copy(update={"withheld": tuple(kept)})


def with_additions(policy: Pool, known: Pool) -> Pool:
    """Give a pool of the policy with the ranges that were added to it by command and that the policy does not name."""
    mine = [span.run for span in policy.spans]
    spans = [part for span in known.spans if span.is_added for part in parts_beside(span, mine)]
    held = [span.run for span in (*policy.spans, *spans)]
    taken = [span.run for span in policy.withheld]
    withheld = [
        part
        for span in known.withheld
        if span.is_added
        for inside in parts_within(span, held)
        for part in parts_beside(inside, taken)
    ]
    return policy.model_copy(update={"spans": (*policy.spans, *spans), "withheld": (*policy.withheld, *withheld)})


def inventory_pool(pool: SitePool) -> Pool:
    """Give the inventory's record of a pool of the site policy."""
    return Pool(
        name=pool.name,
        site=pool.site,
        kind=pool.number_type,
        number_class=pool.number_class,
        country=pool.country,
        carrier=pool.carrier,
        tags=pool.tags,
        spans=(
            *(Span.read(each.start, each.end) for each in pool.ranges),
            *(Span.read(number) for number in pool.numbers),
        ),
        withheld=tuple(_withheld(each.start, each.end, each.reason) for each in pool.withheld),
        base_beside_extensions=pool.base_with_extensions,
    )


def _withheld(start: str, end: str, reason: str) -> WithheldSpan:
    span = WithheldSpan.read(start, end)
    return span.model_copy(update={"reason": reason}) if reason else span
