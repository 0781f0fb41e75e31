"""The first sheet of an XLSX file, read and written cell by cell; formulas are refused, never written."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from config.errors import InputRefused

Cell = str | float
LARGEST_PART = 400 * 1024 * 1024
MOST_COLUMNS = 100
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN[1:-1]}" xmlns:r="{_OFFICE}">'
    '<sheets><sheet name="numbers" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}


def read(path: Path) -> Iterator[tuple[int, list[Cell]]]:
    """Give the rows of the first sheet: line and cells, text as text, numbers as floats. Raises InputRefused."""
    try:
        with zipfile.ZipFile(path) as book:
            shared = _shared(book, path)
            yield from _rows(_part(book, _first_sheet(book, path), path), shared, path)
    except (zipfile.BadZipFile, ElementTree.ParseError, KeyError, IndexError, RuntimeError, ValueError) as error:
        raise _refused("this is no XLSX file we can read", path) from error


def write(path: Path, rows: Iterable[Sequence[str]]) -> int:
    """Write rows of text as the only sheet; gives how many."""
    count = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, text in _PARTS.items():
            book.writestr(name, _HEAD + text)
        with book.open("xl/worksheets/sheet1.xml", "w") as sheet:
            sheet.write(f'{_HEAD}<worksheet xmlns="{_MAIN[1:-1]}"><sheetData>'.encode())
            for count, row in enumerate(rows, 1):  # noqa: B007 - the last count is what is given back
                sheet.write(f"<row>{''.join(_text_cell(cell) for cell in row)}</row>".encode())
            sheet.write(b"</sheetData></worksheet>")
    return count


def _text_cell(text: str) -> str:
    # A cell of type inlineStr is text whatever it begins with: no program reads it as a formula.
    plain = escape(_UNPRINTABLE.sub("\ufffd", text))
    return f'<c t="inlineStr"><is><t xml:space="preserve">{plain}</t></is></c>'


def _rows(sheet: ElementTree.Element, shared: list[str], path: Path) -> Iterator[tuple[int, list[Cell]]]:
    for line, row in enumerate(sheet.iter(f"{_MAIN}row"), 1):
        here, cells = int(row.get("r", line)), list[Cell]()
        for cell in row.iter(f"{_MAIN}c"):
            column = _column(cell.get("r", "")) if cell.get("r") else len(cells)
            if column >= MOST_COLUMNS:
                raise _refused(f"row {here} has more than {MOST_COLUMNS} columns", path)
            cells += [""] * (column - len(cells))
            cells.append(_cell(cell, shared, here, path))
        yield here, cells


def _cell(cell: ElementTree.Element, shared: list[str], line: int, path: Path) -> Cell:
    if cell.find(f"{_MAIN}f") is not None:
        raise _refused(f"cell {cell.get('r') or line} is a formula", path)
    kind, value = cell.get("t", "n"), cell.findtext(f"{_MAIN}v", "")
    if kind == "s":
        return shared[int(value)]
    if kind == "inlineStr":
        return "".join(part.text or "" for part in cell.iter(f"{_MAIN}t"))
    return value if kind != "n" or not value else float(value)


def _column(reference: str) -> int:
    found = 0
    for letter in reference:
        if not letter.isalpha():
            break
        found = found * 26 + ord(letter.upper()) - ord("A") + 1
    return found - 1


def _first_sheet(book: zipfile.ZipFile, path: Path) -> str:
    sheet = next(_part(book, "xl/workbook.xml", path).iter(f"{_MAIN}sheet"))
    wanted = sheet.get(f"{{{_OFFICE}}}id")
    links = _part(book, "xl/_rels/workbook.xml.rels", path)
    target = next(str(link.get("Target")) for link in links if link.get("Id") == wanted)
    return target.removeprefix("/") if target.startswith("/") else f"xl/{target}"


def _shared(book: zipfile.ZipFile, path: Path) -> list[str]:
    if "xl/sharedStrings.xml" not in book.namelist():
        return []
    items = _part(book, "xl/sharedStrings.xml", path).iter(f"{_MAIN}si")
    return ["".join(part.text or "" for part in item.iter(f"{_MAIN}t")) for item in items]


def _part(book: zipfile.ZipFile, name: str, path: Path) -> ElementTree.Element:
    if book.getinfo(name).file_size > LARGEST_PART:
        raise _refused("the sheet is too large", path)
    raw = book.read(name)
    # No spreadsheet program writes a document type; one that is there can only expand into something enormous.
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw or raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise _refused("the file declares a document type", path)
    return ElementTree.fromstring(raw)  # noqa: S314 - document types and entities are refused above


def _refused(what: str, path: Path) -> InputRefused:
    return InputRefused(what, where=str(path), remedy="save it anew as XLSX with values only, or as CSV")
