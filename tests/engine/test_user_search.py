"""Searching users: any text in any shown column finds exactly whom a plain look at every row would find."""

from __future__ import annotations

import random

import pytest

from config.errors import InputRefused
from connectors.database import Database
from datasets.cached import COLUMNS, folded, search_text
from datasets.tables.cache import user_views
from engine import cache, saved_filters, user_search
from engine.cache import Freshness
from engine.saved_filters import SavedFilter
from tests.fakes.databases import PrivatePostgres
from tests.fakes.tenant import START

SEED = 20261124
PIECES = ("sales", "Müller", "STRASSE", "straße", "+431", "été", "山田", "ab", "%", "_", '"', "'", "\\", "Ω", "İ", "ü")


@pytest.fixture
def people(database: Database) -> list[dict[str, str]]:
    """Store users whose columns are random text of many alphabets, and give the columns."""
    return stored(database)


def stored(database: Database) -> list[dict[str, str]]:
    """Store users with random columns, and give the columns."""
    rng = random.Random(SEED)
    everybody = [_columns(rng) for _ in range(300)]
    cache.prepare(database)
    with database.write() as connection:
        rows = [{"key": f"id-{n}", "born": 1, "columns": c, "text": search_text(c)} for n, c in enumerate(everybody)]
        connection.execute(user_views.insert(), rows)
        cache.flip(connection, 1, [])
    cache.clear(database)
    return everybody


def _columns(rng: random.Random) -> dict[str, str]:
    chosen = rng.sample(list(COLUMNS), rng.randint(2, len(COLUMNS)))
    return {name: " ".join(rng.choices(PIECES, k=rng.randint(1, 3))) for name in chosen}


def brute_force(people: list[dict[str, str]], query: str, shown: tuple[str, ...] = ()) -> list[str]:
    """Look at every shown column of everybody."""
    names = shown or tuple(COLUMNS)
    hits = (any(folded(query) in folded(columns.get(name, "")) for name in names) for columns in people)
    return [f"id-{n}" for n, hit in enumerate(hits) if hit]


def queries() -> list[str]:
    """Give texts of one letter and of many, with everything that a pattern language would take for itself."""
    rng = random.Random(SEED)
    pairs = [" ".join(rng.choices(PIECES, k=2)) for _ in range(20)]
    return [
        *PIECES,
        *pairs,
        "e",
        "al",
        "les mü",
        "sal\x1fes",
        "nobody at all",
        "OR",
        "a*",
        "text:sales",
        "NEAR(sales)",
        "",
    ]


def test_a_search_finds_what_a_look_at_every_row_finds(database: Database, people: list[dict[str, str]]) -> None:
    """M62: for every text the page and the count are those of brute force, on both databases."""
    with database.read() as connection:
        assert user_search.has_index(connection)
    agree(database, people)


@pytest.mark.postgres
def test_without_the_extension_a_search_finds_the_same(postgres: PrivatePostgres) -> None:
    """M62: a role that may not have pg_trgm has every table and no index, and the same answers."""
    database = postgres.new_without_extensions()
    people = stored(database)
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'").scalar() == 0
        assert not user_search.has_index(connection)
    agree(database, people)
    database.close()


def agree(database: Database, people: list[dict[str, str]]) -> None:
    """Fail where a search finds others than brute force."""
    with database.read() as connection:
        for query in queries():
            expected = brute_force(people, query)
            assert [each.key for each in user_search.page(connection, query, limit=1000)] == expected, query
            assert user_search.count(connection, query) == len(expected), query


def test_only_shown_columns_are_looked_at(database: Database, people: list[dict[str, str]]) -> None:
    """M62: a text in a column that is not shown finds nobody."""
    shown = ("name", "department")
    with database.read() as connection:
        for query in queries():
            expected = brute_force(people, query, shown)
            assert [each.key for each in user_search.page(connection, query, shown=shown, limit=1000)] == expected
            assert user_search.count(connection, query, shown=shown) == len(expected)


def test_pages_follow_each_other_without_gap(database: Database, people: list[dict[str, str]]) -> None:
    """Page after page gives everybody once, in the same order as one long page."""
    seen: list[str] = []
    after = 0
    with database.read() as connection:
        while found := user_search.page(connection, "sales", after=after, limit=7):
            seen += [each.key for each in found]
            after = found[-1].place
    assert seen == brute_force(people, "sales")


def test_what_is_being_written_is_not_found_yet(database: Database, people: list[dict[str, str]]) -> None:
    """Rows of the next generation are not found, and rows it will replace still are."""
    before = len(brute_force(people, "sales"))
    coming = cache.prepare(database)
    with database.write() as connection:
        connection.execute(user_views.update().values(died=coming))
        row = {"key": "new", "born": coming, "columns": {"name": "sales"}, "text": search_text({"name": "sales"})}
        connection.execute(user_views.insert(), [row])
    with database.read() as connection:
        assert user_search.count(connection, "sales") == before
        assert len(user_search.page(connection, "sales", limit=1000)) == before


def test_a_user_is_found_by_key_and_by_address(database: Database, people: list[dict[str, str]]) -> None:
    """One user has a key and an address, in any case; a part of an address is nobody."""
    with database.write() as connection:
        columns = {"address": "Ada@Contoso.example"}
        row = {"key": "k-1", "born": 1, "columns": columns, "text": search_text(columns)}
        connection.execute(user_views.insert(), [row])
    with database.read() as connection:
        for name in ("k-1", "ada@contoso.EXAMPLE"):
            found = user_search.user(connection, name)
            assert found
            assert found.key == "k-1"
        assert user_search.user(connection, "ada") is None


def test_an_unknown_column_is_refused(database: Database) -> None:
    """A column that there is not is named, with those there are."""
    with database.read() as connection, pytest.raises(InputRefused, match="no column 'colour' ; choose from name"):
        user_search.page(connection, "x", shown=("colour",))


def test_a_filter_of_somebody_else_is_not_replaced(database: Database) -> None:
    """One's own may be saved again; another's, and a name without an end, are refused in one line."""
    mine = SavedFilter("sales", "a", ("name",), "tess", START)
    with database.write() as connection:
        saved_filters.save(connection, mine)
        saved_filters.save(connection, mine._replace(query="b"))
        toms, long = mine._replace(saved_by="tom"), mine._replace(name="x" * 81)
        for other, words in ((toms, "was saved by tess"), (long, "80")):
            with pytest.raises(InputRefused, match=words):
                saved_filters.save(connection, other)
        assert [each.query for each in saved_filters.names(connection)] == ["b"]


def test_a_source_in_trouble_shows_its_age_and_its_trouble(database: Database) -> None:
    """Rows that are old are called old: why a source could not be read does not hide when it was read last."""
    fresh = Freshness("users", "fresh", "", 1, START, START)
    old = Freshness("voice", "degraded", "went away", 1, START, START)
    never = Freshness("skype", "absent", "no answer", 0, None, START)
    with database.read() as connection:
        assert cache.as_of(connection) == {}
    cache.prepare(database)
    with database.write() as connection:
        cache.flip(connection, 1, [fresh, old, never])
        assert cache.as_of(connection) == {
            "generation": 1,
            "users": START.isoformat(),
            "voice": f"{START.isoformat()} (went away)",
            "skype": "never read (no answer)",
        }
