"""What a bulk edit sets: attributes of users by name, as an operator writes them, and what they mean (pure)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from pydantic import JsonValue

from config.errors import InputRefused
from config.user_types import POLICY_TYPES

CLEAR = "-"
USER = "user"
_FIXED = ("usage_location", "enterprise_voice", "number", "telephoneNumber", "ipPhone")
_YES_NO = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
Edits = Mapping[str, JsonValue]


def parse(assignments: Iterable[str]) -> dict[str, JsonValue]:
    """Read assignments such as `policy:TenantDialPlan=AT`. Raises InputRefused with one line."""
    found: dict[str, JsonValue] = {}
    for text in assignments:
        name, _, value = text.partition("=")
        if not value.strip():  # as with a variable of the shell that is not set
            raise InputRefused(f"{text!r} sets nothing", where="--set", remedy="write attribute=value, or - to clear")
        attribute = attribute_of(name.strip(), "--set")
        if attribute in found:
            raise InputRefused(f"{attribute} is set twice", where="--set", remedy="say it once")
        found[attribute] = value_of(attribute, value.strip(), "--set")
    if not found:
        raise InputRefused("nothing is to be set", where="--set", remedy="say for example --set usage_location=AT")
    return found


def attribute_of(name: str, where: str) -> str:
    """Give an attribute by its name, whatever the case. Raises InputRefused naming the nearest one."""
    if name.casefold().startswith("licence:") and name.partition(":")[2]:
        return f"licence:{name.partition(':')[2].upper()}"
    known = {each.casefold(): each for each in [*_FIXED, *(f"policy:{kind}" for kind in POLICY_TYPES)]}
    if name.casefold() in known:
        return known[name.casefold()]
    close = difflib.get_close_matches(name.casefold(), known, n=1, cutoff=0.5)
    remedy = f"did you mean {known[close[0]]}?" if close else f"known are {', '.join(_FIXED)}, policy:… and licence:…"
    raise InputRefused(f"there is no attribute {name!r} to set", where=where, remedy=remedy)


def value_of(attribute: str, text: str, where: str) -> JsonValue:
    """Give the value that a text means for an attribute; `-` clears. Raises InputRefused."""
    if attribute == "enterprise_voice" or attribute.startswith("licence:"):
        if text.casefold() not in _YES_NO:
            raise InputRefused(f"{attribute} is yes or no, not {text!r}", where=where, remedy="write yes or no")
        return _YES_NO[text.casefold()]
    if text == CLEAR:
        if attribute == "usage_location":
            raise InputRefused("a usage location cannot be emptied", where=where, remedy="name another country")
        return None
    if attribute == "usage_location":
        if len(text) != 2 or not text.isalpha() or not text.isascii():
            raise InputRefused(f"{text!r} is no country", where=where, remedy="write two letters, such as AT")
        return text.upper()
    if attribute == "number" and not text.startswith("pool:"):
        remedy = "write number=pool:NAME, or number=- to take it away ; one number: ./callwright numbers assign"
        raise InputRefused("many users cannot get one number", where=where, remedy=remedy)
    return text


def read_rows(header: Sequence[str], rows: Iterable[tuple[int, Sequence[str]]], where: str) -> dict[str, Edits]:
    """Read who gets what from a sheet: a column `user`, and one for each attribute; empty cells set nothing."""
    names = [name.strip() for name in header]
    while names and not names[-1]:
        names.pop()
    folded = [name.casefold() for name in names]
    if folded.count(USER) != 1:
        raise InputRefused("the sheet has no column user, or two", where=where, remedy="name it user, once")
    attributes = {place: attribute_of(name, where) for place, name in enumerate(names) if folded[place] != USER}
    if len(set(attributes.values())) < len(attributes):
        raise InputRefused("the sheet has an attribute twice", where=where, remedy="remove one of the columns")
    found: dict[str, Edits] = {}
    known: set[str] = set()
    for line, cells in rows:
        padded = [*(cell.strip() for cell in cells), *[""] * (len(names) - len(cells))]
        user = padded[folded.index(USER)]
        if user.casefold() in known:
            raise InputRefused(f"{user} is there twice", where=f"{where}, line {line}", remedy="keep one of the rows")
        if user:
            known.add(user.casefold())
            place = f"{where}, line {line}"
            found[user] = {a: value_of(a, padded[n], place) for n, a in attributes.items() if padded[n]}
    return found
