"""Feed files: what becomes a person, what is quarantined and why, and which files are refused as a whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import InputRefused
from config.site_mappings import FeedMapping
from connectors.hr import open_feed, reread
from connectors.hr_cells import is_canonical
from datasets.feeds import BadRow, FeedContents, GoodRow
from datasets.numbering import InvalidNumber, parse_number
from datasets.people import Status

MAPPING = FeedMapping.model_validate(
    {
        "name": "hr",
        "columns": {
            "ID": "employee_id",
            "UPN": "upn",
            "Name": "display_name",
            "Status": "status",
            "Hired": "hire_date",
            "Leaves": "termination_date",
            "Department": "department",
            "Country": "usage_location",
            "Manager": "manager_employee_id",
            "Phone": "work_phone",
        },
        "filled": ["UPN"],
        "values": {"status": {"Active": "active", "On Leave": "leave"}, "usage_location": {"Austria": "AT"}},
        "date_formats": ["%Y-%m-%d", "%d.%m.%Y", "%Y-%m-%d%z"],
        "phone_region_from": "usage_location",
    }
)
HEADER = "ID,UPN,Name,Status,Hired,Leaves,Department,Country,Manager,Phone"
GOOD = "0007,ada@contoso.com,Ada,Active,2024-03-01,,Sales,AT,,+4312345678"
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Give a function that writes a feed file from rows below the usual header, or from bytes."""

    def write(*rows: str, header: str = HEADER, end: str = "\n", data: bytes | None = None) -> Path:
        path = tmp_path / "feed.csv"
        path.write_bytes(end.join([header, *rows, ""]).encode() if data is None else data)
        return path

    return write


def read(path: Path, mapping: FeedMapping = MAPPING) -> FeedContents:
    """Read a whole feed."""
    return open_feed(path, mapping).read()


def row(**cells: str) -> str:
    """Write the good row with other cells."""
    values = dict(zip(HEADER.split(","), GOOD.split(","), strict=True)) | cells
    return ",".join(values.values())


def only_bad(contents: FeedContents) -> BadRow:
    """Give the only bad row."""
    assert len(contents.bad) == 1, contents.bad
    return contents.bad[0]


def test_row_becomes_a_person(make: Make) -> None:
    """A row becomes a typed person; ids keep their zeros and empty cells are nothing."""
    contents = read(make(row(Status="on leave", Country="austria", Hired="01.03.2024")))
    person = contents.good[0].person
    assert contents.bad == []
    assert (person.employee_id, person.upn, person.status) == ("0007", "ada@contoso.com", Status.LEAVE)
    assert (person.hire_date, person.termination_date) == (date(2024, 3, 1), None)
    assert (person.usage_location, person.work_phone, person.manager_employee_id) == ("AT", "+4312345678", None)


