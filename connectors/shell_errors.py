"""What PowerShell's complaints mean: error records, answer objects and WSMan faults become errors of the connectors.

Wording and codes are from the reference (microsoft-apis §1.3, §3; powershell §5). The text is matched because the error
ids of the Teams module only repeat an HTTP word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from connectors.errors import (
    AlreadyThere,
    Ambiguous,
    Busy,
    ConnectorError,
    Invalid,
    NotAllowed,
    NotFound,
    Throttled,
    Unsupported,
)
from connectors.number_refusals import meaning, remedy

SYSTEM = "powershell"
# the shell is not known (any more), and the selectors of a request are not understood
SHELL_GONE = frozenset((2150858843, 0x8033805B))
QUOTA_WAIT_S = 10.0
BUSY_WAIT_S = 5.0
MICRO_DELAY = re.compile(r"micro delay applied.*?(\d+)\s*msecs", re.IGNORECASE | re.DOTALL)

_LONGEST_MESSAGE = 400


class NoPlace(Throttled):
    """The endpoint has no place for another session; sessions that are open are not slowed down by it."""


@dataclass(frozen=True)
class Failure:
    """What a system said about a failure."""

    message: str
    error_id: str = ""
    reason: str = ""

    @property
    def text(self) -> str:
        """Give all of it, for matching."""
        return f"{self.message}\n{self.error_id}\n{self.reason}"


def failure_of_record(record: Mapping[str, JsonValue]) -> Failure:
    """Read an error record as it travels: the exception's message, the full error id and the exception's type."""
    exception = record.get("Exception")
    message = exception.get("Message") if isinstance(exception, dict) else exception
    details = record.get("ErrorDetails_Message")
    return Failure(
        message=str(message or details or record.get("ErrorCategory_Message") or "no reason was given"),
        error_id=str(record.get("FullyQualifiedErrorId") or ""),
        reason=str(record.get("ErrorCategory_Reason") or ""),
    )


def failure_object(bag: Mapping[str, JsonValue]) -> Failure | None:
    """Recognise the {Code, Message} answer by which module versions before 4.2.1 say that a write failed."""
    lowered = {name.lower(): value for name, value in bag.items()}
    code, message = lowered.get("code"), lowered.get("message")
    return Failure(str(message), error_id=str(code)) if code and message else None


def classify(failure: Failure, *, attempt: str, what: str = "", writes: bool = False) -> ConnectorError:
    """Give the error that says what to do about a failure; a write that timed out inside PowerShell is Ambiguous."""
    text = failure.text
    message = f"{attempt} {what}".strip() + f": {_short(failure.message)}"
    known = meaning(failure.message)
    if known is not None:
        return known(f"{message} ; {remedy(known)}", system=SYSTEM, what=what)
    if writes and _CUT_SHORT.search(text):
        return Ambiguous(f"{message} ; it is settled by reading", system=SYSTEM, what=what)
    make = next((make for pattern, make in _MEANINGS if pattern.search(text)), _invalid)
    return make(message, what)


def meaning_of_fault(code: object, reason: str, address: str) -> ConnectorError | None:
    """Give what a WSMan fault means; None when it only means that the session is gone."""
    if code in SHELL_GONE:
        return None
    make = next((make for pattern, make in _FAULTS if pattern.search(f"{code} {reason}")), None)
    return None if make is None else make(f"{address}: {_short(reason)}", "")


def meaning_of_status(status: int, retry_after_s: float | None, address: str) -> ConnectorError | None:
    """Give what an HTTP status without a WSMan fault means; None when it only means that the session is gone."""
    if status in {429, 503}:
        wait_s = BUSY_WAIT_S if retry_after_s is None else retry_after_s
        message = f"{address} asked to wait (HTTP {status}) ; it is tried again later"
        return Throttled(message, retry_after_s=wait_s, system=SYSTEM)
    if status == 403:
        return _not_allowed(f"{address} refused the request (HTTP 403)", "")
    if status == 404:
        return _invalid(f"{address} is no PowerShell endpoint (HTTP 404) ; correct its path", "")
    return None


def sign_in_ended(failure: Failure) -> bool:
    """Tell whether the module inside the session wants a new sign-in; nothing was done then."""
    return _SIGN_IN_ENDED.search(failure.text) is not None


def micro_delay_s(warning: str) -> float:
    """Give the seconds by which the service says it slowed us down; 0 for any other warning."""
    match = MICRO_DELAY.search(warning)
    return int(match[1]) / 1000 if match else 0.0


def _short(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1] + "…"


Make = Callable[[str, str], ConnectorError]


def _invalid(message: str, what: str) -> ConnectorError:
    return Invalid(message, system=SYSTEM, what=what)


def _throttled(message: str, what: str) -> ConnectorError:
    return Throttled(f"{message} ; it is tried again later", retry_after_s=QUOTA_WAIT_S, system=SYSTEM, what=what)


def _no_place(message: str, what: str) -> ConnectorError:
    return NoPlace(f"{message} ; it is tried again later", retry_after_s=QUOTA_WAIT_S, system=SYSTEM, what=what)


def _busy(message: str, what: str) -> ConnectorError:
    return Busy(f"{message} ; it is tried again later", system=SYSTEM, what=what)


def _not_allowed(message: str, what: str) -> ConnectorError:
    return NotAllowed(f"{message} ; check the account and its roles", system=SYSTEM, what=what)


def _unsupported(message: str, what: str) -> ConnectorError:
    return Unsupported(f"{message} ; update the module on the PowerShell host", system=SYSTEM, what=what)


def _not_found(message: str, what: str) -> ConnectorError:
    return NotFound(message, system=SYSTEM, what=what)


def _already_there(message: str, what: str) -> ConnectorError:
    return AlreadyThere(message, system=SYSTEM, what=what)


def _meaning(pattern: str, make: Make) -> tuple[re.Pattern[str], Make]:
    return re.compile(pattern, re.IGNORECASE), make


_SIGN_IN_ENDED = re.compile(r"run connect-microsoftteams|token (has|is) expired|unauthorized\b", re.IGNORECASE)
_CUT_SHORT = re.compile(r"timed? ?out|connection was closed|task was cancel", re.IGNORECASE)

# The first pattern that matches wins, so the narrow ones come first.
_MEANINGS: tuple[tuple[re.Pattern[str], Make], ...] = (
    _meaning(r"concurrent shells|quotalimit|micro delay|toomanyrequests|throttl", _throttled),
    _meaning(r"ADIdentityAlreadyExists|already homed in the target", _already_there),
    _meaning(r"commandnotfound|namedparameternotfound|scripts?notallowed|scripts? (is|are) not allowed", _unsupported),
    _meaning(r"ParameterBinding|ParameterArgument|AmbiguousParameterSet|MissingMandatoryParameter", _invalid),
    _meaning(_SIGN_IN_ENDED.pattern, _not_allowed),
    _meaning(r"UnauthorizedAccess|access is denied|insufficient access|forbidden", _not_allowed),
    _meaning(r"is not found|object not found|ADIdentityNotFound|cannot find an object|user not found", _not_found),
    _meaning(r"too many policy assignment operations", _busy),
    _meaning(r"serviceunavailable|server is not operational|ADServerDown|timed? ?out", _busy),
)
_FAULTS: tuple[tuple[re.Pattern[str], Make], ...] = (
    _meaning(r"concurrent shells|maximum number of shells|quotalimit", _no_place),
    _meaning(r"concurrent operations|quota|micro delay|throttl", _throttled),
    _meaning(r"access is denied|^5 ", _not_allowed),
    _meaning(r"resource uri|session configuration", _invalid),
)
