"""A person as an HR feed describes them (the canonical record; reference: RFC 7643 and the Workday report columns)."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar

from datasets.record import Record


class Status(StrEnum):
    """What HR says about the employment."""

    ACTIVE = "active"
    LEAVE = "leave"
    TERMINATED = "terminated"


class Person(Record):
    """One row of a feed after mapping; phones are E.164 text or None, employee ids keep leading zeros."""

    identity: ClassVar[tuple[str, ...]] = ("employee_id",)

    employee_id: str
    upn: str | None = None
    email: str | None = None
    given_name: str = ""
    surname: str = ""
    display_name: str = ""
    status: Status = Status.ACTIVE
    hire_date: date | None = None
    termination_date: date | None = None
    department: str = ""
    cost_center: str = ""
    company: str = ""
    job_title: str = ""
    location: str = ""
    usage_location: str = ""
    manager_employee_id: str | None = None
    work_phone: str | None = None
    mobile_phone: str | None = None
    home_phone: str | None = None
    ip_phone: str | None = None
    worker_type: str = ""
    event_id: str | None = None
    effective_at: datetime | None = None

    def starts_after(self, today: date) -> bool:
        """Tell whether this is a future hire on that day."""
        return self.hire_date is not None and self.hire_date > today