@pytest.mark.parametrize(
    ("cells", "column", "reason"),
    [
        pytest.param({"ID": ""}, "ID", "is empty", id="no id"),
        pytest.param({"ID": "1.2E+05"}, "ID", "a spreadsheet made it a number", id="rounded id"),
        pytest.param({"ID": "7.0"}, "ID", "a spreadsheet made it a number", id="decimal id"),
        pytest.param({"UPN": ""}, "UPN", "is empty", id="no upn"),
        pytest.param({"UPN": "ada"}, "UPN", "is no address", id="upn"),
        pytest.param({"UPN": "ada@a@b"}, "UPN", "is no address", id="two @"),
        pytest.param({"Status": "Actve"}, "Status", "is no status: expected Active, On Leave", id="status"),
        pytest.param({"Hired": "2026-02-30"}, "Hired", "no day of the calendar", id="no such day"),
        pytest.param({"Hired": "03/04/26"}, "Hired", "is no date of the form YYYY-MM-DD or DD.MM.YYYY", id="form"),
        pytest.param({"Hired": "45292"}, "Hired", "a spreadsheet's day number", id="serial"),
        pytest.param({"Hired": "0024-01-01"}, "Hired", "is before 1900", id="year"),
        pytest.param({"Leaves": "2020-01-01"}, "Leaves", "is before the hire date", id="leaves early"),
        pytest.param({"Country": "Atlantis"}, "Country", "is no country", id="country"),
        pytest.param({"Country": "XX"}, "Country", "is no country", id="code"),
        pytest.param({"Manager": "0007"}, "Manager", "own employee id", id="own manager"),
        pytest.param({"Manager": "0008"}, "Manager", "is nobody in this feed", id="unknown manager"),
        pytest.param({"Phone": "4.31E+10"}, "Phone", "a spreadsheet rounded it", id="rounded phone"),
        pytest.param({"Phone": "4312345678"}, "Phone", "it may have lost its +", id="lost plus"),
        pytest.param({"Phone": "=43123456"}, "Phone", "a spreadsheet formula", id="formula phone"),
        pytest.param({"Phone": "01 23", "Country": ""}, "Phone", "no country is known", id="no region"),
        pytest.param({"Phone": "+1800FLOWERS"}, "Phone", "letters", id="vanity"),
        pytest.param({"Name": "=1+1"}, "Name", "is a spreadsheet formula", id="formula"),
        pytest.param({"Department": "@SUM(A1)"}, "Department", "is a spreadsheet formula", id="at"),
        pytest.param({"Department": " -2+3+cmd|x"}, "Department", "is a spreadsheet formula", id="minus"),
        pytest.param({"Name": "A\x07da"}, "Name", "a control character", id="control"),
        pytest.param({"Name": "A" * 2000}, "Name", "is longer than 1024 characters", id="long"),
    ],
)
def test_bad_cell_is_named(make: Make, cells: dict[str, str], column: str, reason: str) -> None:
    """A bad cell quarantines its row, by line, column and reason; the good row before it goes on."""
    contents = read(make(row(ID="0001"), row(**cells)))
    bad = only_bad(contents)
    assert (bad.line, bad.column) == (3, column)
    assert reason in bad.reason
    assert [good.line for good in contents.good] == [2]


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param({"Phone": "01/234 56 78"}, id="national"),
        pytest.param({"Phone": "+٤٣ ١ ٢٣٤ ٥٦٧٨"}, id="arabic digits"),
        pytest.param({"Phone": "\u202a+43 1 2345678\u202c"}, id="copied"),
        pytest.param({"Name": "Müller-Østergård"}, id="latin"),
        pytest.param({"Name": "渡辺 さくら"}, id="japanese"),
        pytest.param({"Department": "- none -"}, id="dashes"),
        pytest.param({"Department": "-"}, id="dash"),
        pytest.param({"Department": "  Sales  ", "Status": " Active"}, id="spaces"),
        pytest.param({"Hired": "2018-10-01-07:00"}, id="workday date"),
        pytest.param({"Hired": "2030-01-01", "Leaves": "2030-01-01"}, id="future"),
    ],
)
def test_unusual_cell_is_no_mistake(make: Make, cells: dict[str, str]) -> None:
    """M7: names and digits of every alphabet, outer spaces and dates to come are fine."""
    contents = read(make(row(**cells)))
    assert contents.bad == []
    assert contents.good[0].person.work_phone == "+4312345678"
    assert contents.good[0].person.department == cells.get("Department", "Sales").strip()
    assert "Name" not in cells or contents.good[0].person.display_name == cells["Name"]


def test_letters_and_marks_are_composed(make: Make) -> None:
    """A name written with separate marks equals the one written with composed letters."""
    assert read(make(row(Name="Mu\u0308ller"))).good[0].person.display_name == "Müller"


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        pytest.param(GOOD + ",more", "(cell 11)", "the row has 11 cells, the header has 10", id="too many"),
        pytest.param(GOOD.rpartition(",")[0], "Phone", "the row has 9 cells, the header has 10", id="too few"),
        pytest.param(GOOD.replace("Sales", '"Sales'), "", "a quote is opened and not closed", id="open quote"),
        pytest.param(GOOD.replace("Sales", '"Sa"les'), "", "its quotes are wrong", id="inner quote"),
    ],
)
def test_broken_line_costs_only_itself(make: Make, text: str, column: str, reason: str) -> None:
    """A line with wrong quotes or width is quarantined; the lines around it go on."""
    contents = read(make(row(ID="1"), text, row(ID="2"), row(ID="3", Department='"Sales, North"')))
    bad = only_bad(contents)
    assert (bad.line, bad.column) == (3, column)
    assert reason in bad.reason
    assert [good.line for good in contents.good] == [2, 4, 5]


def test_line_numbers_are_physical(make: Make) -> None:
    """A quoted cell may go over lines; the rows after it keep the numbers an editor shows."""
    rows = [row(ID="1", Department='"Sales\nNorth"'), "", row(ID="2", Department='"a ""b"" c"'), row(ID="")]
    contents = read(make(*rows))
    assert [(good.line, good.person.department) for good in contents.good] == [(2, "Sales\nNorth"), (5, 'a "b" c')]
    assert only_bad(contents).line == 6


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_and_line_end_are_found(make: Make, end: str, delimiter: str) -> None:
    """The delimiter is the one that gives the mapped columns; every line end is understood."""
    path = make(GOOD.replace(",", delimiter), header=HEADER.replace(",", delimiter), end=end)
    feed = open_feed(path, MAPPING)
    assert feed.delimiter == delimiter
    assert [good.line for good in feed.read().good] == [2]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_encoding_is_found(make: Make, encoding: str) -> None:
    """UTF-8 with and without a mark, UTF-16 with one and Windows-1252 are read; the last with a warning."""
    text = f"{HEADER}\n{row(Name='Müller')}\n"
    mark = b"\xff\xfe" if encoding == "utf-16-le" else b""
    contents = read(make(data=mark + text.encode(encoding)))
    assert contents.good[0].person.display_name == "Müller"
    assert bool(contents.warnings) == (encoding == "cp1252")


