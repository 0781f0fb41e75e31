"""Announcements of numbers that rest: what callers of somebody who left hear, until the number is anybody's.

Teams answers by a treatment of unassigned numbers, which a number that somebody has ignores. So it is made before the
number is taken, and a visit that died in between finds both still to be done.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pydantic import JsonValue

from config.site_lifecycle import Announce
from connectors.errors import NotAllowed, Unsupported
from datasets.treatments import Treatment, number_of
from engine.change import Change, Effect
from engine.systems import Systems

ATTRIBUTE = "treatment"


@dataclass(frozen=True)
class Announcement:
    """What is wanted for a number and what is there; or why it cannot be had."""

    wanted: Treatment | None = None
    before: str | None = None
    refusal: str | None = None


class Announcements:
    """The announcements of one planning: target and treatments are read once, when the first number needs one."""

    def __init__(self, systems: Systems, rules: Announce | None) -> None:
        self._systems, self._rules = systems, rules
        self._refusal: str | None = None
        self._target: str | None = None
        self._said: dict[str, str] = {}
        self._priorities: set[int] = set()

    def of(self, number: str) -> Announcement:
        """Give what is wanted for a number. Raises what the connectors raise."""
        if self._rules is None:
            return Announcement()
        if self._target is None and self._refusal is None:
            self._look(self._rules)
        if self._target is None:
            return Announcement(refusal=self._refusal)
        priority = self._next_priority(self._rules.first_priority)
        wanted = Treatment(number=number, target_type=self._rules.type, target=self._target, priority=priority)
        return Announcement(wanted, self._said.get(number))

    def _look(self, rules: Announce) -> None:
        numbering = self._systems.numbering
        if numbering is None:
            remedy = "set powershell.server, or remove leaver.announce from lifecycle.toml"
            self._refusal = f"announcing a number needs Teams PowerShell ; {remedy}"
            return
        self._target = rules.target if rules.type == "Announcement" else self._id_of(rules.target)
        if self._target is None:
            self._refusal = f"no {rules.target} to send callers to ; correct leaver.announce in lifecycle.toml"
            return
        try:
            known = list(numbering.treatments())
        except (Unsupported, NotAllowed) as error:
            self._target, self._refusal = None, f"{error} ; allow it there, or remove leaver.announce"
            return
        for name, treatment in known:
            self._priorities.add(treatment.priority)
            if (ours := number_of(name)) is not None:
                self._said[ours] = treatment.said

    def _id_of(self, target: str) -> str | None:
        found = self._systems.graph.user(target)
        return None if found is None else found.id

    def _next_priority(self, first: int) -> int:
        """Give a priority that no treatment has; Teams wants each once."""
        while first in self._priorities:
            first += 1
        self._priorities.add(first)
        return first


def announcing(announcement: Announcement, user: str) -> list[Change]:
    """Give the change that has callers of a number hear, or reach, what the site wants; nothing if they do."""
    wanted = announcement.wanted
    if wanted is None or announcement.before is not None:
        return []
    parameters: dict[str, JsonValue] = {**wanted.model_dump(mode="json")}
    effect = Effect(object=f"number:{wanted.number}", attribute=ATTRIBUTE, after=wanted.said)
    reason = "callers are told, or sent on, while the number rests"
    return [Change(kind="announce_number", target=user, parameters=parameters, effects=(effect,), reason=reason)]


def ending(treatment: Treatment, target: str, reason: str) -> Change:
    """Give the change after which callers of a number are not told any more."""
    effect = Effect(object=f"number:{treatment.number}", attribute=ATTRIBUTE, before=treatment.said)
    parameters: dict[str, JsonValue] = {**treatment.model_dump(mode="json")}
    return Change(kind="end_announcement", target=target, parameters=parameters, effects=(effect,), reason=reason)


def ours(systems: Systems, numbers: Collection[str] | None = None) -> dict[str, Treatment]:
    """Read our treatments, of these numbers or of all, by number; none where nobody could have made one.

    That is where no PowerShell endpoint is set, or one that does not offer the cmdlets: a site need not announce.
    """
    if systems.numbering is None or numbers == []:
        return {}
    try:
        found = list(systems.numbering.treatments())
    except (Unsupported, NotAllowed):
        return {}
    known = {number: each for name, each in found if (number := number_of(name)) is not None}
    return known if numbers is None else {number: known[number] for number in numbers if number in known}
