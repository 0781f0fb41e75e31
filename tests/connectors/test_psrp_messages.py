"""Messages of PowerShell remoting are put together from parts and read by kind."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.psrp_messages import (
    ERROR_RECORD,
    PIPELINE_OUTPUT,
    PIPELINE_STATE,
    WARNING_RECORD,
    FragmentLostError,
    complete,
    read,
)

PROGRESS, SESSION_CAPABILITY = 0x00041010, 0x00010002


def test_whole_message_needs_no_waiting() -> None:
    """A message in one part is given at once and leaves nothing behind."""
    unfinished: dict[int, list[bytes]] = {}
    assert list(complete(part(7, 0, b"abc", flags=3), unfinished)) == [b"abc"]
    assert unfinished == {}


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=5), st.integers(1, 7))
def test_messages_survive_being_cut(messages: list[bytes], size: int) -> None:
    """However messages are cut into parts and answers, they come out whole and in order."""
    parts = [piece for number, message in enumerate(messages) for piece in cut(number, message, size)]
    unfinished: dict[int, list[bytes]] = {}
    assert [whole for piece in parts for whole in complete(piece, unfinished)] == messages
    assert list(complete(b"".join(parts), {})) == messages


def test_messages_may_be_interleaved() -> None:
    """Parts of two messages may alternate; each is given when its last part came."""
    first, second = cut(1, b"aabb", 2), cut(2, b"ccdd", 2)
    data = first[0] + second[0] + second[1] + first[1]
    assert list(complete(data, {})) == [b"ccdd", b"aabb"]


def test_missing_part_is_noticed() -> None:
    """A part that did not arrive ends the session instead of mixing messages."""
    with pytest.raises(FragmentLostError):
        list(complete(cut(1, b"aabbcc", 2)[1], {}))


def test_kinds_are_read() -> None:
    """Output, errors, warnings and states are read; chatter is dropped; the rest is left alone."""
    assert data_of(PIPELINE_OUTPUT, "<S>x</S>").data == "x"
    assert data_of(ERROR_RECORD, '<Obj RefId="0"><MS><S N="FullyQualifiedErrorId">E</S></MS></Obj>') == {
        "FullyQualifiedErrorId": "E"
    }
    assert data_of(WARNING_RECORD, '<Obj RefId="0"><MS><S N="InformationalRecord_Message">w</S></MS></Obj>') == "w"
    assert data_of(PIPELINE_STATE, '<Obj RefId="0"><MS><I32 N="PipelineState">4</I32></MS></Obj>').state == 4
    assert data_of(PROGRESS, "not even XML") is None
    assert read(message(SESSION_CAPABILITY, "<S/>")) is None


def part(number: int, index: int, body: bytes, *, flags: int) -> bytes:
    """Make one part of a message."""
    return struct.pack(">QQBI", number, index, flags, len(body)) + body


def cut(number: int, body: bytes, size: int) -> list[bytes]:
    """Cut a message into parts."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    last = len(pieces) - 1
    return [part(number, n, piece, flags=(n == 0) | (n == last) << 1) for n, piece in enumerate(pieces)]


def message(kind: int, xml: str) -> bytes:
    """Make a message."""
    return struct.pack("<II", 1, kind) + bytes(32) + xml.encode()


def data_of(kind: int, xml: str) -> Any:
    """Read a message and give what it carries."""
    found = read(message(kind, xml))
    assert found is not None
    return found.data
