"""Feeds as XLSX sheets: the same people as from text, nothing guessed, and no file that grows without end."""

from __future__ import annotations

import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from config.errors import InputRefused
from config.site_mappings import FeedMapping
from connectors import xlsx
from connectors.hr import open_feed, reread
from datasets.feeds import BadRow, FeedContents, GoodRow
from tests.fakes.workbooks import MAIN, OFFICE, Cell, archive, rows_of, workbook

MAPPING = FeedMapping.model_validate(
    {
        "name": "hr",
        "columns": {
            "ID": "employee_id",
            "Name": "display_name",
            "Hired": "hire_date",
            "Department": "department",
            "Phone": "work_phone",
        },
        "required": ["ID", "Name"],
        "date_formats": ["%d.%m.%Y", "%Y-%m-%d"],
        "phone_region": "AT",
    }
)
HEADER = ["ID", "Name", "Hired", "Department", "Phone"]
FIRST = datetime(2024, 3, 1)  # noqa: DTZ001 - sheets know no zone


def feed(folder: Path, *rows: list[Cell], **parts: str) -> FeedContents:
    """Read a sheet of these rows below the usual header."""
    return open_feed(workbook(folder / "hr.xlsx", rows_of([HEADER, *rows]), **parts), MAPPING).read()


def test_a_sheet_gives_the_people_of_the_same_text_file(tmp_path: Path) -> None:
    """Days become days whatever form the mapping writes them in; blank rows and missing last cells are no fault."""
    found = feed(tmp_path, ["0007", "Ada & Co", FIRST, "Sales", "+4312345678"], [], ["0008", "Bob"])
    text = tmp_path / "hr.csv"
    text.write_text(f"{','.join(HEADER)}\n0007,Ada & Co,01.03.2024,Sales,+4312345678\n0008,Bob,,,\n", encoding="utf-8")
    assert [row.person for row in found.good] == [row.person for row in open_feed(text, MAPPING).read().good]
    assert [row.line for row in found.good] == [2, 4]
    assert (found.bad, found.warnings) == ([], [])


def test_numbers_are_taken_and_warned_of(tmp_path: Path) -> None:
    """An id that is a number has no decimals and lost its zeros: taken, but told; so is a format that shows zeros."""
    found = feed(tmp_path, [7, "Ada", FIRST, 42], ['<c s="2"><v>7</v></c>', "Bob", None, 4.5])
    assert [row.person.employee_id for row in found.good] == ["7", "00000007"]
    assert [row.person.department for row in found.good] == ["42", "4.5"]
    assert found.warnings == ["column ID holds numbers: leading zeros are lost in them, format it as text"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param(["1", "<c r='B2'><f>1+1</f><v>2</v></c>"], "Name is a formula (cell B2)", id="formula"),
        pytest.param(["1", "<c r='B2' t='e'><v>#N/A</v></c>"], "Name is the error #N/A (cell B2)", id="error"),
        pytest.param(["1", "Ada", None, FIRST], "Department became a date", id="date"),
        pytest.param(["1", "Ada", 45352], "a spreadsheet's day number", id="day number"),
        pytest.param(["1", "Ada", datetime(2024, 3, 1, 8)], "is no date", id="time of day"),  # noqa: DTZ001
        pytest.param([1.5e16, "Ada"], "a spreadsheet made it a number", id="rounded id"),
        pytest.param(["1", "Ada", None, "=1+1"], "is a spreadsheet formula", id="formula text"),
        pytest.param(["1", "Ada", None, None, 4312345678], "may have lost its +", id="phone"),
        pytest.param(["1", "Ada", None, None, None, "more"], "has 6 cells", id="too many"),
        pytest.param([None, "Ada"], "is empty", id="no id"),
    ],
)
def test_a_bad_row_costs_only_itself(tmp_path: Path, row: list[Cell], words: str) -> None:
    """A row that nobody should believe is quarantined with its reason; the next one goes on."""
    found = feed(tmp_path, row, ["9", "Eve", FIRST])
    assert [str(each.person.hire_date) for each in found.good] == ["2024-03-01"]
    assert [each.line for each in found.bad] == [2]
    assert words in found.bad[0].reason


