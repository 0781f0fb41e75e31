"""number-sync from the command line against a stand-in tenant with one planted case of each class."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.database import Database
from datasets.number_remedies import REMEDIES
from datasets.numbering import PhoneNumber
from engine import inventory
from lab.server import Lab
from tests.fakes.command_line import Ran, Run
from tests.fakes.databases import upgraded_sqlite
from tests.fakes.estates import Planted, plant
from tests.fakes.lab_control import LabControl
from tests.fakes.lab_environment import environment_of, skype_environment_of

pytestmark = pytest.mark.slow
LISTS, USERS = "numberAssignments.list", "userConfigurations.list"
ALSO_FOR_PEOPLE = {"ghost", "soft_deleted_holder", "ad_owned", "unknown_number"}  # known from now on, and still wrong
FOR_PEOPLE = {"stuck_line_uri", "extension_clash", "wrong_type", "blocked_in_teams"}
FOR_PEOPLE |= {"unassigned_range_unknown", "unassigned_range_missing"}
REMOTE_FIXES = ["Set-ADUser", "Set-CsPhoneNumberAssignmentBlock", "numberAssignments.update"]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Give a small tenant of its own, with the module that knows assignment blocks."""
    with Lab(folder=tmp_path / "lab", users=24, seed=5) as running:
        running.parts.settings.module_version = "8.0.0"
        yield running


@pytest.fixture
def control(lab: Lab) -> Iterator[LabControl]:
    """Give the tenant's control port."""
    control = LabControl(str(lab.endpoints["control_url"]))
    yield control
    control.close()


@pytest.fixture
def ours(lab: Lab, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Give our database, in step with the tenant after a first sync, and the settings that point at the tenant."""
    for name, value in (environment_of(lab.endpoints, folder) | skype_environment_of(lab.endpoints)).items():
        monkeypatch.setenv(name, value)
    opened = Database(upgraded_sqlite(folder / "callwright.db"))
    yield opened
    opened.close()


@pytest.fixture
def planted(lab: Lab, control: LabControl, ours: Database, run: Run) -> Planted:
    """Bring both sides in step, then plant one case of each class."""
    assert run("numbers", "sync", "--fix").code == 0
    return plant(lab, control, ours, datetime.now(UTC))


def writes(control: LabControl, since: int) -> list[str]:
    """Name the remote writes after a moment."""
    return [call["operation"] for call in control.calls(since) if call["write"]]


def missed(ran: Ran, numbers: Planted) -> set[tuple[str, str]]:
    """Give the planted numbers whose class was not found."""
    return set(numbers.causes.items()) - {(row["number"], row["cause"]) for row in ran.json["found"]}


def test_every_planted_case_is_found_and_what_is_safe_is_fixed(
    lab: Lab, control: LabControl, planted: Planted, ours: Database, run: Run
) -> None:
    """A dry run changes nothing, a fixing run sets our record right, the one after finds only what people must do."""
    before, listed = control.last_seq(), set(lab.tenant.numbers)
    assert set(planted.causes.values()) == set(REMEDIES)
    looked = run("numbers", "sync", "--json")
    assert missed(looked, planted) == set()
    assert writes(control, before) == []
    for row in looked.json["found"]:
        expected = () if row["fix"] and row["cause"] not in ALSO_FOR_PEOPLE else REMEDIES[row["cause"]]
        assert tuple(row["remedy"]) == expected
    fixed = run("numbers", "sync", "--fix", "--json")
    assert (fixed.code, fixed.json["counts"]) == (0, {"fixed": looked.json["counts"]["planned"]})
    assert sorted(writes(control, before)) == REMOTE_FIXES
    assert listed <= set(lab.tenant.numbers)
    again = run("numbers", "sync", "--fix", "--json")
    assert again.json["counts"] == {}
    left = {planted.causes[row["number"]] for row in again.json["found"] if row["number"] in planted.causes}
    assert left == FOR_PEOPLE | ALSO_FOR_PEOPLE
    assert all(row["remedy"] for row in again.json["found"])
    with ours.read() as connection:
        states = {
            cause: inventory.state_of(connection, PhoneNumber.from_e164(n)) for n, cause in planted.causes.items()
        }
    assert (states["ghost"], states["dead_claim"], states["not_held"]) == ("assigned", "free", "grace")
    assert (states["resource_account"], states["soft_deleted_holder"]) == ("assigned", "assigned")
    assert (states["other_holder"], states["new_numbers"], states["blocked_in_teams"]) == ("assigned", "free", "free")


HALF_AN_ANSWER: dict[str, tuple[str, str, dict[str, float], str]] = {
    "no number": ("truncate", LISTS, {"keep": 0.0}, "lists no number"),
    "half of the numbers": ("truncate", LISTS, {"keep": 0.5}, "were read, "),
    "numbers twice": ("duplicate", LISTS, {}, "listed twice"),
    "no user": ("truncate", USERS, {"keep": 0.0}, "lists no user"),
    "half of the users": ("truncate", USERS, {"keep": 0.5}, "users were read, "),
}


def test_an_answer_that_is_not_whole_is_a_failure(control: LabControl, ours: Database, run: Run) -> None:
    """Nothing is concluded from it: exit code 3, one line, no plan, the inventory as it was."""
    assert run("numbers", "sync", "--fix").code == 0
    before, plans = run("numbers", "pools", "--json").out, run("plan", "list", "--json").out
    for name, (fault, operation, more, reason) in HALF_AN_ANSWER.items():
        with control.fault(fault, operation, **more):
            ran = run("numbers", "sync", "--fix", "--json")
        assert (ran.code, ran.out, len(ran.err.splitlines())) == (3, "", 1), name
        assert reason in ran.err, name
        assert (run("numbers", "pools", "--json").out, run("plan", "list", "--json").out) == (before, plans), name
    assert run("numbers", "sync", "--fix").code == 0


def test_more_fixes_than_allowed_are_left_to_a_person(planted: Planted, run: Run) -> None:
    """With more to fix than allowed nothing is fixed, and the summary says how many were held back."""
    ran = run("numbers", "sync", "--fix", "--most-fixes", "1", "--json")
    assert (ran.code, ran.json["counts"]) == (0, {})
    assert ran.json["held_back"] > 1
    assert missed(run("numbers", "sync", "--json"), planted) == set()


def test_people_see_a_table_with_what_to_do(planted: Planted, run: Run) -> None:
    """The terminal shows class, number and the steps in their order."""
    shown = run("numbers", "sync").out
    assert "stuck line uri" in shown
    assert "1. " in shown
