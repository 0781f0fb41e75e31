"""M106: what a tenant holds in place of a number is told and left alone; it stops nobody's onboarding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection

from connectors.database import Database
from datasets.numbering import PHONE_NUMBER, PhoneNumber
from engine import inventory
from engine.resolve import learn_assigned
from tests.fakes.bad_numbers import BAD_NUMBERS
from tests.fakes.plans import fresh, runtime_on

NOT_STORED = [text for text, _ in BAD_NUMBERS.values() if text and not PHONE_NUMBER.fullmatch(text)]


@pytest.mark.parametrize("text", NOT_STORED, ids=range(len(NOT_STORED)))
def test_an_observed_number_that_is_none_is_a_warning(sqlite: Database, text: str) -> None:
    """The warning says what is held, by whom, and what to do; the sound numbers of others are learned."""
    tenant = fresh(2)
    tenant.users["id-1"].number, tenant.users["id-2"].number = text, "+431234501"
    (warning,) = learn_assigned(runtime_on(sqlite, tenant))
    assert "is no phone number" in warning
    assert "; correct the number of id-1 in the tenant" in warning
    assert "\n" not in warning


class Counting(Database):
    """A database that counts its write transactions."""

    writes = 0

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Count, and open one."""
        self.writes += 1
        with super().write() as connection:
            yield connection


def test_what_is_known_of_a_tenant_is_not_written_again(sqlite: Database) -> None:
    """Every wave reads who holds what: only the first time takes the lock, and a new holder is learned."""
    tenant, database = fresh(60), Counting(str(sqlite.url))
    for number, user in enumerate(tenant.users.values()):
        user.number = f"+4312345{number:02}"
    learn_assigned(runtime_on(database, tenant))
    first, database.writes = database.writes, 0
    learn_assigned(runtime_on(database, tenant))
    assert (first, database.writes) == (2, 0)
    tenant.users["id-1"].number, tenant.users["id-2"].number = tenant.users["id-2"].number, None
    learn_assigned(runtime_on(database, tenant))
    assert database.writes == 1
    with database.read() as connection:
        taken = inventory.find(connection, PhoneNumber.from_e164("+431234501"))
    database.close()
    assert taken is not None
    assert taken.owner == "user:id-1"
