"""A tenant as a file, to load into the lab: read through the connectors, with pseudonyms if wanted. Reading only."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import opened, output
from cli.exits import FinishedWithFailures

if TYPE_CHECKING:
    from datasets.pseudonyms import Pseudonyms


class Kept(StrEnum):
    """Names that may stay although people get pseudonyms: one's own templates speak of them."""

    DEPARTMENTS = "departments"
    GROUPS = "groups"
    POLICIES = "policies"


def snapshot(
    file: Annotated[Path, typer.Argument(help="Where to write it; a file of this name is replaced.")],
    pseudonymise: Annotated[
        bool, typer.Option("--pseudonymise", help="Replace names, addresses, ids and numbers; the structure stays.")
    ] = False,
    keep: Annotated[
        list[Kept] | None, typer.Option(help="Names that --pseudonymise leaves as they are; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Write the tenant into a snapshot file that the lab can load; nothing is changed."""
    from config.settings import read_settings
    from engine.opening import open_systems
    from engine.runtime import utc_now
    from engine.snapshot import write_snapshot

    replace = _pseudonyms(pseudonymise=pseudonymise, keep=keep or [])
    with opened.database() as database, open_systems(read_settings(), database) as systems:
        written = write_snapshot(systems, file, at=utc_now(), replace=replace)
    if as_json:
        output.as_json({"file": str(file), "pseudonymised": pseudonymise, **vars(written)})
    else:
        output.pairs(written.lines, title=f"lines of {file}")
    if written.left_out:
        missing = ", ".join(written.left_out)
        raise FinishedWithFailures("" if as_json else f"left out: {missing} ; set [powershell] to read them too")


def _pseudonyms(*, pseudonymise: bool, keep: list[Kept]) -> Pseudonyms | None:
    """Make pseudonyms with a key that nobody keeps, so that nothing leads back."""
    import secrets

    from config.errors import InputRefused
    from datasets.pseudonyms import Pseudonyms

    if not pseudonymise:
        if keep:
            raise InputRefused("--keep says what --pseudonymise leaves as it is", remedy="give both or neither")
        return None
    return Pseudonyms(secrets.token_bytes(32), keep=[kept.value for kept in keep])
