"""SCIM 2.0 at the endpoint: users are kept as their client sent them, and each change of one is an event.

Errors have SCIM's own form. The changes of one bulk are one event, so that the limits of a feed hold for all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, HTTPException, Query, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import Connection
from sqlalchemy.engine import Row

from config.errors import InputRefused
from datasets import scim
from datasets.scim import Resource, ScimError
from datasets.scim_patch import patched
from deployments.door import Body, Door, Sender, fresh_key
from deployments.door_guard import Caller, TurnedAway
from engine import events, scim_users
from engine.events import Arrival, KeyReused
from engine.runtime import utc_now

MEDIA = "application/scim+json"
Key = Annotated[str, Header(alias="Idempotency-Key", max_length=200)]
Act = Callable[[Connection, "Changes"], tuple[int, Resource]]


class _Route(APIRoute):
    """Answers every foreseen error in SCIM's form."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except ScimError as error:
                return _response(error.body(), error.status)
            except TurnedAway as error:
                return _response(ScimError(error.status, "", error.message).body(), error.status, error.headers)
            except HTTPException as error:
                kind = "tooMany" if error.status_code == 413 else "invalidSyntax"
                return _response(ScimError(error.status_code, kind, str(error.detail)).body(), error.status_code)

        return answered


router = APIRouter(route_class=_Route, tags=["SCIM"])


class Changes:
    """The people whom one request changes; the last word on each counts."""

    def __init__(self, door: Door, base: str) -> None:
        self._door, self.base = door, base
        self.rows: dict[str, dict[str, str]] = {}

    def note(self, resource: Resource, before: Resource | None = None) -> None:
        """Note a person of a user that is kept already: what it says, and what it says no more.

        Raises ScimError for one that a feed would quarantine.
        """
        row, said = scim.person_of(resource), scim.person_of(before) if before else {}
        earlier = self.rows.get(row["employee_id"], {})
        row = {name: value for name, value in row.items() if value or said.get(name) or name in earlier}
        try:
            _, bad = self._door.judged([row], "scim")
        except InputRefused as error:
            raise ScimError(400, "invalidValue", str(error)) from error
        if bad:
            raise ScimError(400, "invalidValue", f"{bad[0].column} {bad[0].reason}")
        self.rows[row["employee_id"]] = row

    def shown(self, row: Row[Any]) -> Resource:
        """Give a user for an answer."""
        return scim.shown(row.resource, row.id, row.version, (row.created_at, row.changed_at), self.base)


@router.get("/ServiceProviderConfig")
def provider(request: Request, _: Sender) -> Response:
    """Say what is supported."""
    return _response(scim.service_provider(_door(request).work.settings.listen.largest_body))


@router.get("/ResourceTypes")
def resource_types(_: Sender) -> Response:
    """Name the kinds of resources."""
    found = scim.resource_types()
    return _response(scim.listed(found, len(found), 1))


@router.get("/Schemas")
def schemas(_: Sender) -> Response:
    """Describe the attributes that are heeded."""
    found = scim.schemas()
    return _response(scim.listed(found, len(found), 1))


@router.get("/Users")
def users(
    request: Request,
    _: Sender,
    wanted: Annotated[str, Query(alias="filter", max_length=500)] = "",
    start: Annotated[int, Query(alias="startIndex")] = 1,
    count: int = scim.LARGEST_PAGE,
) -> Response:
    """List users, all or by userName, externalId or id."""
    first, size = max(1, start), max(0, min(count, scim.LARGEST_PAGE))
    changes = Changes(_door(request), _base(request))
    with _door(request).work.database.read() as connection:
        found, total = scim_users.find(connection, scim.parse_filter(wanted), first, size)
    return _response(scim.listed([changes.shown(row) for row in found], total, first))


@router.get("/Users/{user_id}")
def user(request: Request, user_id: str, _: Sender) -> Response:
    """Give one user as it was sent."""
    with _door(request).work.database.read() as connection:
        return _response(Changes(_door(request), _base(request)).shown(scim_users.load(connection, user_id)))


