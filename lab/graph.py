"""The Graph end of the stand-in tenant: who may call, what the fault plan wants, the call itself, its log line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson
from aiohttp import web

from lab import graph_endpoints
from lab.fault_modes import check_read
from lab.graph_batch import Batch
from lab.graph_endpoints import Endpoint
from lab.graph_messages import Answer, Call, refused
from lab.parts import LabParts
from lab.records import Json
from lab.rules import Refusal
from lab.tokens import GRAPH_AUDIENCE

VERSIONS = ("v1.0", "beta")


@dataclass(slots=True)
class GraphEnd:
    """Answers under `https://<host>/v1.0/…` and `/beta/…`."""

    parts: LabParts
    origin: str

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Publish the service."""
        for version in VERSIONS:
            router.add_route("*", f"/{version}/{{path:.*}}", self.serve)

    async def serve(self, request: web.Request) -> web.Response:
        """Answer one HTTP request."""
        version, _, path = request.raw_path.partition("?")[0].lstrip("/").partition("/")
        body = await request.read()
        call = Call(
            parts=self.parts,
            method=request.method,
            path=f"/{path}",
            query=dict(request.query),
            headers=request.headers,
            body=None,
            actor="",
            base=f"{self.origin}/{version}",
        )
        answer = await self._authenticated(call, body)
        if answer.dropped and request.transport:
            request.transport.abort()
        return _response(answer)

    async def answer(self, call: Call) -> Answer:
        """Carry out one call of a known actor, alone or as part of a batch."""
        found = graph_endpoints.find(call.method, call.path)
        if found is None:
            return refused(
                call, Refusal("BadRequest", f"Resource not found for the segment '{call.path}'.", status=404)
            )
        endpoint, call.arguments = found
        call.operation, call.write = endpoint.operation, endpoint.write
        names = self._names(call)
        call.target = names[0] if names else ""
        call.verdict = self.parts.faults.before(call.operation, *names, address=f"{call.method} {call.path}")
        await self.parts.clock.wait(call.verdict.latency_s + self.parts.settings.operation_delay_s)
        answer = self._carry_out(call, endpoint)
        return replace(answer, dropped=call.verdict.drop_reply)

    async def _authenticated(self, call: Call, body: bytes) -> Answer:
        """Check the bearer token and the body before anything else."""
        try:
            token = _bearer(call)
            claims = self.parts.tokens.verify(token, GRAPH_AUDIENCE)
            call.actor = f"app:{claims['appid']}" if "appid" in claims else str(claims["preferred_username"])
            call.body = _parsed(body)
        except Refusal as refusal:
            headers = {"WWW-Authenticate": 'Bearer realm=""'} if refusal.status == 401 else {}
            return refused(call, refusal, headers)
        if call.path == "/$batch" and call.method == "POST":
            return await Batch(call, self.answer).answer()
        return await self.answer(call)

    def _carry_out(self, call: Call, endpoint: Endpoint) -> Answer:
        """Play the refusals of the plan or do the work, and log it."""
        try:
            _play(call)
            self._check_roles(endpoint)
            answer = endpoint.handler(call)
            if not call.deferred:
                call.log(answer.status)
        except Refusal as refusal:
            call.log(refusal.status, f"{refusal.code}: {refusal.message}")
            return refused(call, refusal, _retry_headers(call, refusal))
        return answer

    def _check_roles(self, endpoint: Endpoint) -> None:
        if not set(endpoint.roles) & set(self.parts.settings.roles):
            raise Refusal(
                "Authorization_RequestDenied", "Insufficient privileges to complete the operation.", status=403
            )

    def _names(self, call: Call) -> list[str]:
        """Give every name of what a call touches, the one for the log first."""
        named = list(call.arguments)
        if isinstance(call.body, Mapping):
            named += [str(call.body[key]) for key in ("telephoneNumber", "assignmentTargetId") if key in call.body]
            rows = call.body.get("value")
            named += [str(row["userId"]) for row in rows if "userId" in row] if isinstance(rows, list) else []
        users = [user for name in named if (user := self.parts.tenant.find_user(name))]
        return list(dict.fromkeys([*named, *(u.id for u in users), *(u.upn for u in users)]))


def _bearer(call: Call) -> str:
    scheme, _, token = call.header("Authorization").partition(" ")
    if scheme.casefold() != "bearer" or not token:
        raise Refusal("InvalidAuthenticationToken", "Access token is empty.", status=401)
    return token


def _play(call: Call) -> None:
    """Raise what the fault plan wants instead of the work."""
    verdict = call.verdict
    if verdict.throttle_s is not None:
        raise Refusal("TooManyRequests", "Too many requests. Try again later.", status=429)
    if verdict.unavailable:
        raise Refusal("ServiceUnavailable", "The service is temporarily unavailable.", status=503)
    if not call.write:
        check_read(verdict.modes)
    if verdict.error:
        status, code, message = verdict.error
        raise Refusal(code, message, status=status)


def _retry_headers(call: Call, refusal: Refusal) -> dict[str, str]:
    if refusal.status == 410:
        return {"Location": f"{call.base}{call.path}"}
    seconds = call.verdict.throttle_s
    return {"Retry-After": f"{seconds:g}"} if refusal.status == 429 and seconds is not None else {}


def _parsed(body: bytes) -> Json:
    if not body:
        return None
    try:
        parsed: Json = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal("BadRequest", "Unable to read JSON request payload.") from error
    return parsed


def _response(answer: Answer) -> web.Response:
    content = b"" if answer.body is None or answer.status == 204 else orjson.dumps(answer.body)
    response = web.Response(body=content, status=answer.status, headers=answer.headers)
    if content:
        response.content_type = "application/json"
    return response
