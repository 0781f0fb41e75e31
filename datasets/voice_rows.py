"""What Teams PowerShell is told about users, row by row."""

from __future__ import annotations

from typing import ClassVar

from datasets.record import Record
from datasets.users import NumberType


class VoiceSwitch(Record):
    """Enterprise Voice of one user, on or off, without touching a number."""

    identity: ClassVar[tuple[str, ...]] = ("user_id",)

    user_id: str
    enabled: bool


class NumberGrant(Record):
    """A number for one user, or to be taken from that user."""

    identity: ClassVar[tuple[str, ...]] = ("number",)

    number: str
    user_id: str
    number_type: NumberType
    location_id: str | None = None


class VoicePolicy(Record):
    """A policy that users can be given, named as `Grant-Cs…` wants it; `Global` is the tenant's default."""

    identity: ClassVar[tuple[str, ...]] = ("name",)

    name: str
    description: str = ""
    usages: tuple[str, ...] = ()
