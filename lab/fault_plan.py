"""The fault plan file: settings, people, numbers and faults a lab starts with; checked before anything happens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from lab import state
from lab.faults import NAMES
from lab.parts import LabParts
from lab.records import Json
from lab.rules import Refusal, bad_request

SECTIONS = ("settings", "users", "numbers", "faults")
_WHOLE = frozenset({"times", "after", "status"})
_REAL = frozenset({"probability", "seconds", "retry_after_s", "rate_per_s", "burst", "grace_s"})
_TEXTS = frozenset({"name", "code", "message"})


def read(path: Path) -> Mapping[str, Any]:
    """Read a plan or refuse, naming the file and the entry."""
    try:
        plan = orjson.loads(path.read_bytes())
    except OSError as error:
        raise bad_request(f"{path}: cannot be read: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise bad_request(f"{path}: is not JSON: {error}") from error
    problem = _problem(plan)
    if problem:
        raise bad_request(f"{path}: {problem}")
    checked: Mapping[str, Any] = plan
    return checked


def play(parts: LabParts, plan: Mapping[str, Any], path: Path) -> None:
    """Put a plan into a lab: settings first, then the state, then the faults."""
    try:
        parts.settings.change(plan.get("settings", {}))
        for identity, changes in plan.get("users", {}).items():
            state.change_user(parts.tenant, identity, state.property_names(changes))
        for number, changes in plan.get("numbers", {}).items():
            state.change_number(parts.tenant, number, changes)
        for fault in plan.get("faults", []):
            parts.faults.add(fault)
    except Refusal as refusal:
        raise bad_request(f"{path}: {refusal.message}") from refusal


def _problem(plan: Any) -> str:
    """Say what is wrong with a plan, '' when nothing is."""
    if not isinstance(plan, dict):
        return "must be an object with settings, users, numbers and faults"
    unknown = sorted(set(plan) - set(SECTIONS))
    if unknown:
        return f"there is no section '{unknown[0]}'; known: {', '.join(SECTIONS)}"
    for name in ("settings", "users", "numbers"):
        section = plan.get(name, {})
        if not isinstance(section, dict):
            return f"{name}: must be an object"
        if name != "settings" and not all(isinstance(changes, dict) for changes in section.values()):
            return f"{name}: every entry must be an object of changes"
    faults = plan.get("faults", [])
    if not isinstance(faults, list):
        return "faults: must be a list"
    found = (f"faults[{index}]: {wrong}" for index, fault in enumerate(faults) if (wrong := _wrong_fault(fault)))
    return next(found, "")


def _wrong_fault(fault: Any) -> str:
    if not isinstance(fault, dict):
        return "must be an object"
    if fault.get("name") not in NAMES:
        return f"there is no fault {fault.get('name')!r}; known: {', '.join(sorted(NAMES))}"
    for key, value in fault.items():
        if key != "match" and (wrong := _wrong_value(key, value)):
            return wrong
    match = fault.get("match", {})
    if not isinstance(match, dict) or set(match) - {"operation", "target"}:
        return "match: must be an object with operation and target"
    if not all(isinstance(value, str) for value in match.values()):
        return "match: operation and target are texts"
    return ""


def _wrong_value(key: str, value: Json) -> str:
    """Say what is wrong with one value of a fault."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if key in _TEXTS:
        return "" if isinstance(value, str) else f"{key}: must be a text"
    if key in _WHOLE:
        fits = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return "" if fits or (key == "times" and value is None) else f"{key}: must be a whole number, not negative"
    if key in _REAL:
        positive = number and isinstance(value, int | float) and value >= 0
        if key == "probability" and positive and isinstance(value, int | float) and value > 1:
            return "probability: must be between 0 and 1"
        return "" if positive else f"{key}: must be a number, not negative"
    return f"there is no '{key}' in a fault"
