"""What an administrator does with a batch in a browser: build it in the form, read its plan, run it, try again.

With PICTURES set to a folder, the pages of the documents are photographed on the way.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from connectors import schema
from connectors.database import Database
from deployments.children import Child
from deployments.environment import child_environment
from deployments.server import NO_TLS, PrefectServer
from deployments.stage import SAMPLE, site_settings
from engine import batches as rows
from flows.batches import CreateRequest
from lab.catalogue import E5
from lab.records import User
from lab.server import Lab
from lab.settings import Settings
from tests.fakes.browser import opened_page, submit_form
from tests.fakes.checkout import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NAME, PEOPLE = "vienna", 4
APPROVALS = 'kinds = ["move_to_teams"]\nallow_unverified = true\n'


@dataclass(frozen=True)
class Site:
    """The deployments of a hybrid site that wants moves approved, and a file of people who shall move."""

    url: str
    lab: Lab
    database: Database
    environment: dict[str, str]
    people: Path
    others: tuple[User, ...]

    def form(self, deployment: str) -> str:
        """Give the address of a deployment's form in the default front end."""
        flow = deployment  # each has the name of its flow
        found = httpx.get(f"{self.url}/api/deployments/name/{flow}/{deployment}").raise_for_status().json()
        return f"{self.url}/v2/deployments/deployment/{found['id']}/run"

    def counts(self) -> Counter[str]:
        """Count the users of the batch by state."""
        with self.database.read() as connection:
            return rows.counts(connection, rows.find(connection, NAME).id)

    def plan_id(self) -> str:
        """Give the newest plan of the batch."""
        with self.database.read() as connection:
            return rows.plans_of(connection, rows.find(connection, NAME).id)[-1]

    def command(self, *words: str) -> None:
        """Run a command as an administrator would, on the same database."""
        environment = {name: value for name, value in self.environment.items() if name != "PREFECT_API_URL"}
        ran = self.run(environment, *words)
        assert ran.returncode == 0, ran.stderr

    def run(self, environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in an environment."""
        command = [sys.executable, "-P", "-m", "cli", *words]
        environment = {**environment, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=120)


def of_the_servers(lab: Lab) -> list[str]:
    """Give ids of people of the servers who have a line, and a location that licences need."""
    tenant = lab.tenant
    names = [name for name, user in tenant.skype.items() if user.enterprise_voice and name in tenant.by_sam]
    return [tenant.by_sam[name] for name in names if tenant.users[tenant.by_sam[name]].text("usageLocation")]


def write_people(lab: Lab, folder: Path) -> Path:
    """License people of the servers, and write them into a file with one that nobody knows."""
    tenant, people = lab.tenant, of_the_servers(lab)[:PEOPLE]
    for user_id in people:
        tenant.change_licences(user_id, add={E5: ()}, remove=[])
    path = folder / "people.csv"
    upns = [tenant.users[user_id].upn for user_id in people]
    path.write_text("\n".join(["upn", *upns, "nobody@contoso.example", ""]), encoding="utf-8")
    return path


def of_the_cloud(lab: Lab) -> tuple[User, ...]:
    """Give licensed people who are in Teams already."""
    tenant = lab.tenant
    found = [user for user in tenant.users.values() if user.licences and not tenant.voice(user.id).homed_on_premises]
    return tuple(user for user in found if not user.text("onPremisesSamAccountName") or is_apart(lab, user))[:2]


def is_apart(lab: Lab, user: User) -> bool:
    """Tell whether the servers know nothing of somebody."""
    return (user.text("onPremisesSamAccountName") or "").casefold() not in lab.tenant.skype


@pytest.fixture(scope="module")
def site(prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve the catalog beside a hybrid lab."""
    folder, wanted = tmp_path_factory.mktemp("batches"), Settings()
    wanted.change({"hybrid_share": 0.6})
    shutil.copytree(SAMPLE, folder / "site")
    (folder / "site" / "approvals.toml").write_text(APPROVALS, encoding="utf-8")
    with (
        Lab(folder=folder / "lab", users=40, seed=11, settings=wanted) as lab,
        closing(Database(f"sqlite:///{folder}/callwright.db")) as database,
    ):
        schema.upgrade(database)
        settings = site_settings(folder, lab.endpoints)
        settings |= {"CALLWRIGHT_SITE": str(folder / "site"), "CALLWRIGHT_WAIT__LAG_WINDOW_S": "0.1"}
        command = [sys.executable, "-P", "-m", "deployments.serve", "--mapping", "workday", "--poll-s", "1"]
        environment = child_environment(prefect_server.place, **settings)
        with Child("deployments", command, log=folder / "log", folder=folder / "work", env=environment) as child:
            url = prefect_server.place.url
            child.wait_until(lambda: is_registered(url), 300)
            yield Site(url, lab, database, environment, write_people(lab, folder), of_the_cloud(lab))


def is_registered(url: str) -> bool:
    """Tell whether the last of the batch deployments is known to the server."""
    return httpx.get(f"{url}/api/deployments/name/batch-undo/batch-undo", verify=NO_TLS).status_code == 200


@pytest.fixture
def page(site: Site, tmp_path: Path) -> Iterator[Page]:
    """Open a page; after the site, because Prefect minds a browser's loop."""
    with opened_page(tmp_path) as opened:
        yield opened


def photograph(page: Page, name: str, width: int = 1280) -> None:
    """Take a picture for the documents, when somebody wants one; wide tables want more of a page."""
    folder = os.environ.get("PICTURES")
    if folder:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(2_000)
        page.screenshot(path=Path(folder) / f"{name}.png")


def choose(page: Page, label: str, option: str) -> None:
    """Choose in a drop-down of the form."""
    page.get_by_role("button", name=f"Select {label}", exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()


def fill(page: Page, label: str, text: str) -> None:
    """Fill in a field; the form says of those with a default that they are optional."""
    page.get_by_label(re.compile(rf"^{label}( \(Optional\))?$")).fill(text)


def open_artifact(page: Page, run_url: str, key: str) -> None:
    """Go from a run's page to one of its artifacts."""
    page.goto(re.sub(r"\?.*", "", run_url) + "?tab=Artifacts")
    page.get_by_text(key, exact=True).click()
    page.locator("a[href*='/artifacts/artifact/']").first.click()


def run_batch(site: Site, page: Page, deployment: str = "batch-run") -> str:
    """Start a deployment of the batch from its form; gives the address of its run."""
    page.goto(site.form(deployment))
    fill(page, "Batch", NAME)
    submit_form(page)
    return page.url


def test_the_form_of_batches_explains_every_field(site: Site, page: Page) -> None:
    """Every field has its title and its help."""
    page.goto(site.form("batch-create"))
    for field in CreateRequest.model_fields.values():
        expect(page.get_by_text(field.title or "?").first).to_be_visible()
        expect(page.get_by_text(field.description or "?").first).to_be_visible()


def build(site: Site, page: Page) -> None:
    """Build the batch in its form, and read the plan of its first wave in the artifact."""
    page.goto(site.form("batch-create"))
    fill(page, "Name", NAME)
    choose(page, "Users from", "file")
    fill(page, "Users", "/srv/callwright/people.csv")  # what the picture shows
    choose(page, "Then", "plan the first wave")
    choose(page, "Emergency readiness", "warn")  # the lines of the sample are in no pool with a location
    fill(page, "Canary", "0")
    fill(page, "Error budget", "50")
    page.get_by_text("Users from").first.scroll_into_view_if_needed()
    photograph(page, "batch-form")
    fill(page, "Users", str(site.people))
    submit_form(page)
    assert site.counts() == {"planned": PEOPLE, "not_found": 1}
    open_artifact(page, page.url, "batch-plan")
    expect(page.get_by_role("row", name=re.compile("move to teams"))).to_have_count(PEOPLE)
    photograph(page, "batch-plan")


def test_a_batch_is_built_and_its_plan_read(site: Site, page: Page) -> None:
    """The form builds it, the artifact shows the plan, and nobody was moved."""
    build(site, page)
    assert [call for call in site.lab.calls.since() if call["write"]] == []


def test_a_batch_is_launched_with_what_the_drop_downs_offer(site: Site, page: Page) -> None:
    """A dial plan and a licence of the site are chosen, the batch is launched: its users have the dial plan (M47)."""
    page.goto(site.form("batch-create"))
    fill(page, "Name", "berlin")
    choose(page, "Users from", "users")
    fill(page, "Users", ",".join(user.upn for user in site.others))
    choose(page, "Then", "launch")
    choose(page, "Numbers", "none")
    choose(page, "Licences", "SPE_E5")
    page.keyboard.press("Escape")
    choose(page, "Dial plan", "DP-Berlin")
    choose(page, "Caller id", "Anonymous")
    fill(page, "Canary", "0")
    page.get_by_role("button", name="Select Voice routing", exact=True).click()
    expect(page.get_by_role("option", name="VRP-Berlin", exact=True)).to_be_visible()
    photograph(page, "batch-choices")
    page.keyboard.press("Escape")
    submit_form(page)
    given = [site.lab.tenant.voice(user.id).policies for user in site.others]
    assert [(each["TenantDialPlan"], each["CallingLineIdentity"]) for each in given] == [("DP-Berlin", "Anonymous")] * 2


def test_the_server_refuses_what_the_site_does_not_know(site: Site) -> None:
    """A name that no drop-down has is refused by the server, and a command tells it in one line (M48)."""
    ran = site.run(site.environment, "batch", "create", "x", "--users", "y", "--policy", "TenantDialPlan=DP-Mars")
    assert (ran.returncode, "DP-Mars" in ran.stderr, "Traceback" in ran.stderr) == (2, True, False)
    assert ran.stderr.strip().splitlines()[-1].startswith("callwright: batch")
    ran = site.run(site.environment, "batch", "create", "x", "--users", "y", "--set", "pool=mars")
    told = ran.stderr.strip().splitlines()
    assert (ran.returncode, len(told)) == (2, 1), ran.stderr
    assert "pool: 'mars' is not one of" in told[0]


@pytest.mark.nightly
def test_a_batch_is_approved_run_and_tried_again(site: Site, page: Page) -> None:
    """A command approves the plan that was read; paused and resumed, all but one move, and the retry moves that one.

    M41, M50: built, reviewed, controlled, watched and tried again on the pages.
    """
    build(site, page)
    waiting = run_batch(site, page)
    open_artifact(page, waiting, "batch-run-summary")
    expect(page.get_by_text(re.compile("needs an approval")).first).to_be_visible()
    site.command("plan", "approve", site.plan_id(), "--reason", "change 4711", "--name", "ada", "--yes")
    control(site, page, "pause")
    expect(page.get_by_text(re.compile("is paused: change freeze")).first).to_be_visible()
    broken: dict[str, Any] = {"name": "error", "match": {"operation": "Move-CsUser", "target": "*"}, "times": 1}
    site.lab.faults.add({**broken, "status": 400, "code": "BadRequest", "message": "this user is broken"})
    resumed = control(site, page, "resume")
    assert not site.counts()["planned"]
    page.goto(re.sub(r"\?.*", "", resumed) + "?tab=Artifacts")
    expect(page.get_by_text(re.compile(rf"\d of {PEOPLE + 1} users \(")).first).to_be_visible()
    photograph(page, "batch-run")
    done = until_ended(site, page)
    open_artifact(page, done, "batch-run-checklist")
    expect(page.get_by_role("row", name=re.compile("migrated"))).to_have_count(PEOPLE - 1)
    photograph(page, "batch-checklist")
    assert site.counts() == {"migrated": PEOPLE - 1, "failed": 1, "not_found": 1}
    open_artifact(page, done, "batch-run-failures")
    expect(page.get_by_role("row", name=re.compile("this user is broken"))).to_be_visible()
    photograph(page, "batch-failures", 1900)
    site.lab.faults.clear()
    run_batch(site, page, "batch-retry")
    site.command("plan", "approve", site.plan_id(), "--reason", "again", "--name", "ada", "--yes")
    summary = until_ended(site, page)
    assert site.counts() == {"migrated": PEOPLE, "not_found": 1}
    open_artifact(page, summary, "batch-run-summary")
    expect(page.get_by_role("row", name=re.compile(rf"^migrated {PEOPLE}"))).to_be_visible()
    photograph(page, "batch-summary")


def test_a_batch_is_examined_on_its_page(site: Site, page: Page) -> None:
    """The preflight of a batch shows reasons with remedies, and what stands behind emergency calls (M50)."""
    unlicensed, *others = of_the_servers(site.lab)[PEOPLE : PEOPLE + 4]
    for user_id in others:
        site.lab.tenant.change_licences(user_id, add={E5: ()}, remove=[])
    site.lab.tenant.change_licences(unlicensed, add={}, remove=[E5])
    named = [word for user_id in (unlicensed, *others) for word in ("--users", user_id)]
    site.command("batch", "create", "graz", "--from", "users", *named, "--set", "emergency_gate=warn")
    page.goto(site.form("batch-preflight"))
    fill(page, "Batch", "graz")
    fill(page, "File", "preflight.csv")
    submit_form(page)
    run = page.url
    open_artifact(page, run, "batch-preflight-emergency")
    expect(page.get_by_role("row", name=re.compile(r"in no pool"))).to_be_visible()
    open_artifact(page, run, "batch-preflight-reasons")
    expect(page.get_by_role("row", name=re.compile("emergency_location"))).to_be_visible()
    photograph(page, "batch-preflight", 1900)


def control(site: Site, page: Page, act: str) -> str:
    """Pause or resume the batch from its form, and open what came of it; gives the address of the run."""
    page.goto(site.form("batch-control"))
    fill(page, "Batch", NAME)
    choose(page, "Act", act)
    fill(page, "Reason", "change freeze")
    submit_form(page)
    address = page.url
    open_artifact(page, address, "batch-control-summary" if act == "pause" else "batch-run-summary")
    return address


def until_ended(site: Site, page: Page) -> str:
    """Run the batch from its form until nothing waits, as the clock would; gives the address of the last run."""
    for _ in range(6):
        address = run_batch(site, page)
        if not site.counts().keys() & {"planned", "waiting", "unknown"}:
            break
    return address
