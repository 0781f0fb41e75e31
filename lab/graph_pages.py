"""Collections of the Graph end: page sizes, opaque continuation, selected properties, counts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from lab.graph_messages import Answer, Call, link, seal, unseal
from lab.odata import EVERYTHING, Filter
from lab.records import Json
from lab.rules import Refusal

T = TypeVar("T")
MAX_CLAUSES = 15  # Graph's limit for `or` and `in` on directory objects


@dataclass(frozen=True, slots=True)
class Collected(Generic[T]):
    """A collection: keys in order, how to load one (None: gone), its properties."""

    keys: Sequence[str]
    load: Callable[[str], T | None]
    value: Callable[[T, str], Json]
    filter: Filter = EVERYTHING

    def matches(self, item: T) -> bool:
        """Tell whether an item passes the filter."""
        return self.filter.test(lambda name: self.value(item, name))


def page_size(call: Call, *, default: int, largest: int) -> int:
    """Read `$top`; refuses what is out of range."""
    text = call.query.get("$top")
    if text is None:
        return default
    if not text.isdigit() or not 1 <= int(text) <= largest:
        raise Refusal("Request_BadRequest", f"Invalid page size specified: '{text}'. Must be between 1 and {largest}.")
    return int(text)


def selected(call: Call, known: Collection[str], default: Sequence[str]) -> Sequence[str]:
    """Read `$select`; refuses unknown properties."""
    text = call.query.get("$select")
    if not text:
        return default
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise Refusal("Request_BadRequest", f"Could not find a property named '{name}'.")
    return names if "id" in names else ["id", *names]


def check_directory_query(call: Call, found: Filter) -> None:
    """Refuse what directory objects refuse: `$skip`, long filters, a missing header."""
    if "$skip" in call.query:
        raise Refusal("Request_BadRequest", "'$skip' is not supported by the service.")
    if found.clauses > MAX_CLAUSES:
        message = f"Too many child clauses specified in search filter expression. Max allowed: {MAX_CLAUSES}."
        raise Refusal("Request_UnsupportedQuery", message)
    if (found.advanced or "$search" in call.query) and not call.eventual:
        message = "The query needs the header 'ConsistencyLevel: eventual' and '$count=true'."
        raise Refusal("Request_UnsupportedQuery", message)


def position(call: Call) -> int:
    """Read where the page starts."""
    token = call.query.get("$skiptoken")
    return int(str(unseal(token).get("p", 0))) if token else int(call.query.get("$skip") or 0)


def page(call: Call, source: Collected[T], shape: Callable[[T], Json], *, size: int, context: str) -> Answer:
    """Answer one page and the link to the next."""
    source = _faulty(call, source)
    at = position(call)
    values: list[Json] = []
    while at < len(source.keys) and len(values) < size:
        item = source.load(source.keys[at])
        at += 1
        if item is not None and source.matches(item):
            values.append(shape(item))
    body: dict[str, Json] = {"@odata.context": f"{call.base}/$metadata#{context}"}
    if call.eventual:
        body["@odata.count"] = _count(source)
    if _another(source, at):
        body["@odata.nextLink"] = link(call, skiptoken=seal({"p": at}))
    return Answer(body={**body, "value": values})


def _faulty(call: Call, source: Collected[T]) -> Collected[T]:
    """Let a list end early or repeat itself, as the fault plan wants; nothing else about the answer tells."""
    keep, copies = call.verdict.keep, call.verdict.copies
    if keep >= 1 and copies == 1:
        return source
    kept = source.keys[: int(len(source.keys) * keep)]
    return replace(source, keys=[key for key in kept for _ in range(copies)])


def _count(source: Collected[T]) -> int:
    return sum(1 for key in source.keys if (item := source.load(key)) is not None and source.matches(item))


def _another(source: Collected[T], at: int) -> bool:
    """Tell whether anything is left; looks ahead a little so the last page is not empty."""
    for key in source.keys[at : at + 50]:
        item = source.load(key)
        if item is not None and source.matches(item):
            return True
    return at + 50 < len(source.keys)
