"""A token service for tests below MSAL's session: real MSAL asks it, no socket is opened."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Mapping
from urllib.parse import parse_qs

import requests
from requests.adapters import BaseAdapter

from connectors.app_registration import AppRegistration, ClientSecret
from connectors.throttle import Clock
from connectors.token_service import TokenSession
from connectors.tokens import Tokens
from connectors.trust import authorities_file

AUTHORITY = "https://login.example.test/4b1d0e2c-7a11-4c3e-9d55-000000000001"
SECRET = "s3cr3t-canary-value"
APP = AppRegistration("app-1", AUTHORITY, ClientSecret(SECRET), instance_discovery=False)


class FakeTokenService(BaseAdapter):
    """Answers discovery and token requests; set `status`, `error`, `headers` or `is_down` to make trouble."""

    def __init__(self) -> None:
        super().__init__()
        self.status, self.error, self.description = 200, "", ""
        self.headers: dict[str, str] = {}
        self.lifetime_s = 3600
        self.refresh_in: int | None = None
        self.roles: list[str] | None = None
        self.is_down = False
        self.requests: list[dict[str, list[str]]] = []
        self._lock = threading.Lock()

    @property
    def asked(self) -> int:
        """Give the number of token requests."""
        return len(self.requests)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Answer one request."""
        if self.is_down:
            raise requests.ConnectionError("refused", request=request)
        if request.method == "GET":
            return _response(request, 200, _discovery(), {})
        with self._lock:
            self.requests.append(parse_qs(str(request.body)))
            number = self.asked
        return _response(request, self.status, self._token(number), self.headers)

    def close(self) -> None:
        """Have nothing to close."""

    def _token(self, number: int) -> dict[str, object]:
        if self.status != 200:
            return {"error": self.error, "error_description": self.description}
        token: dict[str, object] = {"token_type": "Bearer", "access_token": self._value(number)}
        return token | {"expires_in": self.lifetime_s, "refresh_in": self.refresh_in}

    def _value(self, number: int) -> str:
        """Give a plain text, or with roles the three parts of a JWT without a signature."""
        if self.roles is None:
            return f"token-{number}"
        claims = base64.urlsafe_b64encode(json.dumps({"roles": self.roles}).encode()).decode().rstrip("=")
        return f"e30.{claims}."


def _discovery() -> dict[str, object]:
    return {
        "issuer": f"{AUTHORITY}/v2.0",
        "authorization_endpoint": f"{AUTHORITY}/authorize",
        "token_endpoint": f"{AUTHORITY}/token",
    }


def _response(
    request: requests.PreparedRequest, status: int, body: Mapping[str, object], headers: Mapping[str, str]
) -> requests.Response:
    response = requests.Response()
    response.status_code, response.request, response.url = status, request, str(request.url)
    response.headers.update({"Content-Type": "application/json", **headers})
    response.raw = io.BytesIO(json.dumps({k: v for k, v in body.items() if v is not None}).encode())
    return response


def tokens_from(service: FakeTokenService, clock: Clock | None = None, app: AppRegistration = APP) -> Tokens:
    """Give tokens that real MSAL asks of the fake service."""
    session = TokenSession(authorities_file(None))
    session.mount("https://", service)
    return Tokens(app, session=session, clock=clock)
