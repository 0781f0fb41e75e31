"""M106: what is no phone number is refused at every entrance, by the same reading and with the same reason."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from config.errors import InputRefused
from config.site_policy import read_mapping, read_site
from connectors import xlsx
from connectors.hr import open_feed
from engine.requests import Actor
from flows.number_assignment import AssignRequest, UnassignRequest, assign_story, unassign_story
from flows.number_orders import OrderRequest
from flows.number_orders import story as order_story
from tasks.stage import InProcess
from tests.fakes.bad_numbers import BAD_NUMBERS
from tests.fakes.checkout import ROOT
from tests.fakes.command_line import Run
from tests.fakes.onboarding_site import Site, as_text, stranger

NOTHING = {name for name, (_, words) in BAD_NUMBERS.items() if words == "empty"}  # an empty cell says nothing at all
POOL = '[[pools]]\nname = "p"\ncountry = "AT"\nnumber_type = "directRouting"\nnumbers = [{number}]\n'


@pytest.mark.parametrize("name", ["feed.csv", "feed.xlsx"])
def test_the_feed_quarantines_them(folder: Path, name: str) -> None:
    """Each row with one is quarantined, by its column and the reason; the sound row goes on."""
    mapping = (ROOT / "config" / "sample" / "mappings" / "workday.toml").read_text(encoding="utf-8")
    (folder / "m.toml").write_text(mapping.replace("phone_region_from", "# ").replace(', "Country"', ""), "utf-8")
    # NUL is left out because a file that holds one is refused whole.
    cells = {name: text for name, (text, _) in BAD_NUMBERS.items() if name not in NOTHING and "\0" not in text}
    rows = [stranger(number, Home_Phone=text, Country="") for number, text in enumerate(cells.values())]
    text = as_text([*rows, stranger(900, Home_Phone="+43 1 2345678")])
    if name.endswith("xlsx"):
        xlsx.write(folder / name, csv.reader(io.StringIO(text)))
    else:
        (folder / name).write_text(text, "utf-8", newline="")
    read = open_feed(folder / name, read_mapping(folder / "m.toml", folder)).read()
    assert [row.person.home_phone for row in read.good] == ["+4312345678"]
    for what, row in zip(cells, read.bad, strict=True):
        assert row.column == "Home_Phone", what
        assert BAD_NUMBERS[what][1] in row.reason, what


@pytest.mark.parametrize("name", BAD_NUMBERS)
def test_the_site_policy_refuses_them(folder: Path, name: str) -> None:
    """A pool with one is refused in one line that names the file and says how a number is written."""
    text = json.dumps(BAD_NUMBERS[name][0], ensure_ascii=True)
    (folder / "pools.toml").write_text(POOL.format(number=text), "utf-8")
    (folder / "templates.toml").write_text("templates = []\n", "utf-8")
    with pytest.raises(InputRefused, match=r"pools\.toml.* is no number: write it like"):
        read_site(folder)


@pytest.mark.slow
def test_the_command_line_refuses_them(site: Site, run: Run) -> None:
    """`numbers show` and `numbers assign` end with 2, one line, the reason and a remedy."""
    user = site.some(1)[0].id
    for name, (text, words) in BAD_NUMBERS.items():
        ran = run("numbers", "show", "--", text)
        assert (ran.code, len(ran.err.splitlines())) == (2, 1), name
        assert words in ran.err, name
    for text in ("4.31E+10", "+43 01 2345678"):
        site.refused(run("numbers", "assign", user, "--number", text), "is no phone number")
    assert site.writes() == []


TYPED = Actor(kind="prefect-ui", name="tess")


@pytest.mark.slow
def test_the_form_of_a_flow_refuses_them(site: Site) -> None:
    """A number that somebody types into the form of a run ends the run with the reason; nothing is sent."""
    user = site.some(1)[0].id
    # Without a plus a number is read by the country of the user, who has one.
    refused = [(text, words) for text, words in BAD_NUMBERS.values() if words != "no +"]
    for text, words in refused:
        with pytest.raises(InputRefused, match=re.escape(words)):
            assign_story(AssignRequest(user=user, number=text), InProcess(), TYPED)
    for text, words in refused[3:40:9]:
        with pytest.raises(InputRefused, match=re.escape(words)):
            unassign_story(UnassignRequest(user=user, number=text), InProcess(), TYPED)
        with pytest.raises(InputRefused, match=re.escape(words)):
            order_story(OrderRequest(start=text, end="+4312345678"), InProcess(), TYPED)
    assert site.writes() == []
