"""A call to Graph, its answer, and what an answer that is no success means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import orjson

from connectors import number_refusals
from connectors.errors import (
    AlreadyThere,
    Ambiguous,
    Busy,
    ConnectorError,
    Invalid,
    NotAllowed,
    NotFound,
    Throttled,
    Unreachable,
    Unsupported,
)

SYSTEM = "graph"
R = TypeVar("R")
Json = dict[str, Any]  # raw answers; they become records in the parsing modules
_AGAIN = "it is tried again"
_BY_STATUS: dict[int, tuple[type[ConnectorError], str]] = {
    401: (NotAllowed, "check the app registration: the service refused a new token too"),
    403: (NotAllowed, "grant the app registration the missing permission and have it consented"),
    404: (NotFound, "check the id; a new object or licence may need time to appear"),
    405: (Unsupported, "this tenant's cloud does not offer the call"),
    409: (AlreadyThere, "read the object, then plan again"),
    410: (NotFound, "this delta link has expired: read everything again"),
    423: (Busy, _AGAIN),
    429: (Throttled, _AGAIN),
    501: (Unsupported, "this tenant's cloud does not offer the call"),
}


@dataclass(frozen=True)
class Call:
    """One request: `doing` completes "could not …", `path` is below the service root or a link the service gave."""

    doing: str
    path: str
    method: str = "GET"
    what: str = ""
    params: Mapping[str, str] | None = None
    body: Json | None = field(default=None, repr=False)
    headers: Mapping[str, str] | None = None
    permission: str = ""
    is_batch_of_reads: bool = False

    @property
    def is_write(self) -> bool:
        """Tell whether repeating it could do something twice."""
        return self.method != "GET" and not self.is_batch_of_reads

    @property
    def endpoint(self) -> str:
        """Give the class of endpoints that is throttled together with this one."""
        paths = [part["url"] for part in (self.body or {})["requests"]] if self.is_batch_of_reads else [self.path]
        return "teams" if any("admin/teams/" in path for path in paths) else "directory"

    def with_params(self, params: Mapping[str, str]) -> Call:
        """Give the same call with parameters."""
        return replace(self, params=params)

    def following(self, link: str) -> Call:
        """Give the call for the next page; the link carries all parameters."""
        return replace(self, path=link, params=None)


@dataclass(frozen=True)
class Answer:
    """A success: its headers and its JSON, {} when it has none."""

    status: int
    headers: Mapping[str, str]
    body: Json


@dataclass(frozen=True)
class Reason:
    """Why the service refused: HTTP status, its code and message, and the id its support asks for."""

    status: int
    code: str
    message: str
    request_id: str
    retry_after_s: float | None

    def __str__(self) -> str:
        """Give one line."""
        text = ": ".join(part for part in (self.code, " ".join(self.message.split())) if part)
        return f"{text or f'HTTP {self.status}'} (request-id {self.request_id or 'unknown'})"


def batch(calls: Mapping[int, Call]) -> Call:
    """Put reads without parameters into one request, each under its number."""
    requests = [{"id": str(number), "method": "GET", "url": f"/{call.path}"} for number, call in calls.items()]
    some = next(iter(calls.values()))
    doing = f"{some.doing} and {len(calls) - 1} more"
    body: Json = {"requests": requests}
    return Call(doing, "$batch", "POST", body=body, permission=some.permission, is_batch_of_reads=True)


def parts(answer: Answer, calls: Mapping[int, Call]) -> Iterator[tuple[int, httpx.Response]]:
    """Give each part of a batch's answer as if it had come alone; a part that is missing counts as a failure."""
    found = {str(part.get("id")): part for part in answer.body.get("responses", ())}
    for number in calls:
        part = found.get(str(number), {})
        headers = {str(name): str(value) for name, value in (part.get("headers") or {}).items()}
        headers.pop("Content-Length", None)  # of the part as it was, not as we write it
        yield number, httpx.Response(part.get("status", 500), headers=headers, content=orjson.dumps(part.get("body")))


def segment(value: str) -> str:
    """Encode one path segment; raises Invalid for a value that would name another resource."""
    if value in ("", ".", ".."):
        raise Invalid(f"{value!r} names no object ; give its id or user principal name", system=SYSTEM, what=value)
    return _encoded(value)


def literal(value: str) -> str:
    """Write an OData text literal for a filter."""
    return "'" + value.replace("'", "''") + "'"


def argument(value: str) -> str:
    """Write an OData text literal for a path."""
    return f"'{_encoded(value.replace(chr(39), chr(39) * 2))}'"


def _encoded(value: str) -> str:
    try:
        return quote(value, safe="")
    except UnicodeEncodeError as error:
        raise Invalid(f"{value!r} is not valid text ; correct the value", system=SYSTEM, what=ascii(value)) from error


def parsed(call: Call, parse: Callable[[Json], R], raw: Json) -> R:
    """Make a record of a raw answer; raises Invalid when the answer has not the documented form."""
    try:
        return parse(raw)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        message = f"could not {call.doing}: the answer has not the documented form ({type(error).__name__}) ; report it"
        raise Invalid(message, system=SYSTEM, what=call.what) from error


def reason(response: httpx.Response) -> Reason:
    """Read an answer that is no success."""
    error = _error_of(response)
    inner = error.get("innerError") or {}
    return Reason(
        status=response.status_code,
        code=str(error.get("code") or ""),
        message=str(error.get("message") or "")[:500],
        request_id=response.headers.get("request-id") or str(inner.get("request-id") or ""),
        retry_after_s=_retry_after_s(response.headers),
    )


def _error_of(response: httpx.Response) -> Json:
    try:
        error = orjson.loads(response.content)["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {}


def _retry_after_s(headers: httpx.Headers) -> float | None:
    """Read seconds or a date; a date counts from the answer's own date, so our clock may be wrong."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(text)
        now = parsedate_to_datetime(headers["Date"]) if "Date" in headers else datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None


def error_for(call: Call, why: Reason) -> ConnectorError:
    """Give the error of the tree for an answer that is no success."""
    kind, remedy = _kind(call, why)
    message = f"could not {call.doing}: {why} ; {remedy}"
    if kind is Throttled:
        return Throttled(message, retry_after_s=why.retry_after_s or 0.0, system=SYSTEM, what=call.what)
    return kind(message, system=SYSTEM, what=call.what)


def _kind(call: Call, why: Reason) -> tuple[type[ConnectorError], str]:
    if why.status in (400, 404, 409) and (known := number_refusals.meaning(why.message)) is not None:
        return known, number_refusals.remedy(known)
    if why.status == 400 and "does not have a corresponding license" in why.message:
        return NotFound, "nothing is to be done"
    if "syncstatenotfound" in why.code.casefold():
        return _BY_STATUS[410]
    if why.status == 409 and "concurrency" in why.code.casefold():
        return Busy, _AGAIN
    if why.status == 403 and call.permission:
        return NotAllowed, f"grant the app registration {call.permission} and have it consented"
    if why.status == 503:
        return (Unreachable if why.retry_after_s is None else Throttled), _AGAIN
    if why.status not in _BY_STATUS and (why.status >= 500 or why.status == 408):
        return (Ambiguous, "read the object to see whether it happened") if call.is_write else (Busy, _AGAIN)
    return _BY_STATUS.get(why.status, (Invalid, "correct the value, then plan again"))
