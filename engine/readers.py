"""Read back: the current value of each effect, from the authority of its attribute (design §5).

`user:` usage location and licences come from Graph, number, Enterprise Voice and policies from Teams administration,
calling settings from Teams PowerShell;
`number:` owner and location from the Teams number list, its block from Teams PowerShell; `ad:` attributes from Active
Directory; `skype:` home, line and Enterprise Voice from the Skype for Business Server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar, cast

from pydantic import JsonValue

from datasets.calling_settings import CallingGroup, Settings
from datasets.hybrid import CLOUD, SERVER, TEAMS_ONLY_POLICY, SkypeUser
from datasets.users import AdUser, DirectoryUser, NumberAssignment, VoiceUser
from engine.change import Effect
from engine.systems import Systems

Observed = dict[tuple[str, str], JsonValue]
K = TypeVar("K")
V = TypeVar("V")

CALLING = "calling:"
GROUP = "group:"
_MANY = 20
_AD_FIELDS = {
    "telephoneNumber": "telephone_number",
    "ipPhone": "ip_phone",
    "mobile": "mobile",
    "homePhone": "home_phone",
}


class Reader:
    """Reads the objects behind effects, each at most once; make a new one for each look at the world."""

    def __init__(self, systems: Systems) -> None:
        self._systems = systems
        self._users: dict[str, DirectoryUser | None] = {}
        self._voices: dict[str, VoiceUser | None] = {}
        self._numbers: dict[str, NumberAssignment | None] = {}
        self._blocks: dict[str, str | None] = {}
        self._ad: dict[str, AdUser | None] = {}
        self._calling: dict[str, dict[CallingGroup, Settings] | None] = {}
        self._skype: dict[str, SkypeUser | None] = {}
        self._members: dict[str, frozenset[str] | None] = {}

    def observe(self, effects: Iterable[Effect]) -> Observed:
        """Give the current value of each effect's attribute; an object that does not exist has None everywhere."""
        asked = list(effects)
        numbers = {effect.object.removeprefix("number:") for effect in asked if effect.object.startswith("number:")}
        if len(numbers) > _MANY:
            self._read_many(numbers)
        return dict(zip((effect.key_pair for effect in asked), self._at_once(asked), strict=True))

    def _at_once(self, asked: Sequence[Effect]) -> list[JsonValue]:
        """Read different objects at the same time, where the systems are far away: a look takes as long as one read."""
        first = {_asked_of(effect): effect for effect in reversed(asked)}
        if self._systems.reads_at_once > 1 and len(first) > 1:
            with ThreadPoolExecutor(min(self._systems.reads_at_once, len(first)), thread_name_prefix="read") as pool:
                list(pool.map(self._value, first.values()))
        return [self._value(effect) for effect in asked]

    def _read_many(self, numbers: Iterable[str]) -> None:
        """Read the whole list of numbers once instead of each of an order's."""
        listed = {row.telephone_number: row for row in self._systems.teams.numbers()}
        self._numbers |= {number: listed.get(number) for number in numbers}

    def _value(self, effect: Effect) -> JsonValue:
        prefix, _, name = effect.object.partition(":")
        read = {"user": self._of_user, "number": self._of_number, "ad": self._of_ad, "skype": self._of_skype}
        return read[prefix](name, effect.attribute)

    def _of_user(self, user_id: str, attribute: str) -> JsonValue:
        if is_of_directory(attribute):
            return directory_value(self.directory_user(user_id), attribute)
        if attribute.startswith(GROUP):
            group = attribute.removeprefix(GROUP)
            return user_id in (_once(self._members, group, partial(self._systems.graph.member_ids, group)) or ())
        if attribute.startswith(CALLING):
            calling = self._systems.calling
            found = None if calling is None else _once(self._calling, user_id, partial(calling.settings, user_id))
            return None if found is None else found[cast(CallingGroup, attribute.removeprefix(CALLING))]
        return voice_value(self.voice_user(user_id), attribute)

    def _of_number(self, number: str, attribute: str) -> JsonValue:
        if attribute == "block":
            numbering = self._systems.numbering
            return None if numbering is None else _once(self._blocks, number, partial(numbering.block_of, number))
        if attribute == "treatment":
            numbering = self._systems.numbering
            return None if numbering is None else numbering.treatment_of(number)
        row = _once(self._numbers, number, partial(self._systems.teams.number, number))
        if attribute == "listed":
            return row is not None
        if row is None:
            return None
        return row.assignment_target_id if attribute == "owner" else row.location_id

    def _of_ad(self, sam: str, attribute: str) -> JsonValue:
        directory = self._systems.directory
        user = None if directory is None else _once(self._ad, sam, partial(directory.user, sam))
        if attribute == "exists":
            return user is not None
        if attribute == "enabled":
            return None if user is None else user.enabled
        return None if user is None else getattr(user, _AD_FIELDS[attribute]) or None

    def _of_skype(self, sip_address: str, attribute: str) -> JsonValue:
        skype = self._systems.skype
        user = None if skype is None else _once(self._skype, sip_address, partial(skype.user, sip_address))
        return skype_value(user, attribute)

    def directory_user(self, user_id: str) -> DirectoryUser | None:
        """Read a Graph user once."""
        return _once(self._users, user_id, partial(self._systems.graph.user, user_id))

    def voice_user(self, user_id: str) -> VoiceUser | None:
        """Read a Teams user once."""
        return _once(self._voices, user_id, partial(self._systems.teams.voice_user, user_id))


