"""A thousand damaged feeds: never a stack trace, every planted mistake named, every sound row kept."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from config.errors import InputRefused
from config.site_policy import read_mapping
from connectors.hr import open_feed
from datasets.feeds import BadRow, FeedContents

pytestmark = pytest.mark.slow

MAPPING = read_mapping(Path(__file__).resolve().parents[2] / "config/sample/mappings/workday.toml")
COLUMNS = list(MAPPING.columns)
ROWS = 30
FUZZ = settings(max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck))

# A mistake in one cell: the column, what stands there, and a word of the reason.
CELLS = (
    ("Employee_ID", "", "is empty"),
    ("Employee_ID", "1.2E+05", "spreadsheet"),
    ("User_Principal_Name", "", "is empty"),
    ("User_Principal_Name", "nobody", "address"),
    ("Email_Work", "a@b@c", "address"),
    ("Worker_Status", "Gone", "status"),
    ("Worker_Status", "", "is empty"),
    ("Hire_Date", "2026-02-30", "date"),
    ("Hire_Date", "45292", "spreadsheet"),
    ("Termination_Date", "1999-01-01", "before the hire date"),
    ("Country", "Atlantis", "country"),
    ("Manager_ID", "99999999", "nobody in this feed"),
    ("Work_Phone", "4.31E+10", "rounded"),
    ("Work_Phone", "431234567890", "lost its +"),
    ("Mobile_Phone", "=43123456", "formula"),
    ("Home_Phone", "+43 1 CALL ME", "letters"),
    ("Department", "=1+1", "formula"),
    ("Preferred_Name", "@SUM(1)", "formula"),
    ("Legal_Last_Name", "Love\x07lace", "control character"),
    ("Business_Title", "x" * 1500, "longer than"),
)


def people() -> list[dict[str, str]]:
    """Make sound rows."""
    return [
        {
            **dict.fromkeys(COLUMNS, ""),
            "Employee_ID": f"{number:08d}",
            "Legal_First_Name": ("Ada", "Zoë", "渡辺", "Łukasz")[number % 4],
            "Legal_Last_Name": ("O'Neill", 'van "Bob" Dyk', "Smith, Jr.", "Nuñez")[number % 4],
            "User_Principal_Name": f"user{number}@contoso.example",
            "Worker_Status": "Active",
            "Hire_Date": "2024-03-01",
            "Department": "Sales\nNorth" if number % 7 == 0 else "Sales",
            "Country": "Austria",
            "Manager_ID": f"{max(1, number // 5):08d}" if number > 1 else "",
            "Work_Phone": f"+43193460{number:04d}",
        }
        for number in range(1, ROWS + 1)
    ]


def written(rows: list[dict[str, str]], delimiter: str = ",", end: str = "\r\n") -> tuple[str, list[int]]:
    """Write rows as a feed, and give the line each begins on."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    lines = []
    for row in rows:
        lines.append(1 + text.getvalue().replace("\r\n", "\n").count("\n"))
        writer.writerow(row)
    return text.getvalue(), lines


def read(data: bytes) -> FeedContents:
    """Read bytes as a feed file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "feed.csv"
        path.write_bytes(data)
        return open_feed(path, MAPPING).read()


def read_or_refusal(data: bytes) -> FeedContents | InputRefused:
    """Read bytes as a feed file, or give what it was refused with."""
    try:
        return read(data)
    except InputRefused as refused:
        return refused


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_sound_feed_is_all_good(delimiter: str) -> None:
    """The feed that is damaged below has nothing wrong by itself."""
    text, lines = written(people(), delimiter)
    contents = read(text.encode())
    assert contents.bad == []
    assert [good.line for good in contents.good] == lines


@seed(20260701)
@FUZZ
@given(
    planted=st.dictionaries(st.integers(6, ROWS - 1), st.sampled_from(CELLS), max_size=8),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_every_planted_cell_is_named(planted: dict[int, tuple[str, str, str]], delimiter: str, end: str) -> None:
    """Planted mistakes are named by line, column and reason, and the other rows all go on."""
    rows = people()
    for index, (column, value, _) in planted.items():
        rows[index][column] = value
    text, lines = written(rows, delimiter, end)
    contents = read(text.encode())
    assert [good.line for good in contents.good] == [line for n, line in enumerate(lines) if n not in planted]
    assert [bad.line for bad in contents.bad] == [lines[n] for n in sorted(planted)]
    for bad, index in zip(contents.bad, sorted(planted), strict=True):
        assert bad.column == planted[index][0]
        assert planted[index][2] in bad.reason


def _damage(data: bytearray, places: list[tuple[float, int, bytes]]) -> bytes:
    for share, kind, new in places:
        at = int(share * len(data))
        if kind == 0:
            data[at : at + 1] = new
        elif kind == 1:
            data[at:at] = new
        elif kind == 2:
            del data[at : at + len(new) * 20]
        else:
            del data[at + 200 :]
    return bytes(data)


NEW_BYTES = st.one_of(
    st.binary(min_size=1, max_size=4),
    st.sampled_from([b'"', b"\n", b"\r", b",", b";", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"=", b'""', b"\xc3"]),
)


@seed(20260702)
@FUZZ
@given(
    places=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 3), NEW_BYTES), min_size=1, max_size=6),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_damaged_bytes_are_told_in_one_line(places: list[tuple[float, int, bytes]], encoding: str) -> None:
    """Whatever happens to the bytes, the file is refused in one line or every row is good or named."""
    text, _ = written(people())
    contents = read_or_refusal(_damage(bytearray(text.encode(encoding)), places))
    if isinstance(contents, InputRefused):
        assert "\n" not in str(contents)
        assert contents.remedy
        return
    lines = [good.line for good in contents.good] + [bad.line for bad in contents.bad]
    assert len(lines) == len(set(lines))
    assert all(line >= 2 for line in lines)
    for bad in contents.bad:
        assert isinstance(bad, BadRow)
        assert bad.reason
        assert str(bad).isprintable()
        "".join(bad.raw.values()).encode()
