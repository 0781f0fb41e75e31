"""Who is calling: Basic today; an authenticator sees the connection, so that NTLM can keep its state there."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Protocol

from aiohttp import web


class Authenticator(Protocol):
    """One way to prove who one is."""

    challenge: str

    def user(self, request: web.Request) -> str | None:
        """Give the name of the caller, or None to challenge."""


class BasicAuthenticator:
    """A user name and a password with every request."""

    challenge = 'Basic realm="WSMAN"'

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        # Clients disagree about the encoding of Basic: some send UTF-8, requests sends Latin-1 where it can.
        pair = f"{username}:{password}"
        self._expected = (pair.encode(), pair.encode("latin-1", "replace"))

    def user(self, request: web.Request) -> str | None:
        """Give the name when name and password are right."""
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            given = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return None
        return self._username if any(hmac.compare_digest(given, pair) for pair in self._expected) else None
