"""Who may come in, and how often: a shared secret or an Entra token, and a limit for each sender."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable
from dataclasses import dataclass

from config.errors import InputRefused
from config.sections import ListenSettings, TenantSettings
from connectors.entra_tokens import EntraTokens
from connectors.errors import ConnectorError, NotAllowed

MOST_FAILURES = 10
SECRET_SENDER = "shared secret"  # noqa: S105 - a name for people
_SHORTEST_SECRET = 24
_MOST_SENDERS = 10_000
_MINUTE_S = 60.0


class TurnedAway(Exception):
    """Refuse a request before it is looked at: HTTP status, a word, a sentence, and the headers to send."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}
        super().__init__(message)


@dataclass(frozen=True)
class Caller:
    """Who sent a request, and whether somebody else vouches for them."""

    name: str
    is_verified: bool


class Guard:
    """Checks bearer tokens and counts requests; safe to share between threads."""

    def __init__(
        self, settings: ListenSettings, tenant: TenantSettings | None, clock: Callable[[], float], secret: str | None
    ) -> None:
        self._settings, self._clock = settings, clock
        self._secret = hashlib.sha256(secret.encode()).digest() if secret else b""
        self._entra = _entra(settings, tenant)
        self._requests = Meter(settings.per_minute, clock)
        self._failures = Meter(MOST_FAILURES, clock)

    def admit(self, authorization: str, address: str) -> Caller:
        """Give who sends this. Raises TurnedAway 401, 429 or 503."""
        self._failures.check(address)
        scheme, _, token = authorization.partition(" ")
        if scheme.casefold() != "bearer" or not token.strip():
            raise _unknown("send Authorization: Bearer and the secret or an Entra token")
        try:
            caller = self._known(token.strip())
        except TurnedAway:
            self._failures.count(address)
            raise
        self._requests.check(caller.name)
        self._requests.count(caller.name)
        return caller

    def _known(self, token: str) -> Caller:
        digest = hashlib.sha256(token.encode()).digest()
        if self._secret and hmac.compare_digest(digest, self._secret):
            return Caller(SECRET_SENDER, is_verified=False)
        if self._entra is None or token.count(".") != 2:
            raise _unknown("the secret is not the one we know")
        try:
            return Caller(self._entra.application_of(token), is_verified=True)
        except NotAllowed as error:
            raise _unknown(str(error)) from error
        except ConnectorError as error:
            raise TurnedAway(503, "unavailable", str(error), {"Retry-After": "60"}) from error


class Meter:
    """Counts what happened in the running minute, by name."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most, self._clock, self._lock = most, clock, threading.Lock()
        self._minute, self._counts = -1, dict[str, int]()

    def count(self, name: str) -> None:
        """Count one more."""
        with self._lock:
            self._turn()
            if name in self._counts or len(self._counts) < _MOST_SENDERS:
                self._counts[name] = self._counts.get(name, 0) + 1

    def check(self, name: str) -> None:
        """Raise TurnedAway 429 when the minute's share is used up."""
        with self._lock:
            self._turn()
            if self._counts.get(name, 0) >= self._most:
                wait = max(1, int((self._minute + 1) * _MINUTE_S - self._clock()))
                message = f"more than {self._most} requests in a minute ; wait {wait} s"
                raise TurnedAway(429, "too_many_requests", message, {"Retry-After": str(wait)})

    def _turn(self) -> None:
        minute = int(self._clock() // _MINUTE_S)
        if minute != self._minute:
            self._minute, self._counts = minute, {}


def secret_of(settings: ListenSettings) -> str | None:
    """Fetch the shared secret. Raises InputRefused for a short one, or when nobody at all could come in."""
    if settings.secret is None:
        if not settings.audience:
            raise InputRefused(
                "nobody may come in", where="listen", remedy="set listen.secret, or listen.audience for Entra tokens"
            )
        return None
    secret = settings.secret.resolve("listen.secret").get_secret_value()
    if len(secret) < _SHORTEST_SECRET:
        remedy = f"use at least {_SHORTEST_SECRET} random letters"
        raise InputRefused("the shared secret is too short", where="listen.secret", remedy=remedy)
    return secret


def _entra(settings: ListenSettings, tenant: TenantSettings | None) -> EntraTokens | None:
    if not settings.audience or tenant is None:
        return None
    address, rules = tenant.sign_in_address, settings.applications
    return EntraTokens(address, settings.audience, applications=rules, ca_bundle=tenant.ca_bundle)


def _unknown(message: str) -> TurnedAway:
    return TurnedAway(401, "unauthorized", message, {"WWW-Authenticate": 'Bearer realm="callwright"'})
