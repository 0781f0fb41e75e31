"""What a probe of an outside system found: one line a person can act on."""

from __future__ import annotations

from typing import ClassVar

from datasets.record import Record


class Finding(Record):
    """One checked condition; `fix` says what to do and is empty when `ok`."""

    identity: ClassVar[tuple[str, ...]] = ("name",)

    name: str
    ok: bool
    detail: str = ""
    fix: str = ""
