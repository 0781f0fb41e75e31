"""What is read for the cache: each source of a tenant as documents, whole or since the last time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from connectors.errors import NotAllowed, NotFound
from datasets.cached import ON_PREMISES, SOURCES, Body, Document, canonical, document
from datasets.directory import DeltaPage
from datasets.hybrid import SkypeUser
from datasets.users import AdUser, DirectoryUser, NumberAssignment, SubscribedSku, VoiceUser
from engine import cache
from engine.cache_calls import CallsReading
from engine.cache_forwarding import ForwardingReading, Listed
from engine.cache_sync import Gone, Reading
from engine.runtime import Runtime
from engine.systems import DirectorySystem, SkypeSystem

_SLOWEST_DIRECTORY_S = 1800.0


@dataclass(frozen=True)
class Whole:
    """A complete answer."""

    source: str
    read: Callable[[], Iterable[Document]]
    is_complete: bool = True
    covers_all: bool = True
    link: str = ""
    at_once: int = cache.SLICE

    def __iter__(self) -> Iterator[Document]:
        """Read everything."""
        return iter(self.read())


class ChangedUsers:
    """Users since the last read, by Graph's delta; all of them when there was none or it is too long ago."""

    source, covers_all, at_once = "users", True, cache.SLICE

    def __init__(self, runtime: Runtime, link: str) -> None:
        self._runtime, self._after, self.link = runtime, link, ""
        self.is_complete = not link
        self._changed: dict[str, DirectoryUser | None] = {}

    def __iter__(self) -> Iterator[Document | Gone]:
        """Read page by page."""
        try:
            yield from self._read(self._after)
        except NotFound:
            if self.is_complete:
                raise
            self.is_complete = True  # the link expired: begin again, and believe what is absent
            yield from self._read("")

    def _read(self, after: str) -> Iterator[Document | Gone]:
        for page in self._runtime.systems.graph.users_delta(after or None):
            self.link = page.delta_link or ""
            yield from self._of_page(page)

    def _of_page(self, page: DeltaPage) -> Iterator[Document | Gone]:
        with self._runtime.database.read() as connection:
            ids = [change.id for change in page.changes]
            bodies = cache.bodies(connection, self.source, cache.generation(connection), ids)
        for change in page.changes:
            user = change.applied_to(None if self.is_complete else self._known(change.id, bodies))
            if not self.is_complete:
                self._changed[change.id] = user
            if user is not None:
                yield of_user(user)
            elif change.removed or not self.is_complete:
                yield Gone(change.id)

    def _known(self, user_id: str, bodies: Mapping[str, Body]) -> DirectoryUser | None:
        """Give a user as an earlier page has it, or else as the cache does: a delta tells only what changed."""
        if user_id in self._changed:
            return self._changed[user_id]
        return DirectoryUser.model_validate(bodies[user_id]) if user_id in bodies else None


def of_user(user: DirectoryUser) -> Document:
    """Make a document of a user, linked by the account name in Active Directory."""
    return document(
        user.model_copy(update={"sku_ids": tuple(sorted(user.sku_ids))}),
        (user.on_premises_sam_account_name or "").casefold(),
    )


def of_licence(sku: SubscribedSku) -> Document:
    """Make a document of a licence product; how many are used changes all the time and is not kept."""
    return Document(sku.sku_id, canonical({"sku_part_number": sku.sku_part_number}))


def of_voice(user: VoiceUser) -> Document:
    """Make a document of what Teams knows of a user; its features have no order."""
    return document(user.model_copy(update={"feature_types": tuple(sorted(user.feature_types))}))


def of_number(number: NumberAssignment) -> Document:
    """Make a document of a number, linked by who holds it."""
    return document(number, number.assignment_target_id or "")


def of_account(account: AdUser) -> Document:
    """Make a document of a directory account; its name has no case."""
    return document(account)._replace(key=account.sam_account_name.casefold())


