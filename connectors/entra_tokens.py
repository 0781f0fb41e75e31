"""Access tokens that others show us: signed by Entra, for us, of this tenant, and still valid, or refused.

The keys are fetched from the tenant's discovery document and kept for a while; an unknown key is looked for again, but
not more often than once in a minute, so that forged tokens do not become a flood of requests.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
import jwt

from connectors.errors import NotAllowed, Unreachable
from connectors.throttle import Clock
from connectors.trust import tls_context

KEEP_S, AGAIN_S, DEADLINE_S = 3600.0, 60.0, 10.0


class EntraTokens:
    """Checks bearer tokens of one tenant for one audience; safe to share between threads."""

    def __init__(
        self,
        authority: str,
        audience: str,
        *,
        applications: tuple[str, ...] = (),
        ca_bundle: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._authority, self._audience = authority.rstrip("/"), audience
        self._applications, self._ca_bundle, self._clock = applications, ca_bundle, clock or Clock()
        self._lock = threading.Lock()
        self._keys: dict[str, Any] = {}
        self._issuer, self._fetched_at = "", float("-inf")

    def application_of(self, token: str) -> str:
        """Give the client id of the application that the token was made for. Raises NotAllowed or Unreachable."""
        try:
            key_id = str(jwt.get_unverified_header(token).get("kid", ""))
            key, issuers = self._key(key_id)
            claims = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self._audience,
                issuer=issuers,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            raise NotAllowed(f"the token is not accepted ({type(error).__name__}) ; ask Entra for a new one") from error
        application = str(claims.get("appid") or claims.get("azp") or "")
        if not application or (self._applications and application not in self._applications):
            raise NotAllowed("the token is of another application ; add it to listen.applications in the settings")
        return application

    def _key(self, key_id: str) -> tuple[Any, list[str]]:
        with self._lock:
            age = self._clock.now() - self._fetched_at
            if age > KEEP_S or (key_id not in self._keys and age > AGAIN_S):
                self._fetch()
            if key_id not in self._keys:
                raise jwt.InvalidKeyError("no such key")
            tenant = self._authority.rpartition("/")[2]
            return self._keys[key_id], [self._issuer, f"https://sts.windows.net/{tenant}/"]

    def _fetch(self) -> None:
        try:
            with httpx.Client(verify=tls_context(self._ca_bundle), timeout=DEADLINE_S, trust_env=False) as client:
                found = client.get(f"{self._authority}/v2.0/.well-known/openid-configuration").raise_for_status().json()
                keys = client.get(str(found["jwks_uri"])).raise_for_status().json()["keys"]
            self._keys = {each["kid"]: jwt.PyJWK(each, algorithm="RS256").key for each in keys if each["kty"] == "RSA"}
            self._issuer, self._fetched_at = str(found["issuer"]), self._clock.now()
        except (httpx.HTTPError, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
            what = f"the keys of {self._authority} cannot be read ({type(error).__name__})"
            raise Unreachable(f"{what} ; try again later") from error
