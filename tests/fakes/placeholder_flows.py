"""Flows without a business, for the tests of everything that runs around flows."""

from __future__ import annotations

import os
import time
from pathlib import Path

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field


class Request(BaseModel):
    """What the placeholder is asked for; shaped like an onboarding request."""

    model_config = ConfigDict(extra="forbid", title="Placeholder")

    feed: str = Field(title="Feed file", description="The file to read.")
    mapping: str = Field(default="", title="Feed mapping", description="How its columns are read.")
    dry_run: bool = Field(default=False, title="Dry run", description="Stop after the plan.")
    requested_by: str = Field(default="", title="Requested by", description="Who asks.")


@flow(name="placeholder")
def remember(request: Request) -> None:
    """Write the process id beside the feed; wait while `<feed folder>/.hold` exists; fail when the feed says so."""
    feed = Path(request.feed)
    text = feed.read_text()
    folder = feed.parent.parent
    with (folder / ".started").open("a") as log:
        log.write(f"{os.getpid()} {text.strip()}\n")
    while (folder / ".hold").exists():
        time.sleep(0.05)
    if "bad" in text:
        raise ValueError("line 1: bad row")
