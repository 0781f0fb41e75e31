"""Pools made and changed by command: create, add and take out ranges, withhold, move ranges, retire.

Site policy and commands live together (docs/decisions/0009): what the policy file names is changed there only, what a
command added is changed by command only, and no number is ever in two places. Each function is one transaction's work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TypeVar

from sqlalchemy import Connection, and_, delete, select

from config.errors import InputRefused
from datasets.inventory import (
    Pool,
    Position,
    Span,
    UnknownPool,
    WithheldSpan,
    parts_beside,
    parts_within,
)
from datasets.numbering import PhoneNumber
from datasets.pool_files import pool_of
from datasets.tables.inventory import intervals, pools, ranges, taken, withheld_spans
from engine.inventory_pools import define_pool, read_pool

_S = TypeVar("_S", bound=Span)
NAMED = 5
"""How many of the numbers that stand in the way a refusal names."""


class NumbersTaken(InputRefused):
    """Refuse to take out numbers that somebody has, naming them."""

    def __init__(self, pool: str, found: Sequence[PhoneNumber], *, is_more: bool) -> None:
        self.numbers = tuple(found)
        named = ", ".join(number.e164 for number in found) + (" and more" if is_more else "")
        super().__init__(
            f"numbers of pool {pool!r} are taken: {named}", remedy="release, unreserve or unblock them first"
        )


class PolicyOwns(InputRefused):
    """Refuse to change by command what the site policy says."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} comes from the site policy", where="pools.toml", remedy="change it there")


def create(connection: Connection, pool: Pool) -> Pool:
    """Make a pool by command. Raises InputRefused when there is one of this name, RangesOverlap naming both."""
    if read_pool(connection, pool.name) is not None:
        raise InputRefused(f"there is a pool {pool.name!r} already", remedy="choose another name, or resize that one")
    made = pool.model_copy(update={"is_policy": False, "spans": _added(pool.spans), "withheld": _added(pool.withheld)})
    define_pool(connection, made)
    return made


def describe(connection: Connection, name: str, values: Mapping[str, object]) -> Pool:
    """Change what is said about a pool made by command. Raises PolicyOwns, InputRefused."""
    pool = _known(connection, name)
    if pool.is_policy:
        raise PolicyOwns(f"pool {name!r}")
    told = {field: getattr(pool, field) for field in type(pool).model_fields}
    define_pool(connection, changed := pool_of({**told, **values}))
    return changed


def resize(
    connection: Connection,
    name: str,
    *,
    add: Sequence[Span] = (),
    remove: Sequence[Span] = (),
    withhold: Sequence[WithheldSpan] = (),
    offer: Sequence[Span] = (),
) -> Pool:
    """Add ranges to a pool, take some out, withhold or offer again. Raises NumbersTaken, PolicyOwns, InputRefused."""
    pool = _known(connection, name)
    _refuse_policy(pool.spans, remove)
    _refuse_policy(pool.withheld, offer)
    _refuse_taken(connection, name, remove)
    spans = (*_without(pool.spans, remove, f"pool {name!r}"), *_added(add))
    if not spans:
        raise InputRefused(f"pool {name!r} would have no numbers left", remedy="retire it instead")
    kept = _beside(pool.withheld, remove)
    withheld = (*_without(kept, offer, f"what pool {name!r} withholds"), *_added(withhold))
    changed = _checked(pool, spans, withheld)
    define_pool(connection, changed)
    return changed


def split(connection: Connection, name: str, moving: Sequence[Span], into: Pool) -> tuple[Pool, Pool]:
    """Move ranges into another pool, new or known; whoever has a number keeps it. Raises PolicyOwns, InputRefused."""
    pool = _known(connection, name)
    _refuse_policy(pool.spans, moving)
    spans = tuple(_without(pool.spans, moving, f"pool {name!r}"))
    if not spans:
        raise InputRefused(f"pool {name!r} would have no numbers left", remedy="move fewer, or export and import it")
    runs = [span.run for span in moving]
    moved = _added(chain.from_iterable(parts_within(span, runs) for span in pool.withheld))
    target = read_pool(connection, into.name) or into.model_copy(update={"is_policy": False, "spans": ()})
    # Out of the one before into the other: an overlap in between would be refused.
    define_pool(connection, left := _checked(pool, spans, tuple(_beside(pool.withheld, moving))))
    made = _checked(target, (*target.spans, *_added(moving)), (*target.withheld, *moved))
    define_pool(connection, made)
    return left, made


