"""The demo's feed file, as an HR system would write it: hires, people without news, and rows that are wrong on purpose.

Which people there are comes from the tenant; every planted row is known by its line, so that a test can look for it.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import Enum
from pathlib import Path

from datasets.users import DirectoryUser

COLUMNS = (
    "Employee_ID",
    "Legal_First_Name",
    "Legal_Last_Name",
    "Preferred_Name",
    "Email_Work",
    "User_Principal_Name",
    "Worker_Status",
    "Worker_Type",
    "Hire_Date",
    "Termination_Date",
    "Department",
    "Cost_Center",
    "Company",
    "Business_Title",
    "Location",
    "Country",
    "Manager_ID",
    "Work_Phone",
    "Mobile_Phone",
    "Home_Phone",
)
HIRES, CONTRACTORS, EQUIPPED, ON_LEAVE, FUTURE, FUTURE_WITHOUT_ACCOUNT, WITHOUT_ACCOUNT = 40, 2, 6, 3, 5, 2, 3
_COUNTRIES = {
    "AT": "Austria",
    "DE": "Germany",
    "GB": "United Kingdom",
    "US": "United States",
    "GR": "Greece",
    "IL": "Israel",
    "JP": "Japan",
    "AE": "United Arab Emirates",
}
_DOMAIN_OF_STRANGERS = "contoso.example"


class Kind(Enum):
    """Why a row is in the feed."""

    HIRE = "hire"
    EQUIPPED = "already has a number"
    ON_LEAVE = "is on leave"
    FUTURE = "starts later"
    WITHOUT_ACCOUNT = "account does not exist yet"
    BAD = "wrong on purpose"


@dataclass(frozen=True)
class Row:
    """One line of the feed; `why` says what is wrong with a bad one."""

    kind: Kind
    values: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True)
class Feed:
    """A written feed file: its rows in order, the first on line 2."""

    path: Path
    rows: tuple[Row, ...]

    def lines_of(self, kind: Kind) -> dict[int, str]:
        """Give the lines of a kind with what is wrong there."""
        return {line: row.why for line, row in enumerate(self.rows, start=2) if row.kind is kind}


def write_feed(path: Path, rows: Sequence[Row]) -> Feed:
    """Write rows as a comma-separated file with a header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(row.values for row in rows)
    return Feed(path, tuple(rows))


def compose(
    without_number: Sequence[DirectoryUser], with_number: Sequence[DirectoryUser], today: date, seed: int = 1
) -> list[Row]:
    """Choose people and write a row for each; the wrong rows lie among the sound ones."""
    spare = iter(without_number)
    rows = [_row(Kind.HIRE, user, today - timedelta(days=n % 20)) for n, user in zip(range(HIRES), spare, strict=False)]
    rows = [*map(_as_contractor, rows[:CONTRACTORS]), *rows[CONTRACTORS:]]
    rows += [_row(Kind.EQUIPPED, user, date(2022, 3, 1)) for user in with_number[:EQUIPPED]]
    away = with_number[EQUIPPED : EQUIPPED + ON_LEAVE]
    rows += [_row(Kind.ON_LEAVE, user, date(2021, 9, 1), Worker_Status="On Leave") for user in away]
    rows += [_row(Kind.FUTURE, user, _later(today, n)) for n, user in zip(range(FUTURE), spare, strict=False)]
    rows += [_stranger(n, Kind.FUTURE, _later(today, n)) for n in range(FUTURE_WITHOUT_ACCOUNT)]
    first = FUTURE_WITHOUT_ACCOUNT
    rows += [_stranger(first + n, Kind.WITHOUT_ACCOUNT, today) for n in range(WITHOUT_ACCOUNT)]
    rows += _bad_rows(today)
    random.Random(seed).shuffle(rows)  # noqa: S311 - an order, not a secret
    # Last, because of two equal rows the first is the sound one.
    again = next((row for row in rows if row.kind is Kind.HIRE), rows[0])
    return [*rows, Row(Kind.BAD, again.values, "the same row twice")]


def _later(today: date, n: int) -> date:
    return today + timedelta(days=10 + 7 * n)


def _as_contractor(row: Row) -> Row:
    values = dict(zip(COLUMNS, row.values, strict=True)) | {"Worker_Type": "Contingent Worker"}
    return replace(row, values=tuple(values.values()))


def _row(kind: Kind, user: DirectoryUser, hired: date, **more: str) -> Row:
    return Row(
        kind,
        _values(
            Employee_ID=user.employee_id or "",
            Legal_First_Name=user.given_name,
            Legal_Last_Name=user.surname,
            Preferred_Name=user.display_name,
            Email_Work=user.mail or "",
            User_Principal_Name=user.user_principal_name,
            Department=user.department or "",
            Company=user.company_name or "",
            Country=_COUNTRIES.get(user.usage_location or "", ""),
            Hire_Date=hired.isoformat(),
            **more,
        ),
    )


def _stranger(n: int, kind: Kind, hired: date) -> Row:
    """Write a row for a person the tenant does not know."""
    upn = f"new.colleague{n + 1}@{_DOMAIN_OF_STRANGERS}"
    values = _values(
        Employee_ID=f"{90_000_001 + n}",
        Legal_First_Name="New",
        Legal_Last_Name=f"Colleague {n + 1}",
        Preferred_Name=f"New Colleague {n + 1}",
        Email_Work=upn,
        User_Principal_Name=upn,
        Department="Finance",
        Company="Contoso",
        Country="Austria",
        Hire_Date=hired.isoformat(),
    )
    return Row(kind, values)


def _values(**known: str) -> tuple[str, ...]:
    usual = {
        "Worker_Status": "Active",
        "Worker_Type": "Regular",
        "Cost_Center": "CC-4711",
        "Business_Title": "Specialist",
    }
    return tuple((usual | known).get(column, "") for column in COLUMNS)


def _bad_rows(today: date) -> Iterator[Row]:
    """Write one row for every mistake that feeds really contain."""
    mistakes = {
        "no employee id": {"Employee_ID": ""},
        "a day that does not exist": {"Hire_Date": "2026-02-30"},
        "a date in another format": {"Hire_Date": "03/04/26"},
        "a phone number mangled by a spreadsheet": {"Work_Phone": "4.31935E+11"},
        "a formula": {"Preferred_Name": '=HYPERLINK("http://example.invalid","Ada")'},
        "an unknown status": {"Worker_Status": "Actve"},
        "a country that does not exist": {"Country": "Atlantis"},
        "leaves before the first day": {"Termination_Date": (today - timedelta(days=900)).isoformat()},
        "is the own manager": {"Manager_ID": "91000009"},
    }
    for n, (why, wrong) in enumerate(mistakes.items(), start=1):
        yield _wrong(f"{91_000_000 + n}", why, today, **wrong)
    short, long = _wrong("91000020", "a field is missing", today), _wrong("91000021", "a field too many", today)
    yield Row(Kind.BAD, short.values[:-1], short.why)
    yield Row(Kind.BAD, (*long.values, "surplus"), long.why)
    for department in ("Finance", "Sales"):
        yield _wrong("91000030", "one employee id, two different people", today, Department=department)


def _wrong(employee_id: str, why: str, today: date, **wrong: str) -> Row:
    stranger = dict(zip(COLUMNS, _stranger(0, Kind.BAD, today).values, strict=True))
    upn = f"bad{employee_id}@{_DOMAIN_OF_STRANGERS}"
    values = stranger | {"Employee_ID": employee_id, "User_Principal_Name": upn, "Email_Work": upn} | wrong
    return Row(Kind.BAD, tuple(values.values()), why)
