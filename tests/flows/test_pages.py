"""What an administrator sees in a browser: the forms of the served deployments, in both front ends of Prefect."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from deployments.catalog import for_site
from deployments.serve import deployment_of
from deployments.server import PrefectServer
from flows.onboarding import OnboardingRequest
from tests.fakes.databases import require

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def form(in_prefect: PrefectServer) -> str:
    """Register the onboarding deployment and give the path of its form; before a browser, whose loop Prefect minds."""
    return f"/deployments/deployment/{deployment_of(for_site(Path('workday'), None)[0]).apply()}/run"


@pytest.fixture
def page(form: str) -> Iterator[Page]:
    """Open a page in headless Chromium."""
    program = shutil.which("chromium")
    if program is None:
        require("browser", "no chromium on the path")
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


@pytest.mark.parametrize("front_end", ["", "/v2"], ids=["V1", "V2"])
def test_the_form_explains_every_field(in_prefect: PrefectServer, form: str, page: Page, front_end: str) -> None:
    """Every field of the onboarding form has its title and its help, and the mapping is filled in."""
    page.goto(f"{in_prefect.place.url}{front_end}{form}")
    for field in OnboardingRequest.model_fields.values():
        expect(page.get_by_text(field.title or "?").first).to_be_visible()
        expect(page.get_by_text(field.description or "?").first).to_be_visible()
    assert "workday" in [box.input_value() for box in page.locator("textarea").all()]
