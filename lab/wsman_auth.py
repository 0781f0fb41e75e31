"""Who is calling: Basic with every request, or Negotiate once per connection, whose keys can then seal the messages."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from aiohttp import web
from multidict import CIMultiDict

from lab.settings import Settings
from lab.wsman_negotiate import CredentialStore, Negotiation, Refused, Seal

_REALM = 'Basic realm="WSMAN"'


@dataclass(frozen=True)
class Caller:
    """Somebody who proved who they are; `headers` go out with the answer, `seal` opens and closes messages."""

    user: str
    headers: Mapping[str, str] = field(default_factory=dict)
    seal: Seal | None = None


class Gate:
    """Lets callers in; what a connection has proved is remembered for as long as it lives."""

    def __init__(self, operators: Mapping[str, str], settings: Settings) -> None:
        self._operators, self._settings = operators, settings
        self._store = CredentialStore(operators)
        self._connections: WeakKeyDictionary[asyncio.BaseTransport, Negotiation] = WeakKeyDictionary()

    def close(self) -> None:
        """Forget the passwords."""
        self._store.close()

    def admit(self, http: web.Request) -> Caller | web.Response:
        """Give the caller, or the 401 that asks for more."""
        scheme, _, value = http.headers.get("Authorization", "").partition(" ")
        match scheme.lower():
            case "negotiate" | "ntlm":
                return self._negotiate(http, scheme, value)
            case "basic" if self.allows_plain(http):
                user = self._basic(value)
                return Caller(user) if user else self.challenge(http)
            case "":
                return self._known(http) or self.challenge(http)
        return self.challenge(http)

    def allows_plain(self, http: web.Request) -> bool:
        """Tell whether a message may travel unsealed: inside TLS, or when the host allows it."""
        return http.secure or self._settings.allow_unencrypted

    def challenge(self, http: web.Request) -> web.Response:
        """Ask who is calling; Basic is offered only where nobody can listen."""
        offers = [("WWW-Authenticate", "Negotiate")]
        if self.allows_plain(http):
            offers.append(("WWW-Authenticate", _REALM))
        return web.Response(status=401, headers=CIMultiDict(offers))

    def forget(self, http: web.Request) -> None:
        """Have the connection prove itself again."""
        if http.transport is not None:
            self._connections.pop(http.transport, None)

    def _known(self, http: web.Request) -> Caller | None:
        found = None if http.transport is None else self._connections.get(http.transport)
        return Caller(found.user, seal=found.seal) if found is not None and found.user else None

    def _negotiate(self, http: web.Request, scheme: str, value: str) -> Caller | web.Response:
        talk = None if http.transport is None else self._connections.get(http.transport)
        if talk is None or talk.user:
            talk = Negotiation(self._store)
            if http.transport is not None:
                self._connections[http.transport] = talk
        try:
            answer = talk.step(base64.b64decode(value, validate=True))
        except (Refused, binascii.Error):
            self.forget(http)
            return self.challenge(http)
        token = {"WWW-Authenticate": f"{scheme} {base64.b64encode(answer).decode()}"} if answer else {}
        return Caller(talk.user, token, talk.seal) if talk.user else web.Response(status=401, headers=token)

    def _basic(self, value: str) -> str | None:
        try:
            given = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return None
        # Clients disagree about the encoding of Basic: some send UTF-8, requests sends Latin-1 where it can.
        for name, password in self._operators.items():
            pair = f"{name}:{password}"
            if any(hmac.compare_digest(given, form) for form in (pair.encode(), pair.encode("latin-1", "replace"))):
                return name
        return None
