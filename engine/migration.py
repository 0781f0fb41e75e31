"""Plan one user's move to Teams (pure): the ordered changes from where the user is to where the batch wants them.

Licence, move, TeamsOnly seen, on-premises line cleared, synchronisation seen, number, policies, write-back. What was
observed is given; choosing numbers is left to `engine/migration_numbers.py`, what stands in the way to
`engine/preflight_checks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from datasets.batches import BatchNumbers, BatchOptions
from datasets.hybrid import CLOUD, SERVER, HybridAccount, SkypeUser
from datasets.numbering import InvalidNumber, PhoneNumber
from datasets.preflight import Concern, Home
from datasets.users import AdUser, SubscribedSku, VoiceUser
from engine.change import Change, Effect
from engine.compare import compare
from engine.conditions import LINE_RELEASED, PHONE_SYSTEM, TEAMS_ONLY, TEAMS_SERVICE, VOICE_CARRIED
from engine.number_lines import assigning, writing_back
from engine.onboarding import ChosenNumber
from engine.readers import Observed, directory_value, is_teams_only, skype_value, voice_value

REASON = "batch"


@dataclass(frozen=True)
class Migrant:
    """One user of a wave and everything that was observed about them.

    `voice_numbers` are the numbers that Teams shows for the user, with whether the on-premises directory is their
    master; `cleared` is a number whose on-premises line an earlier plan of ours has cleared already. `pool` is that of
    the number that was chosen.
    """

    user_id: str
    hybrid: HybridAccount | None = None
    is_deleted: bool = False
    voice: VoiceUser | None = None
    skype: SkypeUser | None = None
    ad: AdUser | None = None
    recent: Observed = field(default_factory=dict)
    unreadable: str | None = None
    busy_with: str | None = None
    voice_numbers: Mapping[str, bool] = field(default_factory=dict)
    cleared: str | None = None
    chosen: ChosenNumber | None = None
    pool: str | None = None
    refusal: Concern | None = None

    @property
    def object(self) -> str:
        """Give the object whose lease the writer holds."""
        return f"user:{self.user_id}"

    @property
    def label(self) -> str:
        """Give the name for people."""
        return self.hybrid.account.user_principal_name if self.hybrid else self.user_id

    def observed(self, obj: str, attribute: str) -> JsonValue:
        """Give one observed value; what we verified a moment ago outweighs a lagging read."""
        if (obj, attribute) in self.recent:
            return self.recent[obj, attribute]
        if obj.startswith("skype:"):
            return skype_value(self.skype, attribute)
        if attribute == "usage_location" or attribute.startswith("licence:"):
            return directory_value(self.hybrid.account if self.hybrid else None, attribute)
        return voice_value(self.voice, attribute)

    def of_skype(self, attribute: str) -> JsonValue:
        """Give one value of the user of the server; None for a user who is not enabled there."""
        return None if self.skype is None else self.observed(self.skype.object, attribute)

    @property
    def is_on_premises(self) -> bool:
        """Tell whether the user is homed on the server."""
        home = self.of_skype("home")
        return self.skype is not None and self.skype.is_on_premises and home == self.skype.home

    @property
    def home(self) -> Home:
        """Give where the user is homed."""
        if self.is_on_premises:
            return "onPremises"
        return "unknown" if self.voice is None or self.voice.account_type == "sfbOnPremUser" else "teams"

    @property
    def line(self) -> str | None:
        """Give the line that the user has on the server."""
        line = self.of_skype("line")
        return None if line is None else str(line)

    @property
    def line_number(self) -> PhoneNumber | None:
        """Give the line as a number; None for a line that is none, or that is not in E.164."""
        try:
            return PhoneNumber.from_e164((self.line or "").removeprefix("tel:").removeprefix("TEL:"))
        except InvalidNumber:
            return None

    @property
    def number(self) -> str | None:
        """Give the number that the user has in Teams, whoever is its master."""
        value = self.observed(self.object, "number")
        return None if value is None else str(value)

    @property
    def carried(self) -> str | None:
        """Give the number in Teams that the on-premises directory still owns."""
        number = self.number
        if number is None or not self.voice_numbers.get(number, self.line_number is not None):
            return None
        return number

    @property
    def own_number(self) -> str | None:
        """Give the number that Teams itself holds for the user: numbers are sticky, so it stays."""
        return None if self.carried else self.number

    @property
    def must_move(self) -> bool:
        """Tell whether a move has to be sent."""
        return self.is_on_premises

    @property
    def is_seen_in_teams(self) -> bool:
        """Tell whether Teams shows the user as its own."""
        shown = self.recent.get((self.object, "teams_only"))
        return bool(shown) if shown is not None else self.voice is not None and is_teams_only(self.voice)


@dataclass(frozen=True)
class Goal:
    """Where a wave leads: the options of the batch, the tenant's licences, and the host that users are moved to."""

    options: BatchOptions
    skus: Mapping[str, SubscribedSku]
    cloud_host: str = ""
    number_grace_days: int = 30

    @property
    def gives_numbers(self) -> bool:
        """Tell whether users get a number of Teams, which no on-premises line may stand in the way of."""
        return self.options.numbers not in (BatchNumbers.NONE, BatchNumbers.ON_PREMISES)


def wants_number(migrant: Migrant, goal: Goal) -> bool:
    """Tell whether a number has to be found for this user."""
    if not goal.gives_numbers or migrant.own_number or migrant.hybrid is None:
        return False
    if goal.options.numbers is BatchNumbers.KEEP:
        return bool(migrant.line or migrant.carried or migrant.cleared)
    return True


