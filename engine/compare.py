"""Compare desired with observed values and keep what differs (pure)."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from engine.change import Effect


def compare(obj: str, desired: Mapping[str, JsonValue], observed: Mapping[str, JsonValue]) -> tuple[Effect, ...]:
    """Give an effect for each desired attribute whose observed value differs.

    Attributes that are observed but not desired stay as they are: missing on one side never means delete.
    """
    return tuple(
        Effect(object=obj, attribute=name, before=observed.get(name), after=value)
        for name, value in desired.items()
        if observed.get(name) != value
    )
