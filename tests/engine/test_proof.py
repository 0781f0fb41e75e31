"""The proof over ten thousand rows: whatever one edits, deletes, inserts, reorders or cuts off is found."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue
from sqlalchemy import Connection, delete, insert, select, update

from config.errors import InputRefused
from connectors.database import Database
from datasets.tables.journal import journal, journal_effects, journal_manifests, journal_streams
from engine.audit_heads import export_heads, read_heads
from engine.change import Effect
from engine.journal import Entry, append_closed
from engine.proof import verify
from tests.fakes.databases import PrivatePostgres, sqlite_database
from tests.fakes.journals import START, entries_of, without_guards, write_journal

STREAMS, CHANGES = 100, 50
SEED = 20260305
Act = Callable[[Connection], None]
COLUMNS = [column.name for column in journal.columns]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Give a sealed journal of ten thousand entries without its guards."""
    if request.param == "sqlite":
        made = sqlite_database(tmp_path_factory.mktemp("journal"))
    else:
        postgres: PrivatePostgres = request.getfixturevalue("postgres")
        made = postgres.new_database()
    write_journal(made, STREAMS, CHANGES)
    with made.write() as connection:
        without_guards(connection)
    yield made
    made.close()


def faults_after(database: Database, act: Act, exported: list[dict[str, Any]] | None = None) -> list[str]:
    """Give the faults that a verification finds after an act that is then taken back."""
    with database.engine.connect() as connection:
        act(connection)
        found = verify(connection, exported).faults
        connection.rollback()
    return found


def some_key(connection: Connection, rng: random.Random) -> tuple[str, int]:
    """Choose an entry."""
    query = select(journal_streams.c.id, journal_streams.c.entries).order_by("id")
    row = rng.choice(connection.execute(query).all())
    return row.id, rng.randint(1, row.entries)


def here(key: tuple[str, int]):  # type: ignore[no-untyped-def] # an SQL expression
    """Give the condition of an entry."""
    return (journal.c.stream_id == key[0]) & (journal.c.seq == key[1])


def test_ten_thousand_rows_are_proved(large: Database) -> None:
    """An untouched journal has no faults."""
    with large.read() as connection:
        proof = verify(connection)
    assert (proof.entries, proof.streams, proof.manifests, proof.faults) == (2 * STREAMS * CHANGES, 100, 100, [])


@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in ("stream_id", "seq")])
def test_any_edited_column_is_found(large: Database, column: str) -> None:
    """One value of one row changed is found, whichever column it is."""
    rng = random.Random(f"{SEED}{column}")

    def edit(connection: Connection) -> None:
        key = some_key(connection, rng)
        old = connection.execute(select(journal.c[column]).where(here(key))).scalar_one()
        kind = {int: lambda v: v + 1, str: lambda v: "x" + v[1:], dict: lambda v: v | {"x": 1}}.get(type(old))
        new = kind(old) if kind else old.replace(year=2020)
        connection.execute(update(journal).where(here(key)).values({column: new}))

    assert faults_after(large, edit)


def delete_one(connection: Connection, rng: random.Random) -> None:
    """Remove an entry and its effects."""
    key = some_key(connection, rng)
    connection.execute(
        delete(journal_effects).where(journal_effects.c.stream_id == key[0], journal_effects.c.seq == key[1])
    )
    connection.execute(delete(journal).where(here(key)))


def insert_one(connection: Connection, rng: random.Random) -> None:
    """Add a copy of an entry at the end of its stream."""
    key = some_key(connection, rng)
    row = dict(connection.execute(select(journal).where(here(key))).one()._mapping)
    connection.execute(insert(journal).values(row | {"seq": 2 * CHANGES + 1}))
    connection.execute(update(journal_streams).where(journal_streams.c.id == key[0]).values(entries=2 * CHANGES + 1))


def swap_two(connection: Connection, rng: random.Random) -> None:
    """Let two entries of a stream change places."""
    stream, seq = some_key(connection, rng)
    other = seq % (2 * CHANGES) + 1
    for old, new in ((seq, 9999), (other, seq), (9999, other)):
        connection.execute(update(journal).where(here((stream, old))).values(seq=new))


