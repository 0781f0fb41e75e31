"""XLSX files as spreadsheet programs write them, made part by part: readers meet more than our own writer."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from xml.sax.saxutils import escape

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
DAY, ZEROS = 1, 2
_STYLES = (
    f'<styleSheet xmlns="{MAIN}"><numFmts count="1"><numFmt numFmtId="164" formatCode="00000000"/></numFmts>'
    '<cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/></cellXfs></styleSheet>'
)
Cell = str | int | float | datetime | None


def raw_cell(cell: Cell) -> str:
    """Write a cell: text as a shared-free string, a moment as a day number with the style of a day."""
    if cell is None:
        return "<c/>"
    if isinstance(cell, datetime):
        number = (cell - datetime(1899, 12, 30)).total_seconds() / 86400  # noqa: DTZ001 - sheets know no zone
        return f'<c s="{DAY}"><v>{number!r}</v></c>'
    if isinstance(cell, str):
        return f'<c t="inlineStr"><is><t>{escape(cell)}</t></is></c>' if not cell.startswith("<c") else cell
    return f"<c><v>{cell!r}</v></c>"


def rows_of(rows: Sequence[Sequence[Cell]]) -> str:
    """Write rows; a cell that begins with `<c` is taken as it is."""
    return "".join(f"<row>{''.join(map(raw_cell, row))}</row>" for row in rows)


def workbook(
    path: Path, body: str, *, sheets: str = '<sheet name="HR" sheetId="1" r:id="rId1"/>', **parts: str
) -> Path:
    """Write a file whose sheet has this body; `parts` adds or replaces parts by name, with `_` for `.` and `/`."""
    content: dict[str, str] = {
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{sheets}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": '<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.xml"/>'
        '<Relationship Id="rId2" Target="worksheets/sheet2.xml"/></Relationships>',
        "xl/styles.xml": _STYLES,
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{MAIN}"><sheetData>{body}</sheetData></worksheet>',
    }
    return archive(path, content | {_NAMES[name]: text for name, text in parts.items()})


_NAMES = {
    "strings": "xl/sharedStrings.xml",
    "sheet": "xl/worksheets/sheet1.xml",
    "second": "xl/worksheets/sheet2.xml",
    "book": "xl/workbook.xml",
}


def archive(path: Path, parts: Mapping[str, str | bytes]) -> Path:
    """Write parts into a zip archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, text in parts.items():
            book.writestr(name, text)
    return path