def test_a_formula_stays_one_when_it_is_tried_again(tmp_path: Path) -> None:
    """What a formula last showed does not slip in through the quarantine."""
    (bad,) = feed(tmp_path, ["1", "<c><f>A1</f><v>Ada</v></c>"], ["2", "Bob"]).bad
    again = reread(bad.raw, MAPPING, bad.line)
    assert isinstance(again, BadRow)
    assert "formula" in again.reason


def test_duplicates_are_found_across_rows(tmp_path: Path) -> None:
    """The rules across rows hold for sheets too."""
    found = feed(tmp_path, ["1", "Ada"], ["1", "Ada"], ["1", "Eve"])
    assert (len(found.good), len(found.bad)) == (0, 3)


def test_formulas_in_columns_nobody_mapped_do_not_matter(tmp_path: Path) -> None:
    """A sum beside the table is no fault of its row."""
    rows = rows_of([["ID", "Name", "Sum"], ["1", "Ada", "<c><f>1+1</f><v>2</v></c>"]])
    found = open_feed(workbook(tmp_path / "hr.xlsx", rows), MAPPING).read()
    assert isinstance(found.good[0], GoodRow)


def test_shared_texts_are_read_without_their_hints(tmp_path: Path) -> None:
    """Text in parts is put together, hints for pronunciation are left out, escaped letters are letters."""
    strings = (
        f'<x:sst xmlns:x="{MAIN}"><x:si><x:r><x:t>A</x:t></x:r><x:r><x:t>da</x:t></x:r><x:rPh><x:t>EI</x:t></x:rPh>'
        "</x:si><x:si><x:t>a_x0026_b_x005F_x0026_</x:t></x:si></x:sst>"
    )
    row: list[Cell] = ["1", "<c t='s'><v>0</v></c>", None, "<c t='s'><v>1</v></c>"]
    person = feed(tmp_path, row, strings=strings).good[0].person
    assert (person.display_name, person.department) == ("Ada", "a&b_x0026_")


def test_the_first_visible_sheet_is_read_and_the_others_are_named(tmp_path: Path) -> None:
    """A hidden first sheet is passed over; that something was left out is a warning."""
    sheets = '<sheet name="Lists" state="hidden" r:id="rId2"/><sheet name="HR" r:id="rId1"/>'
    found = feed(tmp_path, ["1", "Ada"], sheets=sheets)
    assert found.warnings == ["sheet 'HR' was read, not 'Lists'"]


def test_days_of_old_macs_count_from_1904(tmp_path: Path) -> None:
    """A workbook that says it counts from 1904 is believed."""
    book = f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><workbookPr date1904="1"/>'
    book += '<sheets><sheet name="HR" r:id="rId1"/></sheets></workbook>'
    found = feed(tmp_path, ["1", "Ada", '<c s="1"><v>43890</v></c>'], book=book)
    assert found.good[0].person.hire_date == date(2024, 3, 1)


def test_moments_without_an_offset_are_refused_and_days_are_midnight(tmp_path: Path) -> None:
    """An event's moment as a day is its midnight in UTC; with a time of day nobody knows the zone."""
    columns = {"ID": "employee_id", "Event": "event_id", "At": "effective_at"}
    mapping = FeedMapping.model_validate({"name": "e", "kind": "events", "columns": columns})
    rows = rows_of([["ID", "Event", "At"], ["1", "e1", FIRST], ["1", "e2", datetime(2024, 3, 1, 8)]])  # noqa: DTZ001
    found = open_feed(workbook(tmp_path / "e.xlsx", rows), mapping).read()
    assert [row.person.effective_at for row in found.good] == [datetime(2024, 3, 1, tzinfo=UTC)]
    assert "offset" in found.bad[0].reason


