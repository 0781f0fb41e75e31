"""Site policies that do not hold together, or do not fit the tenant, seen from the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.fakes.checkout import ROOT
from tests.fakes.onboarding_site import Site, hire

pytestmark = pytest.mark.slow

VIENNA = '"+431934600000", end = "+431934609999" }]\nwithheld = [{ start = "+431934600000", end = "+431934600000"'


@pytest.fixture
def policy(site: Site, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the site a copy of the sample policy to damage."""
    folder = site.folder / "policy"
    shutil.copytree(ROOT / "config" / "sample", folder)
    monkeypatch.setenv("CALLWRIGHT_SITE", str(folder))
    return folder


def replace(path: Path, old: str, new: str) -> None:
    """Change the first place of a file that says this."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


REFUSED = {
    "overlapping ranges": (
        "pools.toml",
        'ranges = [{ start = "+49305684000"',
        'ranges = [{ start = "+431934609000", end = "+431934609100" }, { start = "+49305684000"',
        "pools vienna and berlin both hold +431934609000 ; take it out of one of them",
    ),
    "a template without a pool": (
        "templates.toml",
        'pool = "vienna"\n',
        "",
        "template vienna takes numbers from a range",
    ),
    "a pool that is not there": (
        "templates.toml",
        'pool = "vienna"',
        'pool = "viena"',
        "takes from pool viena, which is not in pools.toml and was not made by command ; name one of athens, berlin",
    ),
    "a number that is none": (
        "pools.toml",
        '"+431934609999"',
        '"4.31E+11"',
        "'4.31E+11' is no number: write it like +4312345",
    ),
    "a group that is not there": (
        "templates.toml",
        'match = { usage_location = ["AT"] }',
        'match = { groups = ["Nowhere"] }',
        "no group Nowhere in the tenant ; create it or correct the template",
    ),
}


@pytest.mark.parametrize(("file", "old", "new", "words"), REFUSED.values(), ids=REFUSED)
def test_a_policy_that_cannot_be_is_refused_whole(
    site: Site, policy: Path, file: str, old: str, new: str, words: str
) -> None:
    """One line names the file, what is wrong in it and what to do; nobody is touched and no number is claimed."""
    replace(policy / file, old, new)
    site.refused(site.onboard(site.feed(*map(hire, site.some(1)))), file, words)
    assert site.writes() == []
    assert sum(pool["claimed"] for pool in site.run("numbers", "pools", "--json").json) == 0


def test_a_template_takes_from_a_pool_of_a_command(site: Site, policy: Path) -> None:
    """A pool that a command made serves the template that names it, and is not retired while one does."""
    ours = ("numbers", "pool", "create", "vienna-new", "--country", "AT", "--site", "Vienna")
    assert site.run(*ours, "--range", "+431934700000-+431934700009").code == 0
    replace(policy / "templates.toml", 'pool = "vienna"', 'pool = "vienna-new"')
    assert site.run("doctor", "--json").code in (0, 1, 3)
    (user,) = site.some(1)
    assert site.onboard(site.feed(hire(user))).code == 0
    assert site.numbers() == {user.id: "+431934700000"}
    site.refused(
        site.run("numbers", "pool", "retire", "vienna-new", "--yes"), "template vienna takes numbers from pool"
    )
    site.check_books()


def test_an_exhausted_pool_serves_as_many_as_it_can(site: Site, policy: Path) -> None:
    """Two numbers for three people: two are onboarded, the third is refused with what to do, and later served once."""
    small = VIENNA.replace("600000", "609000").replace("609999", "609002")
    replace(policy / "pools.toml", VIENNA, small)
    people = site.some(3)
    feed = site.feed(*map(hire, people))
    site.refused(site.onboard(feed), "1 refused ; see ./callwright plan show", code=1)
    (refused,) = [line for line in site.plan_lines().values() if line["state"] == "refused"]
    assert refused["reason"] == "pool vienna has no free number left ; add a range, then run the feed again"
    assert len(site.numbers()) == 2
    site.check_books()
    replace(policy / "pools.toml", "+431934609002", "+431934609009")
    assert site.onboard(feed).code == 0
    assert set(site.numbers()) == {user.id for user in people}
    site.check_books()


def test_a_policy_that_the_tenant_does_not_know_refuses_its_people(site: Site, policy: Path) -> None:
    """Nobody is half done: without the policy there is no licence and no number either, and the line says why."""
    replace(policy / "templates.toml", "VRP-Vienna", "VRP-Wien")
    site.refused(site.onboard(site.feed(*map(hire, site.some(2)))), "2 refused ; see", code=1)
    reasons = {line["reason"] for line in site.plan_lines().values()}
    said = "OnlineVoiceRoutingPolicy 'VRP-Wien' of template vienna does not exist"
    assert reasons == {f"{said} ; create it or correct the template"}
    assert site.writes() == []
    site.check_books()
