"""Who is in the groups that templates name; reading only."""

from __future__ import annotations

from collections.abc import Iterable

from config.errors import InputRefused
from engine.runtime import Runtime


def members_of(runtime: Runtime, groups: Iterable[str]) -> dict[str, frozenset[str]]:
    """Read who is in these groups, nested ones expanded. Raises InputRefused for one that does not exist."""
    found: dict[str, frozenset[str]] = {}
    for group in sorted(groups):
        members = runtime.systems.graph.member_ids(group)
        if members is None:
            raise InputRefused(
                f"no group {group} in the tenant",
                where="templates.toml (or .yaml)",
                remedy="create it or correct the template",
            )
        found[group] = members
    return found
