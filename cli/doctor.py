"""The doctor: every condition for working, one finding each, with what to do about it. It changes nothing."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False) -> None:
    """Check every connection and permission, and say what to do about each failure."""
    raise NotImplementedError(as_json)