def retire(connection: Connection, name: str, templates: Sequence[str] = ()) -> int:
    """Forget a pool that nobody has a number of; gives how many it had. Raises NumbersTaken, PolicyOwns.

    `templates` are those that take from it: while there is one, InputRefused is raised.
    """
    pool = _known(connection, name)
    if templates:
        what = f"template {templates[0]} takes numbers from pool {name}"
        raise InputRefused(what, where="templates", remedy="give the template another pool first")
    if pool.is_policy or any(not span.is_added for span in pool.spans):
        raise PolicyOwns(f"pool {name!r}")
    _refuse_taken(connection, name, pool.spans)
    # Emptied first, so that bases whose extensions it had are offered again.
    define_pool(connection, pool.model_copy(update={"spans": (), "withheld": ()}))
    pool_id = connection.execute(select(pools.c.id).where(pools.c.name == name)).scalar_one()
    for table in (intervals, withheld_spans, ranges):
        connection.execute(delete(table).where(table.c.pool_id == pool_id))
    connection.execute(delete(pools).where(pools.c.id == pool_id))
    return sum(span.run.size for span in pool.spans)


def taken_within(connection: Connection, spans: Iterable[Span], limit: int) -> list[PhoneNumber]:
    """Give the lowest taken numbers of these ranges."""
    found: list[PhoneNumber] = []
    for span in spans:
        run, c = span.run, taken.c
        here = and_(c.space == run.space, c.width == run.width, c.n.between(run.first, run.last))
        rows = connection.execute(select(c.space, c.width, c.n).where(here).order_by(c.n).limit(limit - len(found)))
        found += [Position(*row).number for row in rows]
    return found


def _known(connection: Connection, name: str) -> Pool:
    pool = read_pool(connection, name)
    if pool is None:
        raise UnknownPool(name)
    return pool


def _checked(pool: Pool, spans: tuple[Span, ...], withheld: tuple[WithheldSpan, ...]) -> Pool:
    """Give the pool with other ranges, its rules applied. Raises InputRefused."""
    told = {name: getattr(pool, name) for name in type(pool).model_fields}
    return Pool(**told | {"spans": spans, "withheld": withheld})


def _added(spans: Iterable[_S]) -> tuple[_S, ...]:
    return tuple(span.model_copy(update={"is_added": True}) for span in spans)


def _beside(spans: Iterable[_S], taken_out: Sequence[Span]) -> Iterator[_S]:
    runs = [span.run for span in taken_out]
    for span in spans:
        yield from parts_beside(span, runs)


def _without(spans: Iterable[_S], taken_out: Sequence[Span], where: str) -> Iterator[_S]:
    held = list(spans)
    for out in taken_out:
        inside = parts_within(out, [span.run for span in held])
        if sum(part.run.size for part in inside) != out.run.size:
            raise InputRefused(f"{out} is not all in {where}", remedy="name numbers it has")
    yield from _beside(held, taken_out)


def _refuse_policy(held: Iterable[Span], wanted: Sequence[Span]) -> None:
    policy = [span.run for span in held if not span.is_added]
    for span in wanted:
        if inside := parts_within(span, policy):
            raise PolicyOwns(f"range {inside[0]}")


def _refuse_taken(connection: Connection, name: str, spans: Sequence[Span]) -> None:
    found = taken_within(connection, spans, NAMED + 1)
    if found:
        raise NumbersTaken(name, found[:NAMED], is_more=len(found) > NAMED)
