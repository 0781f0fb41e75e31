"""What every line of a snapshot is: a record that knows its kind and how it is written."""

from __future__ import annotations

from pydantic import JsonValue

from datasets.record import Record


class SnapshotLine(Record):
    """One line; `kind` says which."""

    kind: str

    def as_line(self) -> dict[str, JsonValue]:
        """Give the line without what is at its default, so that equal tenants give equal lines."""
        values: dict[str, JsonValue] = self.model_dump(mode="json", exclude_defaults=True)
        return {"kind": self.kind, **values}
