"""The filter languages of cmdlets: `Name -eq 'x' -and …` and simple LDAP filters, parsed into predicates."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lab.posh_compare import comparison, truthy, wildcard
from lab.posh_errors import PoshError
from lab.posh_values import Value, as_list, to_text

Lookup = Callable[[str], Value]
Predicate = Callable[[Lookup], bool]
Known = Callable[[str], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<paren>[()\[\]])|(?P<operator>-[A-Za-z]+(?![\w.]))|'(?P<single>(?:[^']|'')*)'"
    r'|"(?P<double>(?:[^"`]|""|`.)*)"|(?P<variable>\$[\w.]+)|(?P<word>[^\s()\[\]\'"]+))'
)
_CONSTANTS: dict[str, Value] = {"$true": True, "$false": False, "$null": None}


class FilterRefused(Exception):
    """A filter the service does not understand; the message says why."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str


def parse_filter(text: str, operators: frozenset[str], known: Known) -> Predicate:
    """Parse a filter string; `known` tells which property names exist."""
    parser = _Parser(_tokens(text), operators, known)
    predicate = parser.either()
    parser.end()
    return predicate


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise FilterRefused(f"Error parsing query: '{text}' Error Message: 'syntax error' at position: '{at + 1}'.")
        found.append(_Token(match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[_Token], operators: frozenset[str], known: Known) -> None:
        self._tokens, self._at, self._operators, self._known = tokens, 0, operators, known

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise FilterRefused(f"Error parsing query: unexpected '{self._tokens[self._at].text}'.")

    def either(self) -> Predicate:
        left = self.both()
        while self._is("operator", "-or"):
            left = _or(left, self.both())
        return left

    def both(self) -> Predicate:
        left = self.single()
        while self._is("operator", "-and"):
            left = _and(left, self.single())
        return left

    def single(self) -> Predicate:
        if self._is("operator", "-not"):
            return _not(self.single())
        if self._is("paren", "("):
            inner = self.either()
            if not self._is("paren", ")"):
                raise FilterRefused("Error parsing query: ')' is missing.")
            return inner
        return self._comparison()

    def _comparison(self) -> Predicate:
        name = self._next("word")
        if not self._known(name.text):
            raise FilterRefused(f"The property '{name.text}' is not supported in a filter.")
        operator = self._next("operator").text.lower()
        if operator.lstrip("-") not in self._operators:
            raise FilterRefused(f"Operator Not supported: '{operator}'.")
        value = self._value()
        return _test(name.text, operator, value)

    def _value(self) -> Value:
        if self._is("paren", "["):
            value = self._value()
            if not self._is("paren", "]"):
                raise FilterRefused("Error parsing query: ']' is missing.")
            return value
        token = self._next("single", "double", "variable", "word")
        match token.kind:
            case "single":
                return token.text.replace("''", "'")
            case "double":
                return re.sub(r"`(.)", r"\1", token.text.replace('""', '"'))
            case "variable":
                if token.text.lower() in _CONSTANTS:
                    return _CONSTANTS[token.text.lower()]
                raise FilterRefused(f"The variable {token.text} is not known to the service.")
        return int(token.text) if re.fullmatch(r"-?\d{1,18}", token.text) else token.text

    def _next(self, *kinds: str) -> _Token:
        if self._at >= len(self._tokens) or self._tokens[self._at].kind not in kinds:
            shown = self._tokens[self._at].text if self._at < len(self._tokens) else "the end"
            raise FilterRefused(f"Error parsing query: a {' or '.join(kinds)} is expected before '{shown}'.")
        self._at += 1
        return self._tokens[self._at - 1]

    def _is(self, kind: str, text: str) -> bool:
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.kind == kind and token.text.lower() == text:
                self._at += 1
                return True
        return False


def _or(left: Predicate, right: Predicate) -> Predicate:
    return lambda lookup: left(lookup) or right(lookup)


def _and(left: Predicate, right: Predicate) -> Predicate:
    return lambda lookup: left(lookup) and right(lookup)


def _not(inner: Predicate) -> Predicate:
    return lambda lookup: not inner(lookup)


def _test(name: str, operator: str, value: Value) -> Predicate:
    compare = comparison("-eq" if operator == "-approx" else operator)
    if compare is None:
        raise FilterRefused(f"Operator Not supported: '{operator}'.")
    negative = operator in ("-ne", "-notlike")
    missing_matches = negative and value is not None

    def test(lookup: Lookup) -> bool:
        found = lookup(name)
        if found is None and value is not None:
            return missing_matches
        try:
            if isinstance(found, list) and "contains" not in operator:
                results = [truthy(compare(item, value)) for item in found]
                return all(results) if negative else any(results)
            return truthy(compare(found, value))
        except PoshError:
            return False

    return test


def parse_ldap(text: str) -> Predicate:
    """Parse an LDAP filter of equality, presence, substring and the three connectives."""
    predicate, rest = _ldap(text.strip())
    if rest.strip():
        raise FilterRefused("The search filter cannot be recognized")
    return predicate


def _ldap(text: str) -> tuple[Predicate, str]:
    if not text.startswith("("):
        raise FilterRefused("The search filter cannot be recognized")
    sign = text[1:2]
    if sign in ("&", "|", "!"):
        return _connective(sign, text[2:])
    end = text.find(")")
    name, equals, value = text[1:end].partition("=") if end > 0 else ("", "", "")
    if not equals or not re.fullmatch(r"[\w-]+", name.strip()):
        raise FilterRefused("The search filter cannot be recognized")
    return _ldap_test(name.strip(), value), text[end + 1 :]


def _connective(sign: str, text: str) -> tuple[Predicate, str]:
    inner: list[Predicate] = []
    text = text.lstrip()
    while text.startswith("("):
        predicate, text = _ldap(text)
        inner.append(predicate)
        text = text.lstrip()
    if not text.startswith(")") or not inner or (sign == "!" and len(inner) != 1):
        raise FilterRefused("The search filter cannot be recognized")
    if sign == "!":
        return _not(inner[0]), text[1:]
    judge, inner = (all, inner) if sign == "&" else (any, _joined(inner))
    return lambda lookup: judge(predicate(lookup) for predicate in inner), text[1:]


@dataclass(frozen=True)
class _OneOf:
    """Asks whether an attribute is one of some values, whatever the case."""

    name: str
    values: frozenset[str]

    def __call__(self, lookup: Lookup) -> bool:
        """Tell whether it is."""
        return any(to_text(item).casefold() in self.values for item in as_list(lookup(self.name)))


def _joined(inner: list[Predicate]) -> list[Predicate]:
    """Ask once for all values of an attribute: a filter of a hundred names meets every account of the directory."""
    found: dict[str, _OneOf] = {}
    others: list[Predicate] = []
    for predicate in inner:
        if isinstance(predicate, _OneOf):
            name = predicate.name.casefold()
            known = found.get(name)
            found[name] = predicate if known is None else _OneOf(known.name, known.values | predicate.values)
        else:
            others.append(predicate)
    return [*found.values(), *others]


def _ldap_test(name: str, value: str) -> Predicate:
    if value == "*":
        return lambda lookup: lookup(name) is not None
    pieces = [_unescape(piece) for piece in value.split("*")]
    if len(pieces) == 1:
        return _OneOf(name, frozenset({pieces[0].casefold()}))
    pattern = wildcard("*".join(re.sub(r"([*?\[`])", r"`\1", piece) for piece in pieces))
    return lambda lookup: any(pattern.match(to_text(item)) for item in as_list(lookup(name)))


def _unescape(text: str) -> str:
    raw = re.sub(rb"\\([0-9a-fA-F]{2})", lambda found: bytes([int(found[1], 16)]), text.encode())
    return raw.decode(errors="replace")
