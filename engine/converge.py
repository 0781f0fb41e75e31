"""From the values a user shall have to the changes that lead there (pure): what rollback and restore have in common.

Values are wanted per (object, attribute); what cannot be brought about is told in words and left alone. The order is
that of dependencies: location and licences first, a number is taken before one is given, licences go last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from pydantic import JsonValue

from datasets.calling_settings import CallingGroup, in_order
from engine import number_lines
from engine.change import Change, Effect
from engine.conditions import PHONE_SYSTEM
from engine.converge_accounts import KNOWN, SWITCH, brought_back, switched_off
from engine.moving import Journey, journey_of, number_of_line, to_pool, to_teams
from engine.readers import CALLING, GROUP, Observed

DIRECT_ROUTING = "directRouting"
Key = tuple[str, str]


@dataclass(frozen=True)
class NumberTerms:
    """What Teams must be told with a number; `ends_first` is what would stand in the way of giving it."""

    number_type: str = DIRECT_ROUTING
    location_id: str | None = None
    ends_first: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Target:
    """Where one user shall be: wanted and observed values, and what is known about the numbers concerned.

    `phone_licences` are the ids of licences that a number hangs on, each of them observed; None where nobody asked.
    """

    user_id: str
    wanted: Observed
    observed: Observed
    reason: str
    grace_until: datetime
    terms: Mapping[str, NumberTerms] = field(default_factory=dict)
    phone_licences: frozenset[str] | None = None

    @property
    def object(self) -> str:
        """Give the user's object name."""
        return f"user:{self.user_id}"

    def differing(self, prefix: str = "") -> list[str]:
        """List the user's attributes with this beginning that are wanted otherwise than they are."""
        pairs = sorted(self.wanted.items())
        return [
            a for (o, a), v in pairs if o == self.object and a.startswith(prefix) and self.observed.get((o, a)) != v
        ]

    def value(self, attribute: str) -> JsonValue:
        """Give the value the attribute shall have: the wanted one, else the one it has."""
        key = (self.object, attribute)
        return self.wanted[key] if key in self.wanted else self.observed.get(key)


@dataclass(frozen=True)
class Way:
    """The changes that lead there, and what cannot be done, each with the reason."""

    changes: tuple[Change, ...]
    problems: tuple[str, ...]


def converge(target: Target) -> Way:
    """Plan the changes for one user."""
    journey = journey_of(target.user_id, target.wanted, target.observed, target.reason)
    problems = [*_unknown(target), *_unwanted(target, is_moving=journey is not None)]
    if journey is not None:
        return Way(tuple(_moved(target, journey)), tuple(problems))
    sides = (target.user_id, target.wanted, target.observed, target.reason)
    changes = [
        *brought_back(*sides),
        *_usage_location(target),
        *_licences(target, given=True),
        *_number(target),
        *_enterprise_voice(target),
        *_policies(target),
        *_calling(target),
        *_groups(target),
        *_directory(target),
        *_places(target),
        *_licences(target, given=False),
        *switched_off(*sides),
    ]
    return Way(tuple(changes), tuple(problems))


def _moved(target: Target, journey: Journey) -> list[Change]:
    """Plan a user whose home changes: policies and licences are given in the cloud, and taken away after it."""
    if journey.is_to_teams:
        way = to_teams(journey, lambda number: _assign(target, number, has_none=False))
        return [*_licences(target, given=True), *way, *_policies(target), *_directory(target)]
    way = to_pool(journey, lambda number: _unassign(target, number, rests=number != number_of_line(journey.line)))
    voice = [] if any(change.kind == "unassign_number" for change in way) else _enterprise_voice(target)
    return [*_policies(target), *voice, *way, *_directory(target), *_taken_licences(target)]


def _unknown(target: Target) -> list[str]:
    known = (
        "usage_location",
        "licence:",
        "number",
        "enterprise_voice",
        "policy:",
        "teams_only",
        CALLING,
        GROUP,
        *KNOWN,
    )
    return [f"{name} cannot be set back by Callwright" for name in target.differing() if not name.startswith(known)]


def _unwanted(target: Target, *, is_moving: bool) -> list[str]:
    """Name what the systems do not allow, or what would take more with it than was asked for."""
    found = []
    if "usage_location" in target.differing() and target.value("usage_location") is None:
        found.append("a usage location cannot be emptied again")
    if _frees_number(target) and not is_moving:
        what = f"removing the last licence with Teams Phone would free number {target.value('number')}, which stays"
        found.append(f"{what} ; take the number away as well")
    for name in target.differing(CALLING):
        if target.value(name) is None:
            found.append(f"{name} was not known before and cannot be emptied")
    return found


def _effects(target: Target, names: Sequence[str]) -> tuple[Effect, ...]:
    obj = target.object
    return tuple(
        Effect(object=obj, attribute=n, before=target.observed.get((obj, n)), after=target.value(n)) for n in names
    )


def _change(target: Target, kind: str, parameters: dict[str, JsonValue], effects: tuple[Effect, ...]) -> Change:
    return Change(
        kind=kind,
        target=target.object,
        parameters={"user_id": target.user_id, **parameters},
        effects=effects,
        reason=target.reason,
        waits_for=PHONE_SYSTEM if kind in ("assign_number", "set_enterprise_voice") else None,
    )


def _usage_location(target: Target) -> list[Change]:
    country = target.value("usage_location")
    if "usage_location" not in target.differing() or country is None:
        return []
    return [_change(target, "set_usage_location", {"country": country}, _effects(target, ["usage_location"]))]


def _licences_to_remove(target: Target) -> list[str]:
    return [name for name in target.differing("licence:") if not target.value(name)]


