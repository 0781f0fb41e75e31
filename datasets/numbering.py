"""Phone numbers: the one reading of number text that every entrance uses, and what is said about a bad one.

Ranges, pools and who holds a number are left to `datasets/inventory.py` and `engine/inventory.py`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache, total_ordering

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

from config.errors import InputRefused

LONGEST_TEXT = 60
LONGEST_EXTENSION = 10
PHONE_NUMBER = re.compile(r"\+([1-9]\d{1,14})(?:;ext=(\d{1,10}))?", re.ASCII)

_EXTENSION = re.compile(r"(?P<body>.*?)\s*(?:;\s*ext=|[,;]?\s*(?:extension|ext|x)(?:[.:]|\b|(?=\d)))\s*(?P<digits>\d+)")
_EXPONENT = re.compile(r"\+?\d+(?:[.,]\d+)?e[+-]?\d+")
_DECIMAL = re.compile(r"\+?\d{4,}[.,]0{1,2}")
_PUNCTUATION = re.compile(r"[\s().\-/\u2010-\u2015\u2212]")
_DIALLED = re.compile(r"\+?\d+")
_KNOWN_CODES = frozenset(str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


class InvalidNumber(InputRefused):
    """Refuse text that is no phone number, with the reason."""


@total_ordering
@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """An E.164 number, perhaps with an extension; extension `07` and `7` are two numbers."""

    base: int
    extension: str | None = None

    def __post_init__(self) -> None:
        if not PHONE_NUMBER.fullmatch(self.e164):
            raise InvalidNumber(f"{self.e164[:LONGEST_TEXT]!r} is no E.164 number", remedy="write it like +4312345")

    @classmethod
    def from_e164(cls, text: str) -> PhoneNumber:
        """Take the text a system stores, `tel:` or not, without judging it; raises InvalidNumber for anything else."""
        match = PHONE_NUMBER.fullmatch(text.removeprefix("tel:"))
        if match is None:
            raise _refuse(text, "it is not E.164")
        return cls(int(match[1]), match[2])

    @property
    def e164(self) -> str:
        """Give the text used everywhere: `+4312345` or `+4312345;ext=12`."""
        return f"+{self.base}" if self.extension is None else f"+{self.base};ext={self.extension}"

    @property
    def tel(self) -> str:
        """Give the URI that telephony systems store: `tel:+4312345`."""
        return f"tel:{self.e164}"

    def __str__(self) -> str:
        return self.e164

    def __lt__(self, other: PhoneNumber) -> bool:
        return self._order < other._order

    @property
    def _order(self) -> tuple[int, int, str]:
        extension = self.extension or ""
        return (self.base, len(extension), extension)


def parse_number(text: str, region: str | None = None) -> PhoneNumber:
    """Read a number as people and systems write it; raises InvalidNumber with the reason.

    A number without `+` is read as one of `region` (two letters); without a region it is refused, never guessed.
    """
    plain = _plain(text)
    _refuse_spreadsheet_damage(text, plain)
    body, extension = _split_extension(text, plain.lstrip("'").removeprefix("tel:").strip())
    digits = _dialled_digits(text, body)
    has_plus = digits.startswith("+")
    digits = _international(text, body, digits) if has_plus else _national(text, digits, region)
    _refuse_impossible(text, digits)
    return PhoneNumber(int(digits[1:]), extension)


def unusual(number: PhoneNumber) -> str | None:
    """Give a warning when the numbering plan of its country does not know such a number."""
    if _is_valid(f"+{number.base}"):
        return None
    parsed = _parsed(f"+{number.base}", None)
    country = phonenumbers.region_code_for_number(parsed) if parsed else None
    return f"{number} is unusual for its country{f' ({country})' if country else ''}"


def _refuse(text: str, reason: str, remedy: str = "write it like +4312345 or +4312345;ext=12") -> InvalidNumber:
    shown = text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"
    return InvalidNumber(f"{shown!r} is no phone number: {reason}", remedy=remedy)


def _plain(text: str) -> str:
    """Write digits of every alphabet as ASCII; drop invisible marks that copying from a page leaves behind."""
    if len(text) > LONGEST_TEXT:
        raise _refuse(text, f"longer than {LONGEST_TEXT} characters")
    folded = unicodedata.normalize("NFKC", text)
    kept = (c for c in folded if unicodedata.category(c) != "Cf")
    plain = "".join(str(unicodedata.decimal(c, c)) for c in kept).strip().casefold()
    if not plain:
        raise _refuse(text, "empty")
    return plain


def _refuse_spreadsheet_damage(text: str, plain: str) -> None:
    remedy = "export the column as text, not as a number"
    if plain.lstrip("'\"").startswith(("=", "@")):
        raise _refuse(text, "a spreadsheet formula", remedy)
    if _EXPONENT.fullmatch(plain):
        raise _refuse(text, "a spreadsheet rounded it", remedy)
    if _DECIMAL.fullmatch(plain):
        raise _refuse(text, "a spreadsheet made it a decimal number", remedy)


def _split_extension(text: str, plain: str) -> tuple[str, str | None]:
    match = _EXTENSION.fullmatch(plain)
    if match is None:
        return plain, None
    if len(match["digits"]) > LONGEST_EXTENSION:
        raise _refuse(text, f"its extension has more than {LONGEST_EXTENSION} digits")
    return match["body"], match["digits"]


def _dialled_digits(text: str, body: str) -> str:
    digits = _PUNCTUATION.sub("", body)
    if any(c.isalpha() for c in digits):
        raise _refuse(text, "it contains letters")
    if digits.startswith("+0"):
        raise _refuse(text, "no country code starts with 0")
    if not _DIALLED.fullmatch(digits):
        raise _refuse(text, "only digits, spaces and ( ) . - / may follow one leading +")
    return digits


def _international(text: str, body: str, digits: str) -> str:
    parsed = _parsed(digits, None)
    if parsed is None or _e164(parsed) == digits:
        return digits  # an unknown country code or a wrong length is named later
    if "(0)" in re.sub(r"\s", "", body):  # the trunk 0 as letterheads print it: +43 (0) 1 …
        return _e164(parsed)
    if digits.startswith(f"+{parsed.country_code}0"):
        raise _refuse(text, "it has the national 0 after the country code", "leave that 0 out")
    return digits


def _national(text: str, digits: str, region: str | None) -> str:
    if region is None:
        raise _refuse(text, "it has no + and no country is known for it", "write it with + and the country code")
    if region.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise _refuse(text, f"{region!r} is no country", "use a two-letter country code such as AT")
    parsed = _parsed(digits, region.upper())
    if parsed is None:
        raise _refuse(text, f"it cannot be read as a number of {region.upper()}")
    with_plus = f"+{digits}"
    if digits.startswith(str(parsed.country_code)) and with_plus != _e164(parsed) and _is_valid(with_plus):
        raise _refuse(text, "it may have lost its +", "write it with + and the country code")
    return _e164(parsed)


def _refuse_impossible(text: str, digits: str) -> None:
    if len(digits) > 16:
        raise _refuse(text, "it has more than 15 digits")
    if len(digits) < 4:
        raise _refuse(text, "it is too short")
    if not any(digits[1 : 1 + length] in _KNOWN_CODES for length in (1, 2, 3)):
        raise _refuse(text, "no country has this code")


def _is_valid(digits: str) -> bool:
    # The library drops a trunk prefix while reading; a number it had to change is not valid as written.
    parsed = _parsed(digits, None)
    return parsed is not None and phonenumbers.is_valid_number(parsed) and _e164(parsed) == digits


@lru_cache(maxsize=4096)
def _parsed(text: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except NumberParseException:
        return None


def _e164(parsed: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
