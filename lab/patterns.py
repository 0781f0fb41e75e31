"""Patterns of the voice configuration: .NET regular expressions with `$1` translations, run with Python's engine.

Named groups and `$1` are brought over; the rest of the two dialects agrees for the patterns telephony uses.
"""

from __future__ import annotations

import re

from lab.rules import bad_request

_GROUP = re.compile(r"\$(?:\{(\w+)\}|(\d+))")


def compiled(pattern: str) -> re.Pattern[str]:
    """Read a pattern or refuse it."""
    try:
        return re.compile(re.sub(r"\(\?<(?![=!])", "(?P<", pattern))
    except re.error as error:
        raise bad_request(f"The pattern '{pattern}' is not a valid regular expression: {error}") from error


def matches(pattern: str, number: str) -> bool:
    """Tell whether a pattern finds something in a number."""
    return compiled(pattern).search(number) is not None


def translated(pattern: str, translation: str, number: str) -> str | None:
    """Give what a rule makes of a number, None when the rule does not match."""
    found = compiled(pattern).search(number)
    if found is None:
        return None
    return _GROUP.sub(lambda group: _captured(found, group[1] or group[2]), translation)


def _captured(found: re.Match[str], group: str) -> str:
    try:
        return found[int(group) if group.isdigit() else group] or ""
    except IndexError:
        return ""
