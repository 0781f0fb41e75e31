"""Ranges as people write them: `+43100-+43199`, `+43100 to +43199`, `+431;ext=10..+431;ext=19`, or one number."""

from __future__ import annotations

import re

from config.errors import InputRefused
from datasets.inventory import Span
from datasets.numbering import parse_number

LARGEST = 10**12
_BETWEEN = re.compile(r"\s*(?:\.\.+|\bto\b|[-–—](?=\s*(?:tel:)?\+))\s*", re.IGNORECASE)


def read_span(text: str, end: str | None = None) -> Span:
    """Read a range; both ends go through the one reading of numbers. Raises InputRefused with the reason."""
    parts = _BETWEEN.split(text.strip()) if end is None else [text, end]
    if len(parts) > 2:
        raise InputRefused(f"{text[:60]!r} is no range", remedy="write it like +43100-+43199")
    first, last = parse_number(parts[0]), parse_number(parts[-1])
    span = Span.read(first.e164, last.e164)
    if span.run.size > LARGEST:
        raise InputRefused(f"{span} is no range: nobody owns {span.run.size} numbers", remedy="check both ends")
    return span
