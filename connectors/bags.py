"""Property bags of PowerShell objects: names are looked up as PowerShell does, without regard to case."""

from __future__ import annotations

from pydantic import JsonValue

from connectors.clixml import Bag
from connectors.errors import Unsupported


def value_of(bag: Bag, name: str) -> JsonValue:
    """Give a property, whatever the case of its name; None when it is absent."""
    if name in bag:
        return bag[name]
    wanted = name.casefold()
    return next((value for key, value in bag.items() if key.casefold() == wanted), None)


def text_or_none(bag: Bag, name: str) -> str | None:
    """Give a property as text; None when it is absent or empty. A list gives its first value."""
    value = value_of(bag, name)
    if isinstance(value, list):
        value = value[0] if value else None
    return None if value is None or value == "" else str(value)


def text_of(bag: Bag, name: str) -> str:
    """Give a property that every object must have; raises Unsupported for an object without it."""
    text = text_or_none(bag, name)
    if text is None:
        raise Unsupported(f"PowerShell answered an object without {name} ; check the version of its module")
    return text
