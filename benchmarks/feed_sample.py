"""A generated feed of any size for the feed benchmark: the columns of the sample mapping, a few rows wrong."""

from __future__ import annotations

import csv
import random
from pathlib import Path

from config.site_policy import read_mapping

MAPPING = read_mapping(Path(__file__).resolve().parent.parent / "config" / "sample" / "mappings" / "workday.toml")
COLUMNS = tuple(MAPPING.columns)
BAD_EVERY = 150
TEAM = 12
_FIRST = ("Ada", "Grace", "Björn", "Chloé", "Edsger", "Margaret", "Łukasz", "Sofía", "Noor", "Kenji")
_LAST = (
    "Lovelace",
    "Hopper",
    "Östergård",
    "Dijkstra",
    "Hamilton",
    "O'Neill",
    "Nuñez",
    "Tanaka",
    "van den Berg",
    "Şahin",
)
_PLACES = (
    ("Vienna", "Austria", "+4319346"),
    ("Berlin", "Germany", "+4930568"),
    ("London", "United Kingdom", "+4420794"),
)
_DEPARTMENTS = ("Sales", "Finance", "Engineering", "Legal", "Operations and Logistics", "Human Resources")
_MISTAKES = (
    ("Work_Phone", "4.31E+10"),
    ("Hire_Date", "2026-02-30"),
    ("Worker_Status", "Gone"),
    ("Department", "=1+1"),
    ("Manager_ID", "99999999"),
    ("Employee_ID", "00000001"),
)


def write_sample(path: Path, rows: int, seed: int = 1) -> set[int]:
    """Write a feed of that many rows and give the lines that are bad: one cell, a manager, or an id used twice."""
    chance, names = random.Random(seed), COLUMNS
    bad: set[int] = set()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for index in range(rows):
            row = _row(index, rows, chance)
            if index % BAD_EVERY == BAD_EVERY - 1:
                column, value = _MISTAKES[index // BAD_EVERY % len(_MISTAKES)]
                row[names.index(column)] = value
                bad |= {index + 2, 2} if column == "Employee_ID" else {index + 2}
            writer.writerow(row)
    return bad


def _row(index: int, rows: int, chance: random.Random) -> list[str]:
    first, last = chance.choice(_FIRST), chance.choice(_LAST)
    place, country, prefix = chance.choice(_PLACES)
    address = f"user{index}@contoso.example"
    hired = f"20{chance.randrange(10, 26)}-{chance.randrange(1, 13):02d}-{chance.randrange(1, 29):02d}"
    leaves = "2027-01-31" if chance.random() < 0.05 else ""
    status = "On Leave" if chance.random() < 0.02 else "Active"
    title = f"Specialist, Level {index % 4}" if chance.random() < 0.05 else f"Specialist {index % 40}"
    cells = {
        "Employee_ID": f"{index + 1:08d}",
        "Legal_First_Name": first,
        "Legal_Last_Name": last,
        "Preferred_Name": f"{first} {last}",
        "Email_Work": address,
        "User_Principal_Name": address,
        "Worker_Status": status,
        "Worker_Type": "Contractor" if chance.random() < 0.1 else "Regular",
        "Hire_Date": hired,
        "Termination_Date": leaves,
        "Department": chance.choice(_DEPARTMENTS),
        "Cost_Center": f"CC-{index % 90:04d}",
        "Company": "Contoso Ltd",
        "Business_Title": title,
        "Location": place,
        "Country": country,
        "Manager_ID": _manager(index, rows),
        "Work_Phone": f"{prefix}{index:07d}",
        "Mobile_Phone": f"+43664{index:07d}" if index % 3 == 0 else "",
    }
    return [cells.get(column, "") for column in COLUMNS]


def _manager(index: int, rows: int) -> str:
    """Give the manager: mostly somebody further up in the file, for one team in five somebody further down."""
    team = index // TEAM
    if team == 0:
        return ""
    boss = team if team % 5 else min(rows - rows // BAD_EVERY - 1, rows // 2 + team)
    boss += boss % BAD_EVERY == BAD_EVERY - 1  # nobody reports to somebody whose row is wrong
    return f"{boss + 1:08d}" if boss != index and boss // TEAM != team and boss // TEAM < rows // TEAM else ""