def test_damaged_bytes_cost_only_their_row(make: Make) -> None:
    """One broken byte in a UTF-8 file quarantines its row, not the umlauts of the others."""
    data = f"{HEADER}\n{row(ID='1', Name='Müller')}\n{row(ID='2', Name='X?Y')}\n".encode().replace(b"X?Y", b"X\xffY")
    contents = read(make(data=data))
    assert contents.good[0].person.display_name == "Müller"
    assert only_bad(contents)[:3] == (3, "Name", "contains bytes that are no UTF-8")
    assert "\udcff" not in contents.bad[0].raw["Name"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "the feed is empty", id="empty"),
        pytest.param(b"\n\n", "the feed is empty", id="blank"),
        pytest.param(b"\xef\xbb\xbf", "the feed is empty", id="only a mark"),
        pytest.param(HEADER.encode(), "a header but no rows", id="header only"),
        pytest.param(HEADER.replace(",", "~").encode() + b"\n1", "one single column", id="delimiter"),
        pytest.param(HEADER.encode() + b"\n1,\x00", "NUL bytes", id="NUL"),
        pytest.param((HEADER + "\n1").encode("utf-16-le"), "NUL bytes", id="UTF-16 without mark"),
        pytest.param(b"\xff\xfe" + b"a", "not utf-16 text", id="half UTF-16"),
        pytest.param(b"PK\x03\x04rest", "no XLSX file", id="xlsx"),
        pytest.param(b"%PDF-1.7", "a PDF", id="pdf"),
        pytest.param(HEADER.replace("Hired", "Hire").encode() + b"\n1", "column Hired is missing", id="missing"),
        pytest.param(f"{HEADER},Name\n1".encode(), "the header has Name twice", id="twice"),
        pytest.param(f"{HEADER},\n1".encode(), "column 11 has no name", id="no name"),
        pytest.param(HEADER.encode() + b"\n" + b"x" * (11 << 20), "a line is longer than 10 MB", id="long line"),
    ],
)
def test_file_that_is_no_feed_is_refused(make: Make, data: bytes, words: str) -> None:
    """A file that is no feed is refused in one line that names it and a remedy; no row is read."""
    with pytest.raises(InputRefused) as caught:
        open_feed(make(data=data), MAPPING)
    assert words in str(caught.value)
    assert "feed.csv" in str(caught.value)
    assert " ; " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    """A path that leads nowhere, or to a folder, is refused in one line."""
    for path in (tmp_path / "nothing.csv", tmp_path):
        with pytest.raises(InputRefused, match="cannot be read"):
            open_feed(path, MAPPING)


def test_extra_columns_are_told_or_refused(make: Make) -> None:
    """A column that is not mapped is ignored with a warning, or refused if the mapping says so."""
    path = make(GOOD + ",x", header=HEADER + ",Shoe_Size")
    assert "Shoe_Size" in read(path).warnings[0]
    with pytest.raises(InputRefused, match="column Shoe_Size is not in the mapping"):
        open_feed(path, MAPPING.model_copy(update={"extra_columns": "refuse"}))


def test_spreadsheets_delimiter_line_is_understood(make: Make) -> None:
    """The line `sep=;` that spreadsheets write before the header is no header."""
    data = f"sep=;\n{HEADER.replace(',', ';')}\n{GOOD.replace(',', ';')}\n".encode()
    assert [good.line for good in read(make(data=data)).good] == [3]


def test_equal_rows_are_one(make: Make) -> None:
    """Of equal rows the first stays; the others are told as its duplicates."""
    contents = read(make(GOOD, row(ID="1"), GOOD, GOOD))
    assert [good.line for good in contents.good] == [2, 3]
    assert [(bad.line, bad.column, bad.reason) for bad in contents.bad] == [
        (4, "ID", "duplicate of line 2"),
        (5, "ID", "duplicate of line 2"),
    ]


