"""Writes a tenant into a snapshot file, line by line: any number of users in little memory.

Only reads. A tenant that changes meanwhile is written as it was when each line was read.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO

import orjson

from config.errors import InputRefused
from config.user_types import POLICY_TYPES
from connectors.graph_listing import GraphListing
from connectors.skype_listing import SkypeListing
from connectors.teams_listing import TeamsListing
from datasets.line_schema import LineSchema
from datasets.snapshot import MEMBERS_IN_A_LINE, AdAccount, Header, Members, Number, Voice
from datasets.snapshot_line import SnapshotLine
from datasets.users import AdUser, NumberAssignment, VoiceUser
from engine.opening import OpenSystems

VERSION = 1
SCHEMA_FILE = Path(__file__).resolve().parent.parent / "docs" / "snapshot.schema.json"
Replace = Callable[[SnapshotLine], SnapshotLine]

_DIRECTORY_DEADLINE_S = 3600.0
_OF_TEAMS = (
    "policy",
    "usages",
    "translation_rule",
    "gateway",
    "route",
    "location",
    "number_block",
    "group_policy",
)
_OF_SKYPE = ("skype_pool", "skype_policy", "orbit_range", "skype_user", "unassigned_range", "skype_device")
_ORDINARY = frozenset(("user", "unknown"))


@dataclass(frozen=True)
class Summary:
    """What was written: how many lines of each kind, and the kinds that nothing here can read."""

    lines: dict[str, int]
    left_out: tuple[str, ...]


def write_snapshot(systems: OpenSystems, path: Path, *, at: datetime, replace: Replace | None = None) -> Summary:
    """Write a tenant into a file for its owner only; it appears when it is complete. `replace` gives pseudonyms.

    Raises InputRefused for a file that cannot be written, and the errors of the connectors.
    """
    counts: Counter[str] = Counter()
    schema = LineSchema.read(SCHEMA_FILE)
    with _completed(path) as file:
        for number, line in enumerate(_lines(systems, at, is_pseudonymised=replace is not None), 1):
            written = (replace(line) if replace else line).as_line()
            schema.check(written, f"{path}:{number}")
            file.write(orjson.dumps(written) + b"\n")
            counts[line.kind] += 1
    return Summary(dict(counts), _left_out(systems))


@contextmanager
def _completed(path: Path) -> Iterator[IO[bytes]]:
    """Write beside the file and put it in its place at the end, so that half a snapshot is never taken for one."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise InputRefused(
            f"cannot be written ({error.strerror})", where=str(path), remedy="choose a folder"
        ) from error
    unfinished = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _lines(systems: OpenSystems, at: datetime, *, is_pseudonymised: bool) -> Iterator[SnapshotLine]:
    """Give the lines in the order of the schema."""
    graph = GraphListing(systems.graph)
    teams = TeamsListing(systems.shell.shell) if systems.shell else None
    yield _header(systems, at, is_pseudonymised=is_pseudonymised)
    yield from graph.products()
    if teams:
        yield from (policy for kind in sorted(POLICY_TYPES) for policy in teams.policies(kind))
        yield from teams.routing()
        yield from teams.locations()
    yield from graph.accounts()
    yield from filter(None, map(_voice, systems.teams.voice_users()))
    yield from map(_number, systems.teams.numbers())
    if teams:
        yield from teams.blocks()
    yield from _groups(graph)
    if teams:
        yield from teams.group_policies()
    if systems.directory:
        yield from map(_ad_account, systems.directory.everybody(deadline_s=_DIRECTORY_DEADLINE_S))
    if servers := systems.skype or systems.shell:
        yield from SkypeListing(servers.shell).lines()


def _left_out(systems: OpenSystems) -> tuple[str, ...]:
    of_teams = () if systems.shell else _OF_TEAMS
    of_skype = () if systems.skype or systems.shell else _OF_SKYPE
    return of_teams + (() if systems.directory else ("ad_account",)) + of_skype


def _header(systems: OpenSystems, at: datetime, *, is_pseudonymised: bool) -> Header:
    tenant = systems.graph.organization()
    return Header(
        version=VERSION,
        taken_at=f"{at:%Y-%m-%dT%H:%M:%S}Z",
        tenant_id=tenant.id,
        tenant_name=tenant.display_name or None,
        pseudonymised=is_pseudonymised,
    )


def _groups(graph: GraphListing) -> Iterator[SnapshotLine]:
    """Give the groups, then their members; the names of groups are kept meanwhile, never their members."""
    ids: list[str] = []
    for group in graph.groups():
        ids.append(group.id)
        yield group
    for group_id in ids:
        for some in _portions(graph.member_ids(group_id), MEMBERS_IN_A_LINE):
            yield Members(group_id=group_id, member_ids=some)


def _portions(values: Iterable[str], size: int) -> Iterator[tuple[str, ...]]:
    rest = iter(values)
    while some := tuple(islice(rest, size)):
        yield some


def _voice(user: VoiceUser) -> Voice | None:
    """Give what is out of the ordinary about a user; None when nothing is."""
    is_ordinary = user.account_type in _ORDINARY and not user.is_enterprise_voice_enabled and not user.policies
    if is_ordinary:
        return None
    return Voice(
        user_id=user.id,
        account_type=user.account_type,
        has_enterprise_voice=user.is_enterprise_voice_enabled,
        policies=user.policies,
    )


def _number(number: NumberAssignment) -> Number:
    return Number(
        telephone_number=number.telephone_number,
        number_type=number.number_type,
        holder_id=number.assignment_target_id,
        category=number.assignment_category,
        location_id=number.location_id,
        country=number.iso_country_code,
        city=number.city,
        source=number.number_source,
        capabilities=number.capabilities,
    )


def _ad_account(user: AdUser) -> AdAccount:
    values = {name: value for name, value in user.model_dump().items() if name in AdAccount.model_fields}
    return AdAccount.model_validate({**values, "is_enabled": user.enabled})
