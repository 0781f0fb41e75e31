"""CLIXML to values: what a client sends becomes plain values at once."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from xml.etree import ElementTree

from lab.posh_values import EnumValue, Hashtable, PsObject, SecureString, Value
from lab.psrp_messages import Malformed

_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")
_LISTS = ("LST", "IE", "STK", "QUE")

# What values that are none may raise: wrong numbers and dates, missing attributes, too deep a nesting.
_UNREADABLE = (ValueError, LookupError, OverflowError, RecursionError, TypeError)

Decrypt = Callable[[str], str]


def unescape(text: str) -> str:
    """Undo the `_x0041_` escapes; surrogates that meet become one character."""
    if "_x" not in text and "_X" not in text:
        return text
    text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


class Reader:
    """Reads one message."""

    def __init__(self, decrypt: Decrypt | None = None) -> None:
        self._decrypt = decrypt
        self._objects: dict[str, Value] = {}
        self._types: dict[str, tuple[str, ...]] = {}

    def message(self, data: bytes) -> Value:
        """Read the data of a message."""
        if b"<!DOCTYPE" in data:
            raise Malformed("CLIXML has no document type")
        try:
            return self.value(ElementTree.fromstring(data))  # noqa: S314 - no document type, so no entities of its own
        except (*_UNREADABLE, ElementTree.ParseError) as error:
            raise Malformed(f"{type(error).__name__}: {error}") from error

    def value(self, node: ElementTree.Element) -> Value:
        """Read one element."""
        read = _PRIMITIVES.get(node.tag)
        if read is not None:
            return read(node.text or "")
        if node.tag == "Obj":
            return self._object(node)
        if node.tag == "Ref":
            return self._objects[node.attrib["RefId"]]
        if node.tag == "SS" and self._decrypt is not None:
            return SecureString(self._decrypt(node.text or ""))
        raise Malformed(f"unexpected element {node.tag}")

    def _object(self, node: ElementTree.Element) -> Value:
        children = {child.tag: child for child in node}
        types = self._type_names(children)
        for tag in _LISTS:
            if tag in children:
                return self._keep(node, [self.value(item) for item in children[tag]])
        if "DCT" in children:
            return self._keep(node, Hashtable(self._entry(entry) for entry in children["DCT"]))
        for tag, child in children.items():
            if tag in _PRIMITIVES and tag != "ToString":
                return self._keep(node, self._wrapped(child, types, children))
        return self._keep(node, self._bag(children, types))

    def _keep(self, node: ElementTree.Element, value: Value) -> Value:
        self._objects[node.attrib.get("RefId", "")] = value
        return value

    def _bag(self, children: dict[str, ElementTree.Element], types: tuple[str, ...]) -> PsObject:
        found = PsObject(types=types or ("System.Management.Automation.PSCustomObject", "System.Object"))
        for tag in ("Props", "MS"):
            for item in children.get(tag, ()):
                found.props[unescape(item.attrib["N"])] = self.value(item)
        return found

    def _wrapped(
        self, child: ElementTree.Element, types: tuple[str, ...], children: dict[str, ElementTree.Element]
    ) -> Value:
        value = self.value(child)
        if "System.Enum" in types and isinstance(value, int):
            text = children["ToString"].text if "ToString" in children else None
            return EnumValue(types[0], text or str(value), value)
        return value

    def _entry(self, entry: ElementTree.Element) -> tuple[Value, Value]:
        key = value = None
        for item in entry:
            if item.attrib.get("N") == "Key":
                key = self.value(item)
            else:
                value = self.value(item)
        return key, value

    def _type_names(self, children: dict[str, ElementTree.Element]) -> tuple[str, ...]:
        if "TN" in children:
            names = tuple(unescape(item.text or "") for item in children["TN"])
            self._types[children["TN"].attrib["RefId"]] = names
            return names
        return self._types[children["TNRef"].attrib["RefId"]] if "TNRef" in children else ()


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_PRIMITIVES: dict[str, Callable[[str], Value]] = {
    "S": unescape,
    "ToString": unescape,
    "Nil": lambda _text: None,
    "B": lambda text: text.strip().lower() == "true",
    "C": lambda text: chr(int(text)),
    "DT": _moment,
    "G": uuid.UUID,
    "BA": base64.b64decode,
    "Sg": float,
    "Db": float,
    "D": float,
    **dict.fromkeys(("By", "SB", "U16", "I16", "U32", "I32", "U64", "I64"), int),
    **dict.fromkeys(("TS", "URI", "Version", "XD", "SBK"), unescape),
}
