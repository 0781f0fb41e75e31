"""Users by Graph's delta: its pages may name a user more than once, each time what changed; the last word counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import pytest

from connectors.database import Database
from datasets.directory import DeltaPage, UserDelta
from engine import cache, user_search
from engine.cache_sources import ChangedUsers
from engine.cache_sync import SyncResult, sync
from engine.runtime import Runtime
from engine.systems import GraphSystem
from tests.fakes.plans import fresh, runtime_on

Page = tuple[UserDelta, ...]


@dataclass(frozen=True)
class Pages:
    """Graph's answer to one delta read, page by page."""

    pages: tuple[Page, ...]

    def users_delta(self, link: str | None = None) -> Iterator[DeltaPage]:
        """Give the pages; the last one carries a link."""
        for number, page in enumerate(self.pages, 1):
            yield DeltaPage(changes=page, delta_link="next" if number == len(self.pages) else None)


@pytest.fixture
def runtime(database: Database) -> Runtime:
    """Give what a sync needs, once on each database."""
    return runtime_on(database, fresh(1))


def user(name: str, **more: str) -> UserDelta:
    """Give everything of a user."""
    return UserDelta(id=name, attributes={"user_principal_name": f"{name}@lab.test", "account_enabled": True, **more})


def part(name: str, **some: str) -> UserDelta:
    """Give what changed of a user."""
    return UserDelta(id=name, attributes=dict(some))


def gone(name: str) -> UserDelta:
    """Say that a user is deleted."""
    return UserDelta(id=name, removed="changed")


def read(runtime: Runtime, link: str, *pages: Page) -> SyncResult:
    """Sync users, everybody or since a link."""
    graph = cast("GraphSystem", Pages(pages))
    asked = replace(runtime, systems=replace(runtime.systems, graph=graph))
    return sync(asked, [ChangedUsers(asked, link)])


def shown(runtime: Runtime) -> dict[str, dict[str, str]]:
    """Give what a search shows: columns by key."""
    with runtime.database.read() as connection:
        return {each.key: each.columns for each in user_search.page(connection, "")}


def test_a_user_who_changes_while_everybody_is_read_is_named_twice(runtime: Runtime) -> None:
    """A whole read is a delta since ever: a replay is no contradiction, and what is so already is not written."""
    result = read(runtime, "", (user("a"), user("b")), (user("a", department="Sales"), user("b")))
    assert (result.is_degraded, result.sources[0].written) == (False, 2)
    assert shown(runtime)["a"]["department"] == "Sales"
    again = read(runtime, "", (user("a", department="Sales"), user("b")), (user("b"),))
    assert again.sources[0].written == 0


@pytest.mark.parametrize("link", ["", "link"], ids=["whole", "since"])
@pytest.mark.parametrize("known", [True, False], ids=["known", "new"])
def test_a_user_who_is_deleted_while_users_are_read_is_not_shown(runtime: Runtime, link: str, *, known: bool) -> None:
    """The next link begins after the deletion: whoever is kept now would be kept for ever."""
    read(runtime, "", (user("b"), *([user("a")] if known else [])))
    assert not read(runtime, link, (user("a", department="Sales"), user("b")), (gone("a"), user("c"))).is_degraded
    assert set(shown(runtime)) == {"b", "c"}
    with runtime.database.read() as connection:
        assert set(cache.known(connection, "users", cache.generation(connection))) == {"b", "c"}


def test_two_changes_of_one_user_are_put_together(runtime: Runtime) -> None:
    """Each page tells only what changed: the second is no word on what the first said."""
    read(runtime, "", (user("a"),))
    read(runtime, "link", (part("a", department="Sales"),), (part("a", company_name="Contoso"),))
    columns = shown(runtime)["a"]
    assert (columns["department"], columns["company"]) == ("Sales", "Contoso")


def test_somebody_who_is_restored_is_shown(runtime: Runtime) -> None:
    """Deleted on one page and there again on the next: the last word counts."""
    read(runtime, "", (user("a"),))
    read(runtime, "link", (gone("a"),), (user("a", department="Sales"),))
    assert shown(runtime)["a"]["department"] == "Sales"
