"""Bad feeds, seen from the command line: what ends the run, what costs one row only, and what is not believed."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from connectors.database import Database
from datasets.tables.requests import alerts
from tests.fakes.onboarding_site import Cells, Site, as_text, hire, stranger

pytestmark = pytest.mark.slow

TEXT = as_text([stranger(1), stranger(2)])
NO_FEED = {
    "empty": (b"", "the feed is empty ; export it again"),
    "only a header": (as_text([]).encode(), "has a header but no rows ; export it again"),
    "wrong delimiter": (TEXT.replace(",", "#").encode(), "another delimiter? ; export it with one of"),
    "NUL bytes": (TEXT.replace("Nobody 1", "No\0body").encode(), "NUL bytes: no text, or UTF-16 ; export it again"),
    "wide characters": (TEXT.encode("utf-16-le"), "NUL bytes: no text, or UTF-16 ; export it again"),
    "duplicate headers": (
        TEXT.replace("Home_Phone", "Employee_ID").encode(),
        "the header has Employee_ID twice ; remove one",
    ),
    "a broken spreadsheet": (b"PK\x03\x04 and so on", "no XLSX file we can read ; save it anew as XLSX"),
    "a cell over 10 MB": (
        as_text([stranger(1, Preferred_Name="x" * (11 << 20))]).encode(),
        "a line is longer than 10 MB ; export it with line ends",
    ),
}


@pytest.mark.parametrize(("data", "words"), NO_FEED.values(), ids=NO_FEED)
def test_what_is_no_feed_ends_the_run(site: Site, data: bytes, words: str) -> None:
    """A file that is no feed is refused in one line that says what to do; nothing is planned, nothing is written."""
    site.refused(site.onboard(site.file(data)), words)
    assert site.run("plan", "list", "--json").json == []
    assert site.run("quarantine", "list", "--json").json == []
    assert site.writes() == []


def raw(*rows: Cells) -> list[bytes]:
    """Give rows as the lines they are in a file."""
    return as_text(rows).encode().splitlines()[1:]


BAD_ROWS = {
    "damaged bytes": ([raw(stranger(3))[0] + b"\xff"], "are no UTF-8"),
    "an extra field": ([raw(stranger(4))[0] + b",more"], "has 21 cells"),
    "duplicate ids": (raw(stranger(5), stranger(5, Department="Sales")), "the same id as line"),
    "a loop of managers": (
        raw(stranger(6, Manager_ID="95000007"), stranger(7, Manager_ID="95000006")),
        "the reporting line is a loop",
    ),
    "a rounded phone number": (raw(stranger(8, Work_Phone="4.31935E+11")), "export the column as text"),
    "a formula": (raw(stranger(9, Preferred_Name="=1+1")), "is a spreadsheet formula"),
    "a cell of 9 MB": (raw(stranger(10, Preferred_Name="x" * (9 << 20))), "is longer than 1024 characters"),
}


def test_a_bad_row_costs_only_itself(site: Site) -> None:
    """Each is in quarantine by line and reason, the summary counts them and leads there, and the good rows go on."""
    (hired,) = site.some(1)
    bad = [(line, words) for lines, words in BAD_ROWS.values() for line in lines]
    text = as_text([hire(hired), stranger(1)]).encode() + b"\n".join([line for line, _ in bad]) + b"\n"
    ran = site.onboard(site.file(text))
    found = {row["line"]: row["reason"] for row in site.run("quarantine", "list", "--json").json}
    assert sorted(found) == list(range(4, 4 + len(bad)))
    assert [words for line, (_, words) in enumerate(bad, start=4) if words not in found[line]] == []
    assert (ran.code, ran.err) == (0, "")
    assert f"next: ./callwright quarantine list ; {len(bad)} rows" in ran.out
    assert list(site.numbers()) == [hired.id]
    site.check_books()


def test_another_encoding_is_read_with_a_warning(site: Site) -> None:
    """A feed in Windows-1252 is understood, and the summary warns that this was a guess."""
    (hired,) = site.some(1)
    text = as_text([hire(hired, Preferred_Name="Jürgen Großmann"), stranger(1)])
    ran = site.onboard(site.file(text.encode("cp1252")), "--json")
    assert ran.code == 0
    assert ran.json["counts"] == {"onboarded": 1, "waiting": 1}
    assert any("1252" in warning for warning in ran.json["warnings"])


def raised(site: Site) -> list[tuple[str, bool]]:
    """Give the alerts that were ever raised, and whether they stand."""
    database = Database(f"sqlite:///{site.folder / 'callwright.db'}")
    with database.read() as connection:
        found = [(row.cause, row.cleared_at is None) for row in connection.execute(select(alerts))]
    database.close()
    return found


def test_a_feed_that_shrank_writes_nothing_and_raises_one_alert(site: Site) -> None:
    """40 % fewer rows than the last accepted feed: refused however often it comes, one alert, cleared by a good one."""
    everybody = [stranger(number) for number in range(10)]
    assert site.onboard(site.feed(*everybody)).code == 0
    short = site.feed(*everybody[:5], hire(site.some(1)[0]))
    for _ in range(2):
        site.refused(site.onboard(short), "has 6 rows, the last accepted one had 10", "correct the export, or raise")
    assert site.writes() == []
    assert raised(site) == [("feed refused: workday", True)]
    (alert,) = [finding for finding in site.run("doctor", "--json").json if finding["name"] == "alert"]
    assert "had 10" in alert["detail"]
    assert alert["fix"]
    good = site.onboard(site.feed(*everybody[:9]), "--json")
    assert good.json["alert"] == {"cause": "feed refused: workday", "state": "cleared"}
    assert raised(site) == [("feed refused: workday", False)]


def test_a_limit_can_be_raised_for_one_run(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed that is smaller for good is accepted when the limit says so, and is what the next one is compared with."""
    everybody = [stranger(number) for number in range(10)]
    site.onboard(site.feed(*everybody))
    with monkeypatch.context() as once:
        once.setenv("CALLWRIGHT_FEED__SHRINK_PERCENT", "50")
        assert site.onboard(site.feed(*everybody[:5])).code == 0
    assert site.onboard(site.feed(*everybody[:5])).code == 0


def test_a_feed_of_leavers_only_is_not_believed(site: Site) -> None:
    """When everybody is said to have left, nobody is touched and one alert is raised."""
    gone = [hire(user, Worker_Status="Terminated") for user in site.some(3)]
    gone += [stranger(number, Worker_Status="Terminated") for number in range(27)]
    site.refused(site.onboard(site.feed(*gone)), "30 leavers in one feed: more than 25", "nothing was changed")
    assert site.writes() == []
    assert raised(site) == [("feed refused: workday", True)]
