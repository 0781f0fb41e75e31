"""Messages of PowerShell remoting: put together from fragments, and those of a pipeline read straight into values.

Numbers are those of [MS-PSRP] 2.2; what is not read here (sign-on, keys, host calls) is left to pypsrp.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from types import SimpleNamespace

from pydantic import JsonValue

from connectors.clixml import parse

PIPELINE_OUTPUT = 0x00041004
ERROR_RECORD = 0x00041005
PIPELINE_STATE = 0x00041006
WARNING_RECORD = 0x00041009
# debug, verbose, progress and information records: nobody reads them
_UNREAD = frozenset((0x00041007, 0x00041008, 0x00041010, 0x00041011))

_FRAGMENT = struct.Struct(">QQBI")  # message number, part, flags (1 first, 2 last), length
_KIND = struct.Struct("<I")
_KIND_AT = 4
_BODY_AT = 40


class FragmentLostError(Exception):
    """A part of a message did not arrive."""


def complete(data: bytes, unfinished: dict[int, list[bytes]]) -> Iterator[bytes]:
    """Give the messages that end in these bytes; parts of others are kept in `unfinished`."""
    offset = 0
    while offset < len(data):
        number, part, flags, length = _FRAGMENT.unpack_from(data, offset)
        offset += _FRAGMENT.size
        body = data[offset : offset + length]
        offset += length
        parts = unfinished.setdefault(number, [])
        if part != len(parts):
            raise FragmentLostError(f"part {part} of message {number} came instead of part {len(parts)}")
        parts.append(body)
        if flags & 2:
            yield b"".join(unfinished.pop(number))


def read(raw: bytes) -> SimpleNamespace | None:
    """Read a pipeline's message into the shape that pypsrp hands on; None for a message of another kind."""
    (kind,) = _KIND.unpack_from(raw, _KIND_AT)
    if kind in _UNREAD:
        return SimpleNamespace(message_type=kind, data=None)
    make = _READ.get(kind)
    return make and SimpleNamespace(message_type=kind, data=make(parse(raw[_BODY_AT:])))


def _output(value: JsonValue) -> object:
    return SimpleNamespace(data=value)


def _record(value: JsonValue) -> object:
    return value if isinstance(value, dict) else {"ErrorCategory_Message": value}


def _state(value: JsonValue) -> object:
    bag = value if isinstance(value, dict) else {}
    return SimpleNamespace(state=bag["PipelineState"], error_record=bag.get("ExceptionAsErrorRecord"))


def _warning(value: JsonValue) -> object:
    return value.get("InformationalRecord_Message", "") if isinstance(value, dict) else value


_READ: dict[int, Callable[[JsonValue], object]] = {
    PIPELINE_OUTPUT: _output,
    ERROR_RECORD: _record,
    PIPELINE_STATE: _state,
    WARNING_RECORD: _warning,
}
