"""Takes the pictures of this folder from a running demo: `python docs/pictures/take.py http://127.0.0.1:4200`.

Needs Playwright (a test library) and a Chromium on the path; the pages are Prefect's own.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import httpx
from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).resolve().parent
SIZE = {"width": 1280, "height": 860}
SETTLE_MS = 3_000  # the run graph is drawn after its data has come


def main(url: str) -> None:
    """Take every picture."""
    deployment = httpx.get(f"{url}/api/deployments/name/onboarding/onboarding").raise_for_status().json()["id"]
    summary = _artifact(url, "onboarding-summary")
    pages = {
        "form": f"/v2/deployments/deployment/{deployment}/run",
        "run": f"/v2/runs/flow-run/{summary['flow_run_id']}?tab=Artifacts",
        "summary": f"/v2/artifacts/artifact/{summary['id']}",
    }
    with sync_playwright() as player:
        browser = player.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type] # a plain dict is what the library takes
        for name, path in pages.items():
            _take(page, f"{url}{path}", HERE / f"{name}.png")
        browser.close()


def _artifact(url: str, key: str) -> dict[str, str]:
    """Give the first artifact with a key: that of the run that had most to do."""
    body = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC", "limit": 200}
    found: list[dict[str, str]] = httpx.post(f"{url}/api/artifacts/filter", json=body).raise_for_status().json()
    return found[-1]


def _take(page: Page, url: str, path: Path) -> None:
    page.goto(url)
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=path)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:4200")
