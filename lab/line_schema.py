"""The rules for a line of a file, taken from a JSON Schema on disk: what is read is refused by name of its field.

Understood are type, properties, required, additionalProperties, items, pattern, const, enum, minimum and the lengths of
texts and lists; any other word in a schema is an error, so that no rule is skipped silently.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# Gives nothing for a sound value, else where and what is wrong.
Fault = tuple[str, str] | None
Rule = Callable[[Any, str], Fault]

_JSON = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
_SIMPLE: dict[str, Callable[[Any, Any], bool]] = {
    "const": lambda value, wanted: type(value) is type(wanted) and value == wanted,
    "enum": lambda value, wanted: value in wanted,
    "minimum": lambda value, least: value >= least,
    "minLength": lambda value, least: len(value) >= least,
    "maxLength": lambda value, most: len(value) <= most,
    "minItems": lambda value, least: len(value) >= least,
    "maxItems": lambda value, most: len(value) <= most,
}
_SILENT = {"$schema", "title", "description", "type", "required"}
_OF_OBJECTS = {"properties", "additionalProperties"}


def read_rules(path: Path) -> dict[str, Rule]:
    """Give the rule for each kind of line."""
    return {kind: rule_of(schema) for kind, schema in json.loads(path.read_text(encoding="utf-8"))["$defs"].items()}


def fault_of(rules: Mapping[str, Rule], line: Any) -> Fault:
    """Find the first fault of a line."""
    if not isinstance(line, dict):
        return "", "is no JSON object"
    rule = rules.get(line["kind"]) if isinstance(line.get("kind"), str) else None
    return rule(line, "") if rule else ("kind", f"is none of {', '.join(rules)}")


def rule_of(schema: Mapping[str, Any]) -> Rule:
    """Compile one schema."""
    rules = [_typed(schema.get("type"))]
    for word in schema.keys() - _SILENT - _OF_OBJECTS - _SIMPLE.keys() - {"items", "pattern"}:
        raise ValueError(f"the schema says '{word}', which the lab does not understand")
    rules += [_simple(word, schema[word]) for word in schema.keys() & _SIMPLE.keys()]
    if "pattern" in schema:
        rules.append(_pattern(schema["pattern"]))
    if "items" in schema:
        rules.append(_each(rule_of(schema["items"])))
    if schema.keys() & _OF_OBJECTS:
        rules.append(_fields(schema))

    def rule(value: Any, place: str) -> Fault:
        for part in rules:
            if (fault := part(value, place)) is not None:
                return fault
        return None

    return rule


def _typed(name: str | None) -> Rule:
    wanted = _JSON.get(name or "")

    def rule(value: Any, place: str) -> Fault:
        # For Python a flag is a number as well.
        is_right = wanted is None or (isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)))
        return None if is_right else (place, f"is no {name}")

    return rule


def _simple(word: str, limit: Any) -> Rule:
    holds = _SIMPLE[word]
    return lambda value, place: None if holds(value, limit) else (place, f"breaks the rule {word}: {limit}")


def _pattern(text: str) -> Rule:
    # Python's `$` also matches before a line break at the end.
    found = re.compile(text[:-1] + r"\Z" if text.endswith("$") else text).search
    return lambda value, place: None if found(value) else (place, f"does not look like {text}")


def _each(inner: Rule) -> Rule:
    def rule(value: Any, place: str) -> Fault:
        return next((fault for n, item in enumerate(value) if (fault := inner(item, f"{place}[{n}]"))), None)

    return rule


def _fields(schema: Mapping[str, Any]) -> Rule:
    known = {name: rule_of(inner) for name, inner in schema.get("properties", {}).items()}
    others = schema.get("additionalProperties", True)
    other = rule_of(others) if isinstance(others, dict) else None

    def rule(value: Any, place: str) -> Fault:
        before = f"{place}." if place else ""
        for name in schema.get("required", ()):
            if name not in value:
                return before + name, "is missing"
        for name, item in value.items():
            inner = known.get(name, other)
            if inner is None and others is False:
                return before + name, "is not known"
            if inner is not None and (fault := inner(item, before + name)) is not None:
                return fault
        return None

    return rule
