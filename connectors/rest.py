"""HTTPS calls to Graph: token, pauses, repeats and the error tree.

Reads are repeated. A write is repeated only when the answer proves that nothing was done: told to wait, token refused,
no connection made. Everything else about a write is the engine's decision, from the kind of error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import orjson

from config.errors import InputRefused
from connectors.attempts import Attempts
from connectors.errors import Invalid, Retryable, Throttled, Unreachable
from connectors.graph_calls import SYSTEM, Answer, Call, Json, Reason, batch, error_for, parts, reason
from connectors.throttle import SHARED_PAUSES, Clock, Hold, HoldSource
from connectors.tokens import GRAPH_SCOPE, Tokens
from connectors.trust import tls_context

_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
# The pool never makes a call wait that has already passed the pause.
_LIMITS = httpx.Limits(max_connections=256, max_keepalive_connections=64, keepalive_expiry=15.0)
_BATCH = 20
# What httpcore tells a `trace` extension when the connection is open and nothing was written yet.
_ABOUT_TO_SEND = "http11.send_request_headers.started"


@dataclass(frozen=True)
class GraphEndpoint:
    """Where Graph is (`https://graph.microsoft.com/v1.0`), and how long one call may take with all its waiting."""

    url: str
    ca_bundle: Path | None = None
    deadline_s: float = 300.0


class Rest:
    """The request core that Graph and Teams share; safe to share between threads."""

    def __init__(
        self,
        endpoint: GraphEndpoint,
        tokens: Tokens,
        *,
        transport: httpx.BaseTransport | None = None,
        pauses: HoldSource = SHARED_PAUSES,
        clock: Clock | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.tokens = tokens
        self._root = _root(endpoint)
        self._transport = transport
        self._pauses = pauses
        self._clock = clock or Clock()
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def send(self, call: Call) -> Answer:
        """Carry out one call. Raises any error of the tree; a lost reply to a write is Ambiguous."""
        attempt = Attempts(call, self._clock, self.endpoint.deadline_s)
        pause = self._pause(call)
        while True:
            token = self.tokens.token(GRAPH_SCOPE)
            pause.wait(attempt.left_s())
            try:
                response = self._exchange(call, token, lambda: pause.last_look(attempt.left_s()))
            except httpx.TransportError as error:
                attempt.after_lost(error)
                continue
            if response.is_success:
                return _answer(call, response)
            self._after_refusal(attempt, reason(response), pause, token)

    def pages(self, call: Call) -> Iterator[Json]:
        """Read a collection page by page."""
        while True:
            page = self.send(call).body
            yield page
            link = page.get("@odata.nextLink")
            if not link:
                return
            if link == call.path:
                raise Invalid(f"could not {call.doing}: the next page is the page itself ; report it", system=SYSTEM)
            call = call.following(link)

    def read_many(self, calls: Sequence[Call]) -> list[Answer | None]:
        """Read many things of one endpoint class, twenty in a request; None for one that does not exist."""
        return [
            answer for start in range(0, len(calls), _BATCH) for answer in self._batch(calls[start : start + _BATCH])
        ]

    def _batch(self, calls: Sequence[Call]) -> list[Answer | None]:
        """Read up to twenty things; parts that are throttled or fail for a moment are asked again."""
        attempts = Attempts(calls[0], self._clock, self.endpoint.deadline_s)
        found: dict[int, Answer | None] = {}
        while len(found) < len(calls):
            open_calls = {number: call for number, call in enumerate(calls) if number not in found}
            trouble: dict[int, Reason] = {}  # of each kind the one that asks to wait longest
            for number, response in parts(self.send(batch(open_calls)), open_calls):
                if response.is_success or response.status_code == 404:
                    found[number] = _answer(calls[number], response) if response.is_success else None
                else:
                    why, status = reason(response), response.status_code
                    trouble[status] = max(trouble.get(status, why), why, key=_asked_s)
            for why in sorted(trouble.values(), key=_asked_s, reverse=True):
                self._after_refusal(attempts, why, self._pause(calls[0]), "")
        return [found[number] for number in range(len(calls))]

    def _pause(self, call: Call) -> Hold:
        return self._pauses(self.tokens.app.tenant, call.endpoint)

    def _after_refusal(self, attempt: Attempts, why: Reason, pause: Hold, token: str) -> None:
        """Prepare the next attempt, or raise what the answer means."""
        if why.status == 401 and not attempt.token_renewed:
            attempt.token_renewed = True
            self.tokens.refuse(GRAPH_SCOPE, token)
            return
        if why.status == 429 or why.retry_after_s is not None:
            pause.hold(attempt.pause_s(why))
        error = error_for(attempt.call, why)
        if why.status == 429 or (isinstance(error, Throttled) and not attempt.call.is_write):
            return  # the pause decides how long, the deadline whether
        if attempt.call.is_write or not isinstance(error, Retryable):
            raise error
        attempt.again_or(error)

    def _exchange(self, call: Call, token: str, last_look: Callable[[], None]) -> httpx.Response:
        def trace(event: str, _info: object) -> None:
            if event == _ABOUT_TO_SEND:  # a connection was opened meanwhile, perhaps
                last_look()

        headers = {**(call.headers or {}), "Authorization": f"Bearer {token}", "client-request-id": str(uuid4())}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        try:
            content = None if call.body is None else orjson.dumps(call.body)
            client, url = self._opened(), self._url(call)
            request = client.build_request(
                call.method, url, params=call.params, headers=headers, content=content, extensions={"trace": trace}
            )
        except (TypeError, UnicodeError, httpx.InvalidURL) as error:  # a lone surrogate, or a byte no address may have
            message = f"could not {call.doing}: a value cannot be sent ({type(error).__name__}) ; correct the value"
            raise Invalid(message, system=SYSTEM, what=call.what) from error
        return client.send(request)

    def _url(self, call: Call) -> httpx.URL:
        """Give the whole address; a link to elsewhere is refused, because the token would go with it."""
        url = self._root.join(call.path.lstrip("/"))
        if (url.scheme, url.host, url.port) != (self._root.scheme, self._root.host, self._root.port):
            raise Invalid(
                f"could not {call.doing}: the service links to {url.host}, which is not {self._root.host} ; report it",
                system=SYSTEM,
            )
        return url

    def _opened(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                transport = self._transport or httpx.HTTPTransport(
                    verify=tls_context(self.endpoint.ca_bundle), limits=_LIMITS, trust_env=False
                )
                self._client = httpx.Client(
                    transport=transport, timeout=_TIMEOUT, trust_env=False, headers={"Accept": "application/json"}
                )
            return self._client


def _asked_s(why: Reason) -> float:
    return -1.0 if why.retry_after_s is None else why.retry_after_s


def _root(endpoint: GraphEndpoint) -> httpx.URL:
    """Read the address of the service; only https, because tokens travel with every call."""
    try:
        root = httpx.URL(endpoint.url.rstrip("/") + "/")
    except httpx.InvalidURL as error:
        raise InputRefused(f"{endpoint.url!r} is no address", where="graph_url", remedy="correct it") from error
    if root.scheme != "https" or not root.host:
        raise InputRefused(f"{endpoint.url!r} is no https address", where="graph_url", remedy="correct it")
    return root


def _answer(call: Call, response: httpx.Response) -> Answer:
    """Read a success; a body that is no JSON object does not undo a write."""
    body: Json = {}
    if response.content:
        try:
            parsed = orjson.loads(response.content)
        except ValueError as error:
            if not call.is_write:
                message = f"could not {call.doing}: the answer is no JSON ; check graph_url, and proxies on the way"
                raise Unreachable(message, system=SYSTEM, what=call.what) from error
        else:
            body = parsed if isinstance(parsed, dict) else {}
    return Answer(response.status_code, response.headers, body)
