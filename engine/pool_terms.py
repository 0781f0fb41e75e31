"""What must be known of a pool to give out its numbers, whether the site policy or a command made it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, select

from config.errors import InputRefused
from config.site_policy import SitePolicy
from datasets.tables.inventory import pools


class PoolTerms(NamedTuple):
    """Kind and place of a pool, and the emergency location of its numbers by name or id, if there is one."""

    kind: str
    country: str = ""
    site: str = ""
    emergency_location: str | None = None
    is_offered: bool = True
    """Whether a template may take from it: not from a pool that the policy named once and does not any more."""


def pool_terms(connection: Connection, site: SitePolicy) -> dict[str, PoolTerms]:
    """Give the terms of every pool by name; what the policy says of its own outweighs what was taken over before."""
    c = pools.c
    found = {
        row.name: PoolTerms(
            row.kind, row.country, row.site, site.emergency_location(row.kind, row.country, row.site), not row.is_policy
        )
        for row in connection.execute(select(c.name, c.kind, c.country, c.site, c.is_policy).order_by(c.name))
    }
    return found | policy_terms(site)


def policy_terms(site: SitePolicy) -> dict[str, PoolTerms]:
    """Give the terms of the pools that the policy names."""
    found = {}
    for pool in site.pools:
        kind, country, place = pool.number_type, pool.country, pool.site
        location = pool.emergency_location or site.emergency_location(kind, country, place)
        found[pool.name] = PoolTerms(kind, country, place, location)
    return found


def refuse_unknown_pools(site: SitePolicy, known: Mapping[str, PoolTerms]) -> None:
    """Raise InputRefused naming the first template whose pool neither the policy nor the inventory has."""
    offered = [name for name, terms in known.items() if terms.is_offered]
    named = ((template.name, pool) for template in site.templates for pool in template.pools)
    for template, pool in named:
        if pool not in offered:
            what = f"template {template} takes from pool {pool}, which is not in pools.toml"
            remedy = f"name one of {_some(offered)}, or make it: ./callwright numbers pool create {pool}"
            raise InputRefused(
                f"{what} and was not made by command", where=f"{site.templates_file}: pool", remedy=remedy
            )


def _some(names: list[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(sorted(names)[:most]) + more
