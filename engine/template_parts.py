"""Parts of what a template wants of a user (pure): policies that apply, calling settings, groups, location."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import JsonValue

from config.user_types import inapplicable, observed_type
from engine.change import Change, Effect
from engine.compare import compare
from engine.conditions import PHONE_SYSTEM
from engine.number_lines import placing
from engine.readers import CALLING, GROUP

if TYPE_CHECKING:
    from config.site_templates import LifecycleTemplate
    from datasets.users import DirectoryUser
    from engine.onboarding import Situation


@dataclass(frozen=True)
class Place:
    """The emergency location of a number that stays: what is wanted, what it has, and why that cannot be set."""

    wanted: str
    has: str | None
    refusal: str = ""


def policy_refusal(
    situation: Situation, template: LifecycleTemplate, missing: AbstractSet[tuple[str, str]]
) -> str | None:
    """Say which policy of a template may not be given: it does not apply to this user, or does not exist."""
    user_type = observed_type(template.user_type, situation.voice.account_type if situation.voice else None)
    if said := inapplicable(user_type, template.policies):
        return f"{said}, which template {template.name} sets ; move the user first, or match another template"
    for policy_type, name in template.policies.items():
        if (policy_type, name) in missing:
            what = f"{policy_type} '{name}' of template {template.name} does not exist"
            return f"{what} ; create it or correct the template"
    return None


def calling(situation: Situation, template: LifecycleTemplate, account: DirectoryUser) -> list[Change]:
    """Set the groups of calling settings that differ; each is written whole."""
    obj, changes = f"user:{account.id}", []
    for group, settings in template.calling.groups().items():
        attribute = f"{CALLING}{group}"
        wanted: dict[str, JsonValue] = {attribute: settings}
        for effect in compare(obj, wanted, {attribute: situation.observed(obj, attribute)}):
            parameters: dict[str, JsonValue] = {"user_id": account.id, "group": group, "settings": effect.after}
            changes.append(
                Change(
                    kind="set_calling_settings",
                    target=obj,
                    parameters=parameters,
                    effects=(effect,),
                    reason=f"template {template.name}",
                    waits_for=PHONE_SYSTEM,
                )
            )
    return changes


def place(situation: Situation, template: LifecycleTemplate, account: DirectoryUser) -> list[Change]:
    """Set the emergency location of a number that stays; one that is given gets its own with the assignment."""
    seen, number = situation.place, situation.number
    if seen is None or number is None or situation.chosen is not None or seen.refusal or seen.has == seen.wanted:
        return []
    return [placing(f"user:{account.id}", number, seen.has, seen.wanted, f"template {template.name}")]


def groups(situation: Situation, template: LifecycleTemplate, account: DirectoryUser) -> list[Change]:
    """Join the groups that a template names; somebody who is in one through another group is in it."""
    obj = f"user:{account.id}"
    effects = (
        Effect(object=obj, attribute=f"{GROUP}{name}", before=False, after=True) for name in template.join_groups
    )
    missing = [effect for effect in effects if not situation.observed(obj, effect.attribute)]
    return [
        Change(
            kind="join_group",
            target=obj,
            parameters={"user_id": account.id, "group": effect.attribute.removeprefix(GROUP)},
            effects=(effect,),
            reason=f"template {template.name}",
        )
        for effect in missing
    ]