def _asked_of(effect: Effect) -> tuple[str, str]:
    """Tell effects apart that are read by calls of their own; what one call answers is alike."""
    name = effect.attribute
    if name.startswith(GROUP) or name == "block":
        return effect.object, name
    if name.startswith(CALLING):
        return effect.object, CALLING
    return effect.object, "directory" if effect.object.startswith("user:") and is_of_directory(name) else ""


def _once(cache: dict[K, V], key: K, read: Callable[[], V]) -> V:
    if key not in cache:
        cache[key] = read()
    return cache[key]


def is_of_directory(attribute: str) -> bool:
    """Tell whether Graph's directory, not Teams, is the authority of a user's attribute."""
    return attribute in ("usage_location", "account_enabled", "exists") or attribute.startswith("licence:")


def directory_value(user: DirectoryUser | None, attribute: str) -> JsonValue:
    """Give one attribute of a Graph user in the form effects use."""
    if attribute == "exists":
        return user is not None
    if user is None:
        return None
    if attribute == "account_enabled":
        return user.account_enabled
    if attribute == "usage_location":
        return user.usage_location
    return attribute.removeprefix("licence:") in user.sku_ids


def voice_value(user: VoiceUser | None, attribute: str) -> JsonValue:
    """Give one attribute of a Teams user in the form effects use."""
    if attribute == "enterprise_voice":
        return user is not None and user.is_enterprise_voice_enabled
    if attribute == "teams_only":
        return user is not None and is_teams_only(user)
    if user is None:
        return None
    return user.number if attribute == "number" else user.policies.get(attribute.removeprefix("policy:"))


def is_teams_only(user: VoiceUser) -> bool:
    """Tell whether Teams has taken a user over: homed in the cloud, in the mode that every move ends in.

    A user who never was on a server has that mode from the tenant, not by a policy of their own.
    """
    mode = user.policies.get("TeamsUpgradePolicy", TEAMS_ONLY_POLICY)
    return user.account_type != "sfbOnPremUser" and mode.startswith(TEAMS_ONLY_POLICY)


def skype_value(user: SkypeUser | None, attribute: str) -> JsonValue:
    """Give one attribute of a user of the Skype for Business Server in the form effects use."""
    if attribute == "exists":
        return user is not None
    if user is None:
        return None
    found: dict[str, JsonValue] = {
        "home": user.home,
        "place": SERVER if user.is_on_premises else CLOUD,
        "line": user.line_uri,
        "enterprise_voice": user.is_enterprise_voice_enabled,
    }
    return found[attribute]
