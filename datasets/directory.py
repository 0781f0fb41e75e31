"""What else the directory knows: groups, the tenant itself, and what changed about a user since the last read."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from datasets.record import Record
from datasets.users import DirectoryUser


class DirectoryGroup(Record):
    """A group that scopes or lifecycle rules refer to."""

    identity: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    display_name: str
    mail: str | None = None


class Organization(Record):
    """The tenant as it names itself."""

    identity: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    display_name: str = ""
    country: str | None = None


class UserDelta(Record):
    """What a delta read says of one user; `attributes` are fields of DirectoryUser, only those that were sent.

    `removed` is "changed" for a soft-deleted user and "deleted" for one that is gone.
    """

    identity: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    attributes: dict[str, JsonValue] = Field(default_factory=dict)
    removed: Literal["changed", "deleted"] | None = None

    def applied_to(self, user: DirectoryUser | None) -> DirectoryUser | None:
        """Give the user after this change, None when removed or when too little is known to make a new one."""
        if self.removed:
            return None
        known = user.model_dump() if user else {}
        values = {**known, **self.attributes, "id": self.id}
        return DirectoryUser.model_validate(values) if "user_principal_name" in values else None


class DeltaPage(Record):
    """One page of a delta read; the last page carries the link for the next read."""

    changes: tuple[UserDelta, ...]
    delta_link: str | None = None
