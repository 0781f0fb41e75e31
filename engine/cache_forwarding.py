"""Call forwarding on-premises for the cache: few users at a time, each asked for at every front end of the pool."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from sqlalchemy import Connection

from connectors.errors import Invalid, NotFound, Retryable, Unreachable
from datasets.cached import Document, canonical
from datasets.call_forwarding import KeptForwarding, newest
from datasets.hybrid import SkypeUser
from engine import cache
from engine.systems import SkypeSystem

SOURCE = "forwarding"
_SILENT_FRONT_ENDS = 2
_SILENT_USERS = 3


class Homed(NamedTuple):
    """A user of the servers, by account name in lower case; `pool` is None for one who is homed in the cloud."""

    account: str
    address: str
    pool: str | None


class Listed:
    """The users of the servers as another source lists them, once, remembered for those who ask for more."""

    def __init__(self) -> None:
        self._users: list[Homed] = []
        self._is_whole = False

    def heard(self, users: Iterable[SkypeUser]) -> Iterator[SkypeUser]:
        """Pass users on and remember them."""
        self._users, self._is_whole = [], False
        for user in users:
            pool = user.home if user.is_on_premises else None
            self._users.append(Homed(user.sam_account_name.casefold(), user.sip_address, pool))
            yield user
        self._is_whole = True

    def users(self) -> Sequence[Homed]:
        """Give them all. Raises Unreachable when the list broke off."""
        if not self._is_whole:
            raise Unreachable("call forwarding was not asked for ; the users of the servers could not be listed")
        return self._users


class ForwardingReading:
    """Call forwarding of everybody homed on the servers: `most` of them asked now, the others as they were kept."""

    source, is_complete, covers_all, link, at_once = SOURCE, True, True, "", 10

    def __init__(self, skype: SkypeSystem, listed: Listed, keeper: cache.Keeper, most: int) -> None:
        self._skype, self._listed, self._keeper, self._most = skype, listed, keeper, most
        self._silent: list[Retryable] = []

    def __iter__(self) -> Iterator[Document]:
        """Read users new to us and those whose front ends differed first, then those read longest ago."""
        users = self._listed.users()
        kept = self._kept(user.account for user in users if user.pool is not None)
        order = sorted((user for user in users if user.pool is not None), key=lambda user: kept[user.account].turn)
        yield from (_document(user, KeptForwarding()) for user in users if user.pool is None)
        front_ends = self._skype.front_ends() if order else {}
        for user in order[: self._most]:
            yield _document(user, self._asked(user, front_ends, kept[user.account]))
        if self._silent and len(self._silent) == len(order[: self._most]):
            raise self._silent[-1]
        yield from (_document(user, kept[user.account]) for user in order[self._most :])

    def _kept(self, accounts: Iterable[str]) -> Mapping[str, KeptForwarding]:
        left, found = iter(accounts), dict[str, KeptForwarding]()
        while some := list(islice(left, cache.SLICE)):
            with self._keeper.database.read() as connection:
                bodies = cache.bodies(connection, SOURCE, cache.generation(connection), some)
            found |= {each: KeptForwarding.model_validate(bodies.get(each, {})) for each in some}
        return found

    def _asked(self, user: Homed, front_ends: Mapping[str, int], kept: KeptForwarding) -> KeptForwarding:
        """Ask the front ends; one who cannot be read stays as kept. Raises when several users were not answered."""
        times = front_ends.get(user.pool or "", 1)
        answers = _answers(lambda: self._skype.call_forwarding(user.address).text, times)
        texts = [each for each in answers if isinstance(each, str)]
        if texts:
            return newest(texts, times, kept, self._keeper.now().isoformat(timespec="seconds"))
        self._silent += [each for each in answers[-1:] if isinstance(each, Retryable)]
        if len(self._silent) >= _SILENT_USERS:
            raise self._silent[-1]
        return kept


def _answers(ask: Callable[[], str], times: int) -> list[str | Retryable]:
    """Ask so many times; a front end that does not answer is passed over, after two of them the rest is."""
    found: list[str | Retryable] = []
    while len(found) < times and sum(isinstance(each, Retryable) for each in found) < _SILENT_FRONT_ENDS:
        try:
            found.append(ask())
        except Retryable as error:
            found.append(error)
        except (Invalid, NotFound):
            found.append("")  # a user without call forwarding, such as one who may not call
    return found


def _document(user: Homed, kept: KeptForwarding) -> Document:
    return Document(user.account, canonical(kept.model_dump(mode="json")))


def as_of(connection: Connection, user_id: str) -> str:
    """Say when the call forwarding of a user was read, and whether the front ends agreed; empty when it never was."""
    current = cache.generation(connection)
    user = cache.bodies(connection, "users", current, [user_id]).get(user_id, {})
    account = str(user.get("on_premises_sam_account_name") or "").casefold()
    body = cache.bodies(connection, SOURCE, current, [account]).get(account, {})
    kept = KeptForwarding.model_validate(body)
    return f"{kept.as_of} ; the front ends do not agree yet" if kept.older else kept.as_of
