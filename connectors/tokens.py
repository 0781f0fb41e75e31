"""App-only access tokens from the Microsoft identity platform: one request at a time, kept through its outages.

MSAL makes the requests; what a secret is and where it is kept is decided elsewhere, and no secret leaves this module.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Any, Self

import msal
import requests

from connectors.app_registration import AppRegistration
from connectors.errors import ConnectorError, Retryable, Throttled, Unreachable
from connectors.throttle import Clock, Pause
from connectors.token_service import TokenSession, as_connector_errors, refusal
from connectors.trust import authorities_file
from datasets.findings import Finding

GRAPH_SCOPE = "https://graph.microsoft.com/.default"
TEAMS_SCOPE = "48ac35b8-9aa8-4d74-927d-1f4a14a0b239/.default"

# MSAL does not reuse a token with less than this left, so asking it earlier would be in vain.
_RENEW_BEFORE_S = 300.0
# While the token service is down and the kept token is valid, it is asked no more often than this.
_OUTAGE_RETRY_S = 30.0
_ATTEMPTS = 3


@dataclass(frozen=True)
class _Kept:
    value: str = field(repr=False)
    expires_at: float
    renew_at: float


class Tokens:
    """Access tokens of one app registration; safe to share between threads."""

    def __init__(
        self,
        app: AppRegistration,
        *,
        session: requests.Session | None = None,
        clock: Clock | None = None,
        deadline_s: float = 60.0,
    ) -> None:
        self.app = app
        self._clock = clock or Clock()
        self._deadline_s = deadline_s
        self._pause = Pause(self._clock, name=f"token service {app.authority}")
        self._session = session or TokenSession(authorities_file(app.ca_bundle))
        self._client: Any = None  # msal carries no types
        self._client_lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._kept: dict[str, _Kept] = {}

    def __enter__(self) -> Self:
        """Give itself; connections are made when first needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._session.close()

    def token(self, scope: str = GRAPH_SCOPE) -> str:
        """Give a valid token. Raises NotAllowed, Invalid, Throttled or Unreachable."""
        kept = self._kept.get(scope)
        if kept is not None and self._clock.now() < kept.renew_at:
            return kept.value
        lock = self._locks.setdefault(scope, threading.Lock())
        if kept is not None and self._is_valid(kept) and lock.locked():
            return kept.value  # one thread renews; the others go on with what is still valid
        with lock:
            return self._renewed(scope).value

    def refuse(self, scope: str, value: str) -> None:
        """Forget a token that its receiver did not accept, so that the next one is new."""
        kept = self._kept.get(scope)
        if kept is None or kept.value != value:
            return  # another thread was quicker
        self._kept.pop(scope, None)
        with self._client_lock:
            if self._client is not None:
                self._client.remove_tokens_for_client()

    def probe(self, scope: str = GRAPH_SCOPE, *, name: str = "sign-in") -> list[Finding]:
        """Tell whether a token can be had."""
        try:
            self.token(scope)
        except ConnectorError as error:
            what, _, remedy = str(error).rpartition(" ; ")
            return [Finding(name=name, ok=False, detail=what, fix=remedy)]
        return [Finding(name=name, ok=True, detail=f"{self.app.client_id} at {self.app.authority}")]

    def _is_valid(self, kept: _Kept | None) -> bool:
        return kept is not None and self._clock.now() < kept.expires_at

    def _renewed(self, scope: str) -> _Kept:
        kept = self._kept.get(scope)
        if kept is not None and self._clock.now() < kept.renew_at:
            return kept  # another thread was quicker
        try:
            renewed = self._asked(scope, patient=not self._is_valid(kept))
        except Retryable:
            if kept is None or not self._is_valid(kept):
                raise
            renewed = replace(kept, renew_at=min(kept.expires_at, self._clock.now() + _OUTAGE_RETRY_S))
        self._kept[scope] = renewed
        return renewed

    def _asked(self, scope: str, *, patient: bool) -> _Kept:
        """Ask the service; a patient caller has nothing else and waits through short trouble."""
        give_up_at = self._clock.now() + self._deadline_s
        failures = 0
        while True:
            self._pause.wait(give_up_at - self._clock.now() if patient else 0.0)
            try:
                return self._kept_from(self._answer(scope))
            except Throttled as error:
                self._pause.hold(error.retry_after_s)
            except Unreachable:
                failures += 1
                if not patient or failures >= _ATTEMPTS or self._clock.now() > give_up_at:
                    raise
                self._clock.sleep(0.5 * failures)

    def _answer(self, scope: str) -> dict[str, Any]:
        with self._client_lock, as_connector_errors(self.app):
            if self._client is None:
                self._client = msal_client(self.app, self._session)
            client = self._client
        with as_connector_errors(self.app):
            answer: dict[str, Any] = client.acquire_token_for_client([scope])
        if "access_token" not in answer:
            raise refusal(self.app, answer)
        return answer

    def _kept_from(self, answer: dict[str, Any]) -> _Kept:
        now, lifetime_s = self._clock.now(), float(answer["expires_in"])
        refresh_s = float(answer.get("refresh_in") or lifetime_s - _RENEW_BEFORE_S)
        return _Kept(answer["access_token"], now + lifetime_s, now + min(refresh_s, lifetime_s - _RENEW_BEFORE_S))


def msal_client(app: AppRegistration, session: requests.Session) -> Any:
    """Give MSAL's client of an app registration; it carries no types."""
    return msal.ConfidentialClientApplication(
        app.client_id,
        client_credential=app.credential.for_msal(),
        authority=app.authority,
        http_client=session,
        instance_discovery=None if app.instance_discovery else False,
    )
