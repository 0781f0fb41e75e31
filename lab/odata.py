"""The $filter grammar of the lab's Graph end.

    filter     := term { "or" term }            term := factor { "and" factor }
    factor     := "not" factor | "(" filter ")" | call | comparison | any
    call       := ("startswith" | "endswith") "(" path "," literal ")"
    comparison := path ("eq" | "ne" | "gt" | "ge" | "lt" | "le") literal | path "in" "(" literal { "," literal } ")"
    any        := path "/any(" name ":" filter ")"        inside, paths are `name` or `name/property`
    literal    := 'text' (a quote is doubled) | number | true | false | null | guid | moment

Text compares without regard to case. Anything else is refused as 400; a property a collection cannot filter on as 501.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from lab.records import Json
from lab.rules import Refusal

Lookup = Callable[[str], Json]
Test = Callable[[Lookup], bool]
Pins = Mapping[str, Sequence[str]]  # property → the only values it can have

_TOKENS = re.compile(
    r"\s*(?:(?P<moment>\d{4}-\d\d-\d\dT[\d:.]+Z?)|(?P<text>'(?:[^']|'')*')|(?P<word>[^\s(),:']+)|(?P<mark>[(),:]))"
)
_COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
}
_CONSTANTS: Mapping[str, Json] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter: a test, what an index could answer, whether it is advanced."""

    test: Test
    pins: Pins = field(default_factory=dict)
    advanced: bool = False  # uses ne, not or endswith
    clauses: int = 1  # the longest chain of `or`, or list of `in`


EVERYTHING = Filter(lambda _: True)


def parse(text: str | None, fields: Collection[str]) -> Filter:
    """Parse a $filter; `fields` are the properties this collection can filter on."""
    return _Parser(text, fields).whole() if text else EVERYTHING


def invalid(message: str) -> Refusal:
    """Refuse a malformed filter."""
    return Refusal("Request_UnsupportedQuery", f"Invalid filter clause: {message}")


class _Parser:
    """Reads one filter by recursive descent; `name` is the variable of an `any`."""

    def __init__(self, text: str, fields: Collection[str]) -> None:
        self.tokens, self.at = _tokens(text), 0
        self.fields = fields
        self.name: str | None = None

    def whole(self) -> Filter:
        found = self.either()
        if self.peek():
            raise invalid(f"unexpected '{self.peek()}'")
        return found

    def either(self) -> Filter:
        parts = [self.both()]
        while self.peek().casefold() == "or":
            self.take()
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else _or(parts)

    def both(self) -> Filter:
        parts = [self.factor()]
        while self.peek().casefold() == "and":
            self.take()
            parts.append(self.factor())
        return parts[0] if len(parts) == 1 else _and(parts)

    def factor(self) -> Filter:
        piece = self.take()
        word = piece.casefold()
        if word == "not":
            inner = self.factor().test
            return Filter(lambda get: not inner(get), advanced=True)
        if piece == "(":
            found = self.either()
            self.expect(")")
            return found
        if word in ("startswith", "endswith") and self.peek() == "(":
            return self.affix(word)
        if piece.endswith("/any") and self.peek() == "(":
            return self.any_of(piece.removesuffix("/any"))
        return self.comparison(self.path(piece))

    def affix(self, word: str) -> Filter:
        self.expect("(")
        path = self.path(self.take())
        self.expect(",")
        wanted = str(self.literal()).casefold()
        self.expect(")")
        if word == "startswith":
            return Filter(lambda get: str(get(path) or "").casefold().startswith(wanted))
        return Filter(lambda get: str(get(path) or "").casefold().endswith(wanted), advanced=True)

    def any_of(self, path: str) -> Filter:
        self.path(path)
        self.expect("(")
        outer, self.name = self.name, self.take()
        self.expect(":")
        inner = self.either().test
        self.expect(")")
        self.name = outer

        def test(get: Lookup) -> bool:
            items = get(path)
            return isinstance(items, Sequence) and any(inner(_member(item)) for item in items)

        return Filter(test)

    def comparison(self, path: str) -> Filter:
        operator = self.take().casefold()
        if operator == "in":
            return self.in_list(path)
        wanted = _fold(self.literal())
        if operator == "eq":
            pins = {path: [wanted]} if isinstance(wanted, str) and self.name is None else {}
            return Filter(lambda get: _fold(get(path)) == wanted, pins)
        if operator == "ne":
            return Filter(lambda get: _fold(get(path)) != wanted, advanced=True)
        compare = _COMPARISONS.get(operator)
        if compare is None:
            raise invalid(f"'{operator}' is not an operator of this service")
        return Filter(lambda get: get(path) is not None and compare(str(_fold(get(path))), str(wanted)))

    def in_list(self, path: str) -> Filter:
        self.expect("(")
        wanted = [_fold(self.literal())]
        while self.peek() == ",":
            self.take()
            wanted.append(_fold(self.literal()))
        self.expect(")")
        pins = {path: [str(value) for value in wanted]} if self.name is None else {}
        return Filter(lambda get: _fold(get(path)) in wanted, pins, clauses=len(wanted))

    def path(self, piece: str) -> str:
        if self.name is not None:
            if piece.partition("/")[0] != self.name:
                raise invalid(f"'{piece}' does not start with '{self.name}'")
            return piece.partition("/")[2]
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", piece):
            raise invalid(f"'{piece}' is not a property")
        if piece not in self.fields:
            raise Refusal("Request_UnsupportedQuery", f"Filter is not supported on property '{piece}'.", status=501)
        return piece

    def literal(self) -> Json:
        piece = self.take()
        if piece.startswith("'"):
            return piece[1:-1].replace("''", "'")
        if piece in "(),:":
            raise invalid(f"'{piece}' where a value belongs")
        return _CONSTANTS.get(piece.casefold(), piece)

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        piece = self.peek()
        if not piece:
            raise invalid("it ends too early")
        self.at += 1
        return piece

    def expect(self, mark: str) -> None:
        if self.take() != mark:
            raise invalid(f"'{mark}' expected before '{self.peek()}'")


def _tokens(text: str) -> list[str]:
    """Split a filter into words, texts and marks."""
    found, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKENS.match(text, at)
        if match is None:
            raise invalid(f"cannot read '{text[at:]}'")
        found.append(match[0].strip())
        at = match.end()
    return found


def _or(parts: Sequence[Filter]) -> Filter:
    tests = [part.test for part in parts]
    # An index helps only when every branch is about the same property.
    names = {name for part in parts for name in part.pins}
    pins: dict[str, list[str]] = {}
    if len(names) == 1 and all(len(part.pins) == 1 for part in parts):
        (name,) = names
        pins[name] = [value for part in parts for value in part.pins[name]]
    advanced, clauses = any(part.advanced for part in parts), sum(part.clauses for part in parts)
    return Filter(lambda get: any(test(get) for test in tests), pins, advanced, clauses)


def _and(parts: Sequence[Filter]) -> Filter:
    tests = [part.test for part in parts]
    pins = {name: values for part in parts for name, values in part.pins.items()}
    advanced, clauses = any(part.advanced for part in parts), max(part.clauses for part in parts)
    return Filter(lambda get: all(test(get) for test in tests), pins, advanced, clauses)


def _member(item: Json) -> Lookup:
    """Look into one element of a list: the element itself, or its property."""
    if isinstance(item, Mapping):
        return item.get
    return lambda name: None if name else item


def _fold(value: Json) -> Json:
    """Bring values to what is compared: folded text, and numbers as their text."""
    if value is None or isinstance(value, bool):
        return value
    return str(value).casefold()