def plan_user(migrant: Migrant, goal: Goal) -> tuple[Change, ...]:
    """Give the changes for one user, none when everything is as it shall be."""
    return (
        *_licences(migrant, goal),
        *_move(migrant, goal),
        *_line(migrant, goal),
        *_number(migrant),
        *_carried_voice(migrant, goal),
        *_policies(migrant, goal),
        *_write_back(migrant, goal),
    )


def missing_skus(migrant: Migrant, goal: Goal) -> list[str]:
    """List the licence products that the user does not have yet."""
    wanted = [goal.skus[part].sku_id for part in goal.options.licences if part in goal.skus]
    return [sku for sku in wanted if not migrant.observed(migrant.object, f"licence:{sku}")]


def _change(
    migrant: Migrant, kind: str, parameters: dict[str, JsonValue], *effects: Effect, waits_for: str | None = None
) -> Change:
    return Change(
        kind=kind,
        target=migrant.object,
        parameters={"user_id": migrant.user_id, **parameters},
        effects=effects,
        reason=REASON,
        waits_for=waits_for,
    )


def _licences(migrant: Migrant, goal: Goal) -> list[Change]:
    obj = migrant.object
    return [
        _change(
            migrant,
            "assign_licence",
            {"sku_id": sku},
            Effect(object=obj, attribute=f"licence:{sku}", before=False, after=True),
        )
        for sku in missing_skus(migrant, goal)
    ]


def _move(migrant: Migrant, goal: Goal) -> list[Change]:
    """Move, and wait until Teams shows the user as its own; also after a move that an earlier plan sent."""
    changes: list[Change] = []
    if migrant.must_move and migrant.skype is not None:
        licensed = PHONE_SYSTEM if migrant.of_skype("enterprise_voice") else TEAMS_SERVICE
        home = Effect(object=migrant.skype.object, attribute="home", before=migrant.skype.home, after=goal.cloud_host)
        parameters: dict[str, JsonValue] = {"sip_address": migrant.skype.sip_address, "target": goal.cloud_host}
        waits_for = licensed if missing_skus(migrant, goal) else None
        place = Effect(object=migrant.skype.object, attribute="place", before=SERVER, after=CLOUD)
        changes.append(_change(migrant, "move_to_teams", parameters, home, place, waits_for=waits_for))
    if changes or (migrant.skype is not None and not migrant.is_seen_in_teams):
        shown = Effect(object=migrant.object, attribute="teams_only", before=False, after=True)
        changes.append(_change(migrant, "await_teams_only", {}, shown, waits_for=TEAMS_ONLY))
    return changes


def _line(migrant: Migrant, goal: Goal) -> list[Change]:
    """Clear the on-premises line where Teams gives a number, and wait until the cloud has let go of it."""
    if migrant.chosen is None:
        return []
    changes: list[Change] = []
    if migrant.skype is not None and migrant.line is not None:
        parameters: dict[str, JsonValue] = {"sip_address": migrant.skype.sip_address, "line": migrant.line}
        cleared = Effect(object=migrant.skype.object, attribute="line", before=migrant.line)
        changes.append(_change(migrant, "clear_on_premises_line", parameters, cleared))
    if migrant.carried is not None:
        number = migrant.carried
        effects = (
            Effect(object=f"number:{number}", attribute="owner", before=migrant.user_id),
            Effect(object=migrant.object, attribute="number", before=number),
        )
        parameters = {"number": number, "keeps": number == migrant.chosen.number, "grace_days": goal.number_grace_days}
        changes.append(_change(migrant, "await_line_release", parameters, *effects, waits_for=LINE_RELEASED))
    return changes


def _number(migrant: Migrant) -> list[Change]:
    chosen = migrant.chosen
    if chosen is None:
        return []
    has_voice = bool(migrant.observed(migrant.object, "enterprise_voice"))
    terms = (chosen.number, chosen.number_type, chosen.location_id)
    return [assigning(migrant.user_id, *terms, has_voice=has_voice, reason=REASON)]


def _carried_voice(migrant: Migrant, goal: Goal) -> list[Change]:
    """Wait for the Enterprise Voice that a move brings along, where the number stays with the directory."""
    if goal.options.numbers is not BatchNumbers.ON_PREMISES or migrant.carried is None:
        return []
    if migrant.skype is None or not migrant.of_skype("enterprise_voice") or _has_voice(migrant):
        return []
    shown = Effect(object=migrant.object, attribute="enterprise_voice", before=False, after=True)
    return [_change(migrant, "await_voice", {"number": migrant.carried}, shown, waits_for=VOICE_CARRIED)]


def _has_voice(migrant: Migrant) -> bool:
    return bool(migrant.observed(migrant.object, "enterprise_voice"))


def _policies(migrant: Migrant, goal: Goal) -> list[Change]:
    desired: dict[str, JsonValue] = {f"policy:{kind}": name for kind, name in goal.options.policies.items()}
    effects = compare(migrant.object, desired, {name: migrant.observed(migrant.object, name) for name in desired})
    if not effects:
        return []
    policies: dict[str, JsonValue] = {effect.attribute.removeprefix("policy:"): effect.after for effect in effects}
    return [_change(migrant, "set_policies", {"policies": policies}, *effects)]


def _write_back(migrant: Migrant, goal: Goal) -> list[Change]:
    number = migrant.chosen.number if migrant.chosen else migrant.number
    if migrant.ad is None or number is None:
        return []
    return writing_back(
        migrant.user_id, migrant.ad, dict.fromkeys(goal.options.write_back, number), migrant.recent, reason=REASON
    )
