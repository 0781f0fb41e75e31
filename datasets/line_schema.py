"""Checks the lines of a JSON Lines file against a JSON Schema that is read as data.

It knows the part of JSON Schema that our own schemas use and refuses a schema that uses more, rather than let a rule
pass unchecked. What the lines mean is left to the records of their format.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from config.errors import InputRefused

Fault = tuple[str, str]
"""A place, such as `licences[0].sku_id`, and what is wrong there."""
Check = Callable[[JsonValue, str], Iterator[Fault]]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
}
_WORDS = frozenset(("$schema", "title", "description", "type"))


class LineSchema:
    """The kinds of lines of a format; safe to share between threads."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._checks = {kind: _compiled(rules) for kind, rules in schema["$defs"].items()}

    @classmethod
    def read(cls, path: Path) -> LineSchema:
        """Read a schema from its file."""
        return cls(json.loads(path.read_text(encoding="utf-8")))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Give the kinds of lines in their order."""
        return tuple(self._checks)

    def check(self, line: JsonValue, where: str) -> None:
        """Let a sound line through; raises InputRefused naming the place and the field of the first fault."""
        for field, what in self._faults(line):
            raise InputRefused(f"{field}: {what}" if field else what, where=where, remedy="correct or export again")

    def _faults(self, line: JsonValue) -> Iterator[Fault]:
        kind = line.get("kind") if isinstance(line, dict) else None
        if not isinstance(line, dict):
            yield "", "a line must be one JSON object"
        elif not isinstance(kind, str) or kind not in self._checks:
            yield "kind", f"must be one of {', '.join(self._checks)}"
        else:
            yield from self._checks[kind](line, "")


def _compiled(rules: Mapping[str, Any]) -> Check:
    """Turn rules into one function; each keyword of the schema becomes one check."""
    unknown = rules.keys() - _MAKERS.keys() - _WORDS - {"required"}
    if unknown:
        raise ValueError(f"the schema uses {sorted(unknown)[0]!r}, which is not understood here")
    types = _TYPES.get(rules.get("type", ""), (object,))
    checks = [make(rules) for make in dict.fromkeys(_MAKERS[word] for word in rules if word in _MAKERS)]
    name = rules.get("type")

    def check(value: JsonValue, place: str) -> Iterator[Fault]:
        # in Python, but not in JSON, a flag is a number too
        if not isinstance(value, types) or (name == "integer" and isinstance(value, bool)):
            yield place, f"must be of type {name}"
            return
        for each in checks:
            yield from each(value, place)

    return check


def _properties(rules: Mapping[str, Any]) -> Check:
    known = {name: _compiled(inner) for name, inner in rules.get("properties", {}).items()}
    required, others = tuple(rules.get("required", ())), rules.get("additionalProperties", True)
    other = _compiled(others) if isinstance(others, dict) else None

    def check(value: Any, place: str) -> Iterator[Fault]:
        for name in required:
            if name not in value:
                yield _inside(place, name), "is missing"
        for name, item in value.items():
            rule = known.get(name, other)
            if rule is not None:
                yield from rule(item, _inside(place, name))
            elif others is False:
                yield _inside(place, name), "is not a known field"

    return check


def _items(rules: Mapping[str, Any]) -> Check:
    rule = _compiled(rules["items"])

    def check(value: Any, place: str) -> Iterator[Fault]:
        for index, item in enumerate(value):
            yield from rule(item, f"{place}[{index}]")

    return check


def _holds(test: Callable[[Any], bool], what: str) -> Check:
    def check(value: JsonValue, place: str) -> Iterator[Fault]:
        if not test(value):
            yield place, what

    return check


def _pattern(rules: Mapping[str, Any]) -> Check:
    found = re.compile(rules["pattern"].removesuffix("$") + (r"\Z" if rules["pattern"].endswith("$") else "")).search
    return _holds(lambda text: found(text) is not None, f"does not fit the form {rules['pattern']}")


def _const(rules: Mapping[str, Any]) -> Check:
    wanted = rules["const"]
    return _holds(lambda value: value == wanted and type(value) is type(wanted), f"must be {wanted}")


def _enum(rules: Mapping[str, Any]) -> Check:
    return _holds(lambda value: value in rules["enum"], f"must be one of {', '.join(rules['enum'])}")


def _minimum(rules: Mapping[str, Any]) -> Check:
    return _holds(lambda value: value >= rules["minimum"], f"must be at least {rules['minimum']}")


def _min_length(rules: Mapping[str, Any]) -> Check:
    return _holds(lambda text: len(text) >= rules["minLength"], "must not be empty")


def _max_length(rules: Mapping[str, Any]) -> Check:
    return _holds(lambda text: len(text) <= rules["maxLength"], f"has more than {rules['maxLength']} characters")


def _min_items(rules: Mapping[str, Any]) -> Check:
    return _holds(lambda items: len(items) >= rules["minItems"], f"needs {rules['minItems']} items at least")


def _max_items(rules: Mapping[str, Any]) -> Check:
    return _holds(lambda items: len(items) <= rules["maxItems"], f"has more than {rules['maxItems']} items")


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


_MAKERS: dict[str, Callable[[Mapping[str, Any]], Check]] = {
    "properties": _properties,
    "additionalProperties": _properties,
    "items": _items,
    "pattern": _pattern,
    "const": _const,
    "enum": _enum,
    "minimum": _minimum,
    "minLength": _min_length,
    "maxLength": _max_length,
    "minItems": _min_items,
    "maxItems": _max_items,
}
