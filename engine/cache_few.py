"""What is read again for the cache between two whole syncs: whom and what we changed, where a few cost little."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from datasets.cached import Document, canonical
from datasets.users import NumberAssignment
from engine import cache
from engine.cache_sources import of_account, of_calls, of_number, of_server_user, of_user, of_voice
from engine.cache_sync import Gone, Reading
from engine.cache_touched import Touched
from engine.runtime import Runtime
from engine.systems import TeamsSystem

_MANY = 20  # so many numbers one by one take about as long as a page of the list


@dataclass(frozen=True)
class Few:
    """What a source says of some objects; those it does not know are gone."""

    source: str
    keys: Collection[str]
    read: Callable[[], Iterable[Document]]
    is_complete: bool = False
    covers_all: bool = False
    link: str = ""
    at_once: int = cache.SLICE

    def __iter__(self) -> Iterator[Document | Gone]:
        """Read these objects."""
        found = list(self.read())
        yield from found
        known = {each.key for each in found}
        yield from (Gone(key) for key in self.keys if key not in known)


def some_users(
    runtime: Runtime, what: Touched, *, groups: Collection[str] = frozenset(), calls: int = 0
) -> list[Reading]:
    """Give what the sources say of those whom we changed: users, their numbers, accounts, homes and groups.

    Of the groups, only those are read that we changed and that are among `groups`, which templates name. Calling
    settings are read of at most `calls` users. Call forwarding on the servers is left to the next whole sync.
    """
    systems, ids, accounts = runtime.systems, sorted(what.users), sorted(what.accounts)
    graph, teams, directory, skype = systems.graph, systems.teams, systems.directory, systems.skype
    found: list[Reading] = [
        Few("users", ids, lambda: map(of_user, graph.users_by_ids(ids).values())),
        Few("voice", ids, lambda: map(of_voice, teams.voice_users_by_ids(ids).values())),
    ]
    if what.numbers:
        found.append(Few("numbers", what.numbers, lambda: map(of_number, _numbers(teams, what.numbers))))
    if directory is not None and accounts:
        read = directory.users
        found.append(Few("directory", accounts, lambda: map(of_account, read(accounts).values())))
    if skype is not None and (homed := _homed(runtime, ids)):
        of = skype.users
        found.append(Few("skype", homed, lambda: map(of_server_user, of(homed).values())))
    if changed := what.groups & {*groups}:
        found.append(Few("groups", ids, partial(_groups, runtime, ids, changed)))
    return [*found, *of_calls(runtime, calls, ids)]


def _numbers(teams: TeamsSystem, numbers: Collection[str]) -> Iterator[NumberAssignment]:
    """Read numbers one by one, many of them from the whole list."""
    if len(numbers) > _MANY:
        return (row for row in teams.numbers() if row.telephone_number in numbers)
    return (row for row in map(teams.number, sorted(numbers)) if row is not None)


def _homed(runtime: Runtime, ids: Sequence[str]) -> list[str]:
    """Name the accounts of those whom the servers knew at the last whole sync."""
    with runtime.database.read() as connection:
        current = cache.generation(connection)
        names = cache.links(connection, "users", current, ids)
        return sorted(cache.bodies(connection, "skype", current, names))


def _groups(runtime: Runtime, ids: Sequence[str], changed: Collection[str]) -> Iterable[Document]:
    """Give the groups of users: the changed ones as they are now, the others as they were kept."""
    with runtime.database.read() as connection:
        kept = cache.bodies(connection, "groups", cache.generation(connection), ids)
    members = {group: runtime.systems.graph.member_ids(group) or frozenset() for group in changed}
    for user_id in ids:
        before = {str(name) for name in kept.get(user_id, {}).get("groups", ())} - {*changed}
        names = before | {group for group, inside in members.items() if user_id in inside}
        if names:
            yield Document(user_id, canonical({"groups": sorted(names)}))
