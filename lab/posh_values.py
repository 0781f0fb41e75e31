"""The values a lab script handles: objects with properties, hashtables, script blocks, and how they turn into text.

Numbers, text, booleans, lists, moments and identifiers are Python's own; comparing and casting live in posh_compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.posh_scope import Scope

Value = object


class Bag:
    """Keep values under names that ignore case but remember how they were first written, in order."""

    __slots__ = ("_items", "_names")

    def __init__(self, items: Iterable[tuple[str, Value]] = ()) -> None:
        self._items: dict[str, Value] = {}
        self._names: dict[str, str] = {}
        for name, value in items:
            self[name] = value

    def __setitem__(self, name: str, value: Value) -> None:
        self._items[self._names.setdefault(name.lower(), name)] = value

    def __getitem__(self, name: str) -> Value:
        return self._items[self._names[name.lower()]]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def get(self, name: str, default: Value = None) -> Value:
        """Give the value under a name, or the default."""
        known = self._names.get(name.lower())
        return default if known is None else self._items[known]

    def remove(self, name: str) -> None:
        """Forget a name; an unknown one is no error."""
        known = self._names.pop(name.lower(), None)
        if known is not None:
            del self._items[known]

    def items(self) -> Iterable[tuple[str, Value]]:
        """Give names and values in order."""
        return self._items.items()


class Hashtable:
    """A `@{}` table: keys ignore case when they are text."""

    __slots__ = ("_entries", "ordered")

    def __init__(self, pairs: Iterable[tuple[Value, Value]] = (), *, ordered: bool = False) -> None:
        self._entries: dict[object, tuple[Value, Value]] = {}
        self.ordered = ordered
        for key, value in pairs:
            self[key] = value

    @staticmethod
    def _index(key: Value) -> object:
        return key.lower() if isinstance(key, str) else (type(key).__name__, str(key))

    def __setitem__(self, key: Value, value: Value) -> None:
        index = self._index(key)
        known = self._entries.get(index)
        self._entries[index] = (known[0] if known else key, value)

    def __contains__(self, key: Value) -> bool:
        return self._index(key) in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Value) -> Value:
        """Give the value under a key, or None."""
        entry = self._entries.get(self._index(key))
        return entry[1] if entry else None

    def remove(self, key: Value) -> None:
        """Forget a key; an unknown one is no error."""
        self._entries.pop(self._index(key), None)

    def items(self) -> Iterable[tuple[Value, Value]]:
        """Give keys and values in order."""
        return self._entries.values()


class PsObject:
    """An object with named properties; `adapted` ones come from a cmdlet, the others were added by a script."""

    __slots__ = ("adapted", "props", "text", "types")

    def __init__(
        self,
        props: Iterable[tuple[str, Value]] = (),
        *,
        types: tuple[str, ...] = ("System.Management.Automation.PSCustomObject", "System.Object"),
        adapted: bool = False,
        text: str | None = None,
    ) -> None:
        self.props = Bag(props)
        self.types = types
        self.adapted = adapted
        self.text = text


@dataclass(frozen=True)
class ScriptBlock:
    """A `{ … }`: its text, and the way to run it in a scope."""

    text: str
    run: Callable[[Scope], Iterator[Value]] = field(compare=False)


@dataclass(frozen=True)
class SecureString:
    """A text that is never shown; cmdlets that need it read `reveal`."""

    reveal: str = field(repr=False)


@dataclass(frozen=True)
class EnumValue:
    """A named constant of a .NET enumeration: the type, the name and the number that travels."""

    type_name: str
    name: str
    number: int


def as_list(value: Value) -> list[Value]:
    """Give the elements of a list, nothing for null, and otherwise the one value."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def collapse(values: list[Value]) -> Value:
    """Turn the output of a pipeline into a value: null, the one object, or a list."""
    if not values:
        return None
    return values[0] if len(values) == 1 else values


def to_text(value: Value) -> str:  # noqa: PLR0911 - one return for each kind of value
    """Write a value the way string interpolation and [string] do."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "True" if value else "False"
        case float():
            return _float_text(value)
        case list():
            return " ".join(to_text(item) for item in value)
        case Hashtable():
            return "System.Collections.Hashtable"
        case PsObject():
            return _object_text(value)
        case datetime():
            return value.strftime("%m/%d/%Y %H:%M:%S")
        case _:
            return _special_text(value)


def _special_text(value: Value) -> str:
    match value:
        case ScriptBlock():
            return value.text
        case SecureString():
            return "System.Security.SecureString"
        case EnumValue():
            return value.name
        case bytes():
            return " ".join(str(byte) for byte in value)
        case _:
            return str(value)


def _float_text(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _object_text(value: PsObject) -> str:
    if value.text is not None:
        return value.text
    if value.adapted:
        return value.types[0]
    return "@{" + "; ".join(f"{name}={to_text(item)}" for name, item in value.props.items()) + "}"


def type_name(value: Value) -> str:
    """Name the .NET type of a value, as error texts and type checks need it."""
    if isinstance(value, PsObject):
        return value.types[0] if value.types else "System.Object"
    if isinstance(value, EnumValue):
        return value.type_name
    return _NET_NAMES.get(type(value).__name__, "System.Object")


_NET_NAMES = {
    "str": "System.String",
    "bool": "System.Boolean",
    "int": "System.Int32",
    "float": "System.Double",
    "list": "System.Object[]",
    "Hashtable": "System.Collections.Hashtable",
    "datetime": "System.DateTime",
    "UUID": "System.Guid",
    "ScriptBlock": "System.Management.Automation.ScriptBlock",
    "SecureString": "System.Security.SecureString",
    "ErrorRecord": "System.Management.Automation.ErrorRecord",
    "bytes": "System.Byte[]",
}
