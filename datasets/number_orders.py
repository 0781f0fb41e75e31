"""Bulk orders of numbers in Teams: what they may hold and how they end. Pure."""

from __future__ import annotations

from typing import ClassVar, Literal

from datasets.record import Record

OrderKind = Literal["upload", "release"]
LARGEST: dict[OrderKind, int] = {"upload": 10_000, "release": 1_000}
# Success, PartialSuccess and Failed end an upload, Complete a release; the other words are on the way there.
_OVER = frozenset(("complete", "completed", "success", "partialsuccess", "failed"))


class NumberOrder(Record):
    """An order as Teams reports it."""

    identity: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    kind: OrderKind
    status: str
    total: int = 0
    succeeded: int = 0
    failed: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more will happen to it."""
        return self.status.casefold() in _OVER
