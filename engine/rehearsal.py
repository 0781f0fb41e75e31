"""A batch in the database of a rehearsal: the same users, options and numbers, against a stand-in of the tenant.

Whoever starts the stand-in and points the settings at it is told in `cli/rehearsal.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, Table, insert, select

from config.errors import InputRefused
from connectors.database import Database
from datasets.batches import BatchOptions
from datasets.preflight import Estimate
from datasets.tables.inventory import intervals, pools, ranges, taken, withheld_spans
from engine import batches as rows
from engine import inventory, plan_store
from engine.batches import NOT_FOUND, Batch, Member
from engine.change import Change
from engine.migration_estimate import estimate
from engine.policy_batch_plan import POLICY_BATCH
from engine.runtime import utc_now
from engine.systems import GraphSystem

_NUMBERS = (pools, ranges, withheld_spans, intervals, taken)
_SLICE = 500


def copy_numbers(ours: Database, theirs: Database, name: str) -> None:
    """Copy the number inventory as it is now, so that the rehearsal meets the same free and taken numbers.

    What the batch itself claims is given back in the copy: there it is planned anew.
    """
    with ours.read() as source, theirs.write() as target:
        batch = rows.find(source, name)
        for table in _NUMBERS:
            _copy(source, target, table)
        for plan_id in (*rows.plans_of(source, batch.id), *rows.plans_of(source, batch.id, kind="undo")):
            inventory.give_back_plan(target, plan_id, utc_now())


def _copy(source: Connection, target: Connection, table: Table) -> None:
    found = source.execute(select(table)).mappings()
    while some := found.fetchmany(_SLICE):
        target.execute(insert(table), [dict(row) for row in some])


def copy_batch(ours: Database, theirs: Database, graph: GraphSystem, name: str) -> tuple[Batch, int]:
    """Make the batch anew among the users of the stand-in, without its window; gives it, and who is not there.

    Raises InputRefused when the stand-in knows nobody of it.
    """
    with ours.read() as connection:
        batch = rows.find(connection, name)
        users = rows.users_of(connection, batch.id)
    there = graph.users_by_ids([key for key, _ in users])
    members = [_member(row, key, label, there) for row, (key, label) in enumerate(users, 1)]
    missing = sum(each.user_id is None for each in members)
    if missing == len(members):
        what = f"the snapshot has nobody of batch {batch.name!r}"
        raise InputRefused(what, remedy="take one of this tenant, without pseudonyms: ./callwright snapshot FILE")
    options = BatchOptions.model_validate(batch.options.model_dump() | {"window_start": None, "window_end": None})
    with theirs.write() as connection:
        rows.create(connection, batch.name, batch.source, options, members, by="rehearsal", now=utc_now())
        return rows.find(connection, batch.name), missing


def estimate_of(theirs: Database, batch_id: str, sessions: int, measured: Mapping[str, float]) -> Estimate:
    """Say how long the calls that a rehearsed batch planned take with so many sessions and these service times."""
    with theirs.read() as connection:
        return estimate((changes for _, changes in _calls(connection, batch_id)), sessions, measured)


def seconds_of(theirs: Database, batch_id: str, measured: Mapping[str, float]) -> dict[str, float]:
    """Give the seconds of calls for each user of a rehearsed batch, by object."""
    with theirs.read() as connection:
        return {obj: estimate([changes], 1, measured).busy_s for obj, changes in _calls(connection, batch_id)}


def _calls(connection: Connection, batch_id: str) -> Iterator[tuple[str, list[Change]]]:
    """Give the changes of each line; what users are given together is one call for all of them."""
    for plan_id in rows.plans_of(connection, batch_id):
        for line in plan_store.load_lines(connection, plan_id):
            changes = (stored.change for stored in line.changes)
            yield line.object, [change for change in changes if change.waits_for != POLICY_BATCH]


def _member(row: int, key: str, label: str, there: Mapping[str, object]) -> Member:
    if key in there:
        return Member(row, label, key, label)
    return Member(row, label, None, label, NOT_FOUND, "the snapshot does not have this user ; take a newer one")
