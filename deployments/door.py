"""The HTTP endpoint for HR systems: events, SCIM and lifecycle workflows. What it takes is a row before it answers.

It plans nothing and writes nothing outside: each event starts a run (`deployments/dispatcher.py`). `docs/hr-event.md`.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

import orjson
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from config.errors import InputRefused
from connectors.errors import ConnectorError, Refused
from connectors.hr_json import open_people, stamped
from connectors.workflow_callbacks import address_below
from connectors.xlsx_cells import text_of_number
from datasets.feeds import BadRow
from deployments.door_guard import Caller, Guard, TurnedAway
from engine import events
from engine.events import Arrival, KeyReused
from engine.runtime import utc_now
from tasks.hr_event import mapping_of
from tasks.work import Work

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TITLE, VERSION = "Callwright", "1"
MOST_TOLD = 50
LONGEST_KEY = 200
log = logging.getLogger("callwright.door")
Model = TypeVar("Model", bound=BaseModel)


class Problem(BaseModel):
    """Why a request was refused."""

    code: str
    message: str


class Refusal(BaseModel):
    """The body of every answer that is an error, but for those of SCIM."""

    error: Problem


class BadPerson(BaseModel):
    """A person who is not understood: the place in the request, the column and the reason."""

    person: int
    column: str
    reason: str


class Taken(BaseModel):
    """An event that is stored: its run goes on after this answer."""

    event: str
    accepted: int
    quarantined: list[BadPerson]


class People(BaseModel):
    """People as the site's mapping names their columns."""

    model_config = ConfigDict(extra="forbid")

    people: list[dict[str, str | int | float | bool | None]] = Field(min_length=1)


class Named(BaseModel):
    """Something with an id."""

    id: str = Field(min_length=1, max_length=200)


class WorkflowData(BaseModel):
    """What a lifecycle workflow says: whom it is about, and where it waits for word."""

    subject: Named
    taskProcessingResult: Named  # noqa: N815 - Microsoft's name
    callbackUriPath: str = Field("", max_length=2000)  # noqa: N815 - Microsoft's name


class WorkflowCall(BaseModel):
    """The request of a custom task extension, as its Logic App forwards it."""

    data: WorkflowData
    source: str = ""
    type: str = ""


@dataclass(frozen=True)
class Door:
    """What the routes need: settings and database, who may come in, and whom to wake when an event is stored."""

    work: Work
    guard: Guard
    wake: Callable[[], None] = lambda: None

    def admit(self, request: Request) -> Caller:
        """Give the sender. Raises TurnedAway."""
        address = request.client.host if request.client else ""
        return self.guard.admit(request.headers.get("Authorization", ""), address)

    def receive(self, arrival: Arrival) -> dict[str, Any]:
        """Store an event, wake the dispatcher and give the answer. Raises KeyReused."""
        with self.work.database.write() as connection:
            event_id, answer, is_new = events.receive(connection, arrival, utc_now())
        log.info("%s %s event %s", "stored" if is_new else "known", arrival.door, event_id)
        self.wake()
        return answer

    def judged(self, rows: Sequence[Mapping[str, str]], door: str) -> tuple[int, list[BadPerson]]:
        """Count who is understood, and tell why the others are not. Raises InputRefused when nothing fits."""
        rules = mapping_of(self.work, door)
        read = open_people(stamped(rows, rules, "e", utc_now().isoformat()), rules, "the request").read()
        return len(read.good), [_told(row) for row in read.bad]


async def body_of(request: Request) -> bytes:
    """Read the body, no more than the limit of the settings. Raises HTTPException 413."""
    most = request.app.state.door.work.settings.listen.largest_body
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > most:
            raise HTTPException(413, f"the request is larger than {most} bytes ; send it in parts")
    return bytes(found)


def caller_of(request: Request) -> Caller:
    """Give who sends the request. Raises TurnedAway."""
    door: Door = request.app.state.door
    return door.admit(request)


Body: TypeAlias = Annotated[bytes, Depends(body_of)]
Sender: TypeAlias = Annotated[Caller, Depends(caller_of)]
Key: TypeAlias = Annotated[str, Header(alias="Idempotency-Key", max_length=LONGEST_KEY)]


def make_app(door: Door | None = None) -> FastAPI:
    """Make the application; without a door it can only describe itself."""
    from deployments.door_scim import router as scim

    refusals: dict[int | str, dict[str, Any]] = {code: {"model": Refusal} for code in (400, 401, 413, 422, 429)}
    app = FastAPI(title=TITLE, version=VERSION, docs_url=None, redoc_url=None, responses=refusals)
    app.state.door = door
    app.add_api_route("/health", health, methods=["GET"], summary="Tell that the endpoint is up.")
    described = {"requestBody": _described(People)}
    app.add_api_route("/events", take_people, methods=["POST"], status_code=202, openapi_extra=described)
    described = {"requestBody": _described(WorkflowCall)}
    app.add_api_route("/workflows/{kind}", take_workflow, methods=["POST"], status_code=202, openapi_extra=described)
    app.include_router(scim, prefix="/scim/v2")
    for error in (TurnedAway, HTTPException, InputRefused, ConnectorError):
        app.add_exception_handler(error, _refuse)
    app.add_middleware(Discreet)
    return app


