"""The tenant as it was: a copy for lagging reads in which what was replaced since is as before."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, TypeVar

from lab.history import Key
from lab.records import Group, User
from lab.store import REMEMBERED, Store

Past = Mapping[Key, Any]
S = TypeVar("S", bound=Store)


def past_of(tenant: S, overlay: Past) -> S:
    """Give the tenant itself while nothing was replaced, else a copy; it is for reading only."""
    kinds = {kind for kind, _ in overlay}
    if not kinds:
        return tenant
    past = copy.copy(tenant)
    for kind in kinds & set(REMEMBERED):
        setattr(past, kind, _merged(getattr(tenant, kind), kind, overlay))
    if "ad" in kinds:
        past.ad_users = _merged(tenant.ad_users, "ad", overlay)
    if "group_policies" in kinds:
        past.group_policies = list(overlay["group_policies", ""])
    if "groups" in kinds:
        past.groups_of = _GroupsOf(tenant, past.groups, [str(key) for kind, key in overlay if kind == "groups"])
    if "user" in kinds:
        past.consumed = _consumed(tenant, overlay)
    return past


def _merged(now: Mapping[Any, Any], kind: str, overlay: Past) -> dict[Any, Any]:
    """Put what was replaced back and leave out what was not there yet."""
    found = dict(now)
    for (other, key), before in overlay.items():
        if other == kind and before is None:
            found.pop(key, None)
        elif other == kind:
            found[key] = before
    return found


class _GroupsOf(defaultdict[str, dict[str, None]]):
    """Whose member everybody was; only the groups that changed are looked through."""

    def __init__(self, tenant: Store, groups: Mapping[str, Group], changed: list[str]) -> None:
        super().__init__(dict)
        self._now, self._groups, self._changed = tenant.groups_of, groups, changed

    def get(self, member: str, default: Any = None) -> Any:
        """Give the ids of the groups a member was in."""
        found = dict(self._now.get(member) or {})
        for group_id in self._changed:
            found.pop(group_id, None)
            if group_id in self._groups and member in self._groups[group_id].members:
                found[group_id] = None
        return found or default


def _consumed(tenant: Store, overlay: Past) -> defaultdict[str, int]:
    """Count the licences that were in use."""
    found = defaultdict(int, tenant.consumed)
    for (kind, key), before in overlay.items():
        if kind != "user":
            continue
        for user, step in ((tenant.users.get(str(key)), -1), (before, 1)):
            for licence in user.licences if isinstance(user, User) else ():
                found[licence.sku_id] += step
    return found
