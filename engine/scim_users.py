"""The users that a SCIM client believes to exist here: what it said of each, not what came of it. SQL only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text, update
from sqlalchemy.engine import Row

from datasets import scim
from datasets.scim import Resource, ScimError, Wanted
from datasets.tables.events import scim_users
from engine.requests import new_id

_C = scim_users.c


def lock(connection: Connection) -> None:
    """Let one request at a time change users: two with one name would both find it free."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE scim_users IN SHARE ROW EXCLUSIVE MODE"))


def load(connection: Connection, user_id: str) -> Row[Any]:
    """Give a user. Raises ScimError 404."""
    row = connection.execute(select(scim_users).where(_C.id == user_id)).one_or_none()
    if row is None:
        raise ScimError(404, "", f"there is no user {user_id[:80]}")
    return row


def create(connection: Connection, resource: Resource, now: datetime) -> Row[Any]:
    """Add a user. Raises ScimError 409 for a name, or an employee who works, that another user has."""
    _refuse_taken(connection, resource, "")
    user_id = new_id("u")
    moments = {"created_at": now, "changed_at": now}
    connection.execute(insert(scim_users).values(id=user_id, version=1, **_values(resource), **moments))
    return load(connection, user_id)


def replace(connection: Connection, known: Row[Any], resource: Resource, now: datetime) -> Row[Any]:
    """Put another version in a user's place. Raises ScimError, also for one that would be somebody else."""
    employee_id = scim.employee_id_of(resource)
    if employee_id != known.employee_id:
        detail = f"the employee id is who the user is, {known.employee_id} ; delete the user and create the other"
        raise ScimError(400, "mutability", detail)
    _refuse_taken(connection, resource, known.id)
    values = {**_values(resource), "version": known.version + 1, "changed_at": now}
    connection.execute(update(scim_users).where(_C.id == known.id).values(values))
    return load(connection, known.id)


def has_another(connection: Connection, user: Row[Any]) -> bool:
    """Tell whether the same employee works under another user: what this one says then counts no more."""
    return _works_as(connection, user.employee_id, user.id) is not None


def remove(connection: Connection, user_id: str) -> Row[Any]:
    """Forget a user; gives what was known. Raises ScimError 404."""
    known = load(connection, user_id)
    connection.execute(delete(scim_users).where(_C.id == user_id))
    return known


def find(connection: Connection, wanted: Wanted | None, start: int, count: int) -> tuple[Sequence[Row[Any]], int]:
    """Give a page of users and how many there are; `start` counts from 1."""
    conditions = []
    if wanted is not None:
        columns = {"userName": _C.user_name, "externalId": _C.external_id, "id": _C.id}
        value = wanted.value.casefold() if wanted.attribute == "userName" else wanted.value
        conditions.append(columns[wanted.attribute] == value)
    total = connection.execute(select(func.count()).select_from(scim_users).where(*conditions)).scalar_one()
    query = select(scim_users).where(*conditions).order_by(_C.created_at, _C.id)
    return connection.execute(query.limit(count).offset(start - 1)).all(), int(total)


def _values(resource: Resource) -> dict[str, object]:
    name, external = resource["userName"].casefold(), resource.get("externalId") or ""
    names = {"user_name": name[:300], "external_id": external[:300], "employee_id": scim.employee_id_of(resource)}
    return names | {"resource": resource}


def _refuse_taken(connection: Connection, resource: Resource, but: str) -> None:
    same = (_C.user_name == resource["userName"].casefold()) & (_C.id != but)
    if connection.execute(select(_C.id).where(same)).first():
        raise ScimError(409, "uniqueness", "there is a user with this userName")
    employee_id = scim.employee_id_of(resource)
    other = _works_as(connection, employee_id, but) if resource["active"] else None
    if other is not None:
        detail = f"{employee_id} is active as user {other} ; change that user's userName, or deactivate it first"
        raise ScimError(409, "uniqueness", detail)


def _works_as(connection: Connection, employee_id: str, but: str) -> str | None:
    query = select(_C.id, _C.resource).where((_C.employee_id == employee_id) & (_C.id != but)).order_by(_C.id)
    return next((row.id for row in connection.execute(query) if row.resource["active"]), None)
