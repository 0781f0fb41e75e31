"""Which lifecycle template a person gets, and why: a pure choice among the site's templates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from config.site_templates import RULE_ATTRIBUTES, Match, NumberSource, PoolRule
from config.site_templates import LifecycleTemplate as Template
from datasets.people import Person

__all__ = ["Choice", "NumberSource", "Template", "choose_template"]

_ATTRIBUTES = ("department", "location", "usage_location", "company", "worker_type")


class Choice(NamedTuple):
    """The template that won, or None, the sentence that says why, and those that matched and lost, strongest first."""

    template: Template | None
    why: str
    lost: tuple[Template, ...] = ()


def choose_template(person: Person, group_names: Iterable[str], templates: Sequence[Template]) -> Choice:
    """Choose the template with the strongest priority that matches; of equals the first by name.

    `group_names` are names or ids of the groups the person is in, nested ones included.
    """
    groups = {_folded(name) for name in group_names}
    matching = sorted((found for found in templates if _matches(person, groups, found.match)), key=_rank)
    if not matching:
        return Choice(None, _why_none(person, groups, templates))
    winner, others = matching[0], matching[1:]
    return Choice(for_person(winner, person), _why(person, groups, winner, others), tuple(others))


def for_person(template: Template, person: Person) -> Template:
    """Give the template with the pool that its rules choose for a person."""
    pool = next((rule.pool for rule in template.pool_rules if _fits(rule, person)), template.pool)
    return template if pool == template.pool else template.model_copy(update={"pool": pool})


def _fits(rule: PoolRule, person: Person) -> bool:
    wanted = {name: getattr(rule, name) for name in RULE_ATTRIBUTES}
    return all(
        _folded(getattr(person, name)) in {_folded(value) for value in values}
        for name, values in wanted.items()
        if values
    )


def _rank(template: Template) -> tuple[int, str, str]:
    return (template.priority, template.name.casefold(), template.name)


def _matches(person: Person, groups: AbstractSet[str], match: Match) -> bool:
    return _first_miss(person, groups, match) is None


def _first_miss(person: Person, groups: AbstractSet[str], match: Match) -> str | None:
    """Name the first condition the person does not meet; an attribute without a value meets none."""
    for attribute in _ATTRIBUTES:
        wanted = getattr(match, attribute)
        if wanted and _folded(getattr(person, attribute)) not in {_folded(value) for value in wanted}:
            return f"{attribute} {_shown(getattr(person, attribute))} is not {_any_of(wanted)}"
    if match.groups and groups.isdisjoint(_folded(name) for name in match.groups):
        return f"in no group of {_any_of(match.groups)}"
    return None


def _why(person: Person, groups: AbstractSet[str], winner: Template, others: Sequence[Template]) -> str:
    reasons = [f"{name} is {_shown(getattr(person, name))}" for name in _ATTRIBUTES if getattr(winner.match, name)]
    reasons += [f"in group {name!r}" for name in winner.match.groups if _folded(name) in groups][:1]
    why = f"template {winner.name}: {' and '.join(reasons) or 'it is for everybody'}"
    if not others:
        return why
    second = others[0]
    if second.priority == winner.priority:
        return f"{why}; before {second.name} by name, both have priority {winner.priority}"
    return f"{why}; its priority {winner.priority} is before {second.name} ({second.priority})"


def _why_none(person: Person, groups: AbstractSet[str], templates: Sequence[Template]) -> str:
    if not templates:
        return "no template: the site has none"
    misses = [
        f"{template.name}: {_first_miss(person, groups, template.match)}"
        for template in sorted(templates, key=_rank)[:3]
    ]
    more = f" (and {len(templates) - 3} more)" if len(templates) > 3 else ""
    return f"no template matches; {'; '.join(misses)}{more}"


def _folded(text: str) -> str:
    return text.strip().casefold()


def _shown(value: str) -> str:
    return repr(value) if value else "empty"


def _any_of(values: Sequence[str]) -> str:
    return " or ".join(repr(value) for value in values[:4]) + (" …" if len(values) > 4 else "")
