"""PSRP messages and fragments: packing, reassembling, and the numbers of the message types."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

SESSION_CAPABILITY = 0x00010002
PUBLIC_KEY = 0x00010005
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
PROGRESS_RECORD = 0x00041010
INFORMATION_RECORD = 0x00041011
RUNSPACE_POOL_STATE = 0x00021005

FRAGMENT = 32 * 1024
OPEN_BOUND = 64 << 20  # bytes of messages that are not complete yet
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


class Malformed(Exception):
    """A message, or a fragment of one, is not what the protocol allows."""


class Defragmenter:
    """Puts the fragments of one client together; fragments of several messages may alternate."""

    def __init__(self) -> None:
        self._open: dict[int, list[bytes]] = {}
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take whole fragments, give the messages they complete; raises Malformed."""
        at = 0
        while at < len(data):
            if at + _HEADER.size > len(data):
                raise Malformed("a fragment ends inside its header")
            object_id, number, flags, length = _HEADER.unpack_from(data, at)
            at += _HEADER.size
            if at + length > len(data):
                raise Malformed("a fragment is shorter than it says")
            self._keep(object_id, number, flags, data[at : at + length])
            at += length
            if flags & 2:
                whole = b"".join(self._open.pop(object_id))
                self._size -= len(whole)
                yield _unpack(whole)

    def _keep(self, object_id: int, number: int, flags: int, part: bytes) -> None:
        known = self._open.setdefault(object_id, [])
        if bool(flags & 1) != (number == 0) or number != len(known):
            self._size -= sum(len(item) for item in self._open.pop(object_id))
            raise Malformed("a fragment is out of order")
        known.append(part)
        self._size += len(part)
        if self._size > OPEN_BOUND:
            self._open.clear()
            self._size = 0
            raise Malformed("the message is too large")


def _unpack(raw: bytes) -> Message:
    if len(raw) < 40:
        raise Malformed("a message ends inside its header")
    kind = int.from_bytes(raw[4:8], "little")
    pipeline_id = uuid.UUID(bytes_le=raw[24:40])
    data = raw[40:].removeprefix(b"\xef\xbb\xbf")
    return Message(kind, None if pipeline_id == _NOBODY else pipeline_id, data, raw)


def pack(kind: int, data: bytes, pool_id: uuid.UUID, pipeline_id: uuid.UUID | None) -> bytes:
    """Make a message to the client."""
    return b"".join((struct.pack("<II", _TO_CLIENT, kind), pool_id.bytes_le, (pipeline_id or _NOBODY).bytes_le, data))


def fragments(message: bytes, object_id: int, size: int = FRAGMENT) -> Iterator[bytes]:
    """Cut a message into fragments of at most 32 KB, or what the client's envelope holds."""
    room = size - _HEADER.size
    count = max(1, -(-len(message) // room))
    for index in range(count):
        part = message[index * room : (index + 1) * room]
        flags = (index == 0) | (index == count - 1) << 1
        yield _HEADER.pack(object_id, index, flags, len(part)) + part
