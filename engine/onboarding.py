"""Plan what a hire needs to be a working Teams Phone user (pure): from a person, what was observed, and a template.

Policies converge, numbers are sticky: a user who has a number keeps it. Reading and claiming are left to
`engine/resolve.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import cast

from pydantic import JsonValue

from config.site_templates import LifecycleTemplate
from datasets.calling_settings import CallingGroup, Settings
from datasets.people import Person, Status
from datasets.treatments import Treatment
from datasets.users import AdUser, DirectoryUser, SubscribedSku, VoiceUser
from engine import announcements, movers, template_parts
from engine.change import Change, Effect
from engine.claims import person as person_owner
from engine.compare import compare
from engine.conditions import PHONE_SYSTEM
from engine.departures import Departure
from engine.life import Life, is_gone
from engine.number_lines import assigning, lifting, writing_back
from engine.plan import Line, LineState
from engine.readers import CALLING, GROUP, Observed, directory_value, is_of_directory, voice_value

# The account is made a working phone one day before the first day, so that licences have replicated by then.
START_AHEAD = timedelta(days=1)
_REMEDIES = {
    "account": "create the account",
    "other_plan": "look at that plan and continue or discard it",
    "unreadable": "look at this user in the Teams admin centre",
}


@dataclass(frozen=True)
class Terms:
    """What holds for everybody in one planning: the day, the tenant's licences and policies, and how long to wait."""

    now: datetime
    skus: Mapping[str, SubscribedSku]
    missing_policies: frozenset[tuple[str, str]] = frozenset()
    account_give_up: timedelta = timedelta(days=30)
    reservation_after_start: timedelta = timedelta(days=14)
    licences_given: dict[str, int] = field(default_factory=dict)

    @property
    def today(self) -> date:
        """Give the day in UTC."""
        return self.now.date()


@dataclass(frozen=True)
class ChosenNumber:
    """A number that the inventory holds for this person, and what Teams must be told with it.

    `is_blocked` says that Teams still refuses it, `announced` what its callers are told: its owner comes back inside
    the grace period.
    """

    number: str
    number_type: str
    location_id: str | None = None
    is_blocked: bool = False
    announced: Treatment | None = None


@dataclass(frozen=True)
class Situation:
    """One person and everything that was observed about them.

    `refusal` is why no number could be chosen, `unreadable` why Teams could not be asked about them, `deletion` what a
    person asked for: an open one that takes the account from the cloud.
    """

    person: Person
    source: Mapping[str, JsonValue]
    template: LifecycleTemplate | None
    why: str
    accounts: tuple[DirectoryUser, ...] = ()
    voice: VoiceUser | None = None
    ad: AdUser | None = None
    calling: Mapping[CallingGroup, Settings] | None = None
    in_groups: frozenset[str] = frozenset()
    recent: Observed = field(default_factory=dict)
    unreadable: str | None = None
    busy_with: str | None = None
    reserved: str | None = None
    chosen: ChosenNumber | None = None
    refusal: str | None = None
    waiting_since: datetime | None = None
    life: Life | None = None
    deletion: Departure | None = None
    place: template_parts.Place | None = None

    @property
    def is_at_work(self) -> bool:
        """Tell whether a template is for this person now: not on leave, not gone, and not about to be deleted."""
        life, person = self.life, self.person
        gone = life is not None and is_gone(person, life.departure, life.today)
        return person.status == Status.ACTIVE and not gone and self.deletion is None

    @property
    def account(self) -> DirectoryUser | None:
        """Give the only account, or None."""
        return self.accounts[0] if len(self.accounts) == 1 else None

    @property
    def number(self) -> str | None:
        """Give the number the user has, our own recent writes included."""
        account = self.account
        value = None if account is None else self.observed(f"user:{account.id}", "number")
        return None if value is None else str(value)

    def observed(self, obj: str, attribute: str) -> JsonValue:
        """Give one observed value; what we verified a moment ago outweighs a lagging read."""
        if (obj, attribute) in self.recent:
            return self.recent[obj, attribute]
        if is_of_directory(attribute):
            return directory_value(self.account, attribute)
        if attribute.startswith(GROUP):
            return attribute.removeprefix(GROUP) in self.in_groups
        if attribute.startswith(CALLING):
            return (self.calling or {}).get(cast(CallingGroup, attribute.removeprefix(CALLING)))
        return voice_value(self.voice, attribute)


