"""Text for spreadsheets: what a cell may begin with before a spreadsheet takes it for a formula (pure)."""

from __future__ import annotations

import re

# A telephone number begins with a plus and stays as it is: a quote before it would break it for every reader.
_NUMBER = re.compile(r"\+[0-9]+(;ext=[0-9]+)?")
_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(text: str) -> str:
    """Give text that no spreadsheet evaluates: one that would be a formula begins with a quote."""
    return f"'{text}" if text.startswith(_STARTS) and not _NUMBER.fullmatch(text) else text
