"""What a cell of an XLSX sheet holds: text, a number, a day by its style, or something not to believe."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from xml.etree import ElementTree

from connectors.xlsx_parts import RawCell

_DATE_IDS = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}  # of the formats that are built in
_NOT_SHOWN = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]')
_FIRST_SHEET_DAY, _FIRST_1904_DAY = datetime(1899, 12, 30), datetime(1904, 1, 1)  # noqa: DTZ001 - sheets know no zone
_LAST_DAY = 2_957_003  # 31 December 9999, counted from 1904
_WRONG_LEAP_DAY = 60  # Excel counts a 29 February 1900 that never was


@dataclass(frozen=True)
class Strange:
    """A cell that holds no value of its own: a formula or an error."""

    place: str
    what: str
    shown: str = ""


Found = str | float | datetime | Strange


def looks(styles: ElementTree.Element | None) -> list[str]:
    """Give for each style how it shows a number: `day`, zeros to fill up with, or nothing special."""
    if styles is None:
        return []
    codes: dict[int, str] = {}
    found: list[str] = []
    for each in styles:
        local = each.tag.rpartition("}")[2]
        if local == "numFmts":
            codes |= {int(one.get("numFmtId", "0")): one.get("formatCode", "") for one in each}
        elif local == "cellXfs":
            found = [_look(int(one.get("numFmtId", "0")), codes) for one in each]
    return found


def value_of(cell: RawCell, texts: Sequence[str], kinds: Sequence[str], *, is_1904: bool) -> Found:
    """Give what a cell holds. Raises ValueError or IndexError for what no spreadsheet program writes."""
    if cell.is_formula:
        return Strange(cell.place, "is a formula", cell.text)
    match cell.kind:
        case "s":
            return texts[int(cell.text)] if cell.text else ""
        case "e":
            return Strange(cell.place, f"is the error {cell.text}", cell.text)
        case "b":
            return "TRUE" if cell.text == "1" else "FALSE" if cell.text else ""
        case "d":
            return datetime.fromisoformat(cell.text).replace(tzinfo=None) if cell.text else ""
        case "n":
            return _number(cell, kinds, is_1904=is_1904) if cell.text else ""
        case _:
            return cell.text


def text_of_number(number: float) -> str:
    """Give a number as a person would have typed it; what has lost digits shows that it is rounded."""
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _number(cell: RawCell, kinds: Sequence[str], *, is_1904: bool) -> Found:
    number = float(cell.text)
    kind = kinds[cell.style] if cell.style < len(kinds) else ""
    if kind == "day":
        return _moment(number, is_1904=is_1904) or Strange(cell.place, f"is no date: {cell.text}", cell.text)
    if kind and number.is_integer() and 0 <= number < 1e15:
        return str(int(number)).zfill(len(kind))
    return number


def _moment(number: float, *, is_1904: bool) -> datetime | None:
    if not (0 if is_1904 else _WRONG_LEAP_DAY) < number <= _LAST_DAY:  # a feed's dates are not that far away
        return None
    seconds = round(number * 86400)
    return (_FIRST_1904_DAY if is_1904 else _FIRST_SHEET_DAY) + timedelta(seconds=seconds)


def _look(number: int, codes: dict[int, str]) -> str:
    if number in codes:
        shown = _NOT_SHOWN.sub("", codes[number].split(";")[0])
        if re.search(r"[dmyhs]", shown, re.IGNORECASE) and "general" not in shown.casefold():
            return "day"
        return shown if re.fullmatch(r"0{2,}", shown) else ""
    return "day" if number in _DATE_IDS else ""
