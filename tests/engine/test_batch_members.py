"""Who a row of a batch means: an object id or a UPN first, a mail address only where it is somebody's alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from connectors.database import Database
from datasets.cached import Document, document
from datasets.users import DirectoryUser
from engine.batch_sources import Source, SourceKind, members
from engine.cache_sync import sync
from tests.fakes.plans import fresh, runtime_on


@dataclass
class People:
    """The users of a tenant, as a sync reads them."""

    users: Sequence[DirectoryUser]
    source: str = "users"
    is_complete: bool = True
    covers_all: bool = True
    link: str = ""
    at_once: int = 100

    def __iter__(self) -> Iterator[Document]:
        """Give them."""
        return (document(user) for user in self.users)


def user(key: str, name: str, mail: str) -> DirectoryUser:
    """Give a user."""
    return DirectoryUser(id=key, user_principal_name=f"{name}@contoso.example", mail=f"{mail}@contoso.example")


def test_a_mail_address_names_nobody_whose_upn_another_has(database: Database) -> None:
    """Anna reads the mail of Bea: who writes Bea's UPN means Bea. A mail address of two users means neither."""
    tenant = fresh()
    runtime = runtime_on(database, tenant)
    people = [user("a", "anna", "bea"), user("b", "bea", "b"), user("c", "carl", "office"), user("d", "dora", "office")]
    for count in range(1, 5):  # in this order
        sync(runtime, [People(people[:count])])
    text = "Bea@contoso.example, office@contoso.example, c"
    found = members(database, tenant.systems().graph, Source(SourceKind.USERS, text))
    assert [(each.user_id, each.problem) for each in found] == [("b", ""), (None, "not_found"), ("c", "")]
