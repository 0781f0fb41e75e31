"""The one place that writes text into a `-Filter` or `-LdapFilter` string of the directory, Teams and Skype cmdlets.

Everything else reaches PowerShell as typed values; a filter is parsed there, so its literals must be proof against it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from connectors.errors import Invalid

# PowerShell takes the four typographic single quotes for the plain one, and the directory's filter reads a backslash as
# the start of an escape: no doubling is right for both cmdlets, so these are refused. Control characters have no use.
_REFUSED = re.compile("[\\\\\u2018\u2019\u201a\u201b\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def filter_literal(text: str) -> str:
    """Write text as a literal for `-eq` in a filter; raises Invalid for characters that filters read differently."""
    found = _REFUSED.search(text)
    if found:
        raise Invalid(
            f"{text!r} cannot be searched for: U+{ord(found[0]):04X} has a meaning of its own in filters ; "
            "correct the value",
            what="filter",
        )
    return "'" + text.replace("'", "''") + "'"


def any_of(attribute: str, values: Sequence[str]) -> str:
    """Write a filter that matches objects whose attribute equals one of the values."""
    return " -or ".join(f"{attribute} -eq {filter_literal(value)}" for value in values)


def ldap_any_of(attribute: str, values: Sequence[str]) -> str:
    """Write an LDAP filter that matches objects whose attribute equals one of the values (RFC 4515)."""
    tests = "".join(f"({attribute}={_ldap_literal(value)})" for value in values)
    return f"(|{tests})"


def _ldap_literal(text: str) -> str:
    return re.sub(r"[\\*()\x00]", lambda found: f"\\{ord(found[0]):02x}", text)
