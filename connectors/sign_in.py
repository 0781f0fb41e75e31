"""A person signs in with Microsoft Entra: authorization code with PKCE, answered to a port of this machine only.

The browser is opened by somebody else, or the address is shown; what comes back is who signed in, never a token.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qsl

from connectors.app_registration import AppRegistration
from connectors.errors import NotAllowed, Unreachable
from connectors.token_service import TokenSession, as_connector_errors
from connectors.tokens import msal_client
from connectors.trust import authorities_file

SYSTEM = "sign-in"
GIVE_UP_S = 300.0
_LONGEST_ANSWER = 100_000
_PAGE = b"<!doctype html><html lang='en'><title>Callwright</title><p>You are signed in. Close this page.</p></html>"


@dataclass(frozen=True)
class SignedIn:
    """Who signed in: object id, UPN, display name and tenant, as the identity provider says."""

    object_id: str
    upn: str
    name: str
    tenant_id: str


def sign_in(
    app: AppRegistration, tenant_id: str, show: Callable[[str], object], *, give_up_s: float = GIVE_UP_S
) -> SignedIn:
    """Let a person sign in in a browser; `show` gets the address. Raises NotAllowed or Unreachable."""
    session = TokenSession(authorities_file(app.ca_bundle))
    try:
        with _Listener(give_up_s) as listener:
            with as_connector_errors(app):
                client = msal_client(app, session)
                flow = client.initiate_auth_code_flow(
                    [], redirect_uri=listener.address, prompt="select_account", response_mode="form_post"
                )
            show(flow["auth_uri"])
            answer = listener.wait()
        with as_connector_errors(app):
            found = client.acquire_token_by_auth_code_flow(flow, answer)
    finally:
        session.close()
    return _signed_in(found, tenant_id)


def _signed_in(found: dict[str, Any], tenant_id: str) -> SignedIn:
    claims = found.get("id_token_claims")
    if not claims:
        why = str(found.get("error_description") or found.get("error") or "no identity came back").splitlines()[0]
        raise NotAllowed(f"could not sign in: {why} ; try again", system=SYSTEM)
    if claims.get("tid") != tenant_id:
        raise NotAllowed("could not sign in: this person is of another tenant ; choose another account", system=SYSTEM)
    upn = str(claims.get("preferred_username") or claims.get("upn") or "")
    return SignedIn(str(claims["oid"]), upn, str(claims.get("name") or upn), tenant_id)


class _Listener:
    """Waits on a port of this machine for the one answer of a sign-in."""

    def __init__(self, give_up_s: float) -> None:
        self._answer: dict[str, str] | None = None
        self._give_up_s = give_up_s
        self._come = threading.Event()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = min(int(self.headers.get("Content-Length") or 0), _LONGEST_ANSWER)
                form = dict(parse_qsl(self.rfile.read(length).decode("utf-8", "replace")))
                self.send_response(200 if "state" in form else 400)
                self.end_headers()
                if "state" in form:
                    self.wfile.write(_PAGE)
                    listener._take(form)

            def log_message(self, *_: object) -> None:
                """Keep quiet: an answer holds the code."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="sign-in", daemon=True)

    @property
    def address(self) -> str:
        """Give the address that the identity provider answers to."""
        return f"http://localhost:{self._server.server_port}"

    def __enter__(self) -> _Listener:
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self) -> dict[str, str]:
        """Give the answer. Raises Unreachable when nobody signs in."""
        if not self._come.wait(self._give_up_s) or self._answer is None:
            raise Unreachable(f"nobody signed in within {self._give_up_s:.0f} s ; try again", system=SYSTEM)
        return self._answer

    def _take(self, form: dict[str, str]) -> None:
        if self._answer is None:
            self._answer = form
            self._come.set()
