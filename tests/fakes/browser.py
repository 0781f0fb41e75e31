"""A page in headless Chromium, or the reason why there is none."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.fakes.databases import require

PATIENCE_MS = 60_000  # a page of a busy machine takes its time
TRIES, RUN_WITHIN_MS = 5, 120_000
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def opened_page(folder: Path) -> Iterator[Page]:
    """Open a page in a browser whose profile is in the folder."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        require("chromium", "no chromium on the path")
    with sync_playwright() as player:
        context = player.chromium.launch_persistent_context(
            folder / "browser", executable_path=program, args=FLAGS, viewport={"width": 1280, "height": 900}
        )
        context.set_default_timeout(PATIENCE_MS)
        yield context.new_page()
        context.close()


def submit_form(page: Page) -> None:
    """Submit the form of a deployment and follow its run to the end; the link to it that the page offers is soon gone.

    A Prefect server on SQLite that is busy refuses with 503, and whoever sees that presses again.
    """
    for _ in range(TRIES):
        with page.expect_response(lambda answer: answer.url.endswith("/create_flow_run")) as made:
            page.get_by_role("button", name="Submit").click()
        if made.value.status != HTTPStatus.SERVICE_UNAVAILABLE:
            break
    assert made.value.ok, made.value.text()
    page.goto(re.sub(r"/deployments/.*", f"/runs/flow-run/{made.value.json()['id']}", page.url))
    expect(page.get_by_role("tab", name="Logs")).to_be_visible()  # we have left the page with the states of other runs
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=RUN_WITHIN_MS)