def of_server_user(user: SkypeUser) -> Document:
    """Make a document of a user of the server, under the account's name: where homed, with which line."""
    kept = {"sip_address": user.sip_address, "home": user.home, "line_uri": user.line_uri}
    return Document(user.sam_account_name.casefold(), canonical(kept))


@dataclass(frozen=True)
class Unanswered:
    """A source that cannot even be asked: credentials are missing or wrong."""

    source: str
    reason: str
    is_complete: bool = False
    covers_all: bool = True
    link: str = ""
    at_once: int = cache.SLICE

    def __iter__(self) -> Iterator[Document]:
        """Read nothing. Raises NotAllowed with the reason."""
        raise NotAllowed(self.reason)


def everything(runtime: Runtime, *, link: str = "", forwarding: int = 0, calls: int = 0) -> list[Reading]:
    """Give every source that this site has: users since `link` or all; where the calls of so many users go.

    `forwarding` counts users of the servers, `calls` users of Teams.
    """
    servers = of_servers(runtime.systems.skype, runtime, forwarding)
    tenant, directory = of_tenant(runtime, link), of_directory(runtime.systems.directory)
    return [*tenant, *directory, *servers, *of_calls(runtime, calls)]


def of_calls(runtime: Runtime, most: int, only: Collection[str] | None = None) -> list[Reading]:
    """Give the calling settings of so many users of Teams, of all or of some, where the site has Teams PowerShell."""
    calling = runtime.systems.calling
    return [CallsReading(calling, runtime, most, only)] if calling is not None and most else []


def without_tenant(reason: str, *on_premises: Reading) -> list[Reading]:
    """Give what can be read when the tenant cannot be asked, and the reason for the rest."""
    return [*(Unanswered(name, reason) for name in SOURCES if name not in ON_PREMISES), *on_premises]


def of_tenant(runtime: Runtime, link: str) -> list[Reading]:
    """Give the sources in the cloud; users since `link`, or all of them."""
    systems = runtime.systems
    return [
        Whole("licences", lambda: map(of_licence, systems.graph.subscribed_skus())),
        ChangedUsers(runtime, link),
        Whole("voice", lambda: map(of_voice, systems.teams.voice_users())),
        Whole("numbers", lambda: map(of_number, systems.teams.numbers())),
    ]


def of_directory(directory: DirectorySystem | None) -> list[Reading]:
    """Give Active Directory, where the site has one."""
    if directory is None:
        return []
    everybody = directory.everybody
    return [Whole("directory", lambda: map(of_account, everybody(deadline_s=_SLOWEST_DIRECTORY_S)))]


def of_servers(skype: SkypeSystem | None, keeper: cache.Keeper, forwarding: int = 0) -> list[Reading]:
    """Give the users of Skype for Business Server, where the site has one, and call forwarding of so many of them."""
    if skype is None:
        return []
    everybody, listed = skype.everybody, Listed()
    users = Whole("skype", lambda: map(of_server_user, listed.heard(everybody(deadline_s=_SLOWEST_DIRECTORY_S))))
    return [users, ForwardingReading(skype, listed, keeper, forwarding)] if forwarding else [users]


def of_groups(runtime: Runtime, groups: Collection[str]) -> list[Reading]:
    """Give who is in these groups, nested ones expanded; nothing when no group is of interest."""
    return [Whole("groups", lambda: _members(runtime, groups))] if groups else []


def _members(runtime: Runtime, groups: Collection[str]) -> Iterator[Document]:
    """Give the groups of each member, and a document that is always there. Raises NotFound for an unknown group."""
    found: dict[str, list[str]] = {}
    for group in sorted(groups):
        members = runtime.systems.graph.member_ids(group)
        if members is None:
            raise NotFound(f"no group {group} in the tenant ; create it or correct templates.toml")
        for user_id in members:
            found.setdefault(user_id, []).append(group)
    yield Document("(groups)", canonical({"groups": sorted(groups)}))
    for user_id, names in sorted(found.items()):
        yield Document(user_id, canonical({"groups": names}))
