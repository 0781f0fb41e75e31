"""Reads CLIXML, the form in which PowerShell objects travel, straight into plain values: bags become dicts.

Eleven times cheaper than the general deserialiser of pypsrp, because an object is parsed once and never printed again
(reference: powershell §1). What may be sent is checked here too; how it is sent is left to `connectors/powershell.py`.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence

from pydantic import JsonValue, SecretStr

from connectors.errors import Invalid

Bag = dict[str, JsonValue]
Sendable = JsonValue | SecretStr

_ESCAPED = re.compile(r"_[xX]([0-9a-fA-F]{4})_")
# Lone surrogates have no bytes; NUL and the two non-characters make XML that no parser accepts.
_UNSENDABLE = re.compile("[\ud800-\udfff\x00\ufffe\uffff]")
_CONTAINERS = frozenset(("LST", "IE", "STK", "QUE"))
_PROPERTIES = frozenset(("Props", "MS"))
_TYPES = frozenset(("TN", "TNRef"))


def unescape(text: str) -> str:
    """Undo PowerShell's `_xHHHH_` escapes; a half of a surrogate pair becomes the replacement character."""
    if "_x" not in text and "_X" not in text:
        return text
    decoded = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
    return decoded.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def parse(document: bytes) -> JsonValue:
    """Read one serialised object. Raises ElementTree.ParseError for text that is no XML."""
    return _Reader().value(ET.fromstring(document))  # noqa: S314 - expat fetches nothing; the peer is authenticated


def check_sendable(value: object, where: str = "value") -> None:
    """Let through what survives the way to PowerShell; raises Invalid and names the place of what does not."""
    match value:
        case SecretStr():
            check_sendable(value.get_secret_value(), where)
        case str():
            _check_text(value, where)
        case Mapping():
            for key, item in value.items():
                _check_text(str(key), where)
                check_sendable(item, f"{where}.{key}")
        case Sequence():
            for index, item in enumerate(value):
                check_sendable(item, f"{where}[{index}]")


def has_secret(value: object) -> bool:
    """Tell whether there is a secret in a value, which then must travel encrypted."""
    match value:
        case SecretStr():
            return True
        case Mapping():
            return any(has_secret(item) for item in value.values())
        case list() | tuple():
            return any(has_secret(item) for item in value)
    return False


def _check_text(text: str, where: str) -> None:
    found = _UNSENDABLE.search(text)
    if found:
        raise Invalid(
            f"{where} holds the character U+{ord(found[0]):04X}, not sendable to PowerShell ; correct the value",
            what=where,
        )


class _Reader:
    """One document: objects and type names may be referred to by id inside it."""

    def __init__(self) -> None:
        self._objects: dict[str, JsonValue] = {}
        self._enum_types: dict[str, bool] = {}

    def value(self, element: ET.Element) -> JsonValue:
        tag = element.tag
        if tag == "S":
            text = element.text
            return unescape(text) if text else ""
        read = _PRIMITIVES.get(tag)
        if read is not None:
            return read(element.text or "")
        if tag == "Obj":
            return self._object(element)
        return self._objects.get(element.get("RefId", "")) if tag == "Ref" else None

    def _object(self, element: ET.Element) -> JsonValue:
        bag: Bag = {}
        plain = self._fill(element, bag)
        result = plain[0] if plain else (bag or unescape(element.findtext("ToString") or ""))
        self._objects[element.get("RefId", "")] = result
        return result

    def _fill(self, element: ET.Element, bag: Bag) -> list[JsonValue]:
        """Gather the properties into the bag; give the content of an object that is a list, a table or a number."""
        plain: list[JsonValue] = []
        value, is_enum = self.value, False
        for child in element:
            tag = child.tag
            if tag in _PROPERTIES:
                for item in child:
                    bag[unescape(item.get("N", ""))] = value(item)
            elif tag in _TYPES:
                is_enum = self._is_enum(child)
            elif tag in _CONTAINERS:
                plain.append([value(item) for item in child])
            elif tag == "DCT":
                plain.append(dict(self._entries(child)))
            elif tag != "ToString":
                plain.append(unescape(element.findtext("ToString") or "") if is_enum else value(child))
        return plain

    def _entries(self, table: ET.Element) -> Iterator[tuple[str, JsonValue]]:
        for entry in table:
            parts = {part.get("N", ""): part for part in entry}
            if "Key" in parts:
                yield str(self.value(parts["Key"])), self.value(parts["Value"]) if "Value" in parts else None

    def _is_enum(self, types: ET.Element) -> bool:
        """Tell whether these types, or those referred to, are an enumeration: it reads as its name, not its number."""
        reference = types.get("RefId", "")
        if types.tag == "TN":
            self._enum_types[reference] = any(name.text == "System.Enum" for name in types)
        return self._enum_types.get(reference, False)


def _text(text: str) -> JsonValue:
    return unescape(text)


def _nothing(_text: str) -> JsonValue:
    return None


def _flag(text: str) -> JsonValue:
    return text.lower() == "true"


def _char(text: str) -> JsonValue:
    return chr(int(text))


def _whole(text: str) -> JsonValue:
    return int(text)


def _real(text: str) -> JsonValue:
    return float(text)


# Moments, decimals, versions and bytes (base64) stay text: who reads them knows what they mean.
_PRIMITIVES: dict[str, Callable[[str], JsonValue]] = {
    "Nil": _nothing,
    "SS": _nothing,
    "B": _flag,
    "C": _char,
    **dict.fromkeys(("I32", "I64", "U32", "U64", "I16", "U16", "By", "SB"), _whole),
    **dict.fromkeys(("Sg", "Db"), _real),
    **dict.fromkeys(("ToString", "G", "DT", "TS", "D", "BA", "URI", "Version", "XD", "SBK"), _text),
}