def is_future(person: Person, now: datetime) -> bool:
    """Tell whether a hire is too far ahead to be onboarded now."""
    return person.starts_after((now + START_AHEAD).date())


def wants_number(situation: Situation, now: datetime) -> bool:
    """Tell whether a number has to be found for this person."""
    template, person = situation.template, situation.person
    if template is None or not situation.is_at_work or situation.busy_with or situation.unreadable:
        return False
    if template.number_source == "none" or len(situation.accounts) > 1:
        return False
    if is_future(person, now):
        return situation.reserved is None and template.number_source == "NumberRange"
    return situation.account is not None and (situation.number is None or movers.wants_new_number(situation))


def plan_person(situation: Situation, terms: Terms) -> Line:
    """Give the line for one person; it may be unchanged, waiting or refused from the start."""
    return _early(situation, terms) or _full(situation, terms)


def line_for(
    situation: Situation, state: LineState, reason: str, *, more: Mapping[str, str] | None = None, **fields: object
) -> Line:
    """Give a line for a person; `more` is what its source remembers besides."""
    person, account = situation.person, situation.account
    obj = person_owner(person.employee_id) if account is None else f"user:{account.id}"
    name = person.upn or person.display_name or f"{person.given_name} {person.surname}".strip()
    label = account.user_principal_name if account else name or person.employee_id
    named = {"template": situation.template.name} if situation.template else {}
    life = {} if situation.life is None else {"life": True}
    source = {**situation.source, **named, **life, **(more or {})}
    values = {"object": obj, "label": label, "source": source, "state": state, "reason": reason}
    return Line.model_validate(values | fields)


def _early(situation: Situation, terms: Terms) -> Line | None:
    """Give the line of a person for whom nothing can or need be done now."""
    person = situation.person
    if person.status != Status.ACTIVE:
        return line_for(situation, LineState.UNCHANGED, f"{person.status}: onboarding changes nobody who is not active")
    if (line := hindered(situation, terms)) is not None:
        return line
    if situation.template is None:
        return line_for(situation, LineState.REFUSED, f"{situation.why} ; add or correct a lifecycle template")
    if situation.refusal:
        return line_for(situation, LineState.REFUSED, situation.refusal)
    if is_future(person, terms.now):
        return _future(situation, terms)
    if situation.account is None:
        return waiting(situation, terms, "account", f"no account carries employee id {person.employee_id} yet")
    return None


def hindered(situation: Situation, terms: Terms) -> Line | None:
    """Give the line of a person whom nobody may touch now, whatever is planned; None for the others."""
    if situation.deletion is not None:
        return line_for(situation, LineState.UNCHANGED, being_deleted(situation.deletion))
    if situation.busy_with:
        reason = f"plan {situation.busy_with} is still working on this user"
        return waiting(situation, terms, "other_plan", reason)
    if len(situation.accounts) > 1:
        names = ", ".join(account.user_principal_name for account in situation.accounts)
        reason = f"{names} all carry employee id {situation.person.employee_id} ; correct it in the directory"
        return line_for(situation, LineState.REFUSED, reason)
    return waiting(situation, terms, "unreadable", situation.unreadable) if situation.unreadable else None


def being_deleted(deletion: Departure) -> str:
    """Say that a person asked for somebody to be deleted, when that is, and how it is taken back."""
    last = deletion.last_day + timedelta(days=deletion.delete_after_days or 0)
    return f"is being deleted on {last} ; ./callwright users keep {deletion.label} takes that back"


