"""Differences in words: between two stored plans, or between what a plan expects and what the tenant shows now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import JsonValue

from engine.plan import ChangeState
from engine.plan_store import StoredLine
from engine.readers import Observed, Reader
from engine.runtime import Runtime


def between(one: Iterable[StoredLine], other: Iterable[StoredLine]) -> list[dict[str, Any]]:
    """List the values that one of two plans would set and the other would not, or otherwise."""
    here, there = _after(one), _after(other)
    labels = _labels(one) | _labels(other)
    keys = sorted({*here, *there})
    return [_row(labels, key, here.get(key), there.get(key)) for key in keys if here.get(key) != there.get(key)]


def against_live(runtime: Runtime, lines: Iterable[StoredLine]) -> list[dict[str, Any]]:
    """List the values that a plan expects and the tenant does not show; what is already as planned is no difference."""
    lines = list(lines)
    pending = [s.change for line in lines for s in line.changes if s.state == ChangeState.PLANNED]
    effects = [effect for change in pending for effect in change.effects if effect.attribute != "reserved_for"]
    seen, expected = Reader(runtime.systems).observe(effects), dict[tuple[str, str], JsonValue]()
    for effect in effects:
        expected.setdefault(effect.key_pair, effect.before)
    final = {effect.key_pair: effect.after for effect in effects}
    labels = _labels(lines)
    return [
        _row(labels, key, value, seen[key])
        for key, value in sorted(expected.items())
        if seen[key] not in (value, final[key])
    ]


def _after(lines: Iterable[StoredLine]) -> Observed:
    effects = (effect for line in lines for stored in line.changes for effect in stored.change.effects)
    return {effect.key_pair: effect.after for effect in effects}


def _labels(lines: Iterable[StoredLine]) -> dict[str, str]:
    return {effect.object: line.label for line in lines for stored in line.changes for effect in stored.change.effects}


def _row(labels: dict[str, str], key: tuple[str, str], here: JsonValue, there: JsonValue) -> dict[str, Any]:
    obj, attribute = key
    return {"user": labels.get(obj, obj), "object": obj, "attribute": attribute, "here": here, "there": there}