@router.post("/Users", status_code=201)
def create(request: Request, caller: Sender, raw: Body, key: Key = "") -> Response:
    """Add a user: a hire."""
    return _changed(request, caller, raw, key, lambda c, changes: _create(c, changes, _loaded(raw)))


@router.put("/Users/{user_id}")
def replace(request: Request, user_id: str, caller: Sender, raw: Body, key: Key = "") -> Response:
    """Replace a user: whatever changed, and active=false for somebody who leaves."""
    return _changed(request, caller, raw, key, lambda c, changes: _replace(c, changes, user_id, _loaded(raw)))


@router.patch("/Users/{user_id}")
def patch(request: Request, user_id: str, caller: Sender, raw: Body, key: Key = "") -> Response:
    """Change parts of a user."""
    return _changed(request, caller, raw, key, lambda c, changes: _patch(c, changes, user_id, _loaded(raw)))


@router.delete("/Users/{user_id}", status_code=204)
def delete(request: Request, user_id: str, caller: Sender, raw: Body, key: Key = "") -> Response:
    """Forget a user: somebody who leaves."""
    return _changed(request, caller, raw, key, lambda c, changes: _delete(c, changes, user_id))


@router.post("/Bulk")
def bulk(request: Request, caller: Sender, raw: Body, key: Key = "") -> Response:
    """Carry out several changes, in order; each has its own answer, all are one event."""
    asked = _loaded(raw)
    operations, most_errors = asked.get("Operations"), asked.get("failOnErrors", 0)
    if not isinstance(operations, list) or not isinstance(most_errors, int) or not operations:
        raise ScimError(400, "invalidSyntax", "Operations is a list of at least one")
    if len(operations) > scim.MOST_OPERATIONS:
        raise ScimError(413, "tooMany", f"more than {scim.MOST_OPERATIONS} operations ; send them in parts")
    return _changed(request, caller, raw, key, lambda c, changes: _bulk(c, changes, operations, most_errors))


def _changed(request: Request, caller: Caller, raw: bytes, key: str, act: Act) -> Response:
    """Do something in one transaction with the event that tells of it; the same key gets the same answer."""
    door, changes = _door(request), Changes(_door(request), _base(request))
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode() + raw).hexdigest()
    arrival = Arrival("scim", caller.name, caller.is_verified, key or fresh_key(), digest, [], {})
    try:
        with door.work.database.write() as connection:
            scim_users.lock(connection)
            known = events.known_answer(connection, arrival) if key else None
            if known is not None:
                return _response(known.answer["body"], known.answer["status"])
            status, body = act(connection, changes)
            if changes.rows:
                told: dict[str, Any] = {"status": status, "body": body}
                arrival = arrival._replace(rows=list(changes.rows.values()), answer=told)
                events.receive(connection, arrival, utc_now())
    except KeyReused as error:
        raise ScimError(422, "", str(error)) from error
    door.wake()
    headers = {"Location": body["meta"]["location"]} if status == 201 else {}
    return _response(body, status, headers)


def _create(connection: Connection, changes: Changes, asked: Resource) -> tuple[int, Resource]:
    resource = scim.checked(asked)
    made = scim_users.create(connection, resource, utc_now())
    changes.note(resource)
    return 201, changes.shown(made)


def _replace(connection: Connection, changes: Changes, user_id: str, asked: Resource) -> tuple[int, Resource]:
    known, resource = scim_users.load(connection, user_id), scim.checked(asked)
    if resource == known.resource:
        return 200, changes.shown(known)
    made = scim_users.replace(connection, known, resource, utc_now())
    if not scim_users.has_another(connection, made):
        changes.note(resource, known.resource)
    return 200, changes.shown(made)


