"""The first sheet of an XLSX file: read as a stream of rows in little memory, and written without formulas.

Nothing is calculated: a formula or an error is told as `Strange`, and what to do with it is for the caller. Limits keep
a small file from becoming an enormous one.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat
from xml.sax.saxutils import escape

from config.errors import InputRefused
from connectors.xlsx_cells import Found, Strange, looks, value_of
from connectors.xlsx_parts import Rows, Texts, escaped, refused

Cell = str | float
LARGEST_FILE = 200 * 1024 * 1024
LARGEST_PART = 400 * 1024 * 1024
LARGEST_TEXTS = 100 * 1024 * 1024
LARGEST_SMALL_PART = 10 * 1024 * 1024
MOST_ROWS = 1_048_576  # of a sheet, by the format
LONGEST_TEXT = 32_767  # of a cell, by the format
_BLOCK = 1 << 16
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_UNREADABLE = (
    zipfile.BadZipFile,
    ElementTree.ParseError,
    expat.ExpatError,
    EOFError,
    KeyError,
    IndexError,
    StopIteration,
    RuntimeError,
    NotImplementedError,
    ValueError,
)
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN[1:-1]}" xmlns:r="{_OFFICE}">'
    '<sheets><sheet name="TITLE" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}


@dataclass(frozen=True)
class Sheet:
    """Where the sheet that is read lies in the file: the first visible one; `others` are not read."""

    part: str
    name: str
    others: tuple[str, ...]
    is_1904: bool


def read(path: Path) -> Iterator[tuple[int, list[Cell]]]:
    """Give the rows of the sheet: line and cells, text as text, numbers as floats. Raises InputRefused."""
    for line, cells in rows(path):
        strange = next((each for each in cells if isinstance(each, Strange)), None)
        if strange is not None:
            raise refused(f"cell {strange.place} {strange.what}", path)
        yield line, [_plain(each) for each in cells if not isinstance(each, Strange)]


def rows(path: Path) -> Iterator[tuple[int, list[Found]]]:
    """Give the rows of the sheet with what each cell holds. Raises InputRefused when it is no such file."""
    with _opened(path) as book:
        found = _sheet(book, path)
        styles = _small(book, "xl/styles.xml", path) if "xl/styles.xml" in book.namelist() else None
        machine = Rows(path)
        texts, kinds = _shared(book, path), looks(styles)
        for _ in _parsed(book, found.part, machine, LARGEST_PART):
            for line, cells in machine.taken():
                if line > MOST_ROWS:
                    raise refused(f"the sheet has more than {MOST_ROWS} rows", path)
                yield line, [value_of(cell, texts, kinds, is_1904=found.is_1904) for cell in cells]


def sheet(path: Path) -> Sheet:
    """Tell which sheet of the file is read. Raises InputRefused when it is no XLSX file."""
    with _opened(path) as book:
        return _sheet(book, path)


def write(path: Path, rows: Iterable[Sequence[str]], title: str = "numbers") -> int:
    """Write rows of text as the only sheet; gives how many. Raises InputRefused when a sheet cannot hold them."""
    count = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, text in _PARTS.items():
            book.writestr(name, _HEAD + text.replace("TITLE", escape(title, {'"': "&quot;"})))
        with book.open("xl/worksheets/sheet1.xml", "w") as part:
            part.write(f'{_HEAD}<worksheet xmlns="{_MAIN[1:-1]}"><sheetData>'.encode())
            for count, row in enumerate(rows, 1):
                if count > MOST_ROWS:
                    what = f"a sheet holds no more than {MOST_ROWS} rows"
                    raise InputRefused(what, where=str(path), remedy="write a .csv file")
                part.write(f"<row>{''.join(map(_text_cell, row))}</row>".encode())
            part.write(b"</sheetData></worksheet>")
    return count


def _text_cell(text: str) -> str:
    # A cell of type inlineStr is text whatever it begins with: no program reads it as a formula.
    plain = escape(escaped(_UNPRINTABLE.sub("\ufffd", text[:LONGEST_TEXT])))
    return f'<c t="inlineStr"><is><t xml:space="preserve">{plain}</t></is></c>'


def _plain(cell: str | float | datetime) -> Cell:
    return cell.isoformat() if isinstance(cell, datetime) else cell


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise refused("the file is too large", path)
        with zipfile.ZipFile(path) as book:
            yield book
    except _UNREADABLE as error:
        raise refused("this is no XLSX file we can read", path) from error


def _sheet(book: zipfile.ZipFile, path: Path) -> Sheet:
    workbook = _small(book, "xl/workbook.xml", path)
    listed = [each for each in workbook.iter() if _local(each.tag) == "sheet"]
    shown = next((each for each in listed if each.get("state", "visible") == "visible"), listed[0])
    wanted = next(value for name, value in shown.items() if _local(name) == "id")
    links = _small(book, "xl/_rels/workbook.xml.rels", path)
    target = next(str(link.get("Target")) for link in links if link.get("Id") == wanted)
    properties = next((each for each in workbook if _local(each.tag) == "workbookPr"), None)
    is_1904 = properties is not None and properties.get("date1904", "0").casefold() in ("1", "true", "on")
    names = tuple(each.get("name", "") for each in listed if each is not shown)
    part = target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
    return Sheet(part, shown.get("name", ""), names, is_1904)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _shared(book: zipfile.ZipFile, path: Path) -> list[str]:
    if "xl/sharedStrings.xml" not in book.namelist():
        return []
    machine = Texts(path)
    for _ in _parsed(book, "xl/sharedStrings.xml", machine, LARGEST_TEXTS):
        pass
    return machine.found


def _small(book: zipfile.ZipFile, name: str, path: Path) -> ElementTree.Element:
    info = book.getinfo(name)
    if info.file_size > LARGEST_SMALL_PART:
        raise refused(f"its part {name} is too large", path)
    raw = book.read(info)
    # No spreadsheet program writes a document type; one that is there can only expand into something enormous.
    if b"<!" in raw or raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise refused("the file declares a document type", path)
    return ElementTree.fromstring(raw)  # noqa: S314 - document types and entities are refused above


def _parsed(book: zipfile.ZipFile, name: str, machine: Rows | Texts, largest: int) -> Iterator[None]:
    """Parse a part block by block; gives control after each, so that what was found can be taken away."""
    info = book.getinfo(name)
    if info.file_size > largest:  # no more than this is unpacked, whatever the archive holds
        raise refused(f"its part {name} is too large", machine.path)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = machine.doctype
    parser.StartElementHandler = machine.start
    parser.EndElementHandler = machine.end
    parser.CharacterDataHandler = machine.text
    with book.open(info) as part:
        while block := part.read(_BLOCK):
            parser.Parse(block, False)
            yield
    parser.Parse(b"", True)
    yield
