"""What only the whole feed can tell about a row: duplicates, managers that are not there, looping reporting lines.

Memory stays flat: a fixed table of bits finds the few ids that may occur twice; only those and the managers are kept,
and a second look at the file, which cuts lines only as far as needed, decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from connectors.hr_text import Record

_TABLE_BITS = 26  # 8 MB; of a million ids fewer than one in a hundred is suspected in vain
_MASK = (1 << _TABLE_BITS) - 1

STRANGER = "is nobody in this feed"

Read = Callable[[], Iterable[Record]]


class Places(NamedTuple):
    """Where in a row the deciding cells are: `key` must not repeat; `manager` is None where managers do not matter.

    Where they matter, the key is the employee id.
    """

    delimiter: str
    width: int
    employee_id: int
    key: int
    manager: int | None


class Verdict(NamedTuple):
    """Why a record that looked good is not; a duplicate is told by its key, the rest by its manager."""

    record: Record
    is_duplicate: bool
    reason: str


class SetWatch:
    """Watches rows go by, then tells which of them are wrong because of others."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._table = bytearray(1 << _TABLE_BITS - 3)
        self._suspects: set[str] = set()
        self.managers: set[str | None] = set()

    def see(self, key: str) -> None:
        """Remember a key as well as a few bits can."""
        place = hash(key) & _MASK
        byte, bit = place >> 3, 1 << (place & 7)
        if self._table[byte] & bit:
            self._suspects.add(key)
        else:
            self._table[byte] |= bit

    def verdicts(self, read: Read) -> Iterator[Verdict]:
        """Look at the file again, as often as needed, and tell what is wrong; `read` starts it anew."""
        managers = {manager for manager in self.managers if manager}
        if not self._suspects and not managers:
            return
        second = _SecondLook(self._places, self._suspects, managers, self._strangers(managers))
        second.over(read())
        yield from _repeated(second.occurrences)
        yield from (Verdict(record, False, STRANGER) for record in second.led_by_strangers)
        looped = frozenset(_loops(second.bosses))
        if second.unseen or looped:  # somebody the bits took for a person, or a loop: rare enough for a third look
            yield from _by_manager(read(), self._places, second.unseen, looped)

    def _strangers(self, managers: set[str]) -> frozenset[str]:
        """Give managers who are surely not in the feed."""
        return frozenset(manager for manager in managers if not self._may_hold(manager))

    def _may_hold(self, key: str) -> bool:
        place = hash(key) & _MASK
        return bool(self._table[place >> 3] & 1 << (place & 7))


class _SecondLook:
    """Reads the file once more, cutting lines only as far as needed."""

    def __init__(self, places: Places, suspects: set[str], managers: set[str], strangers: frozenset[str]) -> None:
        self._places, self._suspects, self._strangers = places, suspects, strangers
        self.bosses: dict[str, str | None] = dict.fromkeys(managers - strangers)
        self.unseen = managers - strangers
        self.occurrences: dict[str, list[Record]] = {}
        self.led_by_strangers: list[Record] = []

    def over(self, records: Iterable[Record]) -> None:
        """Look at every record."""
        places, suspects, strangers, bosses = self._places, self._suspects, self._strangers, self.bosses
        key_of, manager_of = picker(places, places.key), picker(places, places.manager)
        cut, cuts, at = _cut(places, places.key)
        for record in records:
            try:  # this is `key_of` without the call
                key = cut(record[1], places.delimiter, cuts)[at].strip() if not record[2] else key_of(record)
            except IndexError:
                continue
            if key in suspects:
                self.occurrences.setdefault(key, []).append(record)
            if key in bosses:
                self.unseen.discard(key)
                bosses[key] = manager_of(record) or None
            if strangers and manager_of(record) in strangers:
                self.led_by_strangers.append(record)


def _by_manager(
    records: Iterable[Record], places: Places, unknown: set[str], looped: frozenset[str]
) -> Iterator[Verdict]:
    employee_of, manager_of = picker(places, places.employee_id), picker(places, places.manager)
    for record in records:
        if manager_of(record) in unknown:
            yield Verdict(record, False, STRANGER)
        elif employee_of(record) in looped:
            yield Verdict(record, False, "the reporting line is a loop")


def picker(places: Places, place: int | None) -> Callable[[Record], str]:
    """Make what takes one cell out of a line, counting from its nearer end; a row of another width gives nonsense.

    That does no harm: such a row is quarantined anyway, and its nonsense concerns nobody else.
    """
    if place is None:
        return lambda _record: ""
    delimiter = places.delimiter
    cut, cuts, at = _cut(places, place)

    def picked(record: Record) -> str:
        try:
            return (record[2] or cut(record[1], delimiter, cuts))[at].strip()
        except IndexError:
            return ""

    return picked


def _cut(places: Places, place: int) -> tuple[Callable[[str, str, int], list[str]], int, int]:
    if 2 * place < places.width:
        return str.split, place + 1, place
    return str.rsplit, places.width - place, place - places.width


def _repeated(occurrences: dict[str, list[Record]]) -> Iterator[Verdict]:
    """Of equal rows the first stays; rows of one id that differ are all refused, since nobody knows which is right."""
    for found in occurrences.values():
        first = found[0]
        if all(record[1] == first[1] for record in found):
            for record in found[1:]:
                yield Verdict(record, True, f"duplicate of line {first[0]}")
        else:
            for record in found:
                yield Verdict(record, True, _conflict(record, found))


def _conflict(record: Record, found: list[Record]) -> str:
    others = [str(other[0]) for other in found if other[0] != record[0]]
    more = " …" if len(others) > 5 else ""
    return f"has the same id as line {', '.join(others[:5])}{more} with other values"


def _loops(bosses: dict[str, str | None]) -> Iterator[str]:
    """Give everybody whose reporting line comes back to them."""
    settled: set[str] = set()
    for start in bosses:
        path: dict[str, None] = {}
        current: str | None = start
        while current is not None and current not in settled and current not in path:
            path[current] = None
            current = bosses.get(current)
        if current is not None and current in path:
            walked = list(path)
            loop = walked[walked.index(current) :]
            if len(loop) > 1:  # one's own manager is told by the row itself
                yield from loop
        settled.update(path)
