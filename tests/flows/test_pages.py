"""What an administrator sees in a browser: the forms of the served deployments, and the run that a form starts."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from config.settings import read_settings
from connectors import schema
from connectors.database import Database
from datasets.tables.requests import requests
from deployments.children import Child
from deployments.demo_feed import Feed, compose, write_feed
from deployments.demo_report import read_calls, tenant_view
from deployments.environment import child_environment
from deployments.server import NO_TLS, PrefectServer
from deployments.stage import site_settings
from engine.opening import open_systems
from flows.onboarding import OnboardingRequest
from lab.server import Lab
from tests.fakes.browser import opened_page, submit_form

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@dataclass(frozen=True)
class Site:
    """The deployments of a site, served on a Prefect server beside a lab, and a feed about its people."""

    url: str
    lab: Lab
    database: Database
    feed: Feed

    @property
    def form(self) -> str:
        """Give the path of the onboarding form."""
        found = httpx.get(f"{self.url}/api/deployments/name/onboarding/onboarding").raise_for_status().json()
        return f"/deployments/deployment/{found['id']}/run"

    def writes(self) -> int:
        """Count the remote writes that the lab has seen."""
        return tenant_view(read_calls(Path(str(self.lab.endpoints["call_log"])))).writes


def feed_about(settings: dict[str, str], folder: Path) -> Feed:
    """Write a feed about the people of a lab."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        found = read_settings()
    with open_systems(found) as systems:
        held = {voice.id for voice in systems.teams.voice_users() if voice.number}
        people = [user for user in systems.graph.users() if user.employee_id]
    without, having = ([user for user in people if (user.id in held) is wanted] for wanted in (False, True))
    return write_feed(folder / "hires.csv", compose(without, having, datetime.now(UTC).date()))


@pytest.fixture(scope="module")
def site(prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve the catalog as the demo does, with its own lab and database."""
    folder = tmp_path_factory.mktemp("site")
    with (
        Lab(folder=folder / "lab", users=40, seed=7) as lab,
        closing(Database(f"sqlite:///{folder}/callwright.db")) as database,
    ):
        schema.upgrade(database)
        settings = site_settings(folder, lab.endpoints)
        command = [sys.executable, "-P", "-m", "deployments.serve", "--mapping", "workday", "--poll-s", "1"]
        environment = child_environment(prefect_server.place, **settings)
        with Child("deployments", command, log=folder / "log", folder=folder / "work", env=environment) as child:
            made = Site(prefect_server.place.url, lab, database, feed_about(settings, folder))
            child.wait_until(lambda: is_registered(made.url), 120)
            yield made


def is_registered(url: str) -> bool:
    """Tell whether the onboarding deployment is known to the server."""
    return httpx.get(f"{url}/api/deployments/name/onboarding/onboarding", verify=NO_TLS).status_code == 200


@pytest.fixture
def page(site: Site, tmp_path: Path) -> Iterator[Page]:
    """Open a page in headless Chromium; after the site, because Prefect minds a browser's loop."""
    with opened_page(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("front_end", ["", "/v2"], ids=["V1", "V2"])
def test_the_form_explains_every_field(site: Site, page: Page, front_end: str) -> None:
    """Every field of the onboarding form has its title and its help, and the mapping is filled in."""
    page.goto(f"{site.url}{front_end}{site.form}")
    for field in OnboardingRequest.model_fields.values():
        expect(page.get_by_text(field.title or "?").first).to_be_visible()
        expect(page.get_by_text(field.description or "?").first).to_be_visible()
    assert "workday" in [box.input_value() for box in page.locator("textarea").all()]


def submit(site: Site, page: Page, *, dry_run: bool) -> None:
    """Fill in the form of the default front end, submit it, and go to the run it started until that is complete."""
    page.goto(f"{site.url}/v2{site.form}")
    page.get_by_label("Feed file").fill(str(site.feed.path))
    if dry_run:
        page.get_by_role("switch", name="Dry run").click()
    page.get_by_label("Requested by").fill("ada at the form")
    submit_form(page)


def open_artifact(page: Page, key: str) -> None:
    """Go from a run's page to one of its artifacts; a card leads to all artifacts of its key, the newest first."""
    page.goto(re.sub(r"\?.*", "?tab=Artifacts", page.url))
    page.get_by_text(key, exact=True).click()
    page.locator("a[href*='/artifacts/artifact/']").first.click()


def asked_by(site: Site, run_id: str) -> tuple[str, bool]:
    """Give who asked for the run, and whether we believe it."""
    with site.database.read() as connection:
        c = requests.c
        query = requests.select().with_only_columns(c.actor_name, c.actor_verified).where(c.flow_run_id == run_id)
        name, verified = connection.execute(query).one()
    return name, verified


def test_a_dry_run_from_the_form_changes_nothing(site: Site, page: Page) -> None:
    """The run is called a dry run, its summary says what would be done, and the tenant saw no write."""
    before = site.writes()
    submit(site, page, dry_run=True)
    expect(page.get_by_text("dry run of hires.csv").first).to_be_visible()
    open_artifact(page, "onboarding-summary")
    expect(page.get_by_role("heading", name="Onboarding: dry run")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile(r"^planned \d+ the plan says"))).to_be_visible()
    assert site.writes() == before


def test_a_run_from_the_form_onboards_and_shows_it(site: Site, page: Page) -> None:
    """The form onboards the feed; progress, summary and what needs a look are there to be read on the run's page."""
    submit(site, page, dry_run=False)
    run_url, run_id = page.url, page.url.partition("flow-run/")[2][:36]
    expect(page.get_by_text("onboarding of hires.csv").first).to_be_visible()
    open_artifact(page, "onboarding-summary")
    expect(page.get_by_role("row", name=re.compile(r"^onboarded [1-9]"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile(r"^quarantined [1-9]"))).to_be_visible()
    page.goto(run_url)
    open_artifact(page, "onboarding-failures")
    expect(page.get_by_role("row", name=re.compile("new.colleague.*no account carries"))).to_have_count(3)
    page.goto(run_url)
    open_artifact(page, "onboarding-progress")
    expect(page.get_by_text("100%").first).to_be_visible()
    assert site.writes() > 0
    assert asked_by(site, run_id) == ("ada at the form", False)
