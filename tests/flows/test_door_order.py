"""Events about one person are carried out as they came, whatever is out meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from connectors.errors import Unreachable
from datasets.tables.events import events as events_table
from datasets.tables.feeds import feed_rows
from datasets.tables.plans import plan_lines
from engine import departures, events
from engine.runtime import utc_now
from tests.fakes.doors import OpenDoor, Server, give_secret, open_door
from tests.fakes.flow_site import FlowSite

pytestmark = pytest.mark.slow

ADA = {"Id": "00001", "Department": "Sales", "Country": "AT", "Status": "Active"}
BOB = ADA | {"Id": "00002"}
rows = feed_rows.c


def test_words_about_one_person_are_heard_in_order(either: OpenDoor) -> None:
    """The first waits for a system that is out: a later one does not overtake it, or what the first said is lost."""

    def fail(name: str, target: str) -> None:
        raise Unreachable("the tenant does not answer")

    either.send(ADA, key="hired")
    either.look()
    either.site.tenant.before = fail
    either.send({"Id": "00001", "Department": "Finance"}, key="moved")
    either.look()
    assert either.states() == ["finished", "received"]
    either.site.tenant.before = lambda name, target: None
    either.send({"Id": "00001", "Country": "DE"}, key="moved on")
    either.send(BOB, key="another")
    either.look()
    assert either.states() == ["finished", "received", "received", "finished"]
    with either.work.database.write() as connection:
        connection.execute(update(events_table).values(settled_at=utc_now() - events.REST))
    either.look()
    assert set(either.states()) == {"finished"}
    with either.work.database.read() as connection:
        person = departures.known(connection, ["00001"])["00001"].person
    assert (person.department, person.usage_location) == ("Finance", "DE")


def test_a_run_of_the_server_ends_before_the_next_about_the_same_person(
    at_site: FlowSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs side by side would both complete their words by what was known before either."""
    give_secret(monkeypatch)
    with open_door(at_site, Server()) as door:
        for key, people in (("k1", (ADA,)), ("k2", (BOB, ADA)), ("k3", (BOB,)), ("k4", ({"Id": "00003"},))):
            door.send(*people, key=key)
        door.look()
        assert door.states() == ["started", "received", "received", "started"]
        with door.work.database.write() as connection:
            events.settle(connection, door.events()[0].id, "finished", "", utc_now())
        door.look()
        assert door.states() == ["finished", "started", "received", "started"]


def test_two_words_about_one_person_in_one_event_are_put_together(either: OpenDoor) -> None:
    """Each says a part: the last one counts, and what it does not say is as the one before it said."""
    either.send(ADA, {"Id": "00001", "Department": "Finance"}, {"Id": "00001", "Country": "DE"})
    either.look()
    with either.work.database.read() as connection:
        person = departures.known(connection, ["00001"])["00001"].person
    assert (person.department, person.usage_location) == ("Finance", "DE")


def tell_moments(door: OpenDoor) -> None:
    """Give the mapping columns for ids and moments of events."""
    path = door.site.folder / "mappings" / "hr.toml"
    columns = '[columns]\nEvent = "event_id"\nAt = "effective_at"\n'
    text = path.read_text(encoding="utf-8").replace("[columns]\n", columns)
    path.write_text(f'kind = "events"\nrequired = []\n{text}', encoding="utf-8")


def test_news_of_a_later_day_is_what_the_event_said(either: OpenDoor) -> None:
    """What an event did not say is no part of what waits for its day."""
    tell_moments(either)
    either.send({**ADA, "Event": "1", "At": utc_now().isoformat()}, key="hired")
    either.look()
    later = (utc_now() + timedelta(days=1)).isoformat()
    either.send({"Id": "00001", "Country": "DE", "Event": "2", "At": later}, key="moves")
    either.look()
    with either.work.database.read() as connection:
        query = select(plan_lines.c.source).where(plan_lines.c.condition == "effective")
        (source,) = connection.execute(query).scalars()
    assert source["news"] == ["usage_location"]


def test_a_mapping_of_files_may_have_a_column_for_the_moment(either: OpenDoor) -> None:
    """Where events and snapshots meet the export tells its moment; an event that tells none has that of its arrival."""
    path = either.site.folder / "mappings" / "hr.toml"
    text = path.read_text(encoding="utf-8").replace("[columns]\n", '[columns]\nAt = "effective_at"\n')
    path.write_text(text, encoding="utf-8")
    either.send({**ADA, "At": "2026-01-02T03:04:05Z"}, {**BOB, "At": ""}, {**ADA, "Id": "00003"})
    either.look()
    assert either.states() == ["finished"]
    with either.work.database.read() as connection:
        known = departures.known(connection, ["00001", "00002", "00003"])
    came = either.events()[0].received_at
    moments = [known[name].person.effective_at for name in sorted(known)]
    assert moments == [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), came, came]


def test_two_words_of_a_later_day_are_heard_one_after_the_other(either: OpenDoor) -> None:
    """Both are due at one visit, as after a weekend: each adds what it said, and nobody has two lines in one plan."""
    tell_moments(either)
    either.send({**ADA, "Event": "1", "At": "2026-01-01T00:00:00Z"}, key="hired")
    either.look()
    later = [(utc_now() + timedelta(days=day)).isoformat() for day in (1, 2)]
    either.send({"Id": "00001", "Country": "DE", "Event": "2", "At": later[0]}, key="moves")
    either.send({"Id": "00001", "Department": "Finance", "Event": "3", "At": later[1]}, key="moves on")
    either.look()
    either.look()
    with either.work.database.write() as connection:  # the days go by
        waiting = connection.execute(select(plan_lines).where(plan_lines.c.condition == "effective")).all()
        for line in waiting:
            moment = line.not_before - timedelta(days=200)
            here = (plan_lines.c.plan_id == line.plan_id) & (plan_lines.c.line == line.line)
            connection.execute(update(plan_lines).where(here).values(not_before=moment))
            row = (rows.feed_id == line.source["feed_id"]) & (rows.line == line.source["feed_line"])
            said = connection.execute(select(rows.person).where(row)).scalar_one()
            told = said | {"effective_at": moment.isoformat()}
            connection.execute(update(feed_rows).where(row).values(person=told))
    for _ in range(2):
        either.site.go_on()
    with either.work.database.read() as connection:
        person = departures.known(connection, ["00001"])["00001"].person
        objects = connection.execute(select(plan_lines.c.plan_id, plan_lines.c.object)).all()
    assert (person.department, person.usage_location) == ("Finance", "DE")
    assert len(objects) == len(set(objects))
