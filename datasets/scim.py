"""SCIM 2.0 users (RFC 7643, 7644) as far as HR systems need them: what a user says, filters, and the fixed documents.

Pure: nothing is stored or sent here. What is left out is said in `service_provider`, as the standard wants it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_MESSAGES = "urn:ietf:params:scim:api:messages:2.0"
LIST, PATCH, ERROR = f"{_MESSAGES}:ListResponse", f"{_MESSAGES}:PatchOp", f"{_MESSAGES}:Error"
BULK, BULK_ANSWER = f"{_MESSAGES}:BulkRequest", f"{_MESSAGES}:BulkResponse"
MOST_OPERATIONS = 100
LARGEST_PAGE = 100
LONGEST_ID = 300
Resource = dict[str, Any]
_FILTER = re.compile(r'\s*(userName|externalId|id)\s+eq\s+"((?:[^"\\]|\\.)*)"\s*', re.IGNORECASE)
_READ_ONLY = ("id", "meta", "password")  # a password is never kept


class ScimError(Exception):
    """Refuse a SCIM request: HTTP status, SCIM's word for the reason, and a sentence."""

    def __init__(self, status: int, kind: str, detail: str) -> None:
        self.status, self.kind, self.detail = status, kind, detail
        super().__init__(detail)

    def body(self) -> Resource:
        """Give the answer of RFC 7644, section 3.12."""
        told: Resource = {"schemas": [ERROR], "status": str(self.status), "detail": self.detail}
        return told | ({"scimType": self.kind} if self.kind else {})


class Wanted(NamedTuple):
    """A filter: the attribute and the value it must equal."""

    attribute: str
    value: str


def parse_filter(text: str) -> Wanted | None:
    """Read a filter. Raises ScimError for all but an equation of userName, externalId or id."""
    if not text.strip():
        return None
    found = _FILTER.fullmatch(text)
    if found is None:
        raise ScimError(400, "invalidFilter", 'only userName, externalId or id eq "value" can be asked for')
    names = {"username": "userName", "externalid": "externalId", "id": "id"}
    return Wanted(names[found[1].lower()], re.sub(r"\\(.)", r"\1", found[2]))


def checked(resource: Resource) -> Resource:
    """Give a user as it may be kept. Raises ScimError for one without a name, or with attributes of another type."""
    kept = {name: value for name, value in resource.items() if name not in _READ_ONLY}
    name = kept.get("userName")
    if not isinstance(name, str) or not name.strip():
        raise ScimError(400, "invalidValue", "userName is required")
    if not isinstance(kept.get("externalId", ""), str):
        raise ScimError(400, "invalidValue", "externalId is text")
    kept["active"] = as_bool(kept.get("active", True))
    kept["schemas"] = [USER, *([ENTERPRISE] if ENTERPRISE in kept else [])]
    return kept


