"""The onboarding flow on a tenant in memory: it does it, can be tried and repeated, and one failure stops nobody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from config.errors import InputRefused
from connectors.database import Database
from connectors.errors import Invalid, Unreachable
from datasets.tables.feeds import feeds
from datasets.tables.inventory import taken
from datasets.tables.plans import plan_lines
from tests.fakes.flow_site import TEMPLATES, FlowSite
from tests.fakes.workbooks import rows_of, workbook

pytestmark = pytest.mark.slow


def test_people_of_a_feed_become_phone_users(at_site: FlowSite) -> None:
    """Everybody gets location, licence, number, policies and write-back, one write of each kind."""
    summary = at_site.onboard("00001", "00002")
    assert summary["counts"] == {"onboarded": 2}
    assert at_site.phones() == {"id-1": "+431234500", "id-2": "+431234501"}
    assert set(at_site.writes().values()) == {2}
    assert at_site.tenant.users["id-2"].ip_phone == "+431234501"


def test_a_dry_run_writes_nothing(at_site: FlowSite) -> None:
    """The plan is there, the tenant was only read."""
    summary = at_site.onboard("00001", "00002", dry_run=True)
    assert summary["plan_id"]
    assert summary["counts"].get("onboarded", 0) == 0
    assert at_site.tenant.writes() == []


def test_a_second_run_changes_nothing(at_site: FlowSite) -> None:
    """The same feed again finds everybody as they should be."""
    at_site.onboard("00001", "00002")
    before = at_site.tenant.writes()
    assert at_site.onboard("00001", "00002")["counts"] == {"unchanged": 2}
    assert at_site.tenant.writes() == before


def events_of_one(at_site: FlowSite, *rows: str) -> dict[str, Any]:
    """Onboard the events of one person: each with its moment and country."""
    mapping = at_site.folder / "mappings" / "hr.toml"
    columns = 'kind = "events"\n[columns]\nEvent = "event_id"\nAt = "effective_at"'
    mapping.write_text(mapping.read_text(encoding="utf-8").replace("[columns]", columns), encoding="utf-8")
    feed = at_site.folder / "events.csv"
    cells = [f"e{number},{row.split(',')[0]},00001,Sales,{row.split(',')[1]},Active" for number, row in enumerate(rows)]
    feed.write_text("\n".join(["Event,At,Id,Department,Country,Status", *cells, ""]), encoding="utf-8")
    return at_site.onboard_file(feed)


def numbers_taken(at_site: FlowSite) -> Sequence[int]:
    """List the numbers that are not free."""
    database = Database(f"sqlite:///{at_site.folder / 'ours.db'}")
    with database.read() as connection:
        found = connection.execute(select(taken.c.n)).scalars().all()
    database.close()
    return found


def test_two_events_of_one_person_give_one_number(at_site: FlowSite) -> None:
    """Of two rows of one person the newest counts, as in a lifecycle feed: no number is claimed for the other."""
    summary = events_of_one(at_site, "2026-01-01T00:00:00Z,AT", "2026-01-02T00:00:00Z,AT")
    assert summary["counts"] == {"onboarded": 1, "unchanged": 1}
    assert at_site.writes()["assign_number"] == 1
    assert numbers_taken(at_site) == [431234500]


def test_an_event_of_a_later_day_waits_beside_that_of_now(at_site: FlowSite) -> None:
    """Who waits for an account meanwhile gets one number, also when both are due at one visit."""
    user = at_site.tenant.users.pop("id-1")
    later = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    assert events_of_one(at_site, f"{later},AT", "2026-01-02T00:00:00Z,AT")["counts"] == {"waiting": 2}
    at_site.tenant.users["id-1"] = user
    database = Database(f"sqlite:///{at_site.folder / 'ours.db'}")
    with database.write() as connection:  # the days go by
        due = plan_lines.c.condition == "effective"
        assert connection.execute(update(plan_lines).where(due).values(not_before=datetime.now(UTC))).rowcount == 1
    database.close()
    at_site.go_on()
    at_site.go_on()
    assert at_site.phones() == {"id-1": "+431234500"}
    assert numbers_taken(at_site) == [431234500]


def test_an_edited_template_gives_no_more_people_other_values_than_the_site_allows(
    at_site: FlowSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The template says something else under its name: the feed is refused until the site allows so many."""
    at_site.onboard("00001", "00002")
    templates = at_site.folder / "templates.toml"
    templates.write_text(TEMPLATES.replace(', TenantDialPlan = "AT"', ""), encoding="utf-8")
    assert at_site.onboard("00001", "00002")["counts"] == {"unchanged": 2}
    at_site.tenant.policy_ids["TeamsCallingPolicy", "NoForward"] = "p-1"
    more = TEMPLATES.replace('"AT"', '"AT", TeamsCallingPolicy = "NoForward"')
    templates.write_text(more, encoding="utf-8")
    monkeypatch.setenv("CALLWRIGHT_FEED__MOVES", "1")
    writes = len(at_site.tenant.writes())
    with pytest.raises(
        InputRefused, match="2 people who are given other values or go on leave in one feed: more than 1"
    ):
        at_site.onboard("00001", "00002")
    assert len(at_site.tenant.writes()) == writes
    monkeypatch.setenv("CALLWRIGHT_FEED__MOVES", "2")
    assert at_site.onboard("00001", "00002", "00003")["counts"] == {"moved": 2, "onboarded": 1}


