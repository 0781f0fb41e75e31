"""The number inventory by command: pools, reservations, blocks, history, sheets, views."""

from __future__ import annotations

import csv
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import orjson
import pytest
from sqlalchemy import Connection

from connectors import xlsx
from connectors.database import Database
from datasets.cached import Document
from datasets.inventory import Pool, Span
from datasets.numbering import PhoneNumber
from datasets.people import Person
from datasets.pool_files import COLUMNS
from engine import cache, feeds, inventory
from engine.feeds import FeedHead
from engine.requests import Actor, open_request
from tests.fakes.bad_numbers import BAD_NUMBERS
from tests.fakes.claimers import NOW
from tests.fakes.command_line import Run
from tests.fakes.flow_site import memory_settings

CREATE = ("numbers", "pool", "create", "vienna", "--country", "AT", "--site", "Vienna")


@pytest.fixture
def made(own_database: Database, run: Run, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Give our database with one pool made by command and one of the policy, and no site policy to read."""
    monkeypatch.setenv("CALLWRIGHT_SITE", "nowhere")
    assert run(*CREATE, "--range", "+43100-+43119", "--withhold", "+43100-+43101=switchboard").code == 0
    with own_database.write() as connection:
        inventory.define_pool(connection, Pool(name="graz", country="AT", spans=(Span.read("+43200", "+43299"),)))
    return own_database


def memory_site(folder: Path) -> Path:
    """Write a site policy whose sales people get numbers of the pool that a command made."""
    memory_settings(folder)
    return folder


def record_hires(connection: Connection, day: date, *ids: str) -> None:
    """Record a feed that was believed, with people of the sales department who start on that day."""
    actor = Actor(kind="hr_feed", name="hires.csv")
    request = open_request(connection, "onboarding", actor, parameters={}, flow_run_id=None, now=NOW)
    people = [
        (line, Person(employee_id=each, department="Sales", usage_location="AT", hire_date=day))
        for line, each in enumerate(ids, start=2)
    ]
    head: FeedHead = {
        "feed_id": "f-1",
        "name": "hr",
        "digest": "d",
        "kind": "snapshot",
        "request_id": request,
        "now": NOW,
    }
    feeds.record_feed(connection, people=people, bad=(), **head)
    feeds.accept(connection, "f-1")


def sound(database: Database) -> None:
    """Check that every number is accounted for."""
    with database.read() as connection:
        assert inventory.violations(connection) == []


def test_pool_is_made_described_resized_split_and_retired(made: Database, run: Run) -> None:
    """M54, M55: a pool's whole life by command, and the counts are true after each step."""
    shown = run("numbers", "pool", "show", "vienna", "--json").json
    assert (shown["free"], shown["withheld"], shown["made_by"], shown["country"]) == (18, 2, "command", "AT")
    assert (
        run("numbers", "pool", "describe", "vienna", "--class", "service", "--tag", "desk", "--carrier", "A").code == 0
    )
    assert run("numbers", "pool", "resize", "vienna", "--add", "+43120..+43139", "--offer", "+43100").code == 0
    assert run("numbers", "pool", "resize", "vienna", "--remove", "+43130-+43139", "--yes").code == 0
    assert run("numbers", "pool", "split", "vienna", "--range", "+43101-+43109", "--into", "linz", "--yes").code == 0
    linz = run("numbers", "pool", "show", "linz", "--json").json
    assert (linz["size"], linz["withheld_ranges"], linz["number_class"]) == (9, ["+43101: switchboard"], "service")
    assert run("numbers", "pool", "show", "vienna", "--json").json["size"] == 21
    assert run("numbers", "pool", "retire", "linz", "--yes", "--json").json["numbers"] == 9
    sound(made)


def test_pool_without_a_yes_is_kept(made: Database, run: Run) -> None:
    """What takes numbers away is counted and asked first."""
    ran = run("numbers", "pool", "retire", "vienna")
    assert ran.code == 1
    assert "forget pool vienna and its 20 numbers?" in ran.err
    assert run("numbers", "pool", "resize", "vienna", "--remove", "+43110-+43119").code == 1
    assert run("numbers", "pool", "show", "vienna", "--json").json["size"] == 20


def test_overlap_by_command_names_both_pools(made: Database, run: Run) -> None:
    """A range that shares numbers with another pool is refused, naming both, and nothing is made."""
    ran = run("numbers", "pool", "create", "linz", "--country", "AT", "--range", "+43290-+43310")
    assert ran.code == 2
    assert "(pool graz)" in ran.err
    assert "(pool linz)" in ran.err
    assert run("numbers", "pool", "show", "linz").code == 2


def test_taken_numbers_stand_in_the_way(made: Database, run: Run) -> None:
    """A range with taken numbers is neither removed nor retired; the refusal names a few of them."""
    assert run("numbers", "reserve", "--owner", "7", "--pool", "vienna", "--count", "7").code == 0
    for words in (("resize", "vienna", "--remove", "+43102-+43109"), ("retire", "vienna")):
        ran = run("numbers", "pool", *words, "--yes")
        assert ran.code == 2
        assert "+43102, +43103, +43104, +43105, +43106 and more" in ran.err
    sound(made)


@pytest.mark.parametrize(
    "words",
    [
        ("resize", "graz", "--remove", "+43200-+43209", "--yes"),
        ("retire", "graz", "--yes"),
        ("split", "graz", "--range", "+43200-+43209", "--into", "x", "--yes"),
        ("describe", "graz", "--carrier", "x"),
    ],
    ids=["resize", "retire", "split", "describe"],
)
def test_policy_is_not_changed_by_command(made: Database, run: Run, words: tuple[str, ...]) -> None:
    """What the policy file says is changed there; a command names the file and does nothing."""
    ran = run("numbers", "pool", *words)
    assert ran.code == 2
    assert "pools.toml" in ran.err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("+43400-+43300", "swap"),
        ("+43300-+433000", "as many digits"),
        ("", "empty"),
        ("+431;ext=1-+432;ext=9", "same base"),
        ("+431-+431;ext=9", "as many digits"),
        ("+431000000000000-+439999999999999", "nobody owns"),
        ("+43100-+43110-+43120", "no range"),
    ],
    ids=["reversed", "mixed length", "empty", "wrong base", "base and extension", "absurd", "three ends"],
)
def test_bad_range_is_refused(made: Database, run: Run, text: str, reason: str) -> None:
    """A range that is none is refused in one line that says why, and nothing is made."""
    ran = run("numbers", "pool", "create", "x", "--country", "AT", "--range", text)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert reason in ran.err
    assert run("numbers", "pool", "show", "x").code == 2


