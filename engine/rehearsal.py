"""A batch in the database of a rehearsal: the same users, options and numbers, against a stand-in of the tenant.

Whoever starts the stand-in and points the settings at it is told in `cli/rehearsal.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, Table, insert, select

from config.errors import InputRefused
from connectors.database import Database
from datasets.batches import BatchOptions
from datasets.tables.inventory import intervals, pools, ranges, taken, withheld_spans
from engine import batches as rows
from engine import inventory
from engine.batches import NOT_FOUND, Batch, Member
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


def _member(row: int, key: str, label: str, there: Mapping[str, object]) -> Member:
    if key in there:
        return Member(row, label, key, label)
    return Member(row, label, None, label, NOT_FOUND, "the snapshot does not have this user ; take a newer one")