def waiting(situation: Situation, terms: Terms, condition: str, reason: str) -> Line:
    """Give the line of a person who is planned anew later, or of one who has waited for too long."""
    since = situation.waiting_since or terms.now
    if terms.now >= since + terms.account_give_up:
        remedy = _REMEDIES[condition]
        return line_for(situation, LineState.FAILED, f"gave up waiting: {reason} ; {remedy}, then run the feed again")
    give_up_at = since + terms.account_give_up
    return line_for(
        situation, LineState.WAITING, reason, condition=condition, not_before=terms.now, give_up_at=give_up_at
    )


def _future(situation: Situation, terms: Terms) -> Line:
    """Keep a number for somebody who starts later."""
    person, chosen = situation.person, situation.chosen
    assert person.hire_date is not None
    if chosen is None:
        held = f"{situation.reserved} is reserved" if situation.reserved else "nothing to reserve"
        return line_for(situation, LineState.UNCHANGED, f"starts on {person.hire_date}, {held}")
    until = datetime.combine(person.hire_date, time(), UTC) + terms.reservation_after_start
    owner = person_owner(person.employee_id)
    reserve = Change(
        kind="reserve_number",
        target=owner,
        parameters={
            "number": chosen.number,
            "owner": owner,
            "reason": f"starts on {person.hire_date}",
            "until": until.isoformat(),
        },
        effects=(Effect(object=f"number:{chosen.number}", attribute="reserved_for", after=person.employee_id),),
        reason=f"{person.employee_id} starts on {person.hire_date}",
    )
    return line_for(situation, LineState.PLANNED, "", object=owner, success="planned_ahead", changes=(reserve,))


def _full(situation: Situation, terms: Terms) -> Line:
    account, template = situation.account, situation.template
    assert account is not None
    assert template is not None
    refusal = _licence_refusal(situation, template, account, terms) or template_parts.policy_refusal(
        situation, template, terms.missing_policies
    )
    if refusal:
        return line_for(situation, LineState.REFUSED, refusal)
    changes = [
        *movers.account_back(situation, account),
        *movers.number_away(situation, account),
        *_usage_location(situation, account),
        *_licences(situation, template, account, terms),
        *movers.licences_back(situation, template, account),
        *_number(situation, account),
        *_enterprise_voice(situation, template, account),
        *_policies(situation, template, account),
        *template_parts.calling(situation, template, account),
        *template_parts.groups(situation, template, account),
        *_write_back(situation, template, account),
        *template_parts.place(situation, template, account),
        *(movers.forwarding_back(situation, account) if template.calling.forwarding is None else []),
        *movers.licences_away(situation, template, account),
        *movers.groups_away(situation, template, account),
    ]
    if not changes:
        return line_for(situation, LineState.UNCHANGED, f"already as template {template.name} wants it")
    success = "onboarded" if situation.life is None else situation.life.called(situation.person, template.name)
    return line_for(situation, LineState.PLANNED, "", success=success, changes=tuple(changes))


def _usage_location(situation: Situation, account: DirectoryUser) -> list[Change]:
    wanted, obj = situation.person.usage_location, f"user:{account.id}"
    found = situation.observed(obj, "usage_location")
    effects = compare(obj, {"usage_location": wanted}, {"usage_location": found}) if wanted else ()
    if not effects:
        return []
    parameters: dict[str, JsonValue] = {"user_id": account.id, "country": wanted}
    return [Change(kind="set_usage_location", target=obj, parameters=parameters, effects=effects, reason="HR feed")]


def _missing_skus(situation: Situation, template: LifecycleTemplate, account: DirectoryUser, terms: Terms) -> list[str]:
    obj = f"user:{account.id}"
    wanted = [terms.skus[part].sku_id for part in template.licences if part in terms.skus]
    return [sku for sku in wanted if not situation.observed(obj, f"licence:{sku}")]