def test_rows_of_one_id_that_differ_are_all_refused(make: Make) -> None:
    """Nobody knows which of two different rows of one id is right, so both are quarantined."""
    contents = read(make(row(Name="Ada"), row(ID="1"), row(Name="Bob"), row(ID="2", Department='"a, b"')))
    assert [good.line for good in contents.good] == [3, 5]
    assert [bad.reason for bad in contents.bad] == [
        "has the same id as line 4 with other values",
        "has the same id as line 2 with other values",
    ]
    assert {bad.employee_id for bad in contents.bad} == {"0007"}


def test_loops_of_managers_are_quarantined(make: Make) -> None:
    """People whose reporting line comes back to them are quarantined; those who report to them are not."""
    rows = [row(ID="1", Manager="2"), row(ID="2", Manager="3"), row(ID="3", Manager="1"), row(ID="4", Manager="1")]
    contents = read(make(*rows, row(ID="5", Manager="")))
    assert [(bad.line, bad.column, bad.reason) for bad in contents.bad] == [
        (line, "Manager", "the reporting line is a loop") for line in (2, 3, 4)
    ]
    assert [good.line for good in contents.good] == [5, 6]


def test_unknown_manager_may_be_a_warning(make: Make) -> None:
    """A feed of part of the workforce only warns of managers who are not in it."""
    contents = read(make(row(Manager="999")), MAPPING.model_copy(update={"unknown_manager": "warn"}))
    assert len(contents.good) == 1
    assert contents.warnings == ["manager of line 2 is nobody in this feed"]


def test_values_are_masked(make: Make) -> None:
    """What is told about a bad cell does not repeat it; the raw row is kept for correction."""
    bad = only_bad(read(make(row(Phone="4312345678"))))
    assert bad.value == "431…8"
    assert "4312345678" not in str(bad)
    assert bad.raw["Phone"] == "4312345678"


def test_quarantined_row_can_be_read_again(make: Make) -> None:
    """After the mapping was corrected, the raw cells of a quarantined row become a person."""
    bad = only_bad(read(make(row(Status="Aktiv"))))
    values = {**MAPPING.values, "status": {"Aktiv": "active"}}
    again = reread(bad.raw, MAPPING.model_copy(update={"values": values}), bad.line)
    assert isinstance(again, GoodRow)
    assert isinstance(reread(bad.raw, MAPPING, bad.line), BadRow)


EVENTS = MAPPING.model_copy(
    update={"kind": "events", "columns": {**MAPPING.columns, "Event": "event_id", "At": "effective_at"}}
)


def event(number: str, at: str = "2026-07-01T08:00:00+02:00", **cells: str) -> str:
    """Write a row of a feed of events."""
    return f"{row(**cells)},{number},{at}"


def test_events_may_repeat_a_person_but_not_an_id(make: Make) -> None:
    """One person may have many events; one event id has one content."""
    rows = [event("e1"), event("e2"), event("e2"), event("e3", Name="Ada"), event("e3", Name="Bob")]
    contents = read(make(*rows, header=HEADER + ",Event,At"), EVENTS)
    assert [good.person.event_id for good in contents.good] == ["e1", "e2"]
    assert contents.good[0].person.effective_at == datetime(2026, 7, 1, 6, tzinfo=UTC)
    assert [bad.line for bad in contents.bad] == [4, 5, 6]
    assert {bad.column for bad in contents.bad} == {"Event"}


@pytest.mark.parametrize(
    ("at", "reason"),
    [("", "is empty"), ("2026-07-01T08:00:00", "without an offset"), ("soon", "is no moment")],
)
def test_event_needs_a_moment(make: Make, at: str, reason: str) -> None:
    """An event without a moment, or with one that nobody can place, is quarantined."""
    bad = only_bad(read(make(event("e1", at), header=HEADER + ",Event,At"), EVENTS))
    assert bad.column == "At"
    assert reason in bad.reason


def test_file_that_changes_is_refused(make: Make) -> None:
    """A feed that is written to while it is read is refused."""
    path = make(GOOD, row(ID="2"))
    rows = open_feed(path, MAPPING).rows()
    next(rows)
    path.write_text(path.read_text(encoding="utf-8") + row(ID="3") + "\n", encoding="utf-8")
    with pytest.raises(InputRefused, match="changed while it was read"):
        list(rows)


@given(st.from_regex(r"\+[1-9][0-9]{3,15}", fullmatch=True))
def test_canonical_numbers_need_no_reading(text: str) -> None:
    """M106: a number that is taken without reading it is one that reading would give back unchanged."""
    if is_canonical(text):
        try:
            assert parse_number(text).e164 == text
        except InvalidNumber as error:
            raise AssertionError(f"{text}: {error}") from error
