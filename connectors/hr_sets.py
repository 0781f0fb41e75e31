"""What only the whole feed can tell about a row: duplicates, managers that are not there, looping reporting lines.

Memory stays flat: while rows go by, only hashes of ids and line numbers are kept, sorted into parts that move to a
temporary file as they grow. A part holds every row, and every mention as a manager, of its share of the ids, so one
part at a time can be decided; the few lines that are wrong are then fetched from the feed again.
"""

from __future__ import annotations

import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import IO, NamedTuple, Self, TypeAlias

from connectors.hr_text import Record

STRANGER = "is nobody in this feed"
LOOP = "the reporting line is a loop"
_PART_BITS = 6
_PARTS = 1 << _PART_BITS
SHIFT = 64 - _PART_BITS  # the highest bits of a signed hash: negative ones count the parts from the end
LONGEST_PART = 3 * 512

Read = Callable[[], Iterable[Record]]
Hashes: TypeAlias = "array[int]"  # signed, of 64 bits


class Verdict(NamedTuple):
    """Why a record that looked good is not; a duplicate is told by its key, the rest by its manager."""

    record: Record
    is_duplicate: bool
    reason: str


class SetWatch:
    """Watches rows go by, then tells which of them are wrong because of others."""

    def __init__(self, longest_part: int = LONGEST_PART) -> None:
        self._rows, self._mentions, self._longest_part = _Parts(), _Parts(), longest_part

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()
        self._mentions.close()

    def see(self, line: int, key: str, manager: str | None) -> None:
        """Remember a row by its key, which must not repeat, and its manager."""
        hashed, led_by = hash(key), 0
        if manager:
            led_by = hash(manager)
            mentioned = self._mentions.parts[led_by >> SHIFT]
            mentioned.append(led_by)
            if len(mentioned) >= self._longest_part:
                self._mentions.put_away(led_by >> SHIFT)
        part = self._rows.parts[hashed >> SHIFT]
        part.extend((hashed, led_by, line))
        if len(part) >= self._longest_part:
            self._rows.put_away(hashed >> SHIFT)

    def verdicts(self, read: Read) -> Iterator[Verdict]:
        """Tell what is wrong across rows; `read` starts the feed anew for the records of those lines."""
        groups: list[list[int]] = []
        strangers: set[int] = set()
        chart = _Chart()
        for part in [*range(_PARTS // 2, _PARTS), *range(_PARTS // 2)]:  # from the lowest hash to the highest
            keys, led, lines = self._rows.columns(part)
            known, mentioned = set(keys), set(self._mentions.load(part))
            if len(known) < len(keys):
                groups += _repeated(keys, lines)
            strangers |= mentioned - known
            chart.extend(sorted(row for row in zip(keys, led, lines, strict=True) if row[1] and row[0] in mentioned))
        reasons = dict.fromkeys(chart.loops(), LOOP) | dict.fromkeys(self._led_by(strangers), STRANGER)
        yield from _told(read, groups, reasons)

    def _led_by(self, strangers: set[int]) -> Iterator[int]:
        """Give the lines of those who name a manager that is nobody."""
        for part in range(_PARTS) if strangers else ():
            _, led, lines = self._rows.columns(part)
            yield from (line for manager, line in zip(led, lines, strict=True) if manager in strangers)


class _Parts:
    """Integers in parts, each put away in one temporary file when it has grown; a part may be counted from the end."""

    def __init__(self) -> None:
        self.parts = [array("q") for _ in range(_PARTS)]
        self._stored: list[list[tuple[int, int]]] = [[] for _ in range(_PARTS)]
        self._file: IO[bytes] | None = None

    def put_away(self, number: int) -> None:
        """Move a part to the file."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="callwright-feed-")  # noqa: SIM115 - closed by close()
        values = self.parts[number].tobytes()
        self._stored[number].append((self._file.seek(0, 2), len(values)))
        self._file.write(values)
        del self.parts[number][:]

    def load(self, number: int) -> Hashes:
        """Give the whole of a part."""
        whole = array("q")
        for at, size in self._stored[number]:
            assert self._file is not None  # something is stored
            self._file.seek(at)
            whole.frombytes(self._file.read(size))
        return whole + self.parts[number]

    def columns(self, number: int) -> tuple[Hashes, Hashes, Hashes]:
        """Give the keys, managers and lines of a part of rows."""
        whole = self.load(number)
        return whole[0::3], whole[1::3], whole[2::3]

    def close(self) -> None:
        """Remove the temporary file."""
        if self._file is not None:
            self._file.close()


class _Chart:
    """Who reports to whom among managers: rows of employee, manager and line, in the order of employees."""

    def __init__(self) -> None:
        self._employees, self._managers, self._lines = array("q"), array("q"), array("q")

    def extend(self, rows: Iterable[tuple[int, int, int]]) -> None:
        """Add rows that come after those there are."""
        for employee, manager, line in rows:
            self._employees.append(employee)
            self._managers.append(manager)
            self._lines.append(line)

    def loops(self) -> Iterator[int]:
        """Give the lines of everybody whose reporting line comes back to them."""
        is_settled = bytearray(len(self._lines))
        for start in range(len(self._lines)):
            path: list[int] = []
            at: int | None = start
            while at is not None and not is_settled[at]:
                is_settled[at] = 1
                path.append(at)
                at = self._find(self._managers[at])
            if at in path[:-1]:  # one's own manager is told by the row itself
                yield from (self._lines[member] for member in path[path.index(at) :])

    def _find(self, employee: int) -> int | None:
        at = bisect_left(self._employees, employee)
        return at if at < len(self._employees) and self._employees[at] == employee else None


def _repeated(keys: Hashes, lines: Hashes) -> Iterator[list[int]]:
    """Give the lines of each key that occurs more than once."""
    seen: set[int] = set()
    by_key: dict[int, list[int]] = {}
    for key in keys:
        if key in seen:
            by_key[key] = []
        seen.add(key)
    for key, line in zip(keys, lines, strict=True):
        if key in by_key:
            by_key[key].append(line)
    return iter(by_key.values())


def _told(read: Read, groups: list[list[int]], reasons: dict[int, str]) -> Iterator[Verdict]:
    """Fetch the records of the lines that are wrong, and say why they are."""
    wanted = {line for group in groups for line in group} | reasons.keys()
    found = {record[0]: record for record in read() if record[0] in wanted} if wanted else {}
    for group in groups:
        yield from _duplicates([found[line] for line in group])
    yield from (Verdict(found[line], False, reason) for line, reason in reasons.items())


def _duplicates(records: list[Record]) -> Iterator[Verdict]:
    """Of equal rows the first stays; rows of one id that differ are all refused, since nobody knows which is right."""
    first = records[0]
    if all(record[1] == first[1] for record in records):
        yield from (Verdict(record, True, f"duplicate of line {first[0]}") for record in records[1:])
    else:
        yield from (Verdict(record, True, _conflict(record, records)) for record in records)


def _conflict(record: Record, found: list[Record]) -> str:
    others = [str(other[0]) for other in found if other[0] != record[0]]
    more = " …" if len(others) > 5 else ""
    return f"has the same id as line {', '.join(others[:5])}{more} with other values"
