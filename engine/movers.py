"""What a move or a return adds to the plan of an active person (pure): what another template gave is taken back.

Only what Callwright itself gave for a feed is taken back, as the journal has it, and only while it is still as it was
left. Numbers are sticky: a template has to say that a move changes them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from pydantic import JsonValue

from engine import number_lines
from engine.change import Change, Effect
from engine.readers import CALLING, GROUP

if TYPE_CHECKING:
    from config.site_templates import LifecycleTemplate
    from datasets.users import DirectoryUser
    from engine.life import Life, Trace
    from engine.onboarding import Situation

FORWARDING = f"{CALLING}forwarding"


def wants_new_number(situation: Situation) -> bool:
    """Tell whether a move gives a user with a number another one: the template says so, and the pool is another."""
    return situation.life is not None and moves_out_of(situation, situation.life.pool)


def moves_out_of(situation: Situation, pool: str | None) -> bool:
    """Tell whether a move, by the template's word, ends the use of a number of this pool; None is no pool of ours."""
    life, template = situation.life, situation.template
    if life is None or template is None or template.number_source != "NumberRange" or pool == template.pool:
        return False
    rule = template.new_number_on
    return (rule == "country" and life.changed_country) or (
        rule == "site" and (life.changed_site or life.changed_country)
    )


def account_back(situation: Situation, account: DirectoryUser) -> list[Change]:
    """Enable the account again that a departure disabled."""
    life = situation.life
    if life is None:
        return []
    at_home = switching(account, enabled=True)
    trace = life.traces.get(at_home.effects[0].key_pair)
    was_ours = trace is not None and trace.after is False and trace.is_of_a_feed
    return [at_home] if was_ours and is_enabled(situation, account) is False else []


def is_enabled(situation: Situation, account: DirectoryUser) -> bool | None:
    """Tell whether an account may sign in, as the directory says that owns it; None for one that is gone from there."""
    life, switch = situation.life, switching(account, enabled=False).effects[0]
    if not switch.object.startswith("ad:"):
        return bool(situation.observed(switch.object, "account_enabled"))
    if life is None or life.ad is None:
        return None
    return bool(situation.recent.get(switch.key_pair, life.ad.enabled))


def switching(account: DirectoryUser, *, enabled: bool) -> Change:
    """Give the change that enables or disables an account, in the directory that owns it."""
    said = "comes back" if enabled else "has left"
    sam = account.on_premises_sam_account_name
    if account.is_synced and sam:
        obj, attribute, kind = f"ad:{sam}", "enabled", "set_ad_account_enabled"
        parameters: dict[str, JsonValue] = {"sam_account_name": sam, "enabled": enabled}
    else:
        obj, attribute, kind = f"user:{account.id}", "account_enabled", "set_account_enabled"
        parameters = {"user_id": account.id, "enabled": enabled}
    effect = Effect(object=obj, attribute=attribute, before=not enabled, after=enabled)
    return Change(kind=kind, target=f"user:{account.id}", parameters=parameters, effects=(effect,), reason=said)


def licences_back(situation: Situation, template: LifecycleTemplate, account: DirectoryUser) -> list[Change]:
    """Give licences again that a departure took and that the template does not give anyway."""
    life, obj = situation.life, f"user:{account.id}"
    if life is None:
        return []
    wanted = {sku.sku_id for sku in life.skus.values() if sku.sku_part_number in template.licences}
    lost = [
        attribute.removeprefix("licence:")
        for (of, attribute), trace in life.traces.items()
        if of == obj and attribute.startswith("licence:") and trace.after is False and "departure" in trace.source
    ]
    return [
        _licence("assign_licence", account, sku, "comes back")
        for sku in sorted(lost)
        if sku not in wanted and not situation.observed(obj, f"licence:{sku}")
    ]


def licence_away(account: DirectoryUser, sku: str, reason: str, *, frees_number: bool = True) -> Change:
    """Give the change that takes a licence."""
    made = _licence("remove_licence", account, sku, reason)
    return made if frees_number else made.model_copy(update={"parameters": {**made.parameters, "frees_number": False}})


def _licence(kind: str, account: DirectoryUser, sku: str, reason: str) -> Change:
    obj, given = f"user:{account.id}", kind == "assign_licence"
    effect = Effect(object=obj, attribute=f"licence:{sku}", before=not given, after=given)
    parameters: dict[str, JsonValue] = {"user_id": account.id, "sku_id": sku}
    return Change(kind=kind, target=obj, parameters=parameters, effects=(effect,), reason=reason)


def _given_by_another(situation: Situation, template: LifecycleTemplate, prefix: str) -> dict[str, Trace]:
    """Name what a template of another name gave, or a leave, and that is still as it was left."""
    life, account = situation.life, situation.account
    if life is None or account is None:
        return {}
    obj = f"user:{account.id}"
    return {
        name: trace
        for (of, name), trace in life.traces.items()
        if of == obj
        and name.startswith(prefix)
        and trace.is_of_a_feed
        and trace.after not in (None, False)
        and trace.source.get("template") != template.name
        and situation.observed(obj, name) == trace.after
    }


