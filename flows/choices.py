"""Fields of a form that choose from the names of a site: marked here, filled in when deployments are served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from config.site_names import GLOBAL, Choice, Names

_MARK = "choice"
NOTHING = ""
"""Leaves a field as it is; a form shows it as an empty choice."""


def choice(of: Choice) -> dict[str, Any]:
    """Mark a field (`json_schema_extra`) that names something of the site: text, or a list of texts."""
    return {_MARK: of}


def has_choices(schema: Mapping[str, Any]) -> bool:
    """Tell whether a form has fields that are filled in."""
    return any(True for _ in _marked(schema))


def filled(schema: Mapping[str, Any], names: Names) -> dict[str, Any]:
    """Give the schema of a form in which marked fields offer the names of a site, as drop-downs.

    A field of which the site names nothing stays free text.
    """
    made = deepcopy(dict(schema))
    for field in _marked(made):
        of = field.pop(_MARK)
        known = names.of(of)
        if known and field.get("type") == "array":
            field["items"] = {**field["items"], "enum": [*known]}
        elif known:
            field["enum"] = [NOTHING, *([GLOBAL] if of.startswith("policy:") else []), *known]
    return made


def _marked(schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    parts = [schema, *schema.get("definitions", {}).values()]
    for part in parts:
        yield from (field for field in part.get("properties", {}).values() if _MARK in field)
