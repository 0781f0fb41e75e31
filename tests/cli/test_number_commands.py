"""Number acts from the command line, in this process, against a stand-in tenant over the real protocols."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from connectors.database import Database
from datasets.numbering import PhoneNumber
from datasets.tables.inventory import taken
from engine import inventory
from lab.catalogue import CALLING_ADD_ON, OPERATOR_CONNECT_FIRST
from lab.records import OPERATOR_CONNECT, Licence, Number, User
from lab.server import Lab
from lab.state import numbers
from tests.fakes.command_line import Run
from tests.fakes.databases import upgraded_sqlite
from tests.fakes.lab_environment import environment_of
from tests.fakes.lab_people import ready

pytestmark = pytest.mark.slow
FIRST, SECOND = "+431934600901", "+431934600902"
MOBILE = "+436601234567"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Give a small tenant of its own, with the module that knows assignment blocks."""
    with Lab(folder=tmp_path / "lab", users=24, seed=5) as running:
        running.parts.settings.module_version = "8.0.0"
        yield running


@pytest.fixture
def ours(lab: Lab, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Give our database, and the settings that point at the tenant."""
    for name, value in environment_of(lab.endpoints, folder).items():
        monkeypatch.setenv(name, value)
    opened = Database(upgraded_sqlite(folder / "callwright.db"))
    yield opened
    opened.close()


def people(lab: Lab) -> list[User]:
    """Give people who may have a number of every kind and have none."""
    found = []
    for user in ready(lab.tenant):
        calling = Licence(CALLING_ADD_ON, lab.tenant.clock.now() - timedelta(days=1))
        lab.tenant.put_user(replace(user, licences=(*user.licences, calling)))
        found.append(user)
    return found


def shown(lab: Lab, number: str) -> dict[str, Any]:
    """Give what the tenant says of a number."""
    rows: Any = numbers(lab.tenant)
    return next((dict(row) for row in rows if row["telephoneNumber"] == number), {})


def in_directory(lab: Lab, user: str) -> tuple[Any, Any]:
    """Give what Active Directory shows of a user, where the template has the number written back."""
    state: Any = lab.control("GET", f"/state/users/{user}")
    told = state["ad"]
    return told.get("telephoneNumber"), told.get("ipPhone")


def test_numbers_of_every_kind_are_assigned(lab: Lab, ours: Database, run: Run) -> None:
    """M56, M57, M60: by name and from a pool; what an operator delivered is learned by the sync and then given out."""
    direct, calling, connect, mobile = (user.upn for user in people(lab))
    london = next(place.location_id for place in lab.tenant.locations.values() if place.country == "GB")
    delivered = f"+{OPERATOR_CONNECT_FIRST}"
    lab.tenant.update_number(delivered, location_id=london)
    vienna = next(place.location_id for place in lab.tenant.locations.values() if place.country == "AT")
    features = ("userAssignment", "teamsPhoneMobile")
    lab.tenant.put_number(Number(MOBILE, OPERATOR_CONNECT, location_id=vienna, country="AT", capabilities=features))
    assert run("numbers", "sync", "--fix").code == 0
    acts = [
        (direct, "--number", FIRST),
        (calling, "--pool", "us-calling-plan"),
        (connect, "--pool", "teams-operatorConnect-GB"),
        (mobile, "--pool", "teams-teamsPhoneMobile-AT"),
    ]
    for user, option, value in acts:
        ran = run("numbers", "assign", user, option, value, "--json")
        assert (ran.code, ran.json["counts"]) == (0, {"assigned": 1}), ran.err
        assert run("numbers", "assign", user, option, value, "--json").json["counts"] == {"unchanged": 1}
    assert [shown(lab, number)["holder"] for number in (FIRST, delivered, MOBILE)] == [direct, connect, mobile]
    assert in_directory(lab, direct) == (FIRST, FIRST)


def test_the_wrong_type_is_refused(lab: Lab, ours: Database, run: Run) -> None:
    """M60: a number whose type in Teams is not that of its pool does not go out, and nothing is sent."""
    lab.control("PATCH", f"/state/numbers/{FIRST}", {"numberType": "operatorConnect"})
    ran = run("numbers", "assign", people(lab)[0].upn, "--number", FIRST)
    assert (ran.code, shown(lab, FIRST)["holder"]) == (2, None)
    assert "Operator Connect" in ran.err
    assert "Direct Routing" in ran.err


def test_two_admins_and_one_number_make_one_conflict(lab: Lab, ours: Database, run: Run) -> None:
    """M56: what one plan has claimed the next one is refused, naming for whom."""
    first, second, *_ = people(lab)
    assert run("numbers", "assign", first.upn, "--number", FIRST, "--dry-run", "--json").json["counts"] == {
        "planned": 1
    }
    ran = run("numbers", "assign", second.upn, "--number", FIRST)
    assert (ran.code, f"claimed by user:{first.id}" in ran.err) == (2, True)
    assert shown(lab, FIRST) == {}


def test_the_grace_period_stands_and_ends_on_both_sides(lab: Lab, ours: Database, run: Run) -> None:
    """M58: taken away, a number is blocked in Teams and rests here; at its end both are over, once."""
    user = people(lab)[0].upn
    assert run("numbers", "assign", user, "--number", FIRST).code == 0
    assert run("numbers", "unassign", user, "--grace-days", "30", "--json").json["counts"] == {"released": 1}
    assert (shown(lab, FIRST)["holder"], shown(lab, FIRST)["blocked"]) == (None, True)
    assert in_directory(lab, user) == (None, None)
    assert run("numbers", "show", FIRST, "--json").json["state"] == "grace"
    assert run("numbers", "grace", "--json").json["counts"] == {}
    with ours.write() as connection:
        connection.execute(update(taken).values(until=datetime.now(UTC) - timedelta(seconds=1)))
    assert run("numbers", "grace", "--dry-run", "--json").json["counts"] == {"planned": 1}
    assert run("numbers", "grace", "--json").json["counts"] == {"released": 1}
    assert (run("numbers", "show", FIRST, "--json").json["state"], shown(lab, FIRST)["blocked"]) == ("free", False)
    assert run("numbers", "grace", "--json").json["counts"] == {}


def test_exactly_the_expired_reservations_end(lab: Lab, ours: Database, run: Run) -> None:
    """M59: a dry run frees nothing, a run exactly what is over, the second run nothing; each is on record."""
    assert run("numbers", "expire").code == 0
    now = datetime.now(UTC)
    with ours.write() as connection:
        for number, until in ((FIRST, now + timedelta(seconds=0)), (SECOND, now + timedelta(hours=1))):
            where = PhoneNumber.from_e164(number)
            inventory.reserve(connection, where, owner="person:1", reason="VIP", until=until, now=now)
    assert run("numbers", "expire", "--dry-run", "--json").json["counts"] == {"planned": 1}
    assert run("numbers", "expire", "--json").json["counts"] == {"released": 1}
    assert run("numbers", "expire", "--json").json["counts"] == {}
    states = [run("numbers", "show", number, "--json").json["state"] for number in (FIRST, SECOND)]
    assert states[1] == "reserved"
    assert states[0] != "reserved"
    assert "end_reservation" in run("audit", "number", FIRST, "--json").out


def test_orders_are_placed_once(lab: Lab, ours: Database, run: Run) -> None:
    """Orders are planned first; placed, what is missing is uploaded and what nobody has is released again."""
    assert run("numbers", "sync", "--fix").code == 0
    part = ("--start", FIRST, "--end", SECOND)
    assert run("numbers", "upload", *part, "--json").json["counts"] == {"planned": 1}
    assert shown(lab, FIRST) == {}
    assert run("numbers", "upload", *part, "--place", "--json").json["counts"] == {"ordered": 1}
    assert shown(lab, SECOND)["numberType"] == "directRouting"
    assert run("numbers", "upload", *part, "--place", "--json").json["counts"] == {}
    assert run("numbers", "release-order", *part, "--place", "--json").json["counts"] == {"ordered": 1}
    assert shown(lab, SECOND) == {}
