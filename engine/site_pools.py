"""Bring the pools of the site policy into the inventory."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from config.site_pools import SitePool
from datasets.inventory import Pool, Span, WithheldSpan
from engine import inventory


def define_pools(connection: Connection, pools: Iterable[SitePool]) -> None:
    """Make the inventory's pools what the site policy says; pools it does not name stay. Raises InputRefused."""
    for pool in pools:
        inventory.define_pool(connection, inventory_pool(pool))


def inventory_pool(pool: SitePool) -> Pool:
    """Give the inventory's record of a pool of the site policy."""
    return Pool(
        name=pool.name,
        site=pool.site,
        kind=pool.number_type,
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
