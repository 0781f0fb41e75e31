"""Questions that tell whether Graph can be used: is it there, is our time right, which permissions are missing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import orjson

from connectors.errors import ConnectorError
from connectors.graph_calls import Call
from connectors.rest import Rest
from datasets.findings import Finding

# Tokens and certificate assertions are refused when clocks differ by more than five minutes.
_SKEW_S = 300.0
REQUIRED_ROLES = (
    "User.Read.All",
    "User.ReadWrite.All",
    "GroupMember.Read.All",
    "Organization.Read.All",
    "TeamsTelephoneNumber.ReadWrite.All",
    "TeamsUserConfiguration.Read.All",
    "TeamsPolicyUserAssign.ReadWrite.All",
)


def probe_call(name: str, read: Callable[[], str]) -> Finding:
    """Tell whether a read works; its text is the detail."""
    try:
        return Finding(name=name, ok=True, detail=read())
    except ConnectorError as error:
        return failed(name, error)


def failed(name: str, error: ConnectorError) -> Finding:
    """Make a finding of an error; our messages end with what to do."""
    what, _, fix = str(error).rpartition(" ; ")
    return Finding(name=name, ok=False, detail=what or fix, fix=fix)


def probe_time(rest: Rest, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> list[Finding]:
    """Tell whether our clock agrees with the service's; nothing when the service tells no time."""
    try:
        date = rest.send(Call("read the time", "organization")).headers.get("Date")
        theirs = parsedate_to_datetime(date) if date else None
    except (ConnectorError, ValueError):
        return []
    if theirs is None:
        return []
    skew_s = (now() - theirs).total_seconds()
    is_right = abs(skew_s) < _SKEW_S
    fix = "" if is_right else "set this machine's clock, best by NTP"
    return [Finding(name="graph time", ok=is_right, detail=f"our clock differs by {skew_s:.0f} s", fix=fix)]


def probe_permissions(rest: Rest, required: Sequence[str] = REQUIRED_ROLES) -> list[Finding]:
    """Tell which permissions are missing; nothing when the token does not say."""
    try:
        granted = _roles(rest.tokens.token())
    except ConnectorError as error:
        return [failed("graph permissions", error)]
    if granted is None:
        return []
    missing = [
        role for role in required if role not in granted and role.replace(".Read.", ".ReadWrite.") not in granted
    ]
    detail = f"missing: {', '.join(missing)}" if missing else f"{len(granted)} granted"
    fix = "grant them to the app registration as application permissions and have them consented" if missing else ""
    return [Finding(name="graph permissions", ok=not missing, detail=detail, fix=fix)]


def _roles(token: str) -> set[str] | None:
    """Read the roles a token names, unverified; it is our own token and only informs."""
    try:
        claims = token.split(".")[1]
        roles = orjson.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))).get("roles")
    except (IndexError, ValueError, AttributeError, binascii.Error):
        return None
    return {str(role) for role in roles} if isinstance(roles, list) else None
