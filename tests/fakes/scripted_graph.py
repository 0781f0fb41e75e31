"""Graph answering from a script, for what a stand-in tenant cannot be told to say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx

from connectors.graph import Graph
from connectors.rest import GraphEndpoint
from connectors.teams import Teams
from connectors.throttle import Pauses
from tests.fakes.set_clock import SetClock
from tests.fakes.token_service import FakeTokenService, tokens_from

ROOT = "https://graph.example.test/v1.0"
Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class Script(httpx.BaseTransport):
    """Gives the answers in order, the last one for ever, and keeps every request with its moment."""

    def __init__(self, clock: SetClock, answers: tuple[Answer, ...]) -> None:
        self.requests: list[httpx.Request] = []
        self.moments: list[float] = []
        self._clock, self._answers = clock, list(answers)
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer, or raise what the script says."""
        with self._lock:
            self.requests.append(request)
            self.moments.append(self._clock.now)
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    def body(self, index: int = -1) -> object:
        """Give the JSON of one request."""
        return json.loads(self.requests[index].content)


@dataclass(frozen=True)
class Stand:
    """Everything a test needs: the clients, what they sent, the time and the token service."""

    graph: Graph
    teams: Teams
    script: Script
    clock: SetClock
    tokens: FakeTokenService


def scripted(*answers: Answer, deadline_s: float = 300.0) -> Stand:
    """Give Graph and Teams clients whose service answers from the script."""
    clock, service = SetClock(), FakeTokenService()
    script = Script(clock, answers)
    endpoint = GraphEndpoint(ROOT, deadline_s=deadline_s)
    tokens = tokens_from(service, clock.clock)
    graph = Graph(endpoint, tokens, transport=script, pauses=Pauses(clock.clock), clock=clock.clock)
    return Stand(graph, Teams(graph, clock=clock.clock), script, clock, service)


def ok(body: Mapping[str, object], **headers: str) -> httpx.Response:
    """Give a success with JSON."""
    return httpx.Response(200, json=body, headers=headers)


def page(*items: Mapping[str, object], **links: str) -> httpx.Response:
    """Give one page of a collection; `next` and `delta` are links."""
    names = {"next": "@odata.nextLink", "delta": "@odata.deltaLink"}
    return httpx.Response(200, json={"value": list(items), **{names[name]: link for name, link in links.items()}})


def refused(status: int, message: str = "no", *, code: str = "Refused", retry_after: str = "") -> httpx.Response:
    """Give an error in Graph's form."""
    headers = {"request-id": "req-7", **({"Retry-After": retry_after} if retry_after else {})}
    return httpx.Response(status, json={"error": {"code": code, "message": message}}, headers=headers)
