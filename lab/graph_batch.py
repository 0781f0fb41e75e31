"""`$batch` of the Graph end: up to twenty calls in one request, each answered, logged and throttled on its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl

from lab.graph_messages import Answer, Call, bad_body, refused
from lab.records import Json
from lab.rules import Refusal

LARGEST = 20


@dataclass(slots=True)
class Batch:
    """One batch; parts run in the order of their dependencies."""

    call: Call
    carry_out: Callable[[Call], Awaitable[Answer]]
    answers: dict[str, Answer] = field(default_factory=dict)

    async def answer(self) -> Answer:
        """Answer the batch: 200 even when parts fail; a dropped part drops everything."""
        try:
            parts = self._parts()
        except Refusal as refusal:
            return refused(self.call, refusal)
        waiting = dict(parts)
        while waiting:
            ready = [key for key, part in waiting.items() if not set(_needed(part)) & set(waiting)]
            if not ready:
                return refused(self.call, bad_body("The dependencies of the batch form a circle."))
            # Parts that need no other run at the same time, as if they had been sent one by one.
            answers = await asyncio.gather(*(self._one(waiting.pop(key)) for key in ready))
            self.answers |= dict(zip(ready, answers, strict=True))
        responses: list[Json] = [_response(key, answer) for key, answer in self.answers.items()]
        return Answer(200, {"responses": responses}, dropped=any(a.dropped for a in self.answers.values()))

    def _parts(self) -> dict[str, Mapping[str, Json]]:
        """Read the requests; refuses too many, doubled ids and unknown dependencies."""
        requests = self.call.fields.get("requests")
        if not isinstance(requests, list) or not requests or len(requests) > LARGEST:
            raise bad_body(f"A batch holds 1 to {LARGEST} requests.")
        parts: dict[str, Mapping[str, Json]] = {
            str(part.get("id")): part for part in requests if isinstance(part, dict) and part.get("id")
        }
        if len(parts) != len(requests):
            raise bad_body("Every request of a batch needs its own 'id'.")
        if any(need not in parts for part in parts.values() for need in _needed(part)):
            raise bad_body("'dependsOn' names a request that is not in the batch.")
        return parts

    async def _one(self, part: Mapping[str, Json]) -> Answer:
        call = self._call(part)
        if any(self.answers[need].status >= 400 for need in _needed(part)):
            return refused(call, Refusal("FailedDependency", "A request this one depends on failed.", status=424))
        if call.body is not None and not call.header("Content-Type"):
            return refused(call, bad_body("A request with a body needs the header 'Content-Type'."))
        return await self.carry_out(call)

    def _call(self, part: Mapping[str, Json]) -> Call:
        """Make the call a part asks for, in the name of who sent the batch."""
        path, _, query = str(part.get("url", "")).partition("?")
        given = part.get("headers")
        headers = {str(k).lower(): str(v) for k, v in given.items()} if isinstance(given, Mapping) else {}
        options = dict(parse_qsl(query, keep_blank_values=True))
        fresh = replace(self.call, path="/" + path.lstrip("/"), query=options, headers=headers, body=part.get("body"))
        fresh.method, fresh.effects, fresh.seen = str(part.get("method", "GET")).upper(), [], None
        return fresh


def _needed(part: Mapping[str, Json]) -> list[str]:
    needed = part.get("dependsOn") or []
    return [str(key) for key in needed] if isinstance(needed, list) else []


def _response(key: str, answer: Answer) -> Json:
    return {"id": key, "status": answer.status, "headers": dict(answer.headers), "body": answer.body}
