"""Guards in the database itself: what the journal holds is neither changed nor removed, whoever connects.

Erasing personal data is the one exception, and only for entries that a row of `erasures` covers. A sealed or closed
stream stays as it is. The owner of the database can take guards away; then the chain shows what was done.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Table, event

from datasets.tables.metadata import metadata

APPROVALS = ("approvals",)
BATCH_APPROVALS = ("batch_approvals",)
TABLES = ("journal", "journal_effects", "journal_manifests", "journal_streams", "erasures")
EVERY = TABLES + APPROVALS + BATCH_APPROVALS
_KEPT = [
    "stream_id",
    "seq",
    "at",
    "plan_id",
    "line",
    "change",
    "target",
    "phase",
    "result",
    "payload_digest",
    "previous",
    "digest",
]
_STREAM = ["id", "plan_id", "chunk", "epoch", "holder", "opened_at"]
_COVERED = "EXISTS (SELECT 1 FROM erasures WHERE until >= OLD.at)"

# What may happen to a row in spite of the guard; everything else is refused.
ALLOWED = {
    ("journal", "UPDATE"): f"NEW.payload IS NULL AND NEW.salt = '' AND {_COVERED} AND {{same_entry}}",
    ("journal_effects", "DELETE"): _COVERED,
    ("journal_streams", "UPDATE"): (
        "OLD.manifest_id IS NULL AND {same_stream} AND ("
        "(OLD.closed_at IS NULL AND NEW.entries >= OLD.entries)"
        " OR (NEW.closed_at = OLD.closed_at AND NEW.entries = OLD.entries AND NEW.head = OLD.head))"
    ),
}


def statements(dialect: str, tables: Collection[str] = TABLES) -> list[str]:
    """Give the statements that put the guards on these tables into a database of this dialect."""
    return _sqlite(tables) if dialect == "sqlite" else _postgresql(tables)


def removals(dialect: str) -> list[str]:
    """Give the statements that take the guards away, as only the owner of the database can."""
    guards = [(table, act) for table in EVERY for act in ("update", "delete")]
    if dialect == "sqlite":
        return [f"DROP TRIGGER IF EXISTS {table}_no_{act}" for table, act in guards]
    guards += [(table, "truncate") for table in EVERY]
    return [f"DROP TRIGGER IF EXISTS {table}_no_{act} ON {table}" for table, act in guards]


def _allowed(table: str, act: str, same: str) -> str:
    rule = ALLOWED.get((table, act), "")
    equal = {
        "same_entry": " AND ".join(f'NEW."{name}" {same} OLD."{name}"' for name in _KEPT),
        "same_stream": " AND ".join(f'NEW."{name}" {same} OLD."{name}"' for name in _STREAM),
    }
    return rule.format(**equal)


def _refusal(table: str) -> str:
    return f"{table} is append-only: what was recorded is neither changed nor removed"


def _sqlite(tables: Collection[str]) -> list[str]:
    made = []
    for table in tables:
        for act in ("UPDATE", "DELETE"):
            allowed = _allowed(table, act, "IS")
            when = f" WHEN NOT coalesce(({allowed}), 0)" if allowed else ""
            made.append(
                f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table}{when}"
                f" BEGIN SELECT RAISE(ABORT, '{_refusal(table)}'); END"
            )
    return made


def _postgresql(tables: Collection[str]) -> list[str]:
    made = [_function("callwright_append_only", "", "")]
    for table in tables:
        for act in ("UPDATE", "DELETE"):
            made += _postgresql_guard(table, act)
        made.append(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION callwright_append_only()"
        )
    return made


def _postgresql_guard(table: str, act: str) -> list[str]:
    """Make a guard; a condition with a subquery cannot stand in WHEN, so such a guard has a function of its own."""
    name, allowed = f"{table}_no_{act.lower()}", _allowed(table, act, "IS NOT DISTINCT FROM")
    function = name if allowed else "callwright_append_only"
    own = [_function(name, allowed, "NEW" if act == "UPDATE" else "OLD")] if allowed else []
    return [
        *own,
        f"CREATE TRIGGER {name} BEFORE {act} ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()",
    ]


def _function(name: str, allowed: str, returned: str) -> str:
    passes = f"IF coalesce(({allowed}), false) THEN RETURN {returned}; END IF; " if allowed else ""
    message = "TG_TABLE_NAME || ' is append-only: what was recorded is neither changed nor removed'"
    return (
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {passes}"
        f"RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = {message}; END $$"
    )


def _put(_target: Any, connection: Connection, *, tables: Collection[Table], **_: Any) -> None:
    if {table.name for table in tables}.issuperset(EVERY):
        for statement in statements(connection.dialect.name, EVERY):
            connection.exec_driver_sql(statement)


event.listen(metadata, "after_create", _put)
