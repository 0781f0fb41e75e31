"""The HTTP endpoint for events of HR systems: nothing lost, nothing twice, nobody in who should not be."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from config.errors import InputRefused
from config.settings import read_settings
from connectors.errors import Unreachable
from datasets.people import Person
from datasets.tables.feeds import feed_rows
from deployments.door import make_app
from deployments.door_guard import Guard, secret_of
from deployments.listen import main
from deployments.watcher import Outcome
from engine import departures, events
from engine.departures import Known
from engine.runtime import utc_now
from tests.fakes.calling import FakeCalling
from tests.fakes.checkout import ROOT
from tests.fakes.doors import BEARER, SECRET, Client, OpenDoor, Server, give_secret, open_door
from tests.fakes.flow_site import POOLS, TEMPLATES, FlowSite

pytestmark = pytest.mark.slow

ADA = {"Id": "00001", "Department": "Sales", "Country": "AT", "Status": "Active"}
BOB = ADA | {"Id": "00002"}
GRAZ = POOLS.replace("vienna", "graz").replace("+4312345", "+4331612").replace("AT", "DE")


@pytest.fixture
def site(at_site: FlowSite, monkeypatch: pytest.MonkeyPatch) -> FlowSite:
    """Give a site in memory whose door has a secret."""
    give_secret(monkeypatch)
    return at_site


@pytest.fixture
def door(site: FlowSite) -> Iterator[OpenDoor]:
    """Open the door."""
    with open_door(site) as opened:
        yield opened


def test_people_of_an_event_become_phone_users(either: OpenDoor) -> None:
    """The answer comes before anything happens; the run does what a feed's would, and the payload is forgotten."""
    answer = either.send(ADA, BOB)
    assert (answer.status_code, answer.json()["accepted"], either.site.phones()) == (202, 2, {})
    either.look()
    assert set(either.site.phones()) == {"id-1", "id-2"}
    assert [(event.state, event.rows) for event in either.events()] == [("finished", None)]


def test_what_an_event_does_not_name_stays(either: OpenDoor) -> None:
    """A workflow and an event with few columns wipe no site, no manager and no date that HR gave before."""
    tenant, last = either.site.tenant, utc_now().date() + timedelta(days=30)
    known = Person(employee_id="00001", location="Vienna", usage_location="AT", termination_date=last)
    with either.work.database.write() as connection:
        departures.remember(connection, Known(known, "f-0", 1), utc_now())
    data = {"subject": {"id": next(iter(tenant.users))}, "taskProcessingResult": {"id": "r1"}}
    assert either.client.post("/workflows/mover", json={"data": data}, headers=BEARER).status_code == 202
    either.look()
    either.send({"Id": "00001", "Department": "Finance"})
    either.look()
    with either.work.database.read() as connection:
        found = departures.known(connection, ["00001"])["00001"]
    assert either.states() == ["finished", "finished"]
    assert (found.person.location, found.changed_site, found.person.termination_date) == ("Vienna", False, last)
    assert (found.person.department, found.person.usage_location) == ("Finance", "AT")


def test_what_a_quarantined_person_does_not_name_stays(door: OpenDoor) -> None:
    """Read again after the mapping was put right, a person keeps the site that HR gave before."""
    with door.work.database.write() as connection:
        known = Person(employee_id="00002", location="Vienna", department="Sales", usage_location="AT")
        departures.remember(connection, Known(known, "f-0", 1), utc_now())
    door.send(ADA, {"Id": "00002", "Status": "Aktiv"})
    door.look()
    door.site.correct_mapping()
    door.site.retry(*door.site.quarantined())
    with door.work.database.read() as connection:
        rows = connection.execute(select(feed_rows.c.person).where(feed_rows.c.employee_id == "00002")).scalars()
        (person,) = [Person.model_validate(each) for each in rows if each]
    assert (person.location, person.department, person.usage_location) == ("Vienna", "Sales", "AT")


