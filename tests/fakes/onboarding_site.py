"""A site at work: settings that point at a running lab, people nobody has touched, feeds about them, the commands."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.demo_feed import COLUMNS
from lab.records import Json, User
from lab.server import Lab
from tests.fakes.command_line import Ran, Run
from tests.fakes.lab_people import with_number

Cells = dict[str, str]


def hire(user: User, **other: str) -> Cells:
    """Give the cells of a row that hires somebody for Vienna."""
    return {
        "Employee_ID": user.text("employeeId") or "",
        "Preferred_Name": user.text("displayName") or "",
        "User_Principal_Name": user.text("userPrincipalName") or "",
        "Worker_Status": "Active",
        "Hire_Date": "2025-01-07",
        "Department": "Finance",
        "Country": "Austria",
    } | other


def stranger(number: int, **other: str) -> Cells:
    """Give the cells of a row about somebody whom the tenant does not know."""
    known = {"Employee_ID": f"{95_000_000 + number}", "Preferred_Name": f"Nobody {number}"}
    known |= {"User_Principal_Name": f"nobody{number}@contoso.example", "Worker_Status": "Active"}
    return known | {"Hire_Date": "2025-01-07", "Department": "Finance", "Country": "Austria"} | other


def as_text(rows: Iterable[Cells], delimiter: str = ",") -> str:
    """Write rows below the usual header."""
    made = io.StringIO()
    writer = csv.DictWriter(made, COLUMNS, delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return made.getvalue()


def untouched(lab: Lab) -> Iterator[User]:
    """Give people outside of Vienna with an employee id, without licence and number, each once."""
    held = {user.id for user in with_number(lab.tenant)}
    for user in list(lab.tenant.users.values()):
        is_new = user.account_type == "user" and user.id not in held and not user.licences
        is_new &= user.text("usageLocation") not in (None, "AT")
        if is_new and user.text("employeeId") and user.text("onPremisesSamAccountName"):
            yield user


@dataclass
class Site:
    """What a test of bad days works with."""

    lab: Lab
    folder: Path
    run: Run
    people: Iterator[User]
    first_call: int

    def some(self, count: int) -> list[User]:
        """Give people whom no other test has."""
        return [next(self.people) for _ in range(count)]

    def feed(self, *rows: Cells, name: str = "hires.csv") -> Path:
        """Write a feed of these rows."""
        return self.file(as_text(rows).encode(), name)

    def file(self, data: bytes, name: str = "hires.csv") -> Path:
        """Write a feed file as it is."""
        path = self.folder / name
        path.write_bytes(data)
        return path

    def onboard(self, feed: Path, *more: str) -> Ran:
        """Run the main job on a feed."""
        return self.run("onboard", "--feed", str(feed), "--mapping", "workday", *more)

    @contextmanager
    def fault(self, name: str, operation: str = "*", target: str = "*", **more: Json) -> Iterator[int]:
        """Have the lab play a fault while the block runs; gives its id."""
        added = self.lab.faults.add({"name": name, "match": {"operation": operation, "target": target}, **more})
        yield added
        self.lab.faults.remove(added)

    def refused(self, ran: Ran, *words: str, code: int = 2) -> None:
        """Fail unless a command ended with this code and one line that holds the words and a remedy; no trace."""
        assert ran.code == code, (ran.out, ran.err)
        assert len(ran.err.splitlines()) == 1, ran.err
        assert " ; " in ran.err
        assert all(each in ran.err for each in words), ran.err
        assert "Traceback" not in ran.out
        assert not (self.folder / ".callwright" / "callwright.log").exists()

    def go_on(self, visits: int = 12) -> Ran:
        """Continue until no line is open any more; gives the last visit."""
        for _ in range(visits):
            ran = self.run("continue", "--json")
            if not self.moving():
                break
        return ran

    def moving(self) -> int:
        """Count the lines that wait for their moment or are in doubt."""
        plans = self.run("plan", "list", "--json").json
        return sum(plan["counts"].get(state, 0) for plan in plans for state in ("planned", "waiting", "unknown"))

    def plan_lines(self) -> dict[str, dict[str, Any]]:
        """Give the lines of all plans by user, the newest plan's last."""
        plans = self.run("plan", "list", "--json").json
        lines = [line for plan in reversed(plans) for line in self._lines(plan["id"])]
        return {line["label"]: line for line in lines if line["state"] != "superseded"}

    def _lines(self, plan_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.run("plan", "show", plan_id, "--json").json["lines"]
        return found

    def writes(self, operation: str = "") -> list[Any]:
        """Give the writes that had an effect since this test began, of one operation or of all."""
        self.lab.tenant.settle()
        calls: list[Any] = list(self.lab.calls.since(self.first_call))
        return [call for call in calls if call["effects"] and call["write"] and operation in call["operation"]]

    def numbers(self) -> dict[str, str]:
        """Give the numbers that were given out in this test by owner; fails when one, or somebody, was served twice."""
        given = [call["parameters"] for call in self.writes("numberAssignments.assign")]
        held = {each["assignmentTargetId"]: each["telephoneNumber"] for each in given}
        assert len(held) == len(given) == len(set(held.values())), f"something was doubled: {given}"
        return held

    def check_books(self) -> None:
        """Fail unless tenant, inventory and journal agree: no number lost, none doubled, none left claimed."""
        for owner, number in self.numbers().items():
            assert self.lab.tenant.numbers[number].target_id == owner
            ours = self.run("numbers", "show", number, "--json").json
            assert (ours["state"], ours["owner"]) == ("assigned", f"user:{owner}")
        assert sum(pool["claimed"] for pool in self.run("numbers", "pools", "--json").json) == 0
        assert self.run("audit", "verify").code == 0
