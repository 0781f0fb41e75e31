"""What the texts of Teams' number service mean; the same texts come from Graph and from the PowerShell module."""

from __future__ import annotations

import re

from connectors.errors import AlreadyThere, Busy, ConnectorError, Invalid, NotFound, OnPremisesNumber

# Patterns collected from issues of the module's documentation; the code beside them is often a plain BadRequest.
_MEANINGS: tuple[tuple[re.Pattern[str], type[ConnectorError]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (r"service is unavailable", Busy),
        (r"has already been assigned to another user", AlreadyThere),
        (r"is not found from tenant", NotFound),
        (r"request error, status: notfound", NotFound),
        (r"lacks appropriate licenses", Invalid),
        (r"already has a telephone number set in the on-premises", OnPremisesNumber),
    )
)

_REMEDIES: dict[type[ConnectorError], str] = {
    AlreadyThere: "run number-sync, then choose another number or free this one",
    Busy: "it is tried again",
    NotFound: "check that the number is in the inventory with this number type, and that the user has synchronised",
    Invalid: "correct the user's licence, then plan again",
    OnPremisesNumber: "clear the line on the Skype for Business Server and synchronise, then plan again",
}


def meaning(text: str) -> type[ConnectorError] | None:
    """Give the kind of error a message stands for, or None when the message is not known."""
    return next((kind for pattern, kind in _MEANINGS if pattern.search(text)), None)


def remedy(kind: type[ConnectorError]) -> str:
    """Give the advice for a refusal of the number service."""
    return _REMEDIES.get(kind, "see the reason")
