"""Feed mappings: how the columns of one HR report become a person; the report's author chose them, so they are data."""

from __future__ import annotations

import codecs
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from config.site_pools import Country, SitePart

FIELDS = frozenset(
    [
        "employee_id",
        "upn",
        "email",
        "given_name",
        "surname",
        "display_name",
        "status",
        "hire_date",
        "termination_date",
        "department",
        "cost_center",
        "company",
        "job_title",
        "location",
        "usage_location",
        "manager_employee_id",
        "work_phone",
        "mobile_phone",
        "home_phone",
        "ip_phone",
        "worker_type",
        "event_id",
        "effective_at",
    ]
)
_DIRECTIVES = {"Y", "y", "m", "d", "b", "B", "z", "H", "M", "S", "f", "j"}


def _format(text: str) -> str:
    directives = [part[:1] for part in text.split("%")[1:]]
    if unknown := [one for one in directives if one not in _DIRECTIVES]:
        raise ValueError(f"date format {text!r} has an unknown %{unknown[0]}")
    if not {"d", "m", "Y"} <= {{"y": "Y", "b": "m", "B": "m"}.get(one, one) for one in directives}:
        raise ValueError(f"date format {text!r} needs a day, a month and a year, like %Y-%m-%d")
    return text


DateFormat = Annotated[str, AfterValidator(_format)]


class FeedMapping(SitePart):
    """One kind of feed file."""

    name: str = Field(min_length=1, description="feeds of one name are compared with each other")
    kind: Literal["snapshot", "events"] = Field("snapshot", description="everybody each time, or what happened")
    columns: dict[str, str] = Field(description="column of the file = field of a person", min_length=1)
    required: tuple[str, ...] | None = Field(None, description="columns the header must have; default: all mapped ones")
    filled: tuple[str, ...] = Field((), description="columns whose cells must not be empty, besides the employee id")
    extra_columns: Literal["ignore", "refuse"] = "ignore"
    values: dict[str, dict[str, str]] = Field({}, description="field: value in the file = value of the field")
    date_formats: tuple[DateFormat, ...] = Field(("%Y-%m-%d",), min_length=1)
    phone_region: Country | None = Field(None, description="country of numbers without +")
    phone_region_from: Literal["usage_location"] | None = Field(
        None, description="take that country from the row; phone_region is used when it is empty"
    )
    unknown_manager: Literal["quarantine", "warn"] = "quarantine"
    encoding: str | None = Field(None, description="default: found out")
    delimiter: Literal[",", ";", "\t", "|"] | None = Field(None, description="default: found out")

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str | None) -> str | None:
        try:
            return None if encoding is None else codecs.lookup(encoding).name
        except LookupError:
            raise ValueError(f"there is no encoding {encoding!r}: write utf-8, utf-16 or cp1252") from None

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        self._check_fields()
        self._check_columns()
        orders = {tuple(part[:1] for part in text.split("%")[1:3]) for text in self.date_formats}
        if {("d", "m"), ("m", "d")} <= orders:
            raise ValueError("date_formats has day-month and month-day: 03/04 would be guessed")
        return self

    def _check_fields(self) -> None:
        fields = list(self.columns.values())
        for field in [*fields, *self.values]:
            if field not in FIELDS:
                raise ValueError(f"a person has no field {field}: known fields are {', '.join(sorted(FIELDS))}")
        if twice := {field for field in fields if fields.count(field) > 1}:
            raise ValueError(f"two columns are mapped to {min(twice)}: keep one")
        needed = {"employee_id"} | ({"event_id", "effective_at"} if self.kind == "events" else set())
        if missing := needed - set(fields):
            raise ValueError(f"no column is mapped to {min(missing)}: map one")

    def _check_columns(self) -> None:
        if stray := {*(self.required or ()), *self.filled} - set(self.columns):
            raise ValueError(f"{min(stray)!r} is required or filled but not mapped: add it to columns")

    def column_of(self, field: str) -> str | None:
        """Give the column that a field comes from."""
        return next((column for column, mapped in self.columns.items() if mapped == field), None)

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Give the columns that the header must have."""
        return tuple(self.columns) if self.required is None else self.required
