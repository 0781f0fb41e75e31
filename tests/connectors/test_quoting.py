"""Literals in `-Filter` strings are proof against any text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import Invalid
from connectors.quoting import any_of, filter_literal

# What PowerShell, and the filters of the directory, take for a single quote or for the start of an escape.
_QUOTES = "'\u2018\u2019\u201a\u201b"


@pytest.mark.parametrize(
    ("text", "literal"),
    [("ada", "'ada'"), ("O'Brien", "'O''Brien'"), ("", "''"), ('a" -or $x', "'a\" -or $x'"), ("[a-z]*", "'[a-z]*'")],
)
def test_text_becomes_a_literal(text: str, literal: str) -> None:
    """Text is put in single quotes, and quotes inside are doubled."""
    assert filter_literal(text) == literal


@given(st.text(max_size=30) | st.text(alphabet=f"{_QUOTES}\\ab -*", max_size=12))
def test_no_text_ends_its_literal(text: str) -> None:
    """Whatever the text, it is refused or reads back as one literal that ends where the string ends."""
    try:
        literal = filter_literal(text)
    except Invalid:
        assert re.search(r"[\\\u2018-\u201b\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", text)
    else:
        assert read_back(literal) == (text, "")


@pytest.mark.parametrize("text", ["x\\' -or Name -like '*", "O\u2019Brien", "a\x00b", "\ud800", "line\nbreak"])
def test_text_that_filters_read_differently_is_refused(text: str) -> None:
    """A backslash, a typographic quote or a control character is refused instead of guessed."""
    with pytest.raises(Invalid, match="filters"):
        filter_literal(text)


def test_several_values_are_alternatives() -> None:
    """A filter over several values matches any of them."""
    assert any_of("employeeID", ["1", "o'2"]) == "employeeID -eq '1' -or employeeID -eq 'o''2'"


def read_back(literal: str) -> tuple[str, str]:
    """Read a literal as strictly as any of the parsers would; gives its text and what follows it."""
    assert literal[0] in _QUOTES
    text, position = "", 1
    while position < len(literal):
        here, following = literal[position], literal[position + 1 : position + 2]
        if here == "\\" and following:
            text, position = text + following, position + 2
        elif here in _QUOTES and following and following in _QUOTES:
            text, position = text + here, position + 2
        elif here in _QUOTES:
            return text, literal[position + 1 :]
        else:
            text, position = text + here, position + 1
    return text, "unterminated"
