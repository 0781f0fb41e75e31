"""The lab's own CLIXML: whatever is written can be read back, also by psrpcore."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psrpcore import PSRemotingCrypto
from psrpcore.types import deserialize

from lab.posh_values import EnumValue, Hashtable, PsObject, Value
from lab.psrp_messages import Defragmenter, Malformed, fragments, pack
from lab.psrp_reader import Reader
from lab.psrp_writer import Writer
from tests.fakes.script_runner import plain

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(["_x0041_", "_X", "_x_x005F_"])
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT | st.uuids()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=6)


def through(value: Value) -> Value:
    """Write a value and read it back."""
    return Reader().message(Writer().message(value))


@given(VALUES)
def test_values_survive(value: Value) -> None:
    """Scalars and lists come back as they were."""
    assert through(value) == value


@given(st.dictionaries(TEXT.filter(bool), SCALARS, max_size=5))
def test_objects_and_tables_survive(items: dict[str, Value]) -> None:
    """Names are data like values; those that differ by case only are one."""
    whole = PsObject([("Object", PsObject(items.items())), ("Table", Hashtable(items.items()))])
    assert plain(through(whole)) == plain(whole)


@given(TEXT)
def test_psrpcore_reads_our_text(text: str) -> None:
    """An independent reader finds the same text."""
    found = deserialize(ElementTree.fromstring(Writer().message(text)), PSRemotingCrypto())
    assert str(found) == text


@given(st.binary(min_size=0, max_size=100_000), st.integers(0, 2**40))
def test_fragments_meet_again(data: bytes, object_id: int) -> None:
    """A message cut into fragments is put together again."""
    message = pack(0x00041004, data, UUID(int=1), UUID(int=2))
    (found,) = Defragmenter().feed(b"".join(fragments(message, object_id)))
    assert (found.kind, found.pipeline_id, found.raw) == (0x00041004, UUID(int=2), message)


def test_special_values_survive() -> None:
    """Moments, enumerations and bytes keep their types."""
    moment = datetime(2026, 9, 1, 6, 0, 0, 123456, tzinfo=UTC)
    state = EnumValue("System.DayOfWeek", "Monday", 1)
    assert through([moment, state, b"\x00\xff", 1.5]) == [moment, state, b"\x00\xff", 1.5]


def test_deep_objects_end_as_text() -> None:
    """Below a depth an object is only its text, as in remoting."""
    deep: Value = PsObject([("end", 1)])
    for _ in range(6):
        deep = PsObject([("inner", deep)])
    assert "@{end=1}" in str(plain(through(deep)))


@pytest.mark.parametrize("data", [b"", b"<", b"<Odd/>", b'<Obj RefId="0"><MS><Ref N="a" RefId="9"/></MS></Obj>'])
def test_rubbish_is_malformed(data: bytes) -> None:
    """What is not CLIXML is refused as such."""
    with pytest.raises(Malformed):
        Reader().message(data)
