"""One record of a feed becomes a person or a quarantined row, by the site's mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from pydantic import ValidationError

from config.site_mappings import FeedMapping
from connectors.hr_cells import (
    ADDRESSES,
    IDS,
    LONGEST_CELL,
    PHONES,
    STRICT,
    UNREADABLE,
    BadCell,
    Converter,
    Memo,
    clean,
    converters,
    is_address,
    is_canonical,
    is_formula,
    is_plain_id,
    phone,
)
from connectors.hr_text import Record
from datasets.feeds import BadRow, GoodRow, mask
from datasets.people import Person

UNPARSED = "(line)"
_SHOWN_TEXT = 2000
_FORMULA_MARKS = frozenset("=@+-")
_validate: Callable[[Mapping[str, Any]], Person] = Person.__pydantic_validator__.validate_python


class RowReader:
    """Reads records of one file: the header says where each column is, the mapping what it means."""

    def __init__(self, mapping: FeedMapping, header: Sequence[str], delimiter: str, *, is_plain: bool = False) -> None:
        self.mapping, self.header, self.width, self._is_plain = mapping, tuple(header), len(header), is_plain
        at = {mapping.columns[column]: place for place, column in enumerate(header) if column in mapping.columns}
        self.at = at
        self._fields = tuple(at)
        self._cells = _getter(tuple(at.values()))
        made = {field: convert for field, convert in converters(mapping).items() if field in at}
        plain = (
            dict.fromkeys(IDS, is_plain_id) | dict.fromkeys(ADDRESSES, is_address) | dict.fromkeys(PHONES, is_canonical)
        )
        # Phones come after the memos: the country of the row may say how they are written.
        self._strict = [(field, plain[field], made.pop(field, None)) for field in at if field in plain]
        # Nearly everybody's mail address is their user principal name: one look at it will do.
        self._strict_but_email = [each for each in self._strict if each[0] != "email"]
        self._memos = [(field, Memo(field, convert)) for field, convert in made.items()]
        self._texts = _getter(tuple(place for field, place in at.items() if field not in STRICT))
        self._padded = (f" {delimiter}", f"{delimiter} ")
        needed = {"employee_id", *(mapping.columns[column] for column in mapping.filled)}
        if mapping.kind == "events":
            needed |= {"event_id", "effective_at"}
        self._needed = frozenset(needed)

    def read(self, record: Record) -> GoodRow | BadRow:
        """Give the person, or the first thing that is wrong with the row."""
        line, text, cells, problem = record
        try:
            if problem or len(cells) != self.width:
                return self._without_cells(record)
            if not self._is_plain or len(text) > LONGEST_CELL:
                cells = self._legible(cells)
            return GoodRow(line, self._person(text, cells))
        except BadCell as bad:
            return self.bad(record, bad.field, bad.reason, bad.value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return self.bad(record, str(first["loc"][0]), first["msg"])

    def bad(self, record: Record, field: str, reason: str, value: str = "") -> BadRow:
        """Make a quarantined row of a record."""
        line, _, cells, _ = record
        known = len(cells) > self.at["employee_id"]
        return BadRow(
            line=line,
            column=(self.mapping.column_of(field) or "") if field else "",
            reason=reason,
            value=mask(value),
            employee_id=(clean(cells[self.at["employee_id"]])[:LONGEST_CELL] or None) if known else None,
            raw=self._raw(record),
        )

    def _person(self, text: str, cells: Sequence[str]) -> Person:
        """Make the person of a row. One long function, because every call in here is paid for once per row."""
        before, after = self._padded
        if before in text or after in text or text[-1] == " " or '"' in text:
            cells = [cell.strip() for cell in cells]
        taken = zip(self._fields, self._cells(cells))  # noqa: B905 - of one length by construction
        values: dict[str, Any] = {field: cell for field, cell in taken if cell}
        if not values.keys() >= self._needed:
            raise BadCell("is empty", next(field for field in self.at if field in self._needed - values.keys()))
        for cell in self._texts(cells):
            if cell < "A" and cell[:1] in _FORMULA_MARKS:  # the marks all come before the letters
                self._refuse_formulas(values)
        for field, memo in self._memos:
            if field in values:
                values[field] = memo[values[field]]
        is_same = values.get("email") == values.get("upn")
        for field, is_plain, convert in self._strict_but_email if is_same else self._strict:
            if field in values and not is_plain(values[field]):
                values[field] = self._converted(field, convert, values)
        if "termination_date" in values or values["employee_id"] == values.get("manager_employee_id"):
            _refuse_contradiction(values)
        return _validate(values)

    def _converted(self, field: str, convert: Converter | None, values: Mapping[str, Any]) -> object:
        """Convert a cell that is not in its plainest form; phones have no converter, they need the row's country."""
        try:
            return convert(values[field]) if convert else phone(values[field], self._region(values))
        except BadCell as bad:
            raise BadCell(bad.reason, field, values[field]) from bad

    def _refuse_formulas(self, values: Mapping[str, Any]) -> None:
        for field, cell in values.items():
            if field not in STRICT and isinstance(cell, str) and is_formula(cell):
                raise BadCell("is a spreadsheet formula", field, cell)

    def _region(self, values: Mapping[str, object]) -> str | None:
        if self.mapping.phone_region_from:
            return str(values.get(self.mapping.phone_region_from) or "") or self.mapping.phone_region
        return self.mapping.phone_region

    def _legible(self, cells: Sequence[str]) -> list[str]:
        """Give the cells with letters and marks composed; raises BadCell for what nobody can read."""
        for place, cell in enumerate(cells):
            field = self.mapping.columns.get(self.header[place], "")
            if len(cell) > LONGEST_CELL:
                raise BadCell(f"is longer than {LONGEST_CELL} characters", field, cell)
            if found := UNREADABLE.search(cell):
                what = "bytes that are no UTF-8" if found[0] >= "\ud800" else "a control character"
                raise BadCell(f"contains {what}", field, cell)
        return [clean(cell) for cell in cells]

    def _without_cells(self, record: Record) -> BadRow:
        _, _, cells, problem = record
        if problem:
            return self.bad(record, "", problem)
        count = len(cells)
        reason = f"the row has {count} cells, the header has {self.width}"
        bad = self.bad(record, "", reason)
        return bad._replace(column=self.header[count] if count < self.width else f"(cell {self.width + 1})")

    def _raw(self, record: Record) -> dict[str, str]:
        _, text, cells, _ = record
        if not cells:
            return {UNPARSED: _storable(text)}
        names = [*self.header, *(f"(cell {n + 1})" for n in range(self.width, len(cells)))]
        return {name: _storable(cell) for name, cell in zip(names, cells, strict=False)}


def _refuse_contradiction(values: Mapping[str, Any]) -> None:
    hired, leaves = values.get("hire_date"), values.get("termination_date")
    if hired and leaves and leaves < hired:
        raise BadCell("is before the hire date", "termination_date", leaves.isoformat())
    if values["employee_id"] == values.get("manager_employee_id"):
        raise BadCell("is the person's own employee id", "manager_employee_id", values["employee_id"])


def _getter(places: tuple[int, ...]) -> Callable[[Sequence[str]], tuple[str, ...]]:
    if len(places) < 2:
        return lambda cells: tuple(cells[place] for place in places)
    return itemgetter(*places)


def _storable(text: str) -> str:
    """Cut and clean a cell so that every database takes it."""
    return UNREADABLE.sub("\ufffd", text[:_SHOWN_TEXT])
