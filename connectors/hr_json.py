"""A feed as the people of an event: JSON objects with a mapping's columns, checked like any other feed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from config.errors import InputRefused
from config.site_mappings import FeedMapping
from connectors.hr import HrFeed
from connectors.hr_headers import checked_header, name_of
from connectors.hr_text import Record

EVENT_ID, EFFECTIVE_AT = "(event)", "(effective at)"
_DELIMITER = ","


class JsonFeed:
    """People as names and values; the first one is line 1. Raises InputRefused when a column is missing."""

    encoding, is_plain, delimiter, warnings = "json", False, _DELIMITER, ()

    def __init__(self, rows: Sequence[Mapping[str, str]], mapping: FeedMapping, where: str) -> None:
        self.where, self.digest, self._rows = where, "", rows
        names = dict.fromkeys(name_of(name) for row in rows for name in row)
        self.header = checked_header(list(names), mapping, where)

    def records(self, *, cut: bool = True) -> Iterator[Record]:  # noqa: ARG002 - what is no text is always cut
        """Give the people; a value that is missing is empty."""
        for line, row in enumerate(self._rows, 1):
            named = {name_of(name): value for name, value in row.items()}
            cells = [named.get(name, "") for name in self.header]
            yield line, _DELIMITER.join(cells), cells, ""

    def check_unchanged(self) -> None:
        """Do nothing: what is in memory does not change."""


def open_people(rows: Sequence[Mapping[str, str]], mapping: FeedMapping, where: str) -> HrFeed:
    """Open the people of an event as a feed of events. Raises InputRefused with one line when they do not fit."""
    if not rows:
        raise InputRefused("nobody is in it", where=where, remedy="send at least one person")
    return HrFeed(JsonFeed(rows, mapping, where), mapping)


def as_events(mapping: FeedMapping) -> FeedMapping:
    """Give a mapping of snapshots the form of events: one message says nothing about those it does not name.

    Their ids are ours; so is the moment of those that tell none, and of all where the mapping has no column for it.
    """
    if mapping.kind == "events":
        return mapping
    columns = {column: field for column, field in mapping.columns.items() if field != "event_id"}
    columns |= {EVENT_ID: "event_id"}
    if mapping.column_of("effective_at") is None:
        columns[EFFECTIVE_AT] = "effective_at"
    changes = {"name": f"{mapping.name} (events)", "kind": "events", "columns": columns, "required": ()}
    return FeedMapping.model_validate(mapping.model_dump() | changes)


def stamped(rows: Sequence[Mapping[str, str]], mapping: FeedMapping, event: str, at: str) -> list[dict[str, str]]:
    """Give the rows with the event's own id and moment, unless the mapping takes them from the rows."""
    if EVENT_ID not in mapping.columns:
        return [dict(row) for row in rows]
    moment = mapping.column_of("effective_at")
    told = [{name: value for name, value in row.items() if value or name_of(name) != moment} for row in rows]
    named = [any(name_of(name) == moment for name in row) for row in told]
    return [
        {**row, EVENT_ID: f"{event}/{line}"} | ({} if is_named else {str(moment): at})
        for line, (row, is_named) in enumerate(zip(told, named, strict=True), 1)
    ]


def said_by(row: Mapping[str, str], mapping: FeedMapping) -> frozenset[str]:
    """Name the fields of a person that a row speaks of, be it with an empty value."""
    return frozenset(mapping.columns[name] for name in map(name_of, row) if name in mapping.columns)


def by_field(name: str) -> FeedMapping:
    """Give the mapping of people whose columns are the fields of a person, as SCIM and workflows give them."""
    fields = ("upn", "email", "given_name", "surname", "display_name", "status", "hire_date", "termination_date")
    work = ("department", "cost_center", "company", "job_title", "location", "usage_location", "worker_type")
    phones = ("work_phone", "mobile_phone", "home_phone")
    columns = {each: each for each in ("employee_id", "manager_employee_id", *fields, *work, *phones)}
    rules = {"name": name, "columns": columns, "required": (), "phone_region_from": "usage_location"}
    return as_events(FeedMapping.model_validate(rules | {"unknown_manager": "warn"}))
