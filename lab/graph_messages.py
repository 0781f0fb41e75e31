"""One Graph call and its answer, free of any web server, so that `$batch` can make calls as well."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import orjson

from lab.calls import CallLine
from lab.clock import stamp
from lab.fault_modes import act
from lab.faults import Verdict
from lab.parts import LabParts
from lab.records import Effect, Json
from lab.rules import Refusal
from lab.tenant import View


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call answers; `dropped` closes the connection instead."""

    status: int = 200
    body: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)
    dropped: bool = False


@dataclass(slots=True)
class Call:
    """One call on its way: what was asked, what the fault plan wants, and what it did."""

    parts: LabParts
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Json
    actor: str
    base: str
    operation: str = ""
    write: bool = False
    arguments: Sequence[str] = ()
    target: str = ""
    verdict: Verdict = field(default_factory=Verdict)
    effects: list[Effect] = field(default_factory=list)
    deferred: bool = False  # the effect comes later, and the log line with it
    seen: View | None = None

    @property
    def view(self) -> View:
        """Give the tenant as this call may see it: perhaps lagging."""
        if self.seen is None:
            self.seen = self.parts.tenant.view(self.verdict.lag_s)
        return self.seen

    @property
    def fields(self) -> Mapping[str, Json]:
        """Give the body as an object."""
        if not isinstance(self.body, Mapping):
            raise bad_body("The request body must be a JSON object.")
        return self.body

    def text(self, name: str) -> str:
        """Give a required text of the body."""
        value = self.fields.get(name)
        if not isinstance(value, str) or not value:
            raise bad_body(f"The parameter '{name}' is required.")
        return value

    def optional(self, name: str) -> str | None:
        """Give an optional text of the body; an empty one is a value too."""
        value = self.fields.get(name)
        return None if value is None else str(value)

    def apply(self, mutation: Callable[[], list[Effect]]) -> None:
        """Change the tenant, or only say so when the fault plan wants that."""
        if not self.verdict.false_success:
            self.effects += act(self.parts.tenant, self.verdict.modes, mutation, self.target)

    def header(self, name: str) -> str:
        """Give a header, empty when absent."""
        return self.headers.get(name) or self.headers.get(name.lower()) or ""

    @property
    def eventual(self) -> bool:
        """Tell whether advanced queries are asked for as they must be."""
        counted = self.query.get("$count", "").casefold() == "true"
        return counted and self.header("ConsistencyLevel").casefold() == "eventual"

    def log(self, status: int, error: str | None = None) -> None:
        """Write this call's line."""
        parameters: dict[str, Json] = {name: value for name, value in self.query.items() if name != "$skiptoken"}
        if self.write and isinstance(self.body, Mapping):
            parameters |= self.body
        line = CallLine("graph", self.operation, self.actor, self.target, parameters)
        line.write, line.status, line.error, line.effects = self.write, status, error, self.effects
        self.parts.calls.add(line)


def bad_body(message: str) -> Refusal:
    """Refuse a request body."""
    return Refusal("BadRequest", message)


def refused(call: Call, refusal: Refusal, headers: Mapping[str, str] | None = None) -> Answer:
    """Make the error answer of Graph."""
    inner: dict[str, Json] = {"date": stamp(call.parts.clock.now())[:19], "request-id": str(uuid.uuid4())}
    inner["client-request-id"] = call.header("client-request-id") or inner["request-id"]
    body: Json = {"error": {"code": refusal.code, "message": refusal.message, "innerError": inner}}
    return Answer(refusal.status, body, headers or {})


def seal(state: Mapping[str, Json]) -> str:
    """Make an opaque token of some state."""
    return base64.urlsafe_b64encode(orjson.dumps(state)).decode().rstrip("=")


def unseal(token: str) -> dict[str, Json]:
    """Read an opaque token back; refuses one that is not ours."""
    try:
        state = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, ValueError) as error:
        raise Refusal("BadRequest", "The token is malformed.") from error
    if not isinstance(state, dict):
        raise Refusal("BadRequest", "The token is malformed.")
    return state


def link(call: Call, **query: str) -> str:
    """Give the address of this call with other query options."""
    options = {name: value for name, value in call.query.items() if not name.startswith(("$skip", "$delta"))}
    options |= {f"${name}": value for name, value in query.items()}
    return f"{call.base}{call.path}?" + "&".join(
        f"{quote(k, safe='$')}={quote(v, safe='')}" for k, v in options.items()
    )
