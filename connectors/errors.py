"""Errors of every connector, grouped by what the caller should do.

ConnectorError
├── Retryable        try again          Unreachable · Throttled(retry_after_s) · Busy
├── Refused          stop and tell      NotAllowed · Invalid (OnPremisesNumber) · Unsupported · Incomplete
├── Settled          nothing to do      NotFound · AlreadyThere
└── Ambiguous        read, then decide  the write may or may not have happened
"""

from __future__ import annotations


class ConnectorError(Exception):
    """Base of all; `system` names the outside system, `what` the object that was handled."""

    def __init__(self, message: str, *, system: str = "", what: str = "") -> None:
        self.system, self.what = system, what
        super().__init__(message)


class Retryable(ConnectorError):
    """Try again later; nothing was changed."""


class Unreachable(Retryable):
    """The system did not answer and the request was surely not carried out (connect failed, 503 before work)."""


class Throttled(Retryable):
    """The system asked to wait."""

    def __init__(self, message: str, *, retry_after_s: float, system: str = "", what: str = "") -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message, system=system, what=what)


class Busy(Retryable):
    """The system says "try again": transient refusals, also those coded BadRequest or NotFound after licensing."""


class Refused(ConnectorError):
    """Stop and tell: repeating will not help."""


class NotAllowed(Refused):
    """Credentials or permissions are missing or wrong; never retried (lock-out)."""


class Invalid(Refused):
    """The system rejected the content of the request."""


class OnPremisesNumber(Invalid):
    """The local directory still owns the user's number: nothing can be assigned until that has been synchronised."""


class Unsupported(Refused):
    """The endpoint cannot do this."""


class Incomplete(Refused):
    """The answer is empty, truncated or contradicts itself: it is not believed, and nothing is concluded from it."""


class Settled(ConnectorError):
    """Nothing to do: the world is already (or never was) as asked."""


class NotFound(Settled):
    """The object does not exist."""


class AlreadyThere(Settled):
    """The object already has this state, or the number already has an owner."""


class Ambiguous(ConnectorError):
    """A write was sent and its reply lost: only reading tells whether it happened."""
