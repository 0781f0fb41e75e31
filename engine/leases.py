"""Leases with epochs: at any moment at most one holder may write for a chunk or an object, whatever dies when.

A holder that lost its lease finds out in the transaction in which it would have committed an intent. Every function
takes an open write transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, update

from connectors.errors import Retryable
from connectors.upserts import insert_new
from datasets.tables.leases import leases


class LeaseLost(Retryable):
    """Another process took over; nothing was written under the lost lease."""


class LeaseHeld(Retryable):
    """Another process works on it; `until` says when its lease ends at the latest."""

    def __init__(self, message: str, until: datetime | None) -> None:
        self.until = until
        super().__init__(message)


@dataclass(frozen=True)
class Lease:
    """A right to write, valid while the row still carries this epoch."""

    kind: str
    key: str
    holder: str
    epoch: int


def acquire(connection: Connection, kind: str, key: str, holder: str, *, now: datetime, ttl: timedelta) -> Lease | None:
    """Take a free or expired lease; None while somebody else holds it."""
    here = (leases.c.kind == kind) & (leases.c.key == key)
    taken = connection.execute(
        update(leases)
        .where(here & (leases.c.expires <= now))
        .values(holder=holder, epoch=leases.c.epoch + 1, expires=now + ttl)
    ).rowcount
    if not taken and not _insert(connection, kind, key, holder, expires=now + ttl):
        return None
    epoch = connection.execute(select(leases.c.epoch).where(here)).scalar_one()
    return Lease(kind, key, holder, epoch)


def _insert(connection: Connection, kind: str, key: str, holder: str, *, expires: datetime) -> bool:
    row = {"kind": kind, "key": key, "holder": holder, "epoch": 1, "expires": expires}
    return insert_new(connection, leases, row)


def renew(connection: Connection, held: Iterable[Lease], *, now: datetime, ttl: timedelta) -> None:
    """Prove that the leases are still ours and lengthen them. Raises LeaseLost."""
    for lease in held:
        renewed = connection.execute(update(leases).where(_ours(lease)).values(expires=now + ttl)).rowcount
        if not renewed:
            raise LeaseLost(f"the lease on {lease.kind} {lease.key} was taken over ; the other process goes on")


def prolong(connection: Connection, held: Iterable[Lease], *, now: datetime, ttl: timedelta) -> None:
    """Lengthen those of the leases that are still ours."""
    for lease in held:
        connection.execute(update(leases).where(_ours(lease)).values(expires=now + ttl))


def release(connection: Connection, held: Iterable[Lease], *, now: datetime) -> None:
    """Let go; the row stays, so that epochs keep growing. A lease already lost is left alone."""
    for lease in held:
        connection.execute(update(leases).where(_ours(lease)).values(expires=now))


def holder_of(connection: Connection, kind: str, key: str, *, now: datetime) -> tuple[str, datetime] | None:
    """Tell who holds a lease and until when."""
    query = select(leases.c.holder, leases.c.expires).where(
        (leases.c.kind == kind) & (leases.c.key == key) & (leases.c.expires > now)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.holder, row.expires)


def last_holder(connection: Connection, kind: str, key: str) -> str:
    """Tell who held a lease last, whether it is over or not; empty for one that nobody ever held."""
    query = select(leases.c.holder).where((leases.c.kind == kind) & (leases.c.key == key))
    return connection.execute(query).scalar_one_or_none() or ""


def lease_of(connection: Connection, kind: str, key: str, *, now: datetime) -> Lease | None:
    """Give the lease that is in force on something, whoever holds it."""
    query = select(leases.c.holder, leases.c.epoch).where(
        (leases.c.kind == kind) & (leases.c.key == key) & (leases.c.expires > now)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Lease(kind, key, row.holder, row.epoch)


def extend(connection: Connection, kind: str, key: str, holder: str, *, until: datetime) -> None:
    """Make something last until a moment at least, whoever began it; for what belongs to everybody, as a pause does."""
    here = (leases.c.kind == kind) & (leases.c.key == key)
    if not _insert(connection, kind, key, holder, expires=until):
        connection.execute(update(leases).where(here & (leases.c.expires < until)).values(expires=until))


def forget_expired(connection: Connection, *, before: datetime) -> int:
    """Delete leases that ended before a moment well in the past; returns how many."""
    return connection.execute(delete(leases).where(leases.c.expires < before)).rowcount


def _ours(lease: Lease):  # type: ignore[no-untyped-def] # an SQL expression
    return (
        (leases.c.kind == lease.kind)
        & (leases.c.key == lease.key)
        & (leases.c.holder == lease.holder)
        & (leases.c.epoch == lease.epoch)
    )
