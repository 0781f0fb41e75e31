"""The PATCH of SCIM (RFC 7644, section 3.5.2): operations on a user, as HR systems and Entra write them (pure)."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from datasets.scim import ENTERPRISE, USER, Resource, ScimError

MOST_OPERATIONS = 100
_PATH = re.compile(r'(?P<name>\w+)(?:\[(?P<key>\w+)\s+eq\s+"(?P<value>[^"]*)"\])?(?:\.(?P<sub>\w+))?')
_READ_ONLY = ("id", "meta", "schemas")


def patched(resource: Resource, operations: Sequence[Any]) -> Resource:
    """Give the user after these operations. Raises ScimError, changing nothing."""
    if not operations or len(operations) > MOST_OPERATIONS:
        raise ScimError(400, "invalidSyntax", f"a PATCH has 1 to {MOST_OPERATIONS} operations")
    found = copy.deepcopy(resource)
    for each in operations:
        if not isinstance(each, Mapping):
            raise ScimError(400, "invalidSyntax", "an operation is an object")
        _apply(found, str(each.get("op", "")).casefold(), str(each.get("path") or ""), each.get("value"))
    return found


def _apply(resource: Resource, kind: str, path: str, value: Any) -> None:
    if kind not in ("add", "replace", "remove"):
        raise ScimError(400, "invalidSyntax", "op is add, replace or remove")
    if path:
        _at_path(resource, kind, path, value)
    elif kind == "remove":
        raise ScimError(400, "noTarget", "remove needs a path")
    elif not isinstance(value, Mapping):
        raise ScimError(400, "invalidValue", "without a path the value is an object")
    else:
        for name, part in value.items():
            _at_path(resource, kind, str(name), part)


def _at_path(resource: Resource, kind: str, path: str, value: Any) -> None:
    target, name = resource, path.removeprefix(f"{USER}:")
    if name.casefold().startswith(ENTERPRISE.casefold()):
        name = name[len(ENTERPRISE) :].lstrip(":.")
        target = _object(resource, ENTERPRISE)
        if not name:
            _whole_extension(resource, kind, value)
            return
    found = _PATH.fullmatch(name)
    if found is None:
        raise ScimError(400, "invalidPath", f"this path is not understood: {path[:80]}")
    attribute = _known_name(target, found["name"])
    if attribute in _READ_ONLY:
        raise ScimError(400, "mutability", f"{attribute} cannot be changed")
    if found["key"]:
        _in_list(target, attribute, found, kind, value)
    elif found["sub"]:
        _set(_object(target, attribute), found["sub"], kind, value)
    else:
        _set(target, attribute, kind, value)


def _whole_extension(resource: Resource, kind: str, value: Any) -> None:
    if kind == "remove":
        resource.pop(ENTERPRISE, None)
    elif isinstance(value, Mapping):
        _object(resource, ENTERPRISE).update(value)
    else:
        raise ScimError(400, "invalidValue", "the extension is an object")


def _known_name(target: Resource, name: str) -> str:
    """Give the name as the user has it: names of attributes have no case."""
    return next((known for known in target if known.casefold() == name.casefold()), name)


def _object(target: Resource, name: str) -> Resource:
    part = target.setdefault(name, {})
    if not isinstance(part, dict):
        raise ScimError(400, "invalidPath", f"{name} has no parts")
    return part


def _set(target: Resource, name: str, kind: str, value: Any) -> None:
    known = _known_name(target, name)
    if kind == "remove":
        target.pop(known, None)
    elif kind == "add" and isinstance(target.get(known), list) and isinstance(value, list):
        target[known] = [*target[known], *(each for each in value if each not in target[known])]
    elif isinstance(target.get(known), dict) and isinstance(value, Mapping):
        target[known] = {**target[known], **value}
    else:
        target[known] = value


def _in_list(target: Resource, name: str, found: re.Match[str], kind: str, value: Any) -> None:
    """Change the members of a list that a filter names; one that is missing is added, as Entra expects."""
    members = target.setdefault(name, [])
    if not isinstance(members, list):
        raise ScimError(400, "invalidPath", f"{name} is no list")
    key, wanted, sub = found["key"], found["value"].casefold(), found["sub"]
    chosen = [each for each in members if isinstance(each, dict) and str(each.get(key, "")).casefold() == wanted]
    if kind == "remove" and not sub:
        target[name] = [each for each in members if each not in chosen]
        return
    if not chosen and kind != "remove":
        chosen = [{key: found["value"]}]
        members += chosen
    for each in chosen:
        if sub:
            _set(each, sub, kind, value)
        elif isinstance(value, Mapping):
            each.update(value)
        else:
            raise ScimError(400, "invalidValue", f"a member of {name} is an object")