def _patch(connection: Connection, changes: Changes, user_id: str, asked: Resource) -> tuple[int, Resource]:
    known = scim_users.load(connection, user_id)
    operations = asked.get("Operations")
    if not isinstance(operations, list):
        raise ScimError(400, "invalidSyntax", "Operations is a list")
    return _replace(connection, changes, user_id, patched(known.resource, operations))


def _delete(connection: Connection, changes: Changes, user_id: str) -> tuple[int, Resource]:
    known = scim_users.remove(connection, user_id)
    if known.resource.get("active", True) and not scim_users.has_another(connection, known):
        changes.note({**known.resource, "active": False})
    return 204, {}


def _bulk(connection: Connection, changes: Changes, operations: list[Any], most_errors: int) -> tuple[int, Resource]:
    ids: dict[str, str] = {}
    answers: list[Resource] = []
    errors = 0
    for each in operations:
        if most_errors and errors >= most_errors:
            break
        answers.append(_one_of_many(connection, changes, each if isinstance(each, dict) else {}, ids))
        errors += int(answers[-1]["status"]) >= 400
    return 200, {"schemas": [scim.BULK_ANSWER], "Operations": answers}


def _one_of_many(connection: Connection, changes: Changes, each: Resource, ids: dict[str, str]) -> Resource:
    method, bulk_id = str(each.get("method", "")).upper(), str(each.get("bulkId") or "")
    answer: Resource = {"method": method, **({"bulkId": bulk_id} if bulk_id else {})}
    try:
        with connection.begin_nested():
            status, body = _act(connection, changes, method, _resolved(each, ids))
    except ScimError as error:
        return answer | {"status": str(error.status), "response": error.body()}
    if body:
        answer["location"] = body["meta"]["location"]
        if bulk_id:
            ids[bulk_id] = body["id"]
    return answer | {"status": str(status)}


def _act(connection: Connection, changes: Changes, method: str, each: Resource) -> tuple[int, Resource]:
    path, data = str(each.get("path", "")).strip("/").split("/"), each.get("data") or {}
    if path[0] != "Users" or len(path) != (1 if method == "POST" else 2) or not isinstance(data, dict):
        raise ScimError(400, "invalidPath", "path is /Users, or /Users and an id")
    match method:
        case "POST" if not each.get("bulkId"):
            raise ScimError(400, "invalidSyntax", "a POST in a bulk needs a bulkId")
        case "POST":
            return _create(connection, changes, data)
        case "PUT":
            return _replace(connection, changes, path[1], data)
        case "PATCH":
            return _patch(connection, changes, path[1], data)
        case "DELETE":
            return _delete(connection, changes, path[1])
        case _:
            raise ScimError(400, "invalidSyntax", "method is POST, PUT, PATCH or DELETE")


def _resolved(value: Any, ids: Mapping[str, str]) -> Any:
    """Put the ids in that earlier operations gave. Raises ScimError for one that none did."""
    if isinstance(value, dict):
        return {name: part if name == "bulkId" else _resolved(part, ids) for name, part in value.items()}
    if isinstance(value, list):
        return [_resolved(part, ids) for part in value]
    if not isinstance(value, str) or "bulkId:" not in value:
        return value
    before, _, wanted = value.partition("bulkId:")
    if wanted not in ids:
        raise ScimError(409, "", f"no operation before this one has the bulkId {wanted[:80]}")
    return before + ids[wanted]


def _loaded(raw: bytes) -> Resource:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ScimError(400, "invalidSyntax", f"the body is no JSON: {error.msg}") from error
    if not isinstance(found, dict):
        raise ScimError(400, "invalidSyntax", "the body is an object")
    return found


def _door(request: Request) -> Door:
    door: Door = request.app.state.door
    return door


def _base(request: Request) -> str:
    return f"{str(request.base_url).rstrip('/')}/scim/v2"


def _response(body: Resource, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    content = b"" if status == 204 else orjson.dumps(body)
    return Response(content, status, dict(headers or {}), MEDIA)
