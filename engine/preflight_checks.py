"""What stands in the way of a user's move (pure): each reason with its remedy.

Numbers are judged where they are chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from datasets.batches import BatchNumbers, EmergencyGate
from datasets.builds import is_older, too_old_for
from datasets.hybrid import PHONE_SYSTEM_PLAN, SKYPE_ONLINE_PLAN_2, TEAMS_PLAN
from datasets.number_types import DIRECT_ROUTING
from datasets.preflight import Check, Concern, Readiness
from engine.migration import Goal, Migrant, missing_skus, wants_number
from engine.migration_terms import WaveTerms

MAILBOX_UNCHECKED = "whether voicemail reaches a mailbox is not checked: only that the account has a mail address"
BUILD_UNCHECKED = "the build of the Skype for Business Server could not be read"
MODULE_UNCHECKED = "the version of the Teams module could not be read"
HOST_UNCHECKED = "the Teams module is read on the management host; the one on the Skype for Business Server is not"
USAGES_UNCHECKED = "PSTN usages and routes are not checked: no management host is set"
EMERGENCY_USAGES_UNCHECKED = "which way the emergency call routing policy of the batch sends its calls is not checked"
EMERGENCY_ROUTING = "TeamsEmergencyCallRoutingPolicy"
ON_THE_SERVER = "on the Skype for Business Server"


@dataclass(frozen=True)
class Facts:
    """What holds for every user of a wave.

    `unrouted` are usages of a voice routing policy of the batch that no voice route carries, or that do not exist;
    `without_usages` is such a policy that has none.
    """

    terms: WaveTerms
    has_skype: bool = True
    build: str | None = None
    module: str | None = None
    missing_policies: tuple[tuple[str, str], ...] = ()
    unrouted: tuple[str, ...] = ()
    without_usages: str | None = None
    unchecked: tuple[str, ...] = ()
    holders: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Supply:
    """Licences that the wave has promised so far, by product."""

    given: dict[str, int] = field(default_factory=dict)

    def left(self, goal: Goal, sku_id: str) -> int:
        """Tell how many units are left."""
        sku = next(each for each in goal.skus.values() if each.sku_id == sku_id)
        return sku.enabled_units - sku.consumed_units - self.given.get(sku_id, 0)

    def take(self, skus: list[str]) -> None:
        """Promise one unit of each."""
        for sku in skus:
            self.given[sku] = self.given.get(sku, 0) + 1


def concerns(migrant: Migrant, goal: Goal, facts: Facts, supply: Supply) -> list[Concern]:
    """List what stands in the way of one user, and what is worth a look; promises licences to who may go on."""
    early = _early(migrant, facts)
    if early is not None:
        return [early]
    found = [*_move(migrant, facts), *_licences(migrant, goal, facts, supply), *_line(migrant, goal, facts)]
    found += [*_policies(facts), *_mailbox(migrant)]
    if not any(concern.blocks for concern in found):
        supply.take(missing_skus(migrant, goal))
    return found


def _early(migrant: Migrant, facts: Facts) -> Concern | None:
    """Give the reason beside which nothing else matters."""
    if migrant.is_deleted:
        return Concern(check=Check.SOFT_DELETED, reason="the account is deleted", remedy="restore it, or leave it out")
    if migrant.hybrid is None:
        return Concern(check=Check.NO_ACCOUNT, reason="no account has this id", remedy="correct the batch")
    if migrant.busy_with:
        what = f"plan {migrant.busy_with} is still working on this user"
        return Concern(check=Check.OTHER_PLAN, reason=what, remedy="wait for it, or discard it")
    if migrant.unreadable:
        remedy = "look at this user in the Teams admin centre"
        return Concern(check=Check.UNREADABLE, reason=migrant.unreadable, remedy=remedy)
    if migrant.skype is None and migrant.home == "unknown" and migrant.voice is not None:
        if not facts.has_skype:
            what = f"the user is homed {ON_THE_SERVER}, and none is connected"
            return Concern(check=Check.NO_SKYPE_ENDPOINT, reason=what, remedy="set ocs_powershell.server")
        what = f"Teams says that the user is homed {ON_THE_SERVER}, which does not know the account"
        return Concern(check=Check.NOT_ON_SERVER, reason=what, remedy="synchronise the directory, or enable the user")
    return None


def _move(migrant: Migrant, facts: Facts) -> Iterator[Concern]:
    """Judge what the move itself needs; a user of the cloud needs none."""
    if not migrant.must_move or migrant.skype is None or migrant.hybrid is None:
        return
    yield from _versions(facts)
    if not migrant.hybrid.is_synchronised:
        what = "the account is not synchronised from Active Directory"
        yield Concern(
            check=Check.NOT_SYNCHRONISED, reason=what, remedy="bring it into the scope of the synchronisation"
        )
    if not migrant.skype.is_enabled:
        what = f"the user is disabled {ON_THE_SERVER}"
        yield Concern(check=Check.NOT_ENABLED, reason=what, remedy="enable it (Set-CsUser -Enabled $true)")
    address = migrant.skype.sip_address
    if not migrant.hybrid.sip_addresses:
        what = f"the account in the cloud has no SIP address, and {address} {ON_THE_SERVER}"
        yield Concern(check=Check.SIP_MISSING, reason=what, remedy="synchronise the directory")
    elif address not in migrant.hybrid.sip_addresses:
        what = f"the SIP address is {address} {ON_THE_SERVER} and {migrant.hybrid.sip_addresses[0]} in the cloud"
        yield Concern(check=Check.SIP_MISMATCH, reason=what, remedy="make them the same, then synchronise")


def _versions(facts: Facts) -> Iterator[Concern]:
    """Judge server and module: older ones cannot move users to Teams any more (M6)."""
    needed = None if facts.build is None else too_old_for(facts.build, facts.terms.oldest_builds)
    if needed is not None:
        what = f"the Skype for Business Server has build {facts.build}, and moves need {needed} or newer"
        yield Concern(check=Check.SERVER_BUILD, reason=what, remedy="install its newest cumulative update")
    oldest = facts.terms.oldest_module
    if facts.module is not None and is_older(facts.module, oldest):
        what = f"the Teams module is {facts.module}, and moves need {oldest} or newer"
        yield Concern(check=Check.TEAMS_MODULE, reason=what, remedy="update the module on the PowerShell hosts")


def _licences(migrant: Migrant, goal: Goal, facts: Facts, supply: Supply) -> Iterator[Concern]:
    """Judge the licences that the user has and will be given."""
    yield from _supply(migrant, goal, supply)
    assert migrant.hybrid is not None
    plans = set(migrant.hybrid.plan_ids)
    for sku in goal.skus.values():
        if sku.sku_id in missing_skus(migrant, goal):
            plans |= set(sku.plan_ids)
    add = "assign a licence, or name one in the batch"
    if TEAMS_PLAN not in plans:
        yield Concern(check=Check.LICENCE_TEAMS, reason="no licence with Teams", remedy=add)
    if migrant.must_move and SKYPE_ONLINE_PLAN_2 not in plans:
        what = "no licence with Skype for Business Online (Plan 2)"
        yield Concern(check=Check.LICENCE_SKYPE, reason=what, remedy=add)
    if PHONE_SYSTEM_PLAN not in plans and _needs_phone_system(migrant, goal, facts):
        yield Concern(check=Check.LICENCE_PHONE, reason="no licence with Teams Phone", remedy=add)


def _needs_phone_system(migrant: Migrant, goal: Goal, facts: Facts) -> bool:
    moves_voice = migrant.must_move and bool(migrant.of_skype("enterprise_voice"))
    return wants_number(migrant, goal) or (moves_voice and not facts.terms.bypass_voice_check)


def _supply(migrant: Migrant, goal: Goal, supply: Supply) -> Iterator[Concern]:
    unknown = [part for part in goal.options.licences if part not in goal.skus]
    if unknown:
        what = f"licence {unknown[0]} is not subscribed"
        yield Concern(check=Check.LICENCE_SUPPLY, reason=what, remedy="buy it, or correct the batch")
    short = [sku for sku in missing_skus(migrant, goal) if supply.left(goal, sku) < 1]
    if short:
        part = next(sku.sku_part_number for sku in goal.skus.values() if sku.sku_id == short[0])
        yield Concern(check=Check.LICENCE_SUPPLY, reason=f"no licence {part} is left", remedy="buy or free some")
    if missing_skus(migrant, goal) and not migrant.observed(migrant.object, "usage_location"):
        what = "the account has no usage location, without which it gets no licence"
        yield Concern(check=Check.USAGE_LOCATION, reason=what, remedy="set it in the directory")


def _line(migrant: Migrant, goal: Goal, facts: Facts) -> Iterator[Concern]:
    """Judge the line that the user has on the server."""
    keeps = goal.options.numbers in (BatchNumbers.KEEP, BatchNumbers.ON_PREMISES)
    if migrant.is_on_premises and keeps and migrant.own_number is None:
        if migrant.line is None:
            what = f"there is no line {ON_THE_SERVER} to keep, so the user gets no number"
            yield Concern(check=Check.NO_LINE, reason=what, remedy="choose another source of numbers", blocks=False)
        elif not migrant.of_skype("enterprise_voice"):
            what = f"the line {migrant.line} has no Enterprise Voice {ON_THE_SERVER}"
            remedy = "enable it (Set-CsUser -EnterpriseVoiceEnabled $true), or choose another source of numbers"
            yield Concern(check=Check.ENTERPRISE_VOICE, reason=what, remedy=remedy)
    number = migrant.line_number
    holder = None if number is None else facts.holders.get(number.e164)
    if holder is not None and holder != migrant.user_id:
        what = f"the line {migrant.line} {ON_THE_SERVER} is the number of {holder} in Teams"
        yield Concern(check=Check.LINE_CLASH, reason=what, remedy="run number-sync, and correct one of the two")


def _policies(facts: Facts) -> Iterator[Concern]:
    """Judge the policies of the batch: a missing one blocks the whole wave (M48), as do missing usages (M51)."""
    for kind, name in facts.missing_policies:
        what = f"{kind} '{name}' does not exist"
        yield Concern(check=Check.POLICY_MISSING, reason=what, remedy="create it, or correct the batch")
    if facts.without_usages is not None:
        what = f"voice routing policy '{facts.without_usages}' has no PSTN usage, so no call could leave"
        yield Concern(check=Check.USAGE_MISSING, reason=what, remedy="add a usage to it, or choose another policy")
    for usage in facts.unrouted:
        what = f"PSTN usage '{usage}' of the voice routing policy does not exist, or no voice route carries it"
        yield Concern(check=Check.USAGE_MISSING, reason=what, remedy="create usage and route first")


def _mailbox(migrant: Migrant) -> Iterator[Concern]:
    if migrant.hybrid is not None and not migrant.hybrid.account.mail:
        what = "the account has no mail address, so voicemail has nowhere to go"
        yield Concern(check=Check.MAILBOX, reason=what, remedy="give it a mailbox", blocks=False)


def readiness(migrant: Migrant, goal: Goal) -> Readiness:
    """Say what stands behind an emergency call of a user once they are in Teams; nothing for who has no number there.

    A number that stays with the local directory has no location in Teams. Where a location is a must is judged when
    the number is chosen.
    """
    chosen = migrant.chosen
    if chosen is None and not (migrant.must_move and (migrant.carried or migrant.line)):
        return ""
    if chosen is not None and chosen.location_id is not None:
        return "location"
    if goal.options.policies.get(EMERGENCY_ROUTING) or migrant.observed(migrant.object, f"policy:{EMERGENCY_ROUTING}"):
        return "policy"
    return "operator" if chosen is not None and chosen.number_type != DIRECT_ROUTING else "neither"


def emergency(migrant: Migrant, goal: Goal) -> list[Concern]:
    """Judge who answers an emergency call of a user who goes live in Teams."""
    if readiness(migrant, goal) != "neither":
        return []
    blocks = goal.options.emergency_gate is EmergencyGate.BLOCK
    what = "no emergency location and no emergency call routing policy"
    unless = "or set emergency_gate=warn where" if blocks else "unless"
    remedy = f"name one of them in the batch, {unless} the global policy or the site's networks provide for it"
    return [Concern(check=Check.EMERGENCY_LOCATION, reason=what, remedy=remedy, blocks=blocks)]
