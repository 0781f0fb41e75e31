"""The quality gate: what only shows in the whole feed."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from typing import Any

import pytest

from datasets.checks import SUITE, QualityReport, RuleFailure, rules_for
from datasets.people import Person
from tasks.quality import check_people
from tests.fakes.checkout import ROOT

SOUND: dict[str, Any] = {
    "department": "Sales",
    "usage_location": "AT",
    "manager_employee_id": "0001",
    "work_phone": "+431234500;ext=07",
    "hire_date": date(2026, 1, 1),
}
# rule → what breaks it in the row on line 8
MISTAKES: dict[str, dict[str, Any]] = {
    "every row has an employee id": {"employee_id": ""},
    "everybody active has a department": {"department": " "},
    "usage locations are two letters": {"usage_location": "AUT"},
    "work phones are E.164": {"work_phone": "+0431234"},
    "mobile phones are E.164": {"mobile_phone": "0664 1234567"},
    "home phones are E.164": {"home_phone": "+43123450\n"},
    "IP phones are E.164": {"ip_phone": "4.31E+10"},
    "nobody is their own manager": {"manager_employee_id": "0008"},
    "nobody leaves before the first day": {"termination_date": date(2025, 12, 31)},
}


def feed(count: int = 20, **eighth: Any) -> list[tuple[int, Person]]:
    """Make a sound feed whose row on line 8 is as told."""
    values = {
        line: SOUND | {"employee_id": f"{line:04}", "upn": f"u{line}@contoso.example"} for line in range(2, count)
    }
    values[8] |= eighth
    return [(line, Person.model_validate(row)) for line, row in values.items()]


def broken(report: QualityReport) -> dict[str, tuple[int, ...]]:
    """Give the broken rules with their lines."""
    assert report.passed == (not report.failures)
    return {failure.rule: failure.lines for failure in report.failures}


def test_sound_feed_passes() -> None:
    """A feed without mistakes passes every rule, with empty fields and a last day that is the first."""
    people = feed(termination_date=date(2026, 1, 1), work_phone=None, usage_location="", manager_employee_id=None)
    report = check_people(people)
    assert (report.passed, report.failures) == (True, ())
    assert report.seconds > 0


@pytest.mark.parametrize("rule", MISTAKES)
def test_mistake_breaks_its_rule(rule: str) -> None:
    """One mistake breaks exactly the rule about it, and the line is named."""
    assert broken(check_people(feed(**MISTAKES[rule]))) == {rule: (8,)}


def test_one_id_or_name_for_two_people_names_both_lines() -> None:
    """All rows of an employee id, or of a user principal name in any case, that two people share are named."""
    report = check_people(feed(employee_id="0012", upn="U5@Contoso.example"))
    assert broken(report) == {"employee ids are unique": (8, 12), "user principal names are unique": (5, 8)}


def test_all_rows_are_named_however_many() -> None:
    """The lines of a broken rule are complete, so that every row can be quarantined."""
    people = [(line, Person(employee_id=str(line), department="")) for line in range(2, 1502)]
    report = check_people(people)
    assert [(failure.count, failure.lines) for failure in report.failures] == [(1500, tuple(range(2, 1502)))]


def test_people_who_left_need_no_department() -> None:
    """Only people who are active must have a department."""
    assert check_people(feed(department="", status="terminated")).passed


def test_events_may_be_about_one_person_twice() -> None:
    """A feed of events has several rows for one person and leaves fields out, but an event id occurs once."""
    people = [(line, Person(employee_id="1", event_id=f"e{min(line, 4)}")) for line in range(2, 6)]
    assert broken(check_people(people, kind="events")) == {"event ids are unique": (4, 5)}


def test_rules_about_fields_that_a_feed_does_not_have_are_left_out() -> None:
    """A mapping without departments is not asked for them."""
    people = feed(department="")
    assert check_people(people, fields={"employee_id", "upn", "work_phone"}).passed
    names = [rule.name for rule in rules_for("snapshot", frozenset({"termination_date", "employee_id"}))]
    assert names == ["every row has an employee id", "employee ids are unique"]


def test_empty_feed_passes_at_once() -> None:
    """Nobody breaks no rule."""
    assert check_people([]) == QualityReport(passed=True)


def test_rules_have_names_of_their_own_and_cases_here() -> None:
    """Every rule is tried by a test of this file, and no two have one name."""
    unique = {rule.name for rule in SUITE if rule.expects == "unique"}
    assert len({rule.name for rule in SUITE}) == len(SUITE)
    assert {rule.name for rule in SUITE} == MISTAKES.keys() | unique


def test_failure_reads_as_a_sentence_without_values() -> None:
    """What is shown of a broken rule names column, count and the first lines, and nothing personal."""
    failure = RuleFailure(rule="employee ids are unique", column="employee_id", count=7, lines=tuple(range(2, 9)))
    assert str(failure) == "not so: employee ids are unique (employee_id: 7 rows, lines 2, 3, 4, 5, 6 …)"


def test_library_is_loaded_late() -> None:
    """Importing the gate loads neither Great Expectations nor pandas."""
    program = "import sys, tasks.quality; sys.exit(bool({'great_expectations', 'pandas'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False, timeout=60).returncode == 0
