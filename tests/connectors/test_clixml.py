"""CLIXML is read into plain values, and hostile text survives the way there and back."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue, SecretStr
from pypsrp.serializer import Serializer

from connectors.clixml import check_sendable, parse, unescape
from connectors.errors import Invalid
from connectors.powershell import typed

# As a Windows host sends it (shortened): an object with a list, an enumeration, a nested object and escapes.
RECORDED = """<Obj RefId="0"><TN RefId="0"><T>Deserialized.Microsoft.Rtc.OnlineUser</T><T>System.Object</T></TN>
<ToString>ada</ToString><Props><S N="DisplayName">Ada_x000D__x000A_L_x005F_x0041_</S><B N="Enabled">true</B>
<Nil N="LineUri" /><G N="Identity">6d6f6c64-0000-0000-0000-000000000001</G><DT N="WhenCreated">2026-01-02T03:04:05Z</DT>
<Obj N="FeatureTypes" RefId="1"><TN RefId="1"><T>System.String[]</T><T>System.Array</T></TN>
<LST><S>Teams</S><S>PhoneSystem</S></LST></Obj>
<Obj N="Status" RefId="2"><TN RefId="2"><T>Rtc.Status</T><T>System.Enum</T></TN>
<ToString>Assigned</ToString><I32>3</I32></Obj>
<Obj N="Other" RefId="3"><TNRef RefId="2" /><ToString>Free</ToString><I32>0</I32></Obj>
<Obj N="Policy" RefId="4"><MS><S N="Name">Vienna</S></MS></Obj><Ref N="Same" RefId="4" />
<Obj N="Table" RefId="5"><DCT><En><S N="Key">a</S><I32 N="Value">1</I32></En></DCT></Obj>
<Obj N="Opaque" RefId="6"><ToString>only a name</ToString></Obj><SS N="Secret">AAEC</SS></Props>
<MS><S N="Extra">x</S><Db N="Share">0.25</Db><C N="Letter">65</C></MS></Obj>"""


def test_recorded_object_becomes_a_bag() -> None:
    """Server properties and added ones are read alike, enumerations by name, secrets not at all."""
    assert parse(RECORDED.encode()) == {
        "DisplayName": "Ada\r\nL_x0041_",
        "Enabled": True,
        "LineUri": None,
        "Identity": "6d6f6c64-0000-0000-0000-000000000001",
        "WhenCreated": "2026-01-02T03:04:05Z",
        "FeatureTypes": ["Teams", "PhoneSystem"],
        "Status": "Assigned",
        "Other": "Free",
        "Policy": {"Name": "Vienna"},
        "Same": {"Name": "Vienna"},
        "Table": {"a": 1},
        "Opaque": "only a name",
        "Secret": None,
        "Extra": "x",
        "Share": 0.25,
        "Letter": "A",
    }


def test_object_inside_itself_ends() -> None:
    """A reference to an object that is not finished yet reads as nothing instead of for ever."""
    assert parse(b'<Obj RefId="0"><Props><S N="a">1</S><Ref N="me" RefId="0" /></Props></Obj>') == {
        "a": "1",
        "me": None,
    }


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        ("_xD83D__xDE00_", "\U0001f600"),
        ("_xD83D_", "\ufffd"),
        ("_x005F_x0041_", "_x0041_"),
        ("_X000a_", "\n"),
        ("_x00_", "_x00_"),
    ],
)
def test_escapes_are_undone(escaped: str, text: str) -> None:
    """Pairs make one character, half a pair is replaced, what only looks like an escape stays."""
    assert unescape(escaped) == text


SENDABLE_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufffe\uffff"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | SENDABLE_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SENDABLE_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_every_sendable_value_survives_the_way(value: JsonValue) -> None:
    """M98: whatever the characters, a value that may be sent is read back as it was."""
    check_sendable(value)
    assert parse(as_sent(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "'; Remove-Item x; '",
        "$(Get-Process)`n",
        "_x0041_",
        "_X0041_",
        "]]><S>x</S>",
        "\u2018smart\u2019",
        "a\u2028b\x85c",
        "^(\\d{3})[0-9]{10}$|[",
        "\x01\x1f\x7f",
        " \r\n\t ",
        "&amp;<!--",
        "\U0001f600",
    ],
)
def test_hostile_text_survives_the_way(text: str) -> None:
    """M98: quotes, escapes, markup, line ends and regular expressions are data, as a value and as a key."""
    assert parse(as_sent([{text: text}])) == [{text: text}]


@pytest.mark.parametrize("text", ["a\x00", "\ud800", "\udc00x", "\ufffe", "\uffff"])
@pytest.mark.parametrize(
    "wrap", [lambda t: t, lambda t: {"k": [t]}, lambda t: {t: 1}, SecretStr], ids=["text", "list", "key", "secret"]
)
def test_text_that_cannot_travel_is_refused(text: str, wrap: object) -> None:
    """NUL, lone surrogates and non-characters would make XML that nobody can read, so they are refused at the door."""
    with pytest.raises(Invalid, match="not sendable"):
        check_sendable(wrap(text), "value")  # type: ignore[operator] # one of the callables above


def as_sent(value: JsonValue) -> bytes:
    """Write a value as the connector sends it."""
    return bytes(ET.tostring(Serializer().serialize(typed(value)), encoding="utf-8"))
