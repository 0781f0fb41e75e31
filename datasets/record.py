"""The base of all records: frozen, strict about unknown fields, and explicit about what identifies them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen value; `identity` names the fields that say which thing it is, the rest are attributes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    identity: ClassVar[tuple[str, ...]] = ()

    @property
    def key(self) -> tuple[object, ...]:
        """Give the values of the identifying fields."""
        return tuple(getattr(self, name) for name in self.identity)
