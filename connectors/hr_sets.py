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

Read = Callable[[], Iterable[Record]]


class Places(NamedTuple):
    """Where in a row the deciding cells are; `key` must not repeat, `manager` is None where managers do not matter."""

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
        occurrences, bosses, unseen = self._look_again(read, managers)
        yield from _repeated(occurrences)
        looped = frozenset(_loops(bosses))
        if unseen or looped:
            yield from self._by_manager(read, unseen, looped)

    def _look_again(
        self, read: Read, managers: set[str]
    ) -> tuple[dict[str, list[Record]], dict[str, str | None], set[str]]:
        """Give the records of every suspected key, who reports to whom among managers, and managers not found."""
        occurrences: dict[str, list[Record]] = {}
        bosses: dict[str, str | None] = dict.fromkeys(managers)
        suspects, places, unseen = self._suspects, self._places, set(managers)
        key_of, employee_of = _picker(places, places.key), _picker(places, places.employee_id)
        manager_of, is_one = _picker(places, places.manager), places.key == places.employee_id
        for record in read():
            key = key_of(record)
            if key in suspects:
                occurrences.setdefault(key, []).append(record)
            employee = key if is_one else employee_of(record)
            if employee in bosses:
                unseen.discard(employee)
                bosses[employee] = manager_of(record) or None
        return occurrences, bosses, unseen

    def _by_manager(self, read: Read, unknown: set[str], looped: frozenset[str]) -> Iterator[Verdict]:
        employee_of, manager_of = (
            _picker(self._places, self._places.employee_id),
            _picker(self._places, self._places.manager),
        )
        for record in read():
            if manager_of(record) in unknown:
                yield Verdict(record, False, "is nobody in this feed")
            elif employee_of(record) in looped:
                yield Verdict(record, False, "the reporting line is a loop")


def _picker(places: Places, place: int | None) -> Callable[[Record], str]:
    """Make what takes one cell out of a line, counting from its nearer end; a row of another width gives nonsense.

    That does no harm: such a row is quarantined anyway, and its nonsense concerns nobody else.
    """
    delimiter, width = places.delimiter, places.width
    if place is None:
        return lambda _record: ""
    cuts, at = (place + 1, place) if 2 * place < width else (width - place, place - width)
    cut = str.split if at >= 0 else str.rsplit

    def picked(record: Record) -> str:
        try:
            return (record[2] or cut(record[1], delimiter, cuts))[at].strip()
        except IndexError:
            return ""

    return picked


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
