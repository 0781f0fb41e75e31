"""The cells of a feed row: what each must look like to become a field of a person. Nothing is guessed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache

import phonenumbers

from config.site_mappings import FeedMapping
from datasets.numbering import InvalidNumber, PhoneNumber, parse_number
from datasets.people import Status

LONGEST_CELL = 1024  # also of a whole row that is taken without looking at each cell
LARGEST_MEMO = 4096
PHONES = frozenset({"work_phone", "mobile_phone", "home_phone", "ip_phone"})
DATES = frozenset({"hire_date", "termination_date"})
ADDRESSES = frozenset({"upn", "email"})
is_plain_id = str.isalnum
IDS = frozenset({"employee_id", "manager_employee_id", "event_id"})
STRICT = PHONES | DATES | ADDRESSES | IDS | {"status", "usage_location", "effective_at"}

# Control characters, and the marks that damaged bytes leave behind; line ends inside a quoted cell are text.
UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_FORMULA = re.compile(r"[=@]|[+\-](?=[^\s\-])(?![\d\s().\-/]*$)")
is_address = re.compile(r"[^\s@,;<>()\"]+@[^\s@,;<>()\"]+").fullmatch
_ROUNDED = re.compile(r"\d+(?:[.,]\d+)?e\+\d+|\d+[.,]0+", re.IGNORECASE)
_CODES = frozenset(str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
_EARLIEST = date(1900, 1, 1)
_READABLE = str.maketrans({"Y": "YYYY", "y": "YY", "m": "MM", "d": "DD", "b": "Mon", "B": "Month", "z": "±hh:mm"})

Converter = Callable[[str], object]


class BadCell(ValueError):
    """Refuse one cell, with the reason; the row it is in is quarantined."""

    def __init__(self, reason: str, field: str = "", value: str = "") -> None:
        self.reason, self.field, self.value = reason, field, value
        super().__init__(reason)


class Memo(dict[str, object]):
    """What the cells of one field become; few values repeat often, so each is looked at once."""

    def __init__(self, field: str, convert: Converter) -> None:
        super().__init__()
        self.field, self._convert = field, convert

    def __missing__(self, cell: str) -> object:
        try:
            value = self._convert(cell)
        except BadCell as bad:
            raise BadCell(bad.reason, self.field, cell) from bad
        if len(self) < LARGEST_MEMO:
            self[cell] = value
        return value


def is_formula(cell: str) -> bool:
    """Tell whether a spreadsheet would run this cell of a text column."""
    return _FORMULA.match(cell) is not None


def clean(cell: str) -> str:
    """Take the outer spaces off and compose letters and their marks."""
    return unicodedata.normalize("NFC", cell).strip()


def converters(mapping: FeedMapping) -> dict[str, Converter]:
    """Give what turns the cell of each strict or value-mapped field into its value, but for phones."""
    dates = _dates(mapping.date_formats)
    made: dict[str, Converter] = dict.fromkeys(DATES, dates)
    made |= dict.fromkeys(ADDRESSES, _address) | dict.fromkeys(IDS, identifier)
    made["effective_at"] = _moments(mapping.date_formats)
    for field, values in mapping.values.items():
        made[field] = _mapped(values, made.get(field))
    made["status"] = _status(mapping.values.get("status", {}))
    made["usage_location"] = _country(mapping.values.get("usage_location", {}))
    return {field: convert for field, convert in made.items() if field in mapping.columns.values()}


def phone(cell: str, region: str | None) -> str:
    """Give the E.164 text of a phone cell; a national number needs a region. Raises BadCell."""
    if is_canonical(cell):
        return cell
    try:
        number = parse_number(cell, region)
    except InvalidNumber as error:
        reason = error.what.rpartition("is no phone number: ")[2]  # the number itself is not repeated
        raise BadCell(f"is no phone number: {reason}" + (f", {error.remedy}" if error.remedy else "")) from error
    if "+" not in cell and _lost_plus(cell, number, region):
        raise BadCell("is no phone number: it may have lost its +, write it with + and the country code")
    return number.e164


def _lost_plus(cell: str, number: PhoneNumber, region: str | None) -> bool:
    """Tell that digits without + already had the country code, where a number at home is dialled in another way."""
    digits = "".join(str(unicodedata.decimal(c)) for c in cell if c.isdecimal())
    prefix = phonenumbers.ndd_prefix_for_region(region, True) if region else None
    return digits.startswith(str(number.base)) and not (prefix and digits.startswith(prefix))


def is_canonical(cell: str) -> bool:
    """Tell, without reading the number, that `parse_number` would give back exactly this text.

    After a known country code only a 0 can be a trunk prefix that has to be looked at.
    """
    return 5 <= len(cell) <= 16 and cell[1:].isdecimal() and cell.isascii() and _starts_plainly(cell[:5])


@lru_cache(maxsize=16384)
def _starts_plainly(start: str) -> bool:
    digits = start[1:]
    return start[0] == "+" and any(digits[:n] in _CODES and digits[n] != "0" for n in (1, 2, 3))


def identifier(cell: str) -> str:
    """Give an id as it is, leading zeros included. Raises BadCell for what a spreadsheet made of one."""
    if _ROUNDED.fullmatch(cell):
        raise BadCell("a spreadsheet made it a number: export the column as text")
    if is_formula(cell):
        raise BadCell("is a spreadsheet formula: export the column as text")
    return cell


def _address(cell: str) -> str:
    if not is_address(cell):
        raise BadCell("is no address like ada@contoso.com")
    return cell


def _mapped(values: Mapping[str, str], then: Converter | None) -> Converter:
    folded = {value.casefold(): given for value, given in values.items()}

    def convert(cell: str) -> object:
        given = folded.get(cell.casefold(), cell)
        return then(given) if then else given

    return convert


def _status(values: Mapping[str, str]) -> Converter:
    folded = {value.casefold(): given for value, given in values.items()}
    known = {status.value: status for status in Status}
    expected = ", ".join(values) or ", ".join(known)

    def convert(cell: str) -> Status:
        given = known.get(folded.get(cell.casefold(), cell.casefold()))
        if given is None:
            raise BadCell(f"is no status: expected {expected}")
        return given

    return convert


def _country(values: Mapping[str, str]) -> Converter:
    folded = {value.casefold(): given for value, given in values.items()}

    def convert(cell: str) -> str:
        code = folded.get(cell.casefold(), cell.upper())
        if code not in phonenumbers.SUPPORTED_REGIONS:
            raise BadCell("is no country: write a two-letter code, or map it in the mapping")
        return code

    return convert


def _dates(formats: tuple[str, ...]) -> Callable[[str], date]:
    iso = "%Y-%m-%d" in formats
    expected = " or ".join(part.replace("%", "").translate(_READABLE) for part in formats)

    def convert(cell: str) -> date:
        if iso and len(cell) == 10 and cell.isascii():
            try:
                return _in_reach(date.fromisoformat(cell))
            except ValueError:
                pass
        found = _strptime(cell, formats)
        if found is None:
            raise BadCell(_no_date(cell, expected))
        return _in_reach(found.date())

    return convert


def _in_reach(found: date) -> date:
    if found < _EARLIEST:
        raise BadCell(f"is before {_EARLIEST.year}")
    return found


def _no_date(cell: str, expected: str) -> str:
    if cell.isdecimal() and len(cell) == 5:
        return "is a spreadsheet's day number: export the column as text"
    return f"is no date of the form {expected}, or no day of the calendar"


def _moments(formats: tuple[str, ...]) -> Converter:
    """Read moments: with an offset as written, a plain day as its midnight in UTC; a time without offset is refused."""

    def convert(cell: str) -> datetime:
        try:
            found = datetime.fromisoformat(cell) if len(cell) > 10 else None
        except ValueError:
            found = None
        found = found or _strptime(cell, formats)
        if found is None:
            raise BadCell("is no moment like 2026-07-01T08:00:00+02:00")
        if found.tzinfo is None and (found.hour or found.minute or found.second or ":" in cell):
            raise BadCell("is a time without an offset from UTC")
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    return convert


def _strptime(cell: str, formats: tuple[str, ...]) -> datetime | None:
    for form in formats:
        try:
            return datetime.strptime(cell, form)  # noqa: DTZ007 - a day has no zone; moments are checked by the caller
        except (ValueError, OverflowError):
            continue
    return None