def _licence_refusal(
    situation: Situation, template: LifecycleTemplate, account: DirectoryUser, terms: Terms
) -> str | None:
    unknown = [part for part in template.licences if part not in terms.skus]
    if unknown:
        return f"licence {unknown[0]} of template {template.name} is not subscribed ; buy it or correct the template"
    for part in template.licences:
        sku = terms.skus[part]
        left = sku.enabled_units - sku.consumed_units - terms.licences_given.get(sku.sku_id, 0)
        if sku.sku_id in _missing_skus(situation, template, account, terms) and left < 1:
            return f"no licence {part} is left ({sku.enabled_units} in use) ; buy or free some, then run the feed again"
    return None


def _licences(situation: Situation, template: LifecycleTemplate, account: DirectoryUser, terms: Terms) -> list[Change]:
    obj, changes = f"user:{account.id}", []
    for sku in _missing_skus(situation, template, account, terms):
        terms.licences_given[sku] = terms.licences_given.get(sku, 0) + 1
        effect = Effect(object=obj, attribute=f"licence:{sku}", before=False, after=True)
        parameters: dict[str, JsonValue] = {"user_id": account.id, "sku_id": sku}
        changes.append(
            Change(
                kind="assign_licence",
                target=obj,
                parameters=parameters,
                effects=(effect,),
                reason=f"template {template.name}",
            )
        )
    return changes


def _number(situation: Situation, account: DirectoryUser) -> list[Change]:
    chosen = situation.chosen
    if chosen is None:
        return []
    # Whoever gives a number back for this one loses Enterprise Voice with it.
    has_voice = situation.number is None and bool(situation.observed(f"user:{account.id}", "enterprise_voice"))
    reason = "its former owner comes back"
    lifted = [lifting(chosen.number, reason)] if chosen.is_blocked else []
    if chosen.announced is not None:
        lifted.append(announcements.ending(chosen.announced, f"user:{account.id}", reason))
    terms = (chosen.number, chosen.number_type, chosen.location_id)
    return [*lifted, assigning(account.id, *terms, has_voice=has_voice, reason=situation.why)]


def _enterprise_voice(situation: Situation, template: LifecycleTemplate, account: DirectoryUser) -> list[Change]:
    obj = f"user:{account.id}"
    if not template.enterprise_voice or situation.chosen or situation.observed(obj, "enterprise_voice"):
        return []
    effect = Effect(object=obj, attribute="enterprise_voice", before=False, after=True)
    parameters: dict[str, JsonValue] = {"user_id": account.id, "enabled": True}
    return [
        Change(
            kind="set_enterprise_voice",
            target=obj,
            parameters=parameters,
            effects=(effect,),
            reason=f"template {template.name}",
            waits_for=PHONE_SYSTEM,
        )
    ]


def _policies(situation: Situation, template: LifecycleTemplate, account: DirectoryUser) -> list[Change]:
    obj = f"user:{account.id}"
    desired: dict[str, JsonValue] = {f"policy:{kind}": name for kind, name in template.policies.items()}
    desired |= movers.policies_away(situation, template)
    effects = compare(obj, desired, {name: situation.observed(obj, name) for name in desired})
    if not effects:
        return []
    policies: dict[str, JsonValue] = {effect.attribute.removeprefix("policy:"): effect.after for effect in effects}
    parameters: dict[str, JsonValue] = {"user_id": account.id, "policies": policies}
    return [
        Change(
            kind="set_policies",
            target=obj,
            parameters=parameters,
            effects=effects,
            reason=f"template {template.name}",
        )
    ]


def _write_back(situation: Situation, template: LifecycleTemplate, account: DirectoryUser) -> list[Change]:
    number = situation.chosen.number if situation.chosen else situation.number
    if situation.ad is None or number is None:
        return []
    return writing_back(account.id, situation.ad, dict.fromkeys(template.write_back, number), situation.recent)
