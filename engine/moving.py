"""From the values a user shall have to a move between server and cloud (pure): what taking back a wave comes to.

A number may read the same before and after and still change its master: the line of the local directory, or Teams.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import JsonValue

from datasets.hybrid import CLOUD
from datasets.numbering import InvalidNumber, PhoneNumber
from engine.change import Change, Effect
from engine.conditions import LINE_RELEASED, ON_PREMISES, TEAMS_ONLY
from engine.readers import Observed

Key = tuple[str, str]
NOT_RESTORED = "contacts and meetings do not come back: they stay in Teams, converted meetings stay Teams meetings"


@dataclass(frozen=True)
class Journey:
    """A user whose home shall change: wanted and observed values, and the name of the user on the server."""

    user_id: str
    server: str
    wanted: Observed
    observed: Observed
    reason: str

    @property
    def object(self) -> str:
        """Give the user's object name."""
        return f"user:{self.user_id}"

    @property
    def is_to_teams(self) -> bool:
        """Tell whether the user shall be homed in the cloud."""
        return self.wanted.get((self.server, "place")) == CLOUD

    def now(self, attribute: str) -> JsonValue:
        """Give an observed value of the user."""
        return self.observed.get((self.object, attribute))

    @property
    def line(self) -> JsonValue:
        """Give the line that the user shall have on the server: the one there is, where nothing else is wanted."""
        key = (self.server, "line")
        return self.wanted[key] if key in self.wanted else self.observed.get(key)


Unassign = Callable[[str], Change]
Assign = Callable[[str], Change]


def journey_of(user_id: str, wanted: Observed, observed: Observed, reason: str) -> Journey | None:
    """Tell whether the wanted values are a move, and between what."""
    for obj, attribute in wanted:
        if attribute == "place" and observed.get((obj, attribute)) != wanted[obj, attribute]:
            return Journey(user_id, obj, wanted, observed, reason)
    return None


def to_pool(journey: Journey, unassign: Unassign) -> list[Change]:
    """Give the number back, set the line again, move to the pool, and wait until the cloud has followed."""
    number = journey.now("number")
    is_of_teams = number != number_of_line(journey.observed.get((journey.server, "line")))
    made = [unassign(str(number))] if number and is_of_teams and (journey.object, "number") in journey.wanted else []
    still_has = not made and bool(number)
    return [*made, *_set_line(journey), _move(journey), *_await_on_premises(journey, has_number=still_has)]


def to_teams(journey: Journey, assign: Assign) -> list[Change]:
    """Move to Teams, clear the line, wait until the cloud has let go of the number, and assign it."""
    shown = Effect(object=journey.object, attribute="teams_only", before=False, after=True)
    made = [_move(journey), _change(journey, "await_teams_only", {}, shown, waits_for=TEAMS_ONLY)]
    number, line = journey.wanted.get((journey.object, "number")), journey.observed.get((journey.server, "line"))
    if line is not None and journey.line is None:
        cleared = Effect(object=journey.server, attribute="line", before=line)
        made.append(_change(journey, "clear_on_premises_line", {"sip_address": _sip(journey), "line": line}, cleared))
        made += _await_release(journey, keeps=journey.now("number") == number)
    return made if number is None else [*made, assign(str(number))]


def _await_release(journey: Journey, *, keeps: bool) -> list[Change]:
    number = journey.now("number")
    if number is None:
        return []
    effects = (
        Effect(object=f"number:{number}", attribute="owner", before=journey.user_id),
        Effect(object=journey.object, attribute="number", before=number),
    )
    parameters: dict[str, JsonValue] = {"number": number, "keeps": keeps, "grace_days": 0}
    return [_change(journey, "await_line_release", parameters, *effects, waits_for=LINE_RELEASED)]


def _move(journey: Journey) -> Change:
    effects = tuple(
        Effect(
            object=journey.server,
            attribute=name,
            before=journey.observed.get((journey.server, name)),
            after=journey.wanted.get((journey.server, name)),
        )
        for name in ("home", "place")
    )
    kind = "move_to_teams" if journey.is_to_teams else "move_to_pool"
    return _change(journey, kind, {"sip_address": _sip(journey), "target": effects[0].after}, *effects)


def _set_line(journey: Journey) -> list[Change]:
    before = journey.observed.get((journey.server, "line"))
    if journey.line is None or journey.line == before:
        return []
    effect = Effect(object=journey.server, attribute="line", before=before, after=journey.line)
    parameters: dict[str, JsonValue] = {"sip_address": _sip(journey), "line": journey.line}
    return [_change(journey, "set_on_premises_line", parameters, effect)]


def _await_on_premises(journey: Journey, *, has_number: bool) -> list[Change]:
    effects = []
    if journey.now("teams_only") is not False:
        effects.append(Effect(object=journey.object, attribute="teams_only", before=True, after=False))
    number = None if has_number else number_of_line(journey.line)
    if number is not None:
        effects.append(Effect(object=f"number:{number}", attribute="owner", after=journey.user_id))
        effects.append(Effect(object=journey.object, attribute="number", after=number))
    if not effects:
        return []
    parameters: dict[str, JsonValue] = {"number": number} if number else {}
    return [_change(journey, "await_on_premises", parameters, *effects, waits_for=ON_PREMISES)]


def _sip(journey: Journey) -> str:
    return journey.server.removeprefix("skype:")


def number_of_line(line: JsonValue) -> str | None:
    """Give a line as a number of Teams; None for none, and for one that Teams cannot show."""
    try:
        return None if line is None else PhoneNumber.from_e164(str(line)[4:]).e164
    except InvalidNumber:
        return None


def _change(
    journey: Journey, kind: str, parameters: dict[str, JsonValue], *effects: Effect, waits_for: str | None = None
) -> Change:
    return Change(
        kind=kind,
        target=journey.object,
        parameters={"user_id": journey.user_id, **parameters},
        effects=effects,
        reason=journey.reason,
        waits_for=waits_for,
    )