def test_number_is_reserved_blocked_and_given_back(made: Database, run: Run) -> None:
    """M56, M59: a named number, its history, and who acted."""
    assert run("numbers", "reserve", "+43105", "--owner", "4711", "--until", "+30d", "--reason", "new desk").code == 0
    assert run("numbers", "block", "+43105", "--reason", "x").code == 2
    (row,) = run("numbers", "list", "--owner", "4711", "--json").json
    assert (row["number"], row["state"], row["reason"]) == ("+43105", "reserved", "new desk")
    assert run("numbers", "unreserve", "+43105", "--owner", "4711", "--json").json["changed"]
    assert run("numbers", "block", "+43105", "--reason", "crank calls").code == 0
    assert run("numbers", "unblock", "+43105").code == 0
    told = run("numbers", "history", "+43105", "--json").json
    assert [entry["state"] for entry in told] == ["free", "blocked", "free", "reserved"]
    assert "(command line)" in told[0]["actor"]
    assert run("numbers", "history", "+43105", "--at", "2020-01-01", "--json").json == []
    sound(made)


def test_assigned_number_is_not_released_by_hand(made: Database, run: Run) -> None:
    """A number that the tenant still gives stays; one that is gone from there rests, then is free."""
    with made.write() as connection:
        inventory.record_assigned(connection, PhoneNumber(43110), owner="user:a", now=NOW)
    ran = run("numbers", "release", "+43110", "--yes")
    assert ran.code == 2
    assert "still ring" in ran.err
    assert run("numbers", "release", "+43110", "--gone-from-tenant", "--yes", "--json").json["state"] == "grace"
    assert run("numbers", "release", "+43110", "--yes", "--json").json["state"] == "free"
    assert run("numbers", "release", "+43110", "--yes").code == 2