def health() -> dict[str, str]:
    """Tell that the endpoint is up."""
    return {"status": "up"}


def take_people(request: Request, caller: Sender, raw: Body, idempotency_key: Key) -> Taken:
    """Take people of an HR system: columns as in the site's mapping, checked and limited like a feed."""
    door: Door = request.app.state.door
    rows = [_texts(person) for person in parsed(_as_people(raw), People).people]
    if len(rows) > door.work.settings.listen.most_people:
        raise HTTPException(413, f"more than {door.work.settings.listen.most_people} people ; send a feed file")
    accepted, bad = door.judged(rows, "events")
    if not accepted:
        raise HTTPException(422, f"nobody is understood: {bad[0].column}: {bad[0].reason}")
    told: dict[str, Any] = {"accepted": accepted, "quarantined": [each.model_dump() for each in bad[:MOST_TOLD]]}
    digest = hashlib.sha256(raw).hexdigest()
    arrival = Arrival("events", caller.name, caller.is_verified, idempotency_key, digest, rows, told)
    return Taken.model_validate(door.receive(arrival))


def take_workflow(request: Request, kind: Literal["joiner", "mover", "leaver"], caller: Sender, raw: Body) -> Taken:
    """Take the call of a lifecycle workflow's custom task extension; word follows at its callbackUriPath."""
    door: Door = request.app.state.door
    data = parsed(_loaded(raw), WorkflowCall).data
    if data.callbackUriPath:
        address_below(door.work.settings.listen.callbacks, data.callbackUriPath)
    rows = [{"id": data.subject.id, "status": "terminated" if kind == "leaver" else "active"}]
    digest = hashlib.sha256(f"{kind}\n".encode() + raw).hexdigest()
    told: dict[str, Any] = {"accepted": 1, "quarantined": []}
    key = data.taskProcessingResult.id
    arrival = Arrival("workflow", caller.name, caller.is_verified, key, digest, rows, told, data.callbackUriPath)
    return Taken.model_validate(door.receive(arrival))


def fresh_key() -> str:
    """Give a key for a request whose sender has none."""
    return uuid.uuid4().hex


def parsed(value: object, model: type[Model]) -> Model:
    """Give a body as a model. Raises HTTPException 422 that names the place and never repeats a value."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"][:4])) or "body"
        raise HTTPException(422, f"{place}: {first['msg']}") from error


def _loaded(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, f"the body is no JSON: {error.msg} at {error.lineno}:{error.colno}") from error


def _as_people(raw: bytes) -> object:
    """Take one person, a list of people, or an object that has one."""
    found = _loaded(raw)
    if isinstance(found, list):
        return {"people": found}
    return {"people": [found]} if isinstance(found, dict) and "people" not in found else found


def _texts(person: Mapping[str, str | float | bool | None]) -> dict[str, str]:
    return {name: _text(value) for name, value in person.items()}


def _text(value: str | float | bool | None) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    return text_of_number(value) if isinstance(value, float) else value or ""


def _told(row: BadRow) -> BadPerson:
    return BadPerson(person=row.line, column=row.column, reason=row.reason)


def _described(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template=f"#/components/schemas/{model.__name__}/$defs/{{model}}")
    return {"required": True, "content": {"application/json": {"schema": _inlined(schema, schema.pop("$defs", {}))}}}


def _inlined(schema: Any, known: Mapping[str, Any]) -> Any:
    """Put definitions where they are referred to: OpenAPI keeps none below an operation."""
    if isinstance(schema, dict):
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        return _inlined(known[name], known) if name else {key: _inlined(part, known) for key, part in schema.items()}
    return [_inlined(part, known) for part in schema] if isinstance(schema, list) else schema


def _refuse(_: Request, error: Exception) -> JSONResponse:
    """Answer an error that was foreseen with one sentence."""
    headers: dict[str, str] = {}
    if isinstance(error, TurnedAway):
        status, code, message, headers = error.status, error.code, error.message, error.headers
    elif isinstance(error, HTTPException):
        status, code, message = error.status_code, "refused", str(error.detail)
    elif isinstance(error, ConnectorError) and not isinstance(error, Refused):
        status, code, message = 503, "unavailable", "something we need does not answer ; try again later"
        log.error("unavailable: %s", type(error).__name__)
    else:
        status, code, message = 422 if isinstance(error, KeyReused) else 400, "refused", str(error)
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


class Discreet:
    """Answers what nobody foresaw without a trace; the log names its kind, never what was sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        is_begun = False

        async def noticed(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            await self._app(scope, receive, noticed)
        except Exception as error:
            if is_begun:
                raise
            log.error("internal error: %s", type(error).__name__)  # noqa: TRY400 - a trace holds what was sent
            told = {"error": {"code": "internal", "message": "internal error ; see the log of the endpoint"}}
            await JSONResponse(told, 500)(scope, receive, send)
