"""The stages of a wave whose users get the same policies by operations of Teams: when they are looked at."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from engine import policy_batches
from engine.runtime import utc_now
from tasks.presets import READ
from tasks.stage import stage
from tasks.work import open_work

_BETWEEN = 4
Part = tuple[str, str, int, int]
"""Batch, plan, first and last line of a chunk."""


def with_policies(connection: Connection, plan_id: str, chunks: Sequence[Part]) -> list[Part]:
    """Look in between at the lines that give policies to many, so that nobody waits for the end of a long wave."""
    places = policy_batches.places(connection, plan_id)
    if places is None:
        return list(chunks)
    found: list[Part] = []
    for number, chunk in enumerate(chunks, start=1):
        found.append(chunk)
        if number % _BETWEEN == 0:
            # A chunk is known by its place, and two of these may be worked on at once: no lines come after the last.
            found.append((*chunk[:2], places[0], places[1] + number))
    return found


@stage(READ)
def policies_are_due(plan_id: str) -> bool:
    """Tell whether another visit to a wave would bring on policies that many get alike, or were to."""
    with open_work() as work, work.database.read() as connection:
        return policy_batches.is_due(connection, plan_id, utc_now())
