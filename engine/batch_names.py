"""What a batch names has to be known to its site: a slip of the pen is told when the batch is made, in one line."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from config.errors import InputRefused
from config.site_names import LICENCE, LOCATION, POOL, Choice, Names, policy_choice
from config.site_policy import SitePolicy
from datasets.batches import BatchOptions
from engine.pool_terms import pool_terms

_MOST = 12


def refuse_unknown(connection: Connection, site: SitePolicy, options: BatchOptions) -> None:
    """Raise InputRefused for the first policy, pool, licence or location that the site does not know."""
    offered = [name for name, terms in pool_terms(connection, site).items() if terms.is_offered]
    names = site.names(offered)
    for what, of, name in _named(options):
        if not names.has(of, name):
            raise InputRefused(f"{what} {name!r} is not known to the site", where="batch", remedy=_remedy(names, of))


def _named(options: BatchOptions) -> Iterator[tuple[str, Choice, str]]:
    yield from ((kind, policy_choice(kind), name) for kind, name in options.policies.items() if name is not None)
    yield from (("licence", LICENCE, name) for name in options.licences)
    if options.pool is not None:
        yield "pool", POOL, options.pool
    if options.emergency_location is not None:
        yield "emergency location", LOCATION, options.emergency_location


def _remedy(names: Names, of: Choice) -> str:
    known = names.of(of)
    more = f" and {len(known) - _MOST} more" if len(known) > _MOST else ""
    add = "make it: ./callwright numbers pool create" if of == POOL else "add it to names.toml of the site policy"
    return f"choose one of {', '.join(known[:_MOST])}{more}, or {add}"