def policies_away(situation: Situation, template: LifecycleTemplate) -> dict[str, JsonValue]:
    """Name the policies that another template gave and this one does not want: the group's or global one is left."""
    found = _given_by_another(situation, template, "policy:")
    return {name: None for name in sorted(found) if name.removeprefix("policy:") not in template.policies}


def licences_away(situation: Situation, template: LifecycleTemplate, account: DirectoryUser) -> list[Change]:
    """Take licences that another template gave; one that the user's number hangs on stays."""
    life = situation.life
    if life is None:
        return []
    wanted = {sku.sku_id for sku in life.skus.values() if sku.sku_part_number in template.licences}
    found = _given_by_another(situation, template, "licence:")
    going = [name.removeprefix("licence:") for name in sorted(found)]
    going = [sku for sku in going if sku not in wanted]
    kept = (wanted | set(account.sku_ids)) - set(going)
    has_phone = any(sku in life.skus and life.skus[sku].has_phone_system for sku in kept)
    changes = []
    for sku in going:
        is_phone = sku not in life.skus or life.skus[sku].has_phone_system
        if not is_phone or has_phone:
            changes.append(licence_away(account, sku, f"template {template.name} does not want it", frees_number=False))
        elif situation.number is None and situation.chosen is None:
            changes.append(licence_away(account, sku, f"template {template.name} does not want it"))
    return changes


def groups_away(situation: Situation, template: LifecycleTemplate, account: DirectoryUser) -> list[Change]:
    """Take people out of groups that another template put them into and this one does not name."""
    obj, found = f"user:{account.id}", _given_by_another(situation, template, GROUP)
    names = [name for name in sorted(found) if name.removeprefix(GROUP) not in template.join_groups]
    return [
        Change(
            kind="leave_group",
            target=obj,
            parameters={"user_id": account.id, "group": name.removeprefix(GROUP)},
            effects=(Effect(object=obj, attribute=name, before=True, after=False),),
            reason=f"template {template.name} does not want it",
        )
        for name in names
    ]


def number_away(situation: Situation, account: DirectoryUser) -> list[Change]:
    """Take the old number of a mover who gets a new one; it rests here and in Teams."""
    life = situation.life
    if life is None or situation.chosen is None or situation.number is None:
        return []
    kept = situation.template.write_back if situation.template else ()  # these receive the new number
    cleared = shown_no_more(situation, account, but=kept)
    return [*cleared, *taking(situation, account, "moves: a new number is given")]


def shown_no_more(situation: Situation, account: DirectoryUser, *, but: Collection[str] = ()) -> list[Change]:
    """Clear what the directory shows of a number before it is taken: afterwards nobody would know which it was.

    That is what the template has written there, and what we wrote for another template.
    """
    life, template, number = situation.life, situation.template, situation.number
    ad = situation.ad or (life.ad if life else None)
    if ad is None or life is None or number is None:
        return []
    shown = number_lines.shown_in(ad, situation.recent)
    names = {*(template.write_back if template else ()), *written(life, ad.sam_account_name)} - {*but}
    cleared: dict[str, str | None] = {name: None for name in sorted(names) if shown[name] == number}
    return number_lines.writing_back(account.id, ad, cleared, situation.recent)


def written(life: Life, sam: str | None) -> set[str]:
    """Name the telephone attributes of a directory account that hold what we wrote last."""
    mine = ((name, trace) for (of, name), trace in life.traces.items() if of == f"ad:{sam}")
    return {name for name, trace in mine if name in number_lines.SHOWN and trace.after is not None}


def taking(situation: Situation, account: DirectoryUser, why: str) -> list[Change]:
    """Give the changes that take a user's number and let it rest."""
    life, number, voice = situation.life, situation.number, situation.voice
    assert life is not None
    assert number is not None
    assert voice is not None
    taken = number_lines.unassigning(account.id, voice, number, life.number_row, life.grace_days)
    changes = [taken.model_copy(update={"reason": f"{why}, {taken.reason}"})]
    if life.has_blocks and life.grace_days and life.block in (None, number_lines.NOT_BLOCKED):
        days = min(life.grace_days, number_lines.LONGEST_BLOCK)
        changes.append(number_lines.blocking(number, days, taken.reason, before=life.block))
    return changes


def forwarding_back(situation: Situation, account: DirectoryUser) -> list[Change]:
    """Let calls go where they went before a departure or a leave forwarded them."""
    life, obj = situation.life, f"user:{account.id}"
    trace = None if life is None else life.traces.get((obj, FORWARDING))
    if life is None or trace is None or not trace.is_of_a_feed or "step" not in trace.source:
        return []
    if life.forwarding != trace.after or trace.before == trace.after or trace.before is None:
        return []
    return [forwarding(account, life.forwarding, trace.before, "is back")]


def forwarding(account: DirectoryUser, before: JsonValue, after: JsonValue, reason: str) -> Change:
    """Give the change that forwards a user's calls, or no more."""
    obj = f"user:{account.id}"
    parameters: dict[str, JsonValue] = {"user_id": account.id, "group": "forwarding", "settings": after}
    effect = Effect(object=obj, attribute=FORWARDING, before=before, after=after)
    return Change(kind="set_calling_settings", target=obj, parameters=parameters, effects=(effect,), reason=reason)
