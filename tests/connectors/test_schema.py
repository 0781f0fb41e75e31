"""The schema: the migrations make what the table definitions say, on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import text

from config.errors import InputRefused
from connectors import schema
from connectors.database import Database
from datasets.tables.cache import is_search_index
from datasets.tables.metadata import metadata
from tests.fakes.databases import import_tables


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Give a database without any table."""
    if request.param == "sqlite":
        made = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    else:
        made = request.getfixturevalue("postgres").new_database()
        with made.write() as connection:
            metadata.drop_all(connection)
    yield made
    made.close()


def test_migrations_make_what_the_tables_say(empty: Database) -> None:
    """A database that was upgraded differs in nothing from the table definitions."""
    import_tables()
    schema.upgrade(empty)
    with empty.read() as connection:
        options = {"compare_type": not empty.is_sqlite, "include_name": lambda name, *_: not is_search_index(name)}
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, metadata)
    assert differences == [], "run: python -m connectors.new_migration 'what it does'"


def test_empty_database_says_so(empty: Database) -> None:
    """A database without tables is empty, not old; it is refused until it is upgraded (M89)."""
    found = schema.revision(empty)
    assert (found.is_empty, found.is_current, found.found) == (True, False, None)
    with pytest.raises(InputRefused, match="schema is missing"):
        schema.require(empty)


def test_upgrade_is_repeatable(empty: Database) -> None:
    """Upgrading twice changes nothing the second time, and the database is then accepted."""
    assert schema.upgrade(empty).found is None
    assert schema.upgrade(empty).is_current
    schema.require(empty)


def test_two_upgrades_at_once_end_well(empty: Database) -> None:
    """Two processes that upgrade at the same moment take turns."""
    others = [Database(empty.url.render_as_string(hide_password=False)) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(schema.upgrade, others))
    for other in others:
        other.close()
    schema.require(empty)


def test_schema_of_the_future_is_refused_untouched(empty: Database) -> None:
    """A schema that this program does not know is refused by upgrade too, before anything is touched (M90)."""
    schema.upgrade(empty)
    with empty.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(InputRefused, match="9999 is not known"):
        schema.upgrade(empty)
    assert schema.revision(empty).found == "9999"


def test_users_of_scim_get_their_employee_ids(empty: Database) -> None:
    """Users that were kept before the column was there are known by it after the upgrade."""
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    kept: dict[str, dict[str, Any]] = {
        "u-1": {"externalId": "x", enterprise: {"employeeNumber": "00001"}},
        "u-2": {"externalId": "00002"},
        "u-3": {enterprise: None},
    }
    with empty.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0012")
        for name, resource in kept.items():
            values = {"id": name, "resource": json.dumps(resource), "now": "2026-01-01T00:00:00.000000Z"}
            connection.execute(
                text(
                    "INSERT INTO scim_users (id, user_name, external_id, resource, version, created_at, changed_at)"
                    " VALUES (:id, :id, '', :resource, 1, :now, :now)"
                ),
                values,
            )
    schema.upgrade(empty)
    with empty.read() as connection:
        found = connection.execute(text("SELECT id, employee_id FROM scim_users ORDER BY id")).all()
    assert [tuple(row) for row in found] == [("u-1", "00001"), ("u-2", "00002"), ("u-3", "")]