@pytest.mark.parametrize(("said", "stays"), [({"Status": "Active"}, False), ({"Department": "Finance"}, True)])
def test_who_works_without_a_last_day_stays(door: OpenDoor, said: dict[str, str], stays: bool) -> None:
    """HR systems leave out what is empty: a status without a date takes a departure back, other words do not."""
    path = door.site.folder / "mappings" / "hr.toml"
    path.write_text(path.read_text("utf-8").replace("[columns]", '[columns]\nLast = "termination_date"'), "utf-8")
    last = utc_now().date() + timedelta(days=30)
    with door.work.database.write() as connection:
        known = Person(employee_id="00001", department="Sales", usage_location="AT", termination_date=last)
        departures.remember(connection, Known(known, "f-0", 1), utc_now())
    door.send({"Id": "00001", **said})
    door.look()
    with door.work.database.read() as connection:
        found = departures.known(connection, ["00001"])["00001"]
    assert found.person.termination_date == (last if stays else None)


def test_the_same_key_is_the_same_event(either: OpenDoor) -> None:
    """Same key and content: same answer, nothing twice. Another content: refused, and said so."""
    first, again = either.send(ADA), either.send(ADA)
    assert (first.json(), first.status_code) == (again.json(), again.status_code)
    other = either.send(BOB)
    assert (other.status_code, "another content" in other.json()["error"]["message"]) == (422, True)
    either.look()
    assert either.send(ADA).json() == first.json()
    either.look()
    assert either.states() == ["finished"]
    assert set(either.site.writes().values()) == {1}


def test_a_bad_person_is_told_at_once_and_quarantined(door: OpenDoor) -> None:
    """The others go on; the sender hears the column and the reason, and the row is in quarantine."""
    told = door.send(ADA, BOB | {"Status": "Aktiv"}).json()
    assert (told["accepted"], [bad["person"] for bad in told["quarantined"]]) == (1, [2])
    assert told["quarantined"][0]["column"] == "Status"
    door.look()
    quarantined = door.site.quarantined()
    door.site.correct_mapping()
    assert door.site.retry(*quarantined)["counts"] == {"onboarded": 1}
    assert set(door.site.phones()) == {"id-1", "id-2"}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        pytest.param(b"{", 400, "no JSON", id="no JSON"),
        pytest.param(b"[]", 422, "people", id="nobody"),
        pytest.param(b'"text"', 422, "valid dictionary", id="text"),
        pytest.param(b'[{"Id": {"a": 1}}]', 422, "people.0.Id", id="nested"),
        pytest.param(b'[{"Department": "Sales"}]', 400, "column Id is missing", id="no id"),
        pytest.param(b'[{"Id": "1", "Status": "secret!"}]', 422, "is no status", id="bad status"),
        pytest.param(b"x" * 1_000_001, 413, "larger than", id="large"),
        pytest.param(b"[" + b'{"Id":"1"},' * 500 + b'{"Id":"1"}]', 413, "more than 500 people", id="many"),
    ],
)
def test_what_cannot_be_taken_is_one_sentence(door: OpenDoor, body: bytes, status: int, words: str) -> None:
    """Each refusal is JSON with a reason, repeats no value, and stores nothing."""
    answer = door.client.post("/events", content=body, headers={**BEARER, "Idempotency-Key": "k"})
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]
    assert "secret!" not in answer.text
    assert door.states() == []


@pytest.mark.parametrize("header", [{}, {"Authorization": "Basic x"}, {"Authorization": "Bearer wrong"}])
def test_nobody_comes_in_without_the_secret(door: OpenDoor, header: dict[str, str]) -> None:
    """No token, another scheme, a wrong secret: 401, here and at SCIM's paths."""
    for path in ("/events", "/scim/v2/Users", "/workflows/joiner"):
        answer = door.client.post(path, json=[ADA], headers={"Idempotency-Key": "k", **header})
        assert (answer.status_code, "WWW-Authenticate" in answer.headers) == (401, True)
    assert door.states() == []


def test_guessing_is_slowed_down(door: OpenDoor) -> None:
    """After ten wrong secrets in a minute an address has to wait, even with the right one."""
    wrong = [door.client.get("/scim/v2/Users", headers={"Authorization": f"Bearer {n}"}) for n in range(11)]
    assert [answer.status_code for answer in wrong] == [401] * 10 + [429]
    assert int(door.send(ADA).headers["Retry-After"]) >= 1