def test_one_failure_does_not_stop_the_rest(at_site: FlowSite) -> None:
    """The one whom the tenant refuses fails with its reason, has no number, and the others are done."""

    def refuse(name: str, target: str) -> None:
        if (name, target) == ("assign_licence", "id-2"):
            raise Invalid("this user is broken ; look at it")

    at_site.tenant.before = refuse
    assert at_site.onboard("00001", "00002", "00003")["counts"] == {"onboarded": 2, "failed": 1}
    assert set(at_site.phones()) == {"id-1", "id-3"}


def test_one_who_cannot_be_read_does_not_stop_the_rest(at_site: FlowSite) -> None:
    """Teams fails when it is asked about one person: the person waits, the others are done, later all are."""

    def fail(name: str, target: str) -> None:
        if name == "teams.voice_users" or (name, target) == ("teams.voice_user", "id-2"):
            raise Unreachable("not this one")

    at_site.tenant.before = fail
    assert at_site.onboard("00001", "00002", "00003")["counts"] == {"onboarded": 2, "waiting": 1}
    at_site.tenant.before = lambda name, target: None
    assert at_site.go_on()["counts"] == {"onboarded": 1}
    assert len(at_site.phones()) == 3
    assert set(at_site.phones()) == {"id-1", "id-2", "id-3"}


def test_a_system_that_cannot_be_read_ends_the_run(at_site: FlowSite) -> None:
    """When Teams fails for everybody it is not the people: nobody is planned and the run says so."""

    def fail(name: str, _target: str) -> None:
        if name.startswith("teams.voice_user"):
            raise Unreachable("Teams is away")

    at_site.tenant.before = fail
    with pytest.raises(Unreachable, match="Teams is away"):
        at_site.onboard("00001", "00002", "00003", "00004")
    assert at_site.tenant.writes() == []


def test_a_feed_that_is_not_believed_raises_one_alert(at_site: FlowSite) -> None:
    """A feed that shrank is refused and changes nobody; the next good one clears the alert in its summary."""
    at_site.onboard("00001", "00002", "00003", "00004", "00005")
    before = at_site.tenant.writes()
    for _ in range(2):
        with pytest.raises(InputRefused, match="the last accepted one had 5"):
            at_site.onboard("00001", "00006")
    assert at_site.tenant.writes() == before
    assert at_site.onboard("00001", "00002", "00003", "00004")["alert"]["state"] == "cleared"


def test_a_sheet_is_a_feed_like_any_other(at_site: FlowSite) -> None:
    """An XLSX export is onboarded by the same mapping; a row with a formula waits in quarantine."""
    rows = [["Id", "Department", "Country", "Status"], ["00001", "Sales", "AT", "Active"]]
    sheet = workbook(at_site.folder / "hires.xlsx", rows_of([*rows, ["<c><f>A1</f></c>", "Sales", "AT", "Active"]]))
    assert at_site.onboard_file(sheet)["counts"] == {"onboarded": 1, "quarantined": 1}
    assert set(at_site.phones()) == {"id-1"}


def test_what_the_suite_said_is_kept_with_the_feed(at_site: FlowSite) -> None:
    """The report of the rules that a feed passed is on record, for the pack of evidence."""
    at_site.onboard("00001")
    database = Database(f"sqlite:///{at_site.folder / 'ours.db'}")
    with database.read() as connection:
        (said,) = connection.execute(select(feeds.c.quality)).scalars()
    database.close()
    assert (said["passed"], said["failures"]) == (True, [])
    assert "employee ids are unique" in [rule["name"] for rule in said["rules"]]