def test_pages_of_numbers_go_on_where_they_ended(made: Database, run: Run) -> None:
    """M55, M57: taken and free numbers are listed page by page, in order, without a gap."""
    run("numbers", "reserve", "--owner", "7", "--pool", "vienna", "--count", "5")
    for state, first, size in (("reserved", 43102, 5), ("free", 43107, 13)):
        seen, after = list[str](), list[str]()
        while page := run(
            "numbers", "list", "--pool", "vienna", "--state", state, "--limit", "2", *after, "--json"
        ).json:
            seen += [row["number"] for row in page]
            after = ["--after", seen[-1]]
        assert seen == [f"+{n}" for n in range(first, first + size)]


@pytest.mark.parametrize("bad", BAD_NUMBERS.values(), ids=list(BAD_NUMBERS))
def test_no_command_takes_a_bad_number(run: Run, bad: tuple[str, str]) -> None:
    """M106: the corpus of bad numbers is refused with its reason by every command that takes a number."""
    text, reason = bad
    doors = [("show",), ("history",), ("release", "--yes"), ("unblock",), ("block", "--reason", "r")]
    doors += [("reserve", "--owner", "7"), ("unreserve", "--owner", "7")]
    for name, *more in doors:
        if name == "reserve" and not text:
            continue  # an empty number is none: the command asks for a pool
        ran = run("numbers", name, *more, "--", text)
        assert (ran.code, reason in ran.err) == (2, True), (name, ran.err)
    assert run("numbers", "pool", "create", "q", "--country", "AT", "--range", text).code == 2
    if text:
        assert run("numbers", "list", "--after", text).code == 2


@pytest.mark.parametrize("name", ["bad.csv", "bad.xlsx"])
def test_no_sheet_brings_a_bad_number_in(made: Database, run: Run, folder: Path, name: str) -> None:
    """M106: a sheet of the whole corpus imports nothing, and each row is refused with its reason."""
    bad = [(text, reason) for text, reason in BAD_NUMBERS.values() if "\x00" not in text]
    rows = [("p", "", "AT", "", "", "", "", text, "", "range", "", "", "") for text, _ in bad]
    if name.endswith("xlsx"):
        xlsx.write(folder / name, [COLUMNS, *rows])
    else:
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])
    ran = run("numbers", "import", name, "--json")
    told = [error["reason"] for error in ran.json["errors"]]
    assert (ran.code, len(told)) == (1, len(bad))
    assert [reason for (_, reason), why in zip(bad, told, strict=True) if reason not in why] == []


@pytest.mark.parametrize("name", ["sheet.csv", "sheet.xlsx"])
def test_template_is_imported_and_exported_again(made: Database, run: Run, name: str) -> None:
    """The template is a sheet that imports; what is exported imports elsewhere without a change."""
    assert run("numbers", "template", name).code == 0
    assert run("numbers", "import", name, "--dry-run", "--json").json["pools"] == 1
    assert run("numbers", "pool", "show", "vienna-new").code == 2
    done = run("numbers", "import", name, "--json").json
    assert {key: done[key] for key in ("pools", "ranges", "withheld", "reserved", "blocked", "refused")} == {
        "pools": 1,
        "ranges": 1,
        "withheld": 1,
        "reserved": 1,
        "blocked": 2,
        "refused": 0,
    }
    assert run("numbers", "export", f"all-{name}").code == 0
    run("numbers", "pool", "show", "vienna-new")
    again = run("numbers", "import", f"all-{name}", "--json").json
    assert again["ranges"] == again["pools"] == 0
    sound(made)