def test_one_sender_has_a_limit(site: FlowSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """More requests in a minute than the settings allow are told to wait; the next minute they may go on."""
    monkeypatch.setenv("CALLWRIGHT_LISTEN__PER_MINUTE", "2")
    now = [0.0]
    guard = Guard(read_settings().listen, None, lambda: now[0], SECRET)
    for _ in range(2):
        guard.admit(f"Bearer {SECRET}", "a")
    with pytest.raises(Exception, match="more than 2 requests") as caught:
        guard.admit(f"Bearer {SECRET}", "b")
    assert getattr(caught.value, "headers", {}) == {"Retry-After": "60"}
    now[0] = 60.0
    assert guard.admit(f"Bearer {SECRET}", "a").name == "shared secret"


def test_an_event_outlives_the_process(site: FlowSite) -> None:
    """What was answered with 202 is carried out by the next process, also when the last one died at it."""
    with open_door(site) as before:
        before.send(ADA)
        with before.work.database.write() as connection:
            events.started(connection, before.events()[0].id, "")
    with open_door(site) as after:
        after.look()
        assert after.states() == ["received"]  # it died once: it rests a moment
        with after.work.database.write() as connection:
            connection.exec_driver_sql("UPDATE events SET settled_at = '2000-01-01T00:00:00.000000Z'")
        after.look()
        assert after.states() == ["finished"]
        assert set(site.phones()) == {"id-1"}


def test_an_outage_leaves_the_event_waiting(door: OpenDoor) -> None:
    """A system that does not answer is no fault of the event: it waits, and is carried out later."""

    def fail(name: str, target: str) -> None:
        raise Unreachable("the tenant does not answer")

    door.site.tenant.before = fail
    door.send(ADA)
    door.look()
    assert door.states() == ["received"]
    door.site.tenant.before = lambda name, target: None
    with door.work.database.write() as connection:
        connection.exec_driver_sql("UPDATE events SET settled_at = '2000-01-01T00:00:00.000000Z'")
    door.look()
    assert door.states() == ["finished"]


def test_a_server_gets_one_run_for_one_event(site: FlowSite) -> None:
    """While it is away events wait; a run that crashes is started anew, a few times and not for ever."""
    server = Server()
    server.is_away = True
    with open_door(site, server) as door:
        door.send(ADA)
        door.look()
        assert door.states() == ["received"]
        server.is_away = False
        door.look()
        door.look()
        assert (door.states(), len(server.keys)) == (["started"], 1)
        server.outcome = Outcome.CRASHED
        for _ in range(8):
            with door.work.database.write() as connection:
                connection.exec_driver_sql("UPDATE events SET settled_at = '2000-01-01T00:00:00.000000Z'")
            door.look()
        assert (door.states(), len(server.keys)) == (["failed"], events.MOST_ATTEMPTS)


def test_many_leavers_one_by_one_are_not_believed(either: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit on leavers holds for a day of events, not only for each of them."""
    monkeypatch.setenv("CALLWRIGHT_FEED__LEAVERS", "2")
    path = either.site.folder / "mappings" / "hr.toml"
    path.write_text(path.read_text(encoding="utf-8") + 'Left = "terminated"\n', encoding="utf-8")
    for number in range(1, 5):
        either.send({**ADA, "Id": f"0000{number}", "Status": "Left"}, key=f"k{number}")
    either.look()
    assert either.states() == ["finished", "finished", "refused", "refused"]
    assert "3 leavers in events of one day: more than 2" in either.events()[-1].message


def employed(door: OpenDoor, monkeypatch: pytest.MonkeyPatch, *limits: str) -> None:
    """Hire four people in one event, with last days and work phones in the mapping and these limits at 2."""
    path = door.site.folder / "mappings" / "hr.toml"
    columns = '[columns]\nLast = "termination_date"\n'
    path.write_text(path.read_text(encoding="utf-8").replace("[columns]\n", columns), encoding="utf-8")
    FakeCalling(door.site.tenant)
    door.send(*({**ADA, "Id": f"0000{number}"} for number in range(1, 5)), key="hired")
    door.look()
    for name in limits:
        monkeypatch.setenv(f"CALLWRIGHT_FEED__{name}", "2")


def test_last_days_one_by_one_are_not_believed(door: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A past last day makes a leaver as a status does; who has left already does not count when HR says it again."""
    employed(door, monkeypatch, "LEAVERS")
    gone = {"Last": str(utc_now().date() - timedelta(days=1))}
    for attempt in "ab":
        for number in (1, 2):
            door.send({**ADA, **gone, "Id": f"0000{number}"}, key=f"{attempt}{number}")
        door.look()
    assert door.states() == ["finished"] * 5
    door.send({**ADA, **gone, "Id": "00003"}, key="one more")
    door.look()
    assert door.states()[-1] == "refused"
    assert "3 leavers in events of one day: more than 2" in door.events()[-1].message


def test_who_has_left_already_is_no_leaver_when_said_again(door: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    """An HR system that sends everybody who ever left once more is believed: nobody leaves by it."""
    path = door.site.folder / "mappings" / "hr.toml"
    path.write_text(path.read_text(encoding="utf-8") + 'Left = "terminated"\n', encoding="utf-8")
    employed(door, monkeypatch)
    gone = [{**ADA, "Id": f"0000{number}", "Status": "Left"} for number in (1, 2, 3)]
    door.send(*gone, key="left")
    door.look()
    monkeypatch.setenv("CALLWRIGHT_FEED__LEAVERS", "2")
    with door.work.database.write() as connection:  # a day goes by
        connection.exec_driver_sql("UPDATE requests SET created_at = '2000-01-01T00:00:00.000000Z'")
    with open_door(door.site) as later:
        later.send(*gone, key="again")
        later.look()
        assert later.states()[-1] == "finished"


def test_number_changes_one_by_one_are_not_believed(door: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Movers whose numbers change have a limit for the day, too; other events go on."""
    employed(door, monkeypatch, "NUMBER_CHANGES")
    (door.site.folder / "pools.toml").write_text(POOLS + GRAZ, encoding="utf-8")
    text = TEMPLATES.replace('pool = "vienna"', 'pool = "vienna"\nnew_number_on = "country"')
    away = text.replace("phones", "abroad").replace('"Sales"', '"Abroad"').replace("vienna", "graz")
    (door.site.folder / "templates.toml").write_text(text + away, encoding="utf-8")
    with open_door(door.site) as later:
        for number in range(1, 4):
            later.send({**ADA, "Id": f"0000{number}", "Department": "Abroad", "Country": "DE"}, key=f"m{number}")
        later.send({**ADA, "Id": "00005"}, key="hired later")
        later.look()
        assert later.states() == ["finished"] * 3 + ["refused", "finished"]
        assert "3 number changes in events of one day: more than 2" in later.events()[3].message


def test_no_secret_and_no_person_is_in_the_log(door: OpenDoor, caplog: pytest.LogCaptureFixture) -> None:
    """The log names events by id."""
    caplog.set_level(logging.DEBUG)
    door.send(ADA, Authorization=f"Bearer {SECRET}x")
    door.send({**ADA, "Department": "Sales"})
    door.look()
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("callwright"))
    assert "stored events event e-" in ours
    assert SECRET not in caplog.text
    assert "00001" not in ours


def test_a_fault_of_ours_shows_no_trace(door: OpenDoor) -> None:
    """A database that fails, and what nobody foresaw, is one sentence for the sender."""
    with door.work.database.write() as connection:
        connection.exec_driver_sql("DROP TABLE events")
    answer = door.send(ADA)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    broken = Client(make_app(None)).post("/events", json=[ADA], headers={**BEARER, "Idempotency-Key": "k"})
    assert broken.json() == {"error": {"code": "internal", "message": "internal error ; see the log of the endpoint"}}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        pytest.param("SECRET", "", "nobody may come in", id="nobody"),
        pytest.param("SECRET", "env:SHORT", "too short", id="short"),
    ],
)
def test_a_door_that_is_not_safe_stays_shut(
    site: FlowSite, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    """Without a secret worth the name the endpoint does not start."""
    monkeypatch.setenv("SHORT", "short")
    monkeypatch.setenv(f"CALLWRIGHT_LISTEN__{name}", value)
    with pytest.raises(InputRefused, match=words):
        secret_of(read_settings().listen)


def test_the_program_says_why_it_does_not_start(
    site: FlowSite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a secret the program ends with code 2 and one line."""
    monkeypatch.setenv("CALLWRIGHT_LISTEN__SECRET", "")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    assert main([]) == 2
    assert "nobody may come in" in capsys.readouterr().err


def test_other_machines_need_tls(site: FlowSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret never travels in clear."""
    monkeypatch.setenv("CALLWRIGHT_LISTEN__HOST", "0.0.0.0")
    with pytest.raises(InputRefused, match="needs a certificate"):
        read_settings()


def test_the_description_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/openapi.json is what the endpoint says of itself; `python -m deployments.listen --openapi` makes it anew."""
    assert main(["--openapi"]) == 0
    assert capsys.readouterr().out == Path(ROOT / "docs" / "openapi.json").read_text(encoding="utf-8")
