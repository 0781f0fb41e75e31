"""Who is in the groups that templates name, now and as if groups had been put into others; reading only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from config.errors import InputRefused
from engine.runtime import Runtime
from engine.systems import GraphSystem


@dataclass(frozen=True)
class Join:
    """A group, all of whose members would be members of another one too."""

    group: str
    into: str


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


def as_joined(
    runtime: Runtime, members: Mapping[str, frozenset[str]], joins: Sequence[Join]
) -> dict[str, frozenset[str]]:
    """Give who would be in these groups, those of the joins among them, in whatever order the joins are named.

    A group grows with one that lies in it, directly or through others.
    """
    graph, found = runtime.systems.graph, dict(members)
    ids = {name: graph.group_id(name) for name in members}
    above = {join.into: _lies_in(graph, ids[join.into]) for join in joins}
    before: dict[str, frozenset[str]] = {}
    while found != before:  # what one join adds, another may pass on
        before = dict(found)
        for join in joins:
            found |= {name: found[name] | found[join.group] for name in found if ids[name] in above[join.into]}
    return found


def _lies_in(graph: GraphSystem, group_id: str | None) -> set[str]:
    """Name the group itself and all groups in which it lies; cycles do no harm."""
    left, seen = [group_id] if group_id else [], set[str]()
    while left:
        if (each := left.pop()) not in seen:
            seen.add(each)
            left += [group.id for group in graph.groups_of_group(each)]
    return seen
