"""The end of a number's time: reservations and grace periods that are over, ended one by one and exactly then.

Every function takes a connection whose transaction the caller owns, and the moment it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection

from datasets.inventory import NumberState, Position, Taken
from datasets.numbering import PhoneNumber
from engine import inventory_taken as numbers
from engine.inventory_taken import Move


def over(connection: Connection, now: datetime, state: NumberState) -> Iterator[Taken]:
    """Read the numbers in a state whose time is over, longest over first; at the very second it is."""
    return (row for row in numbers.expired(connection, now) if row.state == state)


def is_over(connection: Connection, number: PhoneNumber, state: NumberState, now: datetime) -> bool:
    """Tell whether a number is still in this state and its time is over."""
    row = numbers.find_row(connection, Position.of(number))
    return row is not None and row.state == state and row.expired_at(now)


def end(connection: Connection, number: PhoneNumber, state: NumberState, now: datetime) -> bool:
    """Make a number free whose time in this state is over; tells whether it was. Safe to repeat."""
    spot = numbers.hold(connection, Position.of(number))
    row = spot.row
    if row is None or row.state != state or not row.expired_at(now):
        return False
    numbers.move(connection, [Move(spot, None)], now, "its time was over")
    return True
