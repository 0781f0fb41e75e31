"""Who shall be in a batch: users of a filter, a saved filter, a file, a group or a list; each row is told its fate.

Nothing is lost: a row that is nobody, or somebody for the second time, stays in the batch with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection

from config.errors import InputRefused
from connectors import sheets
from connectors.database import Database
from engine import saved_filters, user_search
from engine.batches import DUPLICATE, NOT_FOUND, Member
from engine.systems import GraphSystem

COLUMNS = ("userprincipalname", "upn", "user", "id", "objectid", "sip", "sipaddress", "address")
MOST_NAMES = 500
_SIP = "sip:"


class SourceKind(StrEnum):
    """Where the users of a batch come from."""

    FILTER = "filter"
    SAVED_FILTER = "saved_filter"
    FILE = "file"
    GROUP = "group"
    USERS = "users"


@dataclass(frozen=True)
class Source:
    """A kind and what was written: a text, a name, a path, or names with commas between."""

    kind: SourceKind
    text: str


def members(database: Database, graph: GraphSystem, source: Source) -> list[Member]:
    """Give the rows of a batch, in order. Raises InputRefused for a source that cannot be read."""
    match source.kind:
        case SourceKind.FILTER | SourceKind.SAVED_FILTER:
            with database.read() as connection:
                return _filtered(connection, source)
        case SourceKind.GROUP:
            return _of_group(graph, source.text)
        case SourceKind.FILE:
            return named(database, graph, list(rows_of(Path(source.text))))
        case SourceKind.USERS:
            names = [part.strip() for part in source.text.replace("\n", ",").split(",") if part.strip()]
            if len(names) > MOST_NAMES:
                raise InputRefused(f"{len(names)} users are named", remedy=f"put more than {MOST_NAMES} into a file")
            return named(database, graph, list(enumerate(names, 1)))


def _filtered(connection: Connection, source: Source) -> list[Member]:
    if source.kind is SourceKind.SAVED_FILTER:
        saved = saved_filters.load(connection, source.text)
        found = list(user_search.everybody(connection, saved.query, shown=saved.columns))
    else:
        found = list(user_search.everybody(connection, source.text))
    if not found and not user_search.count(connection, ""):
        raise InputRefused(
            "the cache has no users to look among", remedy="read the tenant first: ./callwright users sync"
        )
    rows = ((each.key, each.columns.get("address") or each.key) for each in found)
    return [Member(row, label, key, label) for row, (key, label) in enumerate(rows, 1)]


def _of_group(graph: GraphSystem, group: str) -> list[Member]:
    ids = graph.member_ids(group)
    if ids is None:
        raise InputRefused(f"there is no group {group!r}", remedy="give its name or object id")
    labels = {key: user.user_principal_name for key, user in graph.users_by_ids(sorted(ids)).items()}
    people = sorted((label.casefold(), label, key) for key, label in labels.items())
    return [Member(row, label, key, label) for row, (_, label, key) in enumerate(people, 1)]


def rows_of(path: Path) -> Iterator[tuple[int, str]]:
    """Give the line and the user of each row of a file; one column says who it is, others are left alone."""
    for line, cells in sheets.read_sheet(path, COLUMNS, others=True):
        text = next((str(cells[name]).strip() for name in COLUMNS if str(cells.get(name, "")).strip()), "")
        yield line, text


def named(database: Database, graph: GraphSystem, rows: Sequence[tuple[int, str]]) -> list[Member]:
    """Find users by object id, UPN or SIP address: in the cache first, then in the tenant."""
    wanted = {_folded(text) for _, text in rows}
    with database.read() as connection:
        known = _cached(connection, wanted)
    found = graph.users_named(sorted(wanted - known.keys() - {""}))
    known |= {name: (user.id, user.user_principal_name) for name, user in found.items()}
    return list(_told(rows, known))


def _cached(connection: Connection, wanted: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Look everybody of the cache up once, so that ten thousand names are one pass.

    A mail address names a user where nobody has it as id or UPN, and nobody else as mail address.
    """
    names, known, by_mail = set(wanted), dict[str, tuple[str, str]](), dict[str, list[tuple[str, str]]]()
    for each in user_search.everybody(connection, ""):
        label = each.columns.get("address") or each.key
        for name in {each.key.casefold(), label.casefold()} & names:
            known[name] = (each.key, label)
        by_mail.setdefault(each.columns.get("mail", "").casefold(), []).append((each.key, label))
    return {mail: by_mail[mail][0] for mail in names if len(by_mail.get(mail, ())) == 1} | known


def _told(rows: Iterable[tuple[int, str]], known: Mapping[str, tuple[str, str]]) -> Iterator[Member]:
    first: dict[str, int] = {}
    for row, text in rows:
        found = known.get(_folded(text))
        if found is None:
            remark = (
                "nobody has this object id, UPN or SIP address ; correct the row" if text else "the row names nobody"
            )
            yield Member(row, text, None, text, NOT_FOUND, remark)
        elif found[0] in first:
            yield Member(row, text, None, found[1], DUPLICATE, f"the same user as row {first[found[0]]}")
        else:
            first[found[0]] = row
            yield Member(row, text, *found)


def _folded(text: str) -> str:
    return text.casefold().removeprefix(_SIP).strip()
