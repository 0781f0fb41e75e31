"""Reading, comparing and judging phone numbers."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from config.errors import InputRefused
from datasets.numbering import LONGEST_TEXT, PHONE_NUMBER, InvalidNumber, PhoneNumber, parse_number, unusual
from tests.fakes.bad_numbers import BAD_NUMBERS

WRITTEN = {
    "e164": ("+43123456789", "+43123456789"),
    "tel uri": ("tel:+43123456789", "+43123456789"),
    "tel uri in capitals": ("TEL:+43-1-23456789", "+43123456789"),
    "spaces and brackets": ("+43 (1) 234 567-89", "+43123456789"),
    "no-break and thin spaces": ("+43\u00a01\u2009234 567 89", "+43123456789"),
    "trunk zero in brackets": ("+43 (0) 1 234 567 89", "+43123456789"),
    "italian zero stays": ("+39 02 1234 5678", "+390212345678"),
    "arabic digits": ("+٤٣١٢٣٤٥٦٧٨٩", "+43123456789"),
    "devanagari digits": ("+४३१२३४५६७८९", "+43123456789"),
    "full-width": ("＋４３１２３４５６７８９", "+43123456789"),
    "marks of direction": ("\u202a+43123456789\u202c", "+43123456789"),
    "spreadsheet's text mark": ("'+43123456789", "+43123456789"),
    "ext parameter": ("+43123456789;ext=012", "+43123456789;ext=012"),
    "x": ("+43 1 23456789 x12", "+43123456789;ext=12"),
    "ext.": ("+43 1 23456789 ext. 12", "+43123456789;ext=12"),
    "extension": ("+43 1 23456789 Extension 12", "+43123456789;ext=12"),
    "15 digits": ("+431234567890123", "+431234567890123"),
}


@pytest.mark.parametrize(("text", "e164"), WRITTEN.values(), ids=WRITTEN)
def test_number_is_read_however_people_write_it(text: str, e164: str) -> None:
    """One number has many spellings and one E.164 text."""
    assert parse_number(text).e164 == e164


@pytest.mark.parametrize(("text", "reason"), BAD_NUMBERS.values(), ids=BAD_NUMBERS)
def test_bad_number_is_refused_with_its_reason(text: str, reason: str) -> None:
    """M106: what is no phone number is refused in one line that says why and what to do."""
    with pytest.raises(InvalidNumber) as refusal:
        parse_number(text)
    assert reason in str(refusal.value)
    assert refusal.value.remedy
    assert "\n" not in str(refusal.value)


def test_national_number_is_read_with_its_country() -> None:
    """A number without a plus belongs to the country it is read for."""
    assert parse_number("01 234 567 89", "AT").e164 == "+43123456789"
    assert parse_number("0043 1 23456789", "at").e164 == "+43123456789"
    assert parse_number("(425) 555-0123 x7", "US").e164 == "+14255550123;ext=7"


def test_number_that_may_have_lost_its_plus_is_not_guessed() -> None:
    """German digits that start with 49 are a number either way, so nobody guesses which."""
    with pytest.raises(InvalidNumber, match=r"lost its \+"):
        parse_number("49768292", "DE")
    assert parse_number("049768292", "DE").e164 == "+4949768292"
    assert parse_number("4312345678", "AT").e164 == "+4312345678"


def test_unknown_country_is_refused() -> None:
    """A region that does not exist is named."""
    with pytest.raises(InvalidNumber, match="'XX' is no country"):
        parse_number("01 234", "XX")


@pytest.mark.parametrize("text", ["+43123456789", "+14255550123;ext=7", "+390212345678"])
def test_number_its_country_knows_is_not_unusual(text: str) -> None:
    """A number of the national plan carries no warning."""
    assert unusual(parse_number(text)) is None


@pytest.mark.parametrize(("text", "country"), [("+3120765432", "NL"), ("+4301234567", "AT"), ("+431", "")])
def test_number_its_country_does_not_know_is_unusual(text: str, country: str) -> None:
    """A direct-routing number may be outside the national plan: that is a warning."""
    warning = unusual(PhoneNumber.from_e164(text))
    assert warning is not None
    assert warning.startswith(f"{text} is unusual for its country")
    assert country in warning


def test_extension_keeps_its_leading_zeros() -> None:
    """Extensions 7 and 07 are two numbers."""
    assert parse_number("+4312345;ext=07") != parse_number("+4312345;ext=7")


def test_numbers_sort_by_value_then_extension() -> None:
    """Lowest first means by number, a base before its extensions, short extensions before long ones."""
    ordered = ["+999", "+4312345", "+4312345;ext=9", "+4312345;ext=10", "+4312346"]
    numbers = [PhoneNumber.from_e164(text) for text in reversed(ordered)]
    assert [n.e164 for n in sorted(numbers)] == ordered


@pytest.mark.parametrize(
    ("base", "extension"), [(0, None), (-43, None), (10**15, None), (43, ""), (43, "1x"), (43, "٣")]
)
def test_impossible_number_cannot_be_built(base: int, extension: str | None) -> None:
    """A PhoneNumber is E.164 by construction."""
    with pytest.raises(InvalidNumber):
        PhoneNumber(base, extension)


@given(st.integers(100, 10**15 - 1), st.none() | st.from_regex(r"[0-9]{1,10}", fullmatch=True))
def test_number_survives_being_written_and_read(base: int, extension: str | None) -> None:
    """Text and value are two forms of one number."""
    number = PhoneNumber(base, extension)
    assert PHONE_NUMBER.fullmatch(number.e164)
    assert PhoneNumber.from_e164(number.e164) == PhoneNumber.from_e164(number.tel) == number
    try:
        assert parse_number(number.tel) == number
    except InvalidNumber as refusal:
        assert "no country has this code" in refusal.what or "national 0" in refusal.what  # noqa: PT017


@given(st.text(max_size=LONGEST_TEXT + 5), st.sampled_from([None, "AT", "US", "IT"]))
@example("tel:+43 1 234\u2060567", "AT")
@example("²³⁴", "US")
def test_any_text_is_read_or_refused(text: str, region: str | None) -> None:
    """No text whatever raises anything but InvalidNumber."""
    try:
        number = parse_number(text, region)
    except InputRefused:
        return
    assert PhoneNumber.from_e164(number.e164) == number
