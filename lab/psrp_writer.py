"""Values to CLIXML, written by hand: thirty times faster than building a tree, and any text survives the way back."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from lab.posh_errors import CATEGORIES, ErrorRecord
from lab.posh_members import category_info, qualified_id
from lab.posh_values import EnumValue, Hashtable, PsObject, ScriptBlock, SecureString, Value, to_text

# Characters XML forbids or normalises, surrogate pairs as PowerShell writes them, and an underscore that would look
# like the start of such an escape.
_ESCAPED = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\U00010000-\U0010ffff]|_(?=[xX])")
_UNSAFE = re.compile('[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\U00010000-\U0010ffff&<>"]|_(?=[xX])')
_DEPTH = 4

Encrypt = Callable[[str], str | None]


def escape(text: str) -> str:
    """Make a text safe inside an element or an attribute."""
    if _UNSAFE.search(text) is None:
        return text
    text = _ESCAPED.sub(_code_units, text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _code_units(found: re.Match[str]) -> str:
    raw = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"_x{raw[at]:02X}{raw[at + 1]:02X}_" for at in range(0, len(raw), 2))


class Unsigned(int):
    """A whole number that travels without a sign, where the protocol wants one."""


class Writer:
    """Writes one message: object and type references count from zero in each."""

    def __init__(self, encrypt: Encrypt | None = None) -> None:
        self._encrypt = encrypt
        self._objects = 0
        self._types: dict[tuple[str, ...], int] = {}
        self._out: list[str] = []

    def message(self, value: Value) -> bytes:
        """Write a value as the data of a message."""
        self.value(value)
        return self.done()

    def done(self) -> bytes:
        """Give what was written."""
        return "".join(self._out).encode()

    def value(self, value: Value, name: str | None = None, depth: int = _DEPTH) -> None:
        """Write one value, as a property when it has a name."""
        label = "" if name is None else f' N="{escape(name)}"'
        writer = _PRIMITIVES.get(type(value))
        if writer is not None:
            self._out.append(writer(value, label))
        elif depth <= 0:
            self._out.append(f"<S{label}>{escape(to_text(value))}</S>")
        else:
            self._complex(value, label, depth)

    def _complex(self, value: Value, label: str, depth: int) -> None:
        match value:
            case PsObject():
                self._object(value, label, depth)
            case list():
                self._list(value, label, depth)
            case Hashtable():
                self._table(value, label, depth)
            case ErrorRecord():
                self.error(value, label)
            case EnumValue():
                self._enum(value, label)
            case SecureString() if self._encrypt is not None and (sealed := self._encrypt(value.reveal)) is not None:
                self._out.append(f"<SS{label}>{sealed}</SS>")
            case _:
                self._out.append(f"<S{label}>{escape(to_text(value))}</S>")

    def open(self, label: str, types: tuple[str, ...], text: str | None = None) -> None:
        """Begin an object: its reference, its type names, its text form."""
        self._out.append(f'<Obj{label} RefId="{self._objects}">')
        self._objects += 1
        if types:
            known = self._types.get(types)
            if known is None:
                self._types[types] = known = len(self._types)
                names = "".join(f"<T>{escape(name)}</T>" for name in types)
                self._out.append(f'<TN RefId="{known}">{names}</TN>')
            else:
                self._out.append(f'<TNRef RefId="{known}"/>')
        if text is not None:
            self._out.append(f"<ToString>{escape(text)}</ToString>")

    def properties(self, tag: str, items: list[tuple[str, Value]], depth: int = _DEPTH) -> None:
        """Write the properties of an object under `Props` or `MS`."""
        self._out.append(f"<{tag}>")
        for name, item in items:
            self.value(item, name, depth)
        self._out.append(f"</{tag}>")

    def close(self) -> None:
        """End an object."""
        self._out.append("</Obj>")

    def _object(self, value: PsObject, label: str, depth: int) -> None:
        self.open(label, value.types, value.text if value.adapted else to_text(value))
        if len(value.props):
            self.properties("Props" if value.adapted else "MS", list(value.props.items()), depth - 1)
        self.close()

    def _list(self, value: list[Value], label: str, depth: int) -> None:
        self.open(label, ("System.Object[]", "System.Array", "System.Object"))
        self._out.append("<LST>")
        for item in value:
            self.value(item, None, depth - 1)
        self._out.append("</LST>")
        self.close()

    def _table(self, value: Hashtable, label: str, depth: int) -> None:
        self.open(label, ("System.Collections.Hashtable", "System.Object"))
        self._out.append("<DCT>")
        for key, item in value.items():
            self._out.append("<En>")
            self.value(key, "Key", 1)
            self.value(item, "Value", depth - 1)
            self._out.append("</En>")
        self._out.append("</DCT>")
        self.close()

    def _enum(self, value: EnumValue, label: str) -> None:
        self.open(label, (value.type_name, "System.Enum", "System.ValueType", "System.Object"), value.name)
        self._out.append(f"<I32>{value.number}</I32>")
        self.close()

    def error(self, record: ErrorRecord, label: str = "") -> None:
        """Write an error record with its exception, category and target."""
        category = category_info(record)
        self.open(label, ("System.Management.Automation.ErrorRecord", "System.Object"), record.message)
        self._out.append("<MS>")
        self._exception(record)
        self.value(record.target, "TargetObject", 1)
        self.value(qualified_id(record), "FullyQualifiedErrorId")
        self.value(None, "InvocationInfo")
        self.value(CATEGORIES.get(record.category, 0), "ErrorCategory_Category")
        for name in ("Activity", "Reason", "TargetName", "TargetType"):
            self.value(category.props.get(name), f"ErrorCategory_{name}")
        self.value(category.text, "ErrorCategory_Message")
        self.value(value=False, name="SerializeExtendedInfo")
        self._out.append("</MS>")
        self.close()

    def _exception(self, record: ErrorRecord) -> None:
        text = f"{record.exception}: {record.message}"
        self.open(' N="Exception"', (record.exception, "System.Exception", "System.Object"), text)
        props: list[tuple[str, Value]] = [
            ("ErrorRecord", record.message),
            ("Message", record.message),
            ("InnerException", None),
            ("HResult", -2146233087),
        ]
        self.properties("Props", props)
        self.close()


def moment_text(value: datetime) -> str:
    """Write a moment as .NET's round-trip form."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def _whole(value: Value, label: str) -> str:
    assert isinstance(value, int)
    if -(2**31) <= value < 2**31:
        return f"<I32{label}>{value}</I32>"
    return f"<I64{label}>{value}</I64>" if -(2**63) <= value < 2**63 else f"<D{label}>{value}</D>"


def _moment(value: Value, label: str) -> str:
    assert isinstance(value, datetime)
    return f"<DT{label}>{moment_text(value)}</DT>"


def _bytes(value: Value, label: str) -> str:
    assert isinstance(value, bytes)
    return f"<BA{label}>{base64.b64encode(value).decode()}</BA>"


_PRIMITIVES: dict[type, Callable[[Value, str], str]] = {
    str: lambda value, label: f"<S{label}>{escape(str(value))}</S>",
    type(None): lambda _value, label: f"<Nil{label}/>",
    bool: lambda value, label: f"<B{label}>{'true' if value else 'false'}</B>",
    int: _whole,
    Unsigned: lambda value, label: f"<U32{label}>{value}</U32>",
    float: lambda value, label: f"<Db{label}>{value!r}</Db>",
    datetime: _moment,
    UUID: lambda value, label: f"<G{label}>{value}</G>",
    bytes: _bytes,
    ScriptBlock: lambda value, label: f"<SBK{label}>{escape(to_text(value))}</SBK>",
}