def as_bool(value: object) -> bool:
    """Read a truth value; Entra also writes it as text. Raises ScimError."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.casefold() in ("true", "false"):
        return value.casefold() == "true"
    raise ScimError(400, "invalidValue", "active is true or false")


def employee_id_of(resource: Mapping[str, Any]) -> str:
    """Give who a user is to HR. Raises ScimError for one without a number."""
    found = _part(resource, ENTERPRISE).get("employeeNumber") or resource.get("externalId")
    if not found:
        raise ScimError(400, "invalidValue", "employeeNumber or externalId is required: it is the employee id")
    if not isinstance(found, str) or len(found) > LONGEST_ID:
        raise ScimError(400, "invalidValue", f"employeeNumber and externalId are text, at most {LONGEST_ID} letters")
    return found


def person_of(resource: Mapping[str, Any]) -> dict[str, str]:
    """Give the fields of a person as text. Raises ScimError for a user without an employee number."""
    extension, name = _part(resource, ENTERPRISE), _part(resource, "name")
    found = {
        "employee_id": employee_id_of(resource),
        "upn": resource.get("userName"),
        "email": _valued(resource, "emails", "work"),
        "given_name": name.get("givenName"),
        "surname": name.get("familyName"),
        "display_name": resource.get("displayName") or name.get("formatted"),
        "status": "active" if resource.get("active", True) else "terminated",
        "department": extension.get("department"),
        "cost_center": extension.get("costCenter"),
        "company": extension.get("organization"),
        "job_title": resource.get("title"),
        "worker_type": resource.get("userType"),
        "usage_location": _valued(resource, "addresses", "work", "country"),
        "location": _valued(resource, "addresses", "work", "locality"),
        "work_phone": _phone(_valued(resource, "phoneNumbers", "work")),
        "mobile_phone": _phone(_valued(resource, "phoneNumbers", "mobile")),
        "home_phone": _phone(_valued(resource, "phoneNumbers", "home")),
    }
    for field, value in found.items():
        if value is not None and not isinstance(value, str):
            raise ScimError(400, "invalidValue", f"what becomes {field} is text")
    return {field: value or "" for field, value in found.items()}


def _part(resource: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = resource.get(name) or {}
    if not isinstance(part, Mapping):
        raise ScimError(400, "invalidValue", f"{name} is an object")
    return part


def _valued(resource: Mapping[str, Any], name: str, kind: str, field: str = "value") -> Any:
    """Give the value of this type, or for mail and addresses of any when there is one only."""
    values = resource.get(name) or []
    if not isinstance(values, list) or not all(isinstance(each, Mapping) for each in values):
        raise ScimError(400, "invalidValue", f"{name} is a list of objects")
    typed = [each for each in values if str(each.get("type", "")).casefold() == kind]
    alone = values if len(values) == 1 and name != "phoneNumbers" else []
    return next((each.get(field) for each in [*typed, *alone]), None)


def _phone(value: Any) -> Any:
    return value.removeprefix("tel:") if isinstance(value, str) else value


def shown(resource: Resource, user_id: str, version: int, moments: tuple[datetime, datetime], base: str) -> Resource:
    """Give a user as an answer shows it."""
    created, changed = (moment.isoformat().replace("+00:00", "Z") for moment in moments)
    meta = {"resourceType": "User", "created": created, "lastModified": changed, "version": etag(version)}
    return {**resource, "id": user_id, "meta": {**meta, "location": f"{base}/Users/{user_id}"}}


def etag(version: int) -> str:
    """Give the version of a user as an entity tag; it is told, and not insisted on."""
    return f'W/"{version}"'


def listed(resources: list[Resource], total: int, start: int) -> Resource:
    """Give a page of a list."""
    page = {"totalResults": total, "startIndex": start, "itemsPerPage": len(resources)}
    return {"schemas": [LIST], **page, "Resources": resources}


def service_provider(largest_body: int) -> Resource:
    """Say what is supported (RFC 7643, section 5)."""
    scheme = {"type": "oauthbearertoken", "name": "Bearer token", "description": "A shared secret or an Entra token."}
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": True},
        "bulk": {"supported": True, "maxOperations": MOST_OPERATIONS, "maxPayloadSize": largest_body},
        "filter": {"supported": True, "maxResults": LARGEST_PAGE},
        "changePassword": {"supported": False},
        "sort": {"supported": False},
        "etag": {"supported": False},
        "authenticationSchemes": [scheme],
    }


def resource_types() -> list[Resource]:
    """Name the one kind of resource (RFC 7643, section 6)."""
    extension = {"schema": ENTERPRISE, "required": False}
    one = {"id": "User", "name": "User", "endpoint": "/Users", "schema": USER, "schemaExtensions": [extension]}
    return [{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"], **one}]


def schemas() -> list[Resource]:
    """Describe the attributes that are heeded (RFC 7643, section 7); others are kept and given back."""
    valued = [_attribute(name) for name in ("value", "type")]
    places = [_attribute(name) for name in ("country", "locality", "type")]
    names = [_attribute(name) for name in ("givenName", "familyName", "formatted")]
    core = [
        _attribute("userName", required=True, uniqueness="server"),
        *(_attribute(name) for name in ("externalId", "displayName", "title", "userType")),
        _attribute("active", type="boolean"),
        _attribute("name", type="complex", subAttributes=names),
        *(
            _attribute(name, type="complex", multiValued=True, subAttributes=valued)
            for name in ("emails", "phoneNumbers")
        ),
        _attribute("addresses", type="complex", multiValued=True, subAttributes=places),
    ]
    number = _attribute("employeeNumber", mutability="immutable", uniqueness="server")
    more = [number, *(_attribute(name) for name in ("costCenter", "organization", "department"))]
    named = ((USER, "User", core), (ENTERPRISE, "EnterpriseUser", more))
    schema = ["urn:ietf:params:scim:schemas:core:2.0:Schema"]
    return [{"schemas": schema, "id": urn, "name": name, "attributes": found} for urn, name, found in named]


def _attribute(name: str, **other: Any) -> Resource:
    usual = {"type": "string", "multiValued": False, "required": False, "caseExact": False, "mutability": "readWrite"}
    return {"name": name, **usual, "returned": "default", "uniqueness": "none", **other}
