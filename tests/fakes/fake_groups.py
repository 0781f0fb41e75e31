"""Groups of the fake tenant: who is in them, through which others, and which give licences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from datasets.directory import DirectoryGroup

if TYPE_CHECKING:
    from tests.fakes.tenant import FakeTenant


class FakeGroups:
    """Graph's groups; `tenant.groups` holds all members of each, `tenant.nested` the groups that lie in it directly."""

    def __init__(self, tenant: FakeTenant) -> None:
        self._tenant = tenant

    def member_ids(self, group: str) -> frozenset[str] | None:
        """Read the members of a group by name, nested ones included."""
        members = self._tenant.groups.get(group)
        return None if members is None else frozenset(members)

    def group_id(self, group: str) -> str | None:
        """Give the id of a group, which is its name."""
        return group if group in self._tenant.groups else None

    def groups_of_user(self, user_id: str) -> list[DirectoryGroup]:
        """Read the groups that a user is in without another one in between."""
        groups, nested = self._tenant.groups, self._tenant.nested
        inside = [name for name, members in groups.items() if user_id in members]
        return _listed(name for name in inside if not any(user_id in groups[inner] for inner in nested.get(name, ())))

    def groups_of_group(self, group_id: str) -> list[DirectoryGroup]:
        """Read the groups that a group lies in."""
        return _listed(name for name, inner in self._tenant.nested.items() if group_id in inner)

    def licence_groups(self, user_id: str) -> Mapping[str, tuple[str, ...]]:
        """Read which groups give a user which licences."""
        return self._tenant.licence_groups.get(user_id, {})

    def add_member(self, group: str, user_id: str) -> None:
        """Add a user to a group."""
        self._tenant.call("add_member", user_id, lambda: self._tenant.groups[group].add(user_id))

    def remove_member(self, group: str, user_id: str) -> None:
        """Take a user out of a group."""
        self._tenant.call("remove_member", user_id, lambda: self._tenant.groups[group].discard(user_id))


def _listed(names: Iterable[str]) -> list[DirectoryGroup]:
    return [DirectoryGroup(id=name, display_name=name) for name in names]
