"""What callers of a number hear that nobody has: one treatment of unassigned numbers, for exactly one number. Pure."""

from __future__ import annotations

from typing import ClassVar, Literal

from datasets.record import Record

TargetType = Literal["Announcement", "User", "ResourceAccount"]
_OURS = "callwright-"


class Treatment(Record):
    """An announcement, or somebody whom the call goes to, for callers of one number; `target` is an object's id."""

    identity: ClassVar[tuple[str, ...]] = ("number",)

    number: str
    target_type: TargetType
    target: str
    priority: int

    @property
    def name(self) -> str:
        """Give the name under which Teams knows it."""
        return name_of(self.number)

    @property
    def pattern(self) -> str:
        """Give the expression that this number matches and no other."""
        return f"^\\{self.number}$"

    @property
    def said(self) -> str:
        """Say in a value where callers go."""
        return f"{self.target_type} {self.target}"


def name_of(number: str) -> str:
    """Name our treatment of a number."""
    return f"{_OURS}{number.removeprefix('+')}"


def number_of(name: str) -> str | None:
    """Give the number that a treatment of ours is for; None for one of the site's own."""
    digits = name.removeprefix(_OURS)
    return f"+{digits}" if name.startswith(_OURS) and digits.isdigit() else None
