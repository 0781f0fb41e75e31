"""PSRP messages and fragments: packing, reassembling, and the numbers of the message types."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

SESSION_CAPABILITY = 0x00010002
CONNECT_RUNSPACE_POOL = 0x00010008
SET_MAX_RUNSPACES = 0x00021002
SET_MIN_RUNSPACES = 0x00021003
RUNSPACE_AVAILABILITY = 0x00021004
CREATE_PIPELINE = 0x00021006
GET_AVAILABLE_RUNSPACES = 0x00021007
GET_COMMAND_METADATA = 0x0002100A
RESET_RUNSPACE_STATE = 0x0002100C
PIPELINE_INPUT = 0x00041002
END_OF_PIPELINE_INPUT = 0x00041003
PIPELINE_OUTPUT = 0x00041004
ERROR_RECORD = 0x00041005
PIPELINE_STATE = 0x00041006
DEBUG_RECORD = 0x00041007
VERBOSE_RECORD = 0x00041008
WARNING_RECORD = 0x00041009
INFORMATION_RECORD = 0x00041011

FRAGMENT = 32 * 1024
_HEADER = struct.Struct(">QQBI")
_TO_CLIENT = 1
_NOBODY = uuid.UUID(int=0)


@dataclass(frozen=True)
class Message:
    """A reassembled message; `raw` is all of it, headers included."""

    kind: int
    pipeline_id: uuid.UUID | None
    data: bytes
    raw: bytes


class Defragmenter:
    """Puts the fragments of one client together."""

    def __init__(self) -> None:
        self._open: dict[int, list[bytes]] = {}

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take fragments, give the messages they complete."""
        at = 0
        while at + _HEADER.size <= len(data):
            object_id, _, flags, length = _HEADER.unpack_from(data, at)
            at += _HEADER.size
            self._open.setdefault(object_id, []).append(data[at : at + length])
            at += length
            if flags & 2:
                yield _unpack(b"".join(self._open.pop(object_id)))


def _unpack(raw: bytes) -> Message:
    kind = int.from_bytes(raw[4:8], "little")
    pipeline_id = uuid.UUID(bytes_le=raw[24:40])
    data = raw[40:].removeprefix(b"\xef\xbb\xbf")
    return Message(kind, None if pipeline_id == _NOBODY else pipeline_id, data, raw)


def pack(kind: int, data: bytes, pool_id: uuid.UUID, pipeline_id: uuid.UUID | None) -> bytes:
    """Make a message to the client."""
    return b"".join((struct.pack("<II", _TO_CLIENT, kind), pool_id.bytes_le, (pipeline_id or _NOBODY).bytes_le, data))


def fragments(message: bytes, object_id: int) -> Iterator[bytes]:
    """Cut a message into fragments of at most 32 KB."""
    room = FRAGMENT - _HEADER.size
    count = max(1, -(-len(message) // room))
    for index in range(count):
        part = message[index * room : (index + 1) * room]
        flags = (index == 0) | (index == count - 1) << 1
        yield _HEADER.pack(object_id, index, flags, len(part)) + part
