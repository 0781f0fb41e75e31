"""Pools as rows of a sheet: one row for each range, withheld part, reserved or blocked number. Rules only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import ClassVar, Literal, cast

from pydantic import ValidationError

from config.errors import InputRefused
from datasets.inventory import NumberState, Pool, Span, Taken, WithheldSpan
from datasets.range_text import read_span
from datasets.record import Record

COLUMNS = (
    "pool",
    "site",
    "country",
    "kind",
    "number_class",
    "carrier",
    "tags",
    "start",
    "end",
    "state",
    "owner",
    "reason",
    "until",
)
_ABOUT = ("Vienna", "AT", "directRouting", "ordinary", "Example Telecom", "office desk")
_SAME = ("",) * len(_ABOUT)
TEMPLATE: tuple[tuple[str, ...], ...] = (
    ("vienna-new", *_ABOUT, "+4312345600", "+4312345699", "range", "", "", ""),
    ("vienna-new", *_SAME, "+4312345600", "", "withheld", "", "switchboard", ""),
    ("vienna-new", *_SAME, "+4312345610", "", "reserved", "person:4711", "for the new desk", "2030-01-31"),
    ("vienna-new", *_SAME, "+4312345611", "+4312345612", "blocked", "", "crank calls", ""),
)
"""What a sheet looks like."""
LARGEST_BLOCK = 1000
Cell = str | float
State = Literal["range", "withheld", "reserved", "blocked", "seen"]
_ATTRIBUTES = ("site", "country", "kind", "number_class", "carrier", "tags")
_SEEN = (NumberState.ASSIGNED, NumberState.CLAIMED, NumberState.GRACE)


class RowError(Record):
    """One row of a sheet that was not taken, and why."""

    identity: ClassVar[tuple[str, ...]] = ("line", "column")

    line: int
    column: str
    value: str
    reason: str


class PoolRow(Record):
    """One row of a sheet as it was understood; `seen` states are exported for people and not imported."""

    identity: ClassVar[tuple[str, ...]] = ("line",)

    line: int
    pool: str
    attributes: dict[str, str]
    span: Span
    state: State
    owner: str = ""
    reason: str = ""
    until: datetime | None = None


def read_row(line: int, cells: Mapping[str, Cell]) -> PoolRow | RowError:
    """Understand one row, or say which cell is wrong."""
    text = {name: cells.get(name, "") for name in COLUMNS}
    column = "pool"
    try:
        name = _text(text["pool"]).strip()
        if not name:
            raise InputRefused("the pool is missing", remedy="name the pool in every row")  # noqa: TRY301 - one way out
        column = "start"
        span = _span(text)
        column = "state"
        state = _state(_text(text["state"]), span)
        column = "until"
        until = _until(_text(text["until"]))
        column = "owner"
        owner = _owner(_text(text["owner"]).strip(), state)
    except InputRefused as error:
        return RowError(line=line, column=column, value=_text(text[column])[:60], reason=str(error))
    attributes = {key: _text(text[key]).strip() for key in _ATTRIBUTES if _text(text[key]).strip()}
    told = {"state": state, "owner": owner, "reason": _text(text["reason"]).strip(), "until": until}
    return PoolRow(line=line, pool=name, attributes=attributes, span=span, **told)


def pool_of(values: Mapping[str, object]) -> Pool:
    """Make a pool of values people wrote. Raises InputRefused naming the value that is wrong."""
    country, name = str(values.get("country", "")), str(values.get("name", ""))
    if not (len(country) == 2 and country.isascii() and country.isalpha() and country.isupper()):
        raise InputRefused(f"{country[:60]!r} is no country", where="country", remedy="write two letters such as AT")
    if not name.strip() or len(name) > 80:
        raise InputRefused("a pool's name has 1 to 80 characters", where="pool", remedy="choose a shorter name")
    try:
        return Pool.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputRefused(
            f"{str(first['input'])[:60]!r} will not do: {first['msg']}", where=where, remedy="correct it"
        ) from error


def attributes_of(rows: list[PoolRow]) -> dict[str, object]:
    """Give the attributes that the rows of one pool say, the first word of each counting."""
    found: dict[str, object] = {}
    for row in rows:
        found = dict(row.attributes) | found
    if "tags" in found:
        found["tags"] = tuple(str(found["tags"]).split())
    return found


def rows_of(pool: Pool, taken: Iterator[Taken]) -> Iterator[tuple[str, ...]]:
    """Write a pool and its taken numbers as rows."""
    about = (pool.site, pool.country, pool.kind, pool.number_class, pool.carrier, " ".join(pool.tags))
    for span in pool.spans:
        yield (pool.name, *about, span.start.e164, span.end.e164, "range", "", "", "")
    for withheld in pool.withheld:
        yield (pool.name, *about, withheld.start.e164, withheld.end.e164, "withheld", "", withheld.reason, "")
    for row in taken:
        until = row.until.isoformat() if row.until else ""
        number = row.number.e164
        yield (pool.name, *about, number, number, row.state.value, row.owner, row.reason, until)


def withheld_of(row: PoolRow) -> WithheldSpan:
    """Give the withheld part that a row says."""
    return WithheldSpan(start=row.span.start, end=row.span.end, reason=row.reason or "withheld by import")


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else f"{cell:.15g}"


def _span(text: Mapping[str, Cell]) -> Span:
    for name in ("start", "end"):
        if isinstance(text[name], float):
            shown = f"{text[name]:.15g}"
            raise InputRefused(
                f"{shown} is a number of the spreadsheet, not text: digits may be lost", remedy="format it as text"
            )
    start, end = str(text["start"]), str(text["end"]).strip()
    return read_span(start, end) if end else read_span(start)


def _state(text: str, span: Span) -> State:
    plain = text.strip().casefold() or "range"
    if plain in _SEEN:
        return "seen"
    if plain not in ("range", "withheld", "reserved", "blocked"):
        raise InputRefused(f"{text[:60]!r} is no state", remedy="write range, withheld, reserved or blocked")
    if plain in ("reserved", "blocked") and span.run.size > LARGEST_BLOCK:
        raise InputRefused(f"{span} are more than {LARGEST_BLOCK} numbers", remedy="withhold the range instead")
    return cast(State, plain)


def _until(text: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InputRefused(f"{text[:60]!r} is no moment", remedy="write 2030-01-31 or 2030-01-31T17:00Z") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _owner(text: str, state: State) -> str:
    if state == "reserved" and not text:
        raise InputRefused("a reservation needs an owner", remedy="write person:NUMBER or user:ID")
    return text if ":" in text or not text else f"person:{text}"