def _frees_number(target: Target) -> bool:
    """Tell whether a number that stays would go with the licences that are taken: a number hangs on Teams Phone."""
    going = _licences_to_remove(target)
    if target.value("number") is None or target.phone_licences is None:
        return bool(going) and target.value("number") is not None
    phone = [f"licence:{sku}" for sku in target.phone_licences]
    return any(name in going for name in phone) and not any(target.value(name) for name in phone)


def _licences(target: Target, *, given: bool) -> list[Change]:
    names = [name for name in target.differing("licence:") if bool(target.value(name)) is given]
    if not given and _frees_number(target):
        return []
    return _of_licences(target, names, given=given, keeps_number=target.value("number") is not None)


def _taken_licences(target: Target) -> list[Change]:
    return _of_licences(target, _licences_to_remove(target), given=False)


def _of_licences(target: Target, names: Sequence[str], *, given: bool, keeps_number: bool = False) -> list[Change]:
    kind = "assign_licence" if given else "remove_licence"
    more: dict[str, JsonValue] = {"frees_number": False} if keeps_number and not given else {}
    return [
        _change(target, kind, {"sku_id": name.removeprefix("licence:"), **more}, _effects(target, [name]))
        for name in names
    ]


def _groups(target: Target) -> list[Change]:
    return [
        _change(
            target,
            "join_group" if target.value(name) else "leave_group",
            {"group": name.removeprefix(GROUP)},
            _effects(target, [name]),
        )
        for name in target.differing(GROUP)
    ]


def _number(target: Target) -> list[Change]:
    if "number" not in target.differing():
        return []
    have, want = target.observed.get((target.object, "number")), target.value("number")
    made = [] if have is None else [_unassign(target, str(have))]
    if want is None:
        return made
    first = target.terms.get(str(want), NumberTerms()).ends_first
    return [*made, *first, _assign(target, str(want), has_none=have is None)]


def _unassign(target: Target, number: str, *, rests: bool = True) -> Change:
    """Take the number, and with it Enterprise Voice, as Teams does; one that gets its owner back does not rest."""
    effects = [Effect(object=target.object, attribute="number", before=number)]
    effects.append(Effect(object=f"number:{number}", attribute="owner", before=target.user_id))
    if target.observed.get((target.object, "enterprise_voice")):
        effects.append(Effect(object=target.object, attribute="enterprise_voice", before=True, after=False))
    terms = target.terms.get(number, NumberTerms())
    parameters: dict[str, JsonValue] = {
        "number": number,
        "number_type": terms.number_type,
        "location_id": terms.location_id,
        "grace_until": target.grace_until.isoformat() if rests else None,
    }
    return _change(target, "unassign_number", parameters, tuple(effects))


def _assign(target: Target, number: str, *, has_none: bool) -> Change:
    effects = [Effect(object=target.object, attribute="number", after=number)]
    effects.append(Effect(object=f"number:{number}", attribute="owner", after=target.user_id))
    if not (has_none and target.observed.get((target.object, "enterprise_voice"))):
        effects.append(Effect(object=target.object, attribute="enterprise_voice", before=False, after=True))
    terms = target.terms.get(number, NumberTerms())
    parameters: dict[str, JsonValue] = {
        "number": number,
        "number_type": terms.number_type,
        "location_id": terms.location_id,
    }
    return _change(target, "assign_number", parameters, tuple(effects))


def _enterprise_voice(target: Target) -> list[Change]:
    """Switch Enterprise Voice where giving or taking the number does not leave it as it is wanted."""
    name, want = "enterprise_voice", bool(target.value("enterprise_voice"))
    after = bool(target.observed.get((target.object, name)))
    if "number" in target.differing():
        after = target.value("number") is not None
    if want == after or (target.object, name) not in {*target.wanted, *target.observed}:
        return []
    effect = Effect(object=target.object, attribute=name, before=after, after=want)
    return [_change(target, "set_enterprise_voice", {"enabled": want}, (effect,))]


def _policies(target: Target) -> list[Change]:
    names = target.differing("policy:")
    if not names:
        return []
    policies: dict[str, JsonValue] = {name.removeprefix("policy:"): target.value(name) for name in names}
    return [_change(target, "set_policies", {"policies": policies}, _effects(target, names))]


def _calling(target: Target) -> list[Change]:
    """Set calling settings group by group, so that none refers to what is not there yet."""
    wanted = {cast(CallingGroup, n.removeprefix(CALLING)): target.value(n) for n in target.differing(CALLING)}
    return [
        _change(
            target,
            "set_calling_settings",
            {"group": group, "settings": wanted[group]},
            _effects(target, [f"{CALLING}{group}"]),
        )
        for group in in_order(wanted)
        if wanted[group] is not None
    ]


def _places(target: Target) -> list[Change]:
    """Set the emergency location of the user's number back, while it is theirs."""
    obj = f"number:{target.value('number')}"
    before, after = target.observed.get((obj, "location")), target.wanted.get((obj, "location"))
    if (obj, "location") not in target.wanted or before == after or "number" in target.differing():
        return []
    return [number_lines.placing(target.object, obj.removeprefix("number:"), before, after, target.reason)]


def _directory(target: Target) -> list[Change]:
    made = []
    for obj in sorted({obj for obj, _ in target.wanted if obj.startswith("ad:")}):
        pairs = sorted((a, v) for (o, a), v in target.wanted.items() if o == obj and target.observed.get((o, a)) != v)
        pairs = [pair for pair in pairs if pair[0] != SWITCH]
        if pairs:
            effects = tuple(
                Effect(object=obj, attribute=a, before=target.observed.get((obj, a)), after=v) for a, v in pairs
            )
            parameters: dict[str, JsonValue] = {"sam_account_name": obj.removeprefix("ad:"), "attributes": dict(pairs)}
            made.append(_change(target, "write_directory", parameters, effects))
    return made