def cut_stream(connection: Connection, rng: random.Random) -> None:
    """Cut a stream short and correct its own head, as a careful forger would."""
    stream, seq = some_key(connection, rng)
    seq = max(1, seq - 1)
    connection.execute(
        delete(journal_effects).where(journal_effects.c.stream_id == stream, journal_effects.c.seq > seq)
    )
    connection.execute(delete(journal).where(journal.c.stream_id == stream, journal.c.seq > seq))
    head = connection.execute(select(journal.c.digest).where(here((stream, seq)))).scalar_one()
    connection.execute(update(journal_streams).where(journal_streams.c.id == stream).values(entries=seq, head=head))


@pytest.mark.parametrize("act", [delete_one, insert_one, swap_two, cut_stream], ids=lambda act: act.__name__)
@pytest.mark.parametrize("round_", range(3))
def test_any_moved_row_is_found(large: Database, act: Callable[..., None], round_: int) -> None:
    """A row deleted, inserted or moved, or a stream cut short, is found."""
    rng = random.Random(SEED + round_)
    assert faults_after(large, lambda connection: act(connection, rng))


@pytest.mark.nightly
def test_a_thousand_random_edits_are_found(large: Database) -> None:
    """A thousand edits of random columns of random rows: every one is found."""
    rng = random.Random(SEED)

    def edit(connection: Connection) -> None:
        column = rng.choice(["at", "plan_id", "target", "result", "payload_digest", "previous", "digest", "salt"])
        key = some_key(connection, rng)
        old = connection.execute(select(journal.c[column]).where(here(key))).scalar_one()
        new = "x" + old[1:] if isinstance(old, str) else old.replace(year=2020)
        connection.execute(update(journal).where(here(key)).values({column: new}))

    assert all(faults_after(large, edit) for _ in range(1000))


def test_a_cut_at_the_very_end_shows_against_exported_heads(large: Database, tmp_path: Path) -> None:
    """The last run removed with its manifest leaves a sound chain; the heads exported before tell."""
    file = tmp_path / "heads.jsonl"
    with large.read() as connection:
        export_heads(connection, file, START)
        last = connection.execute(select(journal_manifests).order_by(journal_manifests.c.id.desc()).limit(1)).one()
    stream = last.streams[0][0]

    def cut(connection: Connection) -> None:
        connection.execute(delete(journal_manifests).where(journal_manifests.c.id == last.id))
        for table in (journal_effects, journal):
            connection.execute(delete(table).where(table.c.stream_id == stream))
        connection.execute(delete(journal_streams).where(journal_streams.c.id == stream))

    assert faults_after(large, cut) == []
    exported = read_heads(file)
    told = f"manifest {last.id}: is not as it was exported on {START.isoformat()}"
    assert faults_after(large, cut, exported) == [told]
    with large.read() as connection:
        assert verify(connection, exported).faults == []


def test_a_cut_of_what_is_not_sealed_yet_shows_against_exported_heads(database: Database, tmp_path: Path) -> None:
    """A running stream cut short is found by the head that was exported while it ran."""
    with database.write() as connection:
        without_guards(connection)
        append_closed(connection, "p-1", "1", [entry for n in (1, 2) for entry in entries_of(n, START)], START)
        line = export_heads(connection, tmp_path / "heads.jsonl", START)
        cut_stream(connection, random.Random(SEED))
    assert line["streams"][0][2] == 4
    with database.read() as connection:
        assert verify(connection).faults == []
        assert len(verify(connection, [line]).faults) == 1


@pytest.mark.parametrize("value", [7, -1, 0, True, "7", "1e3", [1], {"n": 5}, None], ids=str)
def test_values_of_every_kind_are_proved(database: Database, value: JsonValue) -> None:
    """A value that is a number is proved like a text: databases keep numbers in a form of their own."""
    effect = Effect(object="user:1", attribute="n", before=value, after=None)
    with database.write() as connection:
        entry = Entry(START, 1, 1, "user:1", "outcome", "verified", value, (effect,))
        append_closed(connection, "p-1", "1", [entry], START)
    with database.read() as connection:
        assert verify(connection).faults == []


def test_a_file_that_holds_no_heads_is_refused(tmp_path: Path) -> None:
    """A file of something else, or none at all, is named in one line."""
    (tmp_path / "other").write_text("no json")
    for name in ("other", "missing"):
        with pytest.raises(InputRefused, match=name):
            read_heads(tmp_path / name)