def test_bad_rows_go_to_an_error_file(made: Database, run: Run, folder: Path) -> None:
    """Good rows are taken; each bad one is in the error file with line, column and reason."""
    rows = [
        ("new", "", "AT", "", "", "", "", "+43300", "+43309", "", "", "", ""),
        ("new", "", "AT", "", "", "", "", "+43305", "+43320", "", "", "", ""),
        ("new", "", "AT", "", "", "", "", "+43399", "+43390", "", "", "", ""),
        ("", "", "AT", "", "", "", "", "+43400", "", "", "", "", ""),
        ("new", "", "AT", "", "", "", "", "+43301", "", "lent", "", "", ""),
        ("new", "", "AT", "", "", "", "", "+43301", "", "reserved", "", "", ""),
        ("new", "", "AT", "", "", "", "", "+43301", "", "reserved", "7", "", "2020-01-01"),
        ("bad", "", "Austria", "", "", "", "", "+43500", "", "", "", "", ""),
    ]
    with (folder / "s.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    ran = run("numbers", "import", "s.csv")
    assert ran.code == 1
    assert "7 rows of s.csv were not taken ; see s.csv.errors.csv" in ran.err
    with (folder / "s.csv.errors.csv").open(encoding="utf-8", newline="") as file:
        told = [(int(row["line"]), row["column"]) for row in csv.DictReader(file)]
    assert told == [(3, "start"), (4, "start"), (5, "pool"), (6, "state"), (7, "owner"), (8, "until"), (9, "pool")]
    assert run("numbers", "pool", "show", "new", "--json").json["size"] == 10
    sound(made)


def test_spreadsheet_numbers_are_refused(made: Database, run: Run, folder: Path) -> None:
    """A number cell of XLSX may have lost digits or its plus: refused by row; a formula refuses the file."""
    assert run("numbers", "template", "t.xlsx").code == 0
    for cell, code in (("<c><v>4312345600</v></c>", 1), ("<c><f>1+1</f><v>2</v></c>", 2)):
        with zipfile.ZipFile("t.xlsx") as book, zipfile.ZipFile("f.xlsx", "w") as out:
            for name in book.namelist():
                text = (
                    book.read(name)
                    .decode()
                    .replace('<c t="inlineStr"><is><t xml:space="preserve">+4312345611</t></is></c>', cell)
                )
                out.writestr(name, text)
        ran = run("numbers", "import", "f.xlsx", "--dry-run")
        assert ran.code == code
    assert "formula" in ran.err


def test_exported_sheets_contain_no_formula(made: Database, run: Run, folder: Path) -> None:
    """A reason that looks like a formula is text in both kinds of sheet."""
    run("numbers", "block", "+43105", "--reason", "=HYPERLINK(1)")
    run("numbers", "export", "e.csv")
    run("numbers", "export", "e.xlsx")
    assert "'=HYPERLINK(1)" in (folder / "e.csv").read_text(encoding="utf-8")
    with zipfile.ZipFile("e.xlsx") as book:
        sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    kinds = {cell.get("t") for cell in sheet.iter() if cell.tag.endswith("}c")}
    assert (kinds, [e for e in sheet.iter() if e.tag.endswith("}f")]) == ({"inlineStr"}, [])


@pytest.mark.parametrize("text", ["", "no zip", "pool,start\n"], ids=["empty", "text", "no rows"])
def test_file_that_is_no_sheet_is_refused(made: Database, run: Run, folder: Path, text: str) -> None:
    """A broken XLSX file is refused in one line."""
    (folder / "x.xlsx").write_text(text, encoding="utf-8")
    ran = run("numbers", "import", "x.xlsx")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert run("numbers", "import", "missing.csv").code == 2


def test_usage_is_a_table_a_picture_and_a_metric(made: Database, run: Run, folder: Path) -> None:
    """Utilisation by pool, site and country; the picture is sound XML, the metric adds up."""
    assert run("numbers", "usage", "--by", "country", "--json").json[0]["size"] == 120
    rows = run("numbers", "usage", "--svg", "u.svg", "--prometheus", "u.prom", "--json").json
    assert [row["pool"] for row in rows] == ["graz", "vienna"]
    ElementTree.fromstring((folder / "u.svg").read_text(encoding="utf-8"))
    metric = (folder / "u.prom").read_text(encoding="utf-8")
    assert 'callwright_numbers{pool="vienna",state="free"} 18' in metric
    assert sum(int(line.split()[-1]) for line in metric.splitlines() if line[0] != "#") == 120
    assert run("numbers", "usage", "--by", "moon").code == 2
    assert run("numbers", "usage", "--svg", "no/such/folder/u.svg").code == 2


def test_low_stock_is_alerted_once_and_cleared(made: Database, run: Run) -> None:
    """A pool that runs low raises one alert, and none when it has numbers again."""
    run("numbers", "reserve", "--owner", "7", "--pool", "vienna", "--count", "16")
    assert "pool vienna has 2 of 20" in run("numbers", "usage", "--alert").err
    run("numbers", "usage", "--alert")
    run("numbers", "pool", "resize", "vienna", "--add", "+43500-+43599")
    assert run("numbers", "usage", "--alert").err == ""
    with made.read() as connection:
        rows = connection.exec_driver_sql("SELECT cause, cleared_at IS NULL FROM alerts").all()
    assert [tuple(row) for row in rows] == [("low stock: pool vienna", 0)]


def test_forecast_counts_hires_and_pace(made: Database, run: Run) -> None:
    """The day a pool is empty follows from dated hires and the daily pace."""
    seen = run("numbers", "forecast", "vienna", "--days", "30", "--per-day", "1", "--json").json
    assert seen["days"][18][1] == 0
    assert seen["exhausted_on"] == seen["days"][19][0]
    assert run("numbers", "forecast", "vienna", "--json").json["exhausted_on"] is None
    assert run("numbers", "forecast", "vienna", "--hires", "tomorrow=3").code == 2


def test_reason_of_a_release_is_kept_from_the_first_moment(made: Database, run: Run) -> None:
    """`release --reason` is in the history of the number that rests, and on the number itself."""
    with made.write() as connection:
        inventory.record_assigned(connection, PhoneNumber.from_e164("+43105"), owner="user:a", now=NOW)
    gone = ("numbers", "release", "+43105", "--gone-from-tenant", "--yes", "--reason", "left without notice")
    assert run(*gone).code == 0
    latest = run("numbers", "history", "+43105", "--json").json[0]
    assert (latest["state"], latest["reason"]) == ("grace", "left without notice")
    assert run("numbers", "show", "+43105", "--json").json["reason"] == "left without notice"


def test_forecast_takes_dated_hires_from_the_feeds(
    made: Database, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is dated to start counts on the day, once, unless a number is reserved; `--hires` takes their place."""
    monkeypatch.setenv("CALLWRIGHT_SITE", str(memory_site(folder)))
    day = (datetime.now(UTC) + timedelta(days=10)).date()
    with made.write() as connection:
        record_hires(connection, day, "4711", "4712", "4713", "4713")
        reserved = PhoneNumber.from_e164("+43110")
        inventory.reserve(connection, reserved, owner="person:4712", reason="starts", until=None, now=NOW)
    asked = ("numbers", "forecast", "vienna", "--days", "20", "--json")
    days = dict(run(*asked).json["days"])
    assert days[(day - timedelta(days=1)).isoformat()] - days[day.isoformat()] == 2
    days = dict(run(*asked, "--hires", f"{day}=5").json["days"])
    assert days[(day - timedelta(days=1)).isoformat()] - days[day.isoformat()] == 5
    told = run("numbers", "forecast", "vienna").out
    assert (" 2" in told, "never read" in told) == (True, True)


def test_forecast_counts_hires_whose_template_is_for_a_group(
    made: Database, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was in the group at the last sync takes a number of the pool; whoever matches nothing takes none."""
    site, day = memory_site(folder), (datetime.now(UTC) + timedelta(days=10)).date()
    monkeypatch.setenv("CALLWRIGHT_SITE", str(site))
    templates = (site / "templates.toml").read_text().replace('department = ["Sales"]', 'groups = ["Phones"]')
    (site / "templates.toml").write_text(templates)
    bodies = [
        ("groups", "(groups)", {"groups": ["Phones"]}),
        ("groups", "id-1", {"groups": ["Phones"]}),
        ("users", "id-1", {"employee_id": "4711"}),
        ("users", "id-2", {"employee_id": "4712"}),
    ]
    cache.prepare(made)
    with made.write() as connection:
        record_hires(connection, day, "4711", "4712")
        for source, key, body in bodies:
            cache.write_documents(connection, source, 1, [Document(key, orjson.dumps(body))])
        cache.flip(connection, 1, [])
    days = dict(run("numbers", "forecast", "vienna", "--days", "20", "--json").json["days"])
    assert days[(day - timedelta(days=1)).isoformat()] - days[day.isoformat()] == 1
