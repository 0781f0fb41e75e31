"""How often and how long one call to Graph is tried, and what a reply that never came means."""

from __future__ import annotations

import random

import httpx

from connectors.errors import Ambiguous, ConnectorError, Invalid, NotAllowed, Unreachable
from connectors.graph_calls import SYSTEM, Call, Reason
from connectors.throttle import Clock

_ATTEMPTS = 5
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.5, 20.0
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Attempts:
    """The attempts of one call: how many, how long, and whether another is allowed."""

    def __init__(self, call: Call, clock: Clock, deadline_s: float) -> None:
        self.call = call
        self.token_renewed = False
        self._clock = clock
        self._give_up_at = clock.now() + deadline_s
        self._failures = 0
        self._throttled = 0

    def left_s(self) -> float:
        """Give the seconds that the call may still take."""
        return self._give_up_at - self._clock.now()

    def pause_s(self, why: Reason) -> float:
        """Give the pause asked for; some resources name none, then it doubles from two seconds."""
        self._throttled += 1
        return max(0.1, why.retry_after_s) if why.retry_after_s is not None else min(60.0, 2.0**self._throttled)

    def after_lost(self, error: httpx.TransportError) -> None:
        """Wait before the next attempt, or raise what a missing reply means."""
        doing = self.call.doing
        if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
            raise self._error(Invalid, f"could not {doing}: {error} ; correct the address or value") from error
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            remedy = "set ca_bundle to the file of its issuer"
            raise self._error(
                NotAllowed, f"could not {doing}: the TLS certificate is not trusted ; {remedy}"
            ) from error
        if self.call.is_write and not isinstance(error, _NOT_SENT):
            remedy = "read the object to see whether it happened"
            raise self._error(Ambiguous, f"sent, but lost the reply: {doing} ({_named(error)}) ; {remedy}") from error
        remedy = "check the network and graph_url"
        self.again_or(self._error(Unreachable, f"could not {doing}: no answer ({_named(error)}) ; {remedy}"), error)

    def again_or(self, failure: ConnectorError, cause: Exception | None = None) -> None:
        """Wait, longer each time, or raise the failure when it was the last attempt."""
        self._failures += 1
        backoff_s = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** (self._failures - 1))
        backoff_s *= random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not cryptography
        if self._failures >= _ATTEMPTS or self.left_s() < backoff_s:
            raise failure from cause
        self._clock.sleep(backoff_s)

    def _error(self, kind: type[ConnectorError], message: str) -> ConnectorError:
        return kind(message, system=SYSTEM, what=self.call.what)


def _named(error: httpx.TransportError) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
