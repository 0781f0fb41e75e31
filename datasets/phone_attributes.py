"""What is written to Active Directory about telephones."""

from __future__ import annotations

from typing import ClassVar, Literal

from datasets.record import Record

# msRTCSIP-Line is never among them: it would make the number on-premises-owned and block the cloud assignment.
PhoneAttribute = Literal["telephoneNumber", "ipPhone"]


class PhoneAttributes(Record):
    """New values of telephone attributes of one user; None clears, an attribute that is not named stays."""

    identity: ClassVar[tuple[str, ...]] = ("sam_account_name",)

    sam_account_name: str
    attributes: dict[PhoneAttribute, str | None]
