"""The two big parts of an XLSX file as state machines for expat: the rows of a sheet, and the shared texts.

What was not taken away yet is all that they keep; what no spreadsheet program writes is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from config.errors import InputRefused

MOST_COLUMNS = 100
MOST_TEXTS = 5_000_000
LONGEST_TEXT = 1 << 20
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")


class RawCell(NamedTuple):
    """A cell as the part says it: its place (such as B7), its type, its style, and what it holds."""

    place: str
    kind: str
    style: int
    text: str
    is_formula: bool


def unescaped(text: str) -> str:
    """Give text with the letters that the format writes as `_x000D_`."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


def escaped(text: str) -> str:
    """Write text so that `unescaped` gives it back, whatever it looks like."""
    return _ESCAPED.sub(r"_x005F_x\1_", text) if "_x" in text else text


def refused(what: str, path: Path) -> InputRefused:
    """Say that a file cannot be used."""
    return InputRefused(what, where=str(path), remedy="save it anew as XLSX with values only, or as CSV")


class _Machine:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._texts: list[str] = []
        self._length = 0

    def doctype(self, *_: object) -> NoReturn:
        """Refuse a document type: it can only expand into something enormous."""
        raise refused("the file declares a document type", self.path)

    def text(self, data: str) -> None:
        """Take text of the element that is open."""
        self._length += len(data)
        if self._length > LONGEST_TEXT:
            raise refused("a cell holds too much text", self.path)
        self._texts.append(data)

    def _begin_text(self) -> None:
        self._texts, self._length = [], 0


class Texts(_Machine):
    """The texts that cells refer to by number; hints for pronunciation are left out."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.found: list[str] = []
        self._item: list[str] = []
        self._is_hint = False

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        """Begin an element."""
        local = name.rpartition(":")[2]
        if local == "si":
            self._item = []
        elif local == "rPh":
            self._is_hint = True
        self._begin_text()

    def end(self, name: str) -> None:
        """End an element."""
        local = name.rpartition(":")[2]
        if local == "t" and not self._is_hint:
            self._item += self._texts
        elif local == "rPh":
            self._is_hint = False
        elif local == "si":
            if len(self.found) >= MOST_TEXTS:
                raise refused(f"the file has more than {MOST_TEXTS} texts", self.path)
            self.found.append(unescaped("".join(self._item)))
        self._begin_text()


class Rows(_Machine):
    """The rows of a sheet, each with its line and its cells in their columns; a gap is a cell without text."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._rows: list[tuple[int, list[RawCell]]] = []
        self._line = 0
        self._cells: list[RawCell] = []
        self._open = RawCell("", "n", 0, "", is_formula=False)
        self._held: list[str] = []
        self._is_formula = self._is_hint = False

    def taken(self) -> Iterator[tuple[int, list[RawCell]]]:
        """Give the rows that are whole, once."""
        whole, self._rows = self._rows, []
        return iter(whole)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Begin an element."""
        local = name.rpartition(":")[2]
        if local == "c":
            place = attributes.get("r", "")
            self._fill(_column(place) if place else len(self._cells))
            style = int(attributes.get("s", "0"))
            self._open = RawCell(place or f"{self._line}:", attributes.get("t", "n"), style, "", is_formula=False)
            self._held, self._is_formula = [], False
        elif local == "row":
            self._line = self._next_line(attributes)
            self._cells = []
        elif local == "f":
            self._is_formula = True
        elif local == "rPh":
            self._is_hint = True
        self._begin_text()

    def end(self, name: str) -> None:
        """End an element."""
        local = name.rpartition(":")[2]
        if local == "v" or (local == "t" and not self._is_hint):
            self._held += self._texts
        elif local == "c":
            text = unescaped("".join(self._held))
            self._cells.append(self._open._replace(text=text, is_formula=self._is_formula))
        elif local == "row":
            self._rows.append((self._line, self._cells))
        elif local == "rPh":
            self._is_hint = False
        self._begin_text()

    def _next_line(self, attributes: dict[str, str]) -> int:
        line = int(attributes.get("r", self._line + 1))
        if line <= self._line:
            raise refused(f"row {line} comes after row {self._line}", self.path)
        return line

    def _fill(self, column: int) -> None:
        if column >= MOST_COLUMNS:
            raise refused(f"row {self._line} has more than {MOST_COLUMNS} columns", self.path)
        if column < len(self._cells):
            raise refused(f"row {self._line} has a cell twice", self.path)
        self._cells += [RawCell("", "n", 0, "", is_formula=False)] * (column - len(self._cells))


def _column(reference: str) -> int:
    found = 0
    for letter in reference:
        if not ("A" <= letter <= "Z"):
            break
        found = found * 26 + ord(letter) - ord("A") + 1
    return found - 1