BOMB = f'<!DOCTYPE sst [<!ENTITY a "aaaaaaaaaa">]><sst xmlns="{MAIN}"><si><t>&a;</t></si></sst>'
UNFIT = {
    "no workbook": ({"word/document.xml": "<w/>"}, "no XLSX file"),
    "broken sheet": ({"xl/worksheets/sheet1.xml": "<worksheet><row>"}, "no XLSX file"),
    "entities": ({"xl/sharedStrings.xml": BOMB}, "declares a document type"),
    "entities in the book": ({"xl/workbook.xml": BOMB}, "declares a document type"),
    "only hidden in a comment": ({"xl/workbook.xml": "<!-- a --><workbook/>"}, "declares a document type"),
    "many columns": ({"xl/worksheets/sheet1.xml": "<w><row><c r='ZZ1'/></row></w>"}, "more than 100 columns"),
    "rows backwards": ({"xl/worksheets/sheet1.xml": "<w><row r='5'/><row r='4'/></w>"}, "row 4 comes after row 5"),
    "a row beyond": ({"xl/worksheets/sheet1.xml": "<w><row r='9999999'><c/></row></w>"}, "more than 1048576 rows"),
    "an endless cell": (
        {"xl/worksheets/sheet1.xml": f"<w><row><c t='str'><v>{'x' * (2 << 20)}</v></c></row></w>"},
        "too much text",
    ),
    "no rows": ({"xl/worksheets/sheet1.xml": "<w/>"}, "the feed is empty"),
    "a formula above": ({"xl/worksheets/sheet1.xml": "<w><row><c><f>1</f></c></row></w>"}, "header holds a formula"),
}


@pytest.mark.parametrize(("parts", "words"), UNFIT.values(), ids=UNFIT)
def test_a_file_that_is_no_feed_is_refused_in_one_line(tmp_path: Path, parts: dict[str, str], words: str) -> None:
    """What is no sheet of rows, or tries to become enormous, is refused by name and with a remedy."""
    whole = workbook(tmp_path / "whole.xlsx", rows_of([HEADER]))
    with zipfile.ZipFile(whole) as book:
        content = {name: book.read(name) for name in book.namelist()}
    if "word/document.xml" in parts:
        content = {}
    path = archive(tmp_path / "hr.xlsx", {**content, **parts})
    with pytest.raises(InputRefused) as caught:
        open_feed(path, MAPPING)
    assert words in str(caught.value)
    assert "hr.xlsx" in str(caught.value)
    assert " ; " in str(caught.value)


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that says it is larger than the limit is refused before a byte of it is unpacked."""
    monkeypatch.setattr(xlsx, "LARGEST_PART", 1 << 16)
    path = workbook(tmp_path / "hr.xlsx", rows_of([HEADER]) + "<row/>" * 20_000)
    assert path.stat().st_size < 1 << 14
    with pytest.raises(InputRefused, match="too large"):
        open_feed(path, MAPPING)


def test_rows_come_as_a_stream(tmp_path: Path) -> None:
    """The first rows are there while the rest of the sheet is not parsed yet: it ends in nonsense."""
    body = rows_of([["1", "Ada"]] * 5_000)
    path = workbook(tmp_path / "hr.xlsx", "", sheet=f"<worksheet><sheetData>{body}<row></sheetData>")
    found = xlsx.rows(path)
    assert next(found) == (1, ["1", "Ada"])
    with pytest.raises(InputRefused):
        list(found)


def test_what_we_write_is_read_back_as_it_was(tmp_path: Path) -> None:
    """Every text comes back, also what looks like a formula, markup or an escaped letter."""
    texts = ["=1+1", "<a>&\"'", "a_x0041_b", "ü\u0301 漢字", "", " spaced ", "two\nlines"]
    assert xlsx.write(tmp_path / "w.xlsx", [texts], title="R&D") == 1
    assert [cells for _, cells in xlsx.read(tmp_path / "w.xlsx")] == [texts]
    assert xlsx.sheet(tmp_path / "w.xlsx").name == "R&D"
