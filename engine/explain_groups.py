"""Explain groups: in which groups that decide something a user is, and through which nesting.

Looking goes upwards from the user, and no further than to the groups of interest: a user is in few groups, a group may
have very many members.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from datasets.directory import DirectoryGroup
from engine.systems import GraphSystem

_MOST_GROUPS = 300


@dataclass(frozen=True)
class Membership:
    """A group that decides something for a user; `through` are the groups in between, the user's own first.

    `templates` are those that match by the group, `licences` the products it gives. `through` is None where the way was
    not found, as when a membership is new and not known everywhere.
    """

    group: str
    through: tuple[str, ...] | None
    templates: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """Say in words how the user is in the group."""
        if self.through is None:
            return f"in group {self.group!r}, how is not known"
        if not self.through:
            return f"in group {self.group!r} directly"
        return f"in group {self.group!r} through {' → '.join(map(repr, self.through))}"

    @property
    def decides(self) -> str:
        """Say in words what the group decides."""
        matches = [f"matches template {name}" for name in self.templates]
        return ", ".join([*matches, *(f"gives licence {name}" for name in self.licences)])


def memberships(
    graph: GraphSystem, user_id: str, templates: Mapping[str, Sequence[str]], licences: Mapping[str, Sequence[str]]
) -> list[Membership]:
    """Tell how a user is in groups: those that templates name, and those that give licences, by name or id."""
    if not templates and not licences:
        return []
    ways = _ways(graph, user_id, {*templates, *licences})
    found: dict[str, Membership] = {}
    for name in sorted({*templates, *licences}, key=str.casefold):
        way = ways.get(name)
        shown = way[-1].display_name if way else name
        known = found.get(way[-1].id if way else name)
        through = tuple(group.display_name for group in way[:-1]) if way else None
        found[way[-1].id if way else name] = Membership(
            shown,
            through,
            (*(known.templates if known else ()), *templates.get(name, ())),
            (*(known.licences if known else ()), *licences.get(name, ())),
        )
    return list(found.values())


def _ways(graph: GraphSystem, user_id: str, wanted: Collection[str]) -> dict[str, tuple[DirectoryGroup, ...]]:
    """Give the shortest way from the user up to each of these groups, the user's own group first."""
    left, seen = {_folded(name): name for name in wanted}, set[str]()
    found: dict[str, tuple[DirectoryGroup, ...]] = {}
    level: list[tuple[DirectoryGroup, ...]] = [(group,) for group in graph.groups_of_user(user_id)]
    while level and left and len(seen) < _MOST_GROUPS:
        new = list({way[-1].id: way for way in reversed(level) if way[-1].id not in seen}.values())[::-1]
        for way in new:
            seen.add(way[-1].id)
            for name in (way[-1].id, way[-1].display_name):
                if (asked := left.pop(_folded(name), None)) is not None:
                    found[asked] = way
        level = [(*way, above) for way in new for above in graph.groups_of_group(way[-1].id)] if left else []
    return found


def _folded(name: str) -> str:
    return name.strip().casefold()
