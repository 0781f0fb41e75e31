"""Invert changes: the changes that take a verified one back, attribute by attribute (pure)."""

from __future__ import annotations

from collections.abc import Iterable

from config.errors import InputRefused
from engine.change import Change
from engine.kinds import kind_of


def invert(change: Change) -> Change:
    """Give the change that takes this one back. Raises InputRefused with the reason when it is irreversible."""
    kind = kind_of(change)
    if kind.invert is None:
        raise InputRefused(f"{change.kind} cannot be taken back", where=change.target, remedy=kind.irreversible)
    return kind.invert(change)


def invert_all(changes: Iterable[Change]) -> list[Change]:
    """Give the inverse of ordered changes: each inverted, last first."""
    return [invert(change) for change in reversed(list(changes))]
