"""Plan what is due for somebody who leaves or is on leave (pure): step after step, each undone until it was seen.

The steps of one visit are one line, and a line stops at the first change that cannot be verified: a step is never taken
before its predecessor. What a step takes is observed anew on every visit, so late and repeated visits come to the same.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import JsonValue

from datasets.number_types import ON_PREMISES
from datasets.people import Status
from datasets.users import DirectoryUser
from engine import movers
from engine.announcements import announcing
from engine.change import Change, Effect
from engine.compare import compare
from engine.life import Life, Step, dates, is_ahead, is_gone, last_day, news_of, next_step, older_than_known
from engine.onboarding import Situation, Terms, hindered, line_for
from engine.plan import Line, LineState

EFFECTIVE = "effective"


def plan_life(situation: Situation, terms: Terms) -> Line | None:
    """Give the line of somebody who is not simply at work; None for everybody else."""
    life, person = situation.life, situation.person
    if life is None:
        return None
    if older_than_known(person, life.known):
        return line_for(situation, LineState.UNCHANGED, "something newer is known of this person")
    if is_ahead(person, life.known, terms.now):
        return waits(situation)
    if is_gone(person, life.departure, life.today):
        return hindered(situation, terms) or _leaver(situation, life)
    if person.status == Status.LEAVE:
        return hindered(situation, terms) or _on_leave(situation, life)
    return None


def waits(situation: Situation) -> Line:
    """Give the line of words whose moment is to come."""
    at = situation.person.effective_at
    reason = f"takes effect on {at:%Y-%m-%d %H:%M} UTC"
    made = line_for(situation, LineState.WAITING, reason, condition=EFFECTIVE, not_before=at)
    return _with_news(made, situation, situation.life)


def _with_news(line: Line, situation: Situation, life: Life | None) -> Line:
    """Write on the line what is news, where a sender says a part of a person: on its day the rest may be otherwise."""
    if life is None or not life.says_parts or life.known is None or "news" in line.source:
        return line
    return line.model_copy(
        update={"source": {**line.source, "news": list(news_of(situation.person, life.known.person))}}
    )


# ---- leavers


def _leaver(situation: Situation, life: Life) -> Line:
    account, last = situation.account, last_day(situation.person, life.departure, life.today)
    assert last is not None
    if account is None:
        return line_for(situation, LineState.UNCHANGED, f"left on {last} and has no account")
    due = [step for step, day in dates(life.rules.leaver, last) if day <= life.today]
    if refusal := _refusal(situation, life, due):
        return line_for(situation, LineState.REFUSED, refusal)
    changes = [change for step in due for change in _step(step, situation, account, due)]
    coming = next_step(life.rules.leaver, last, life.today)
    then = f", next: {coming[0]} on {coming[1]}" if coming else ""
    if not changes:
        return line_for(situation, LineState.UNCHANGED, f"left on {last}{then}")
    success = "leaving" if coming or _is_deletion_left(life, changes) else "left"
    source = {"step": "leaver", "departure": life.departure.id if life.departure else "new"}
    return line_for(
        situation, LineState.PLANNED, f"left on {last}{then}", success=success, changes=tuple(changes), more=source
    )


def _is_deletion_left(life: Life, changes: list[Change]) -> bool:
    """Tell whether the account is still to be deleted after these changes, once it was disabled for long enough."""
    kinds = {change.kind for change in changes}
    return life.rules.leaver.delete_after_days is not None and kinds.isdisjoint({"delete_user", "delete_ad_user"})


def _refusal(situation: Situation, life: Life, due: list[Step]) -> str | None:
    if life.refusal and Step.FORWARD in due and Step.UNASSIGN not in due:
        return life.refusal
    row, announced = life.number_row, life.announcement.refusal
    if announced and Step.UNASSIGN in due and situation.number and life.grace_days:
        return announced
    if Step.UNASSIGN in due and situation.number and row is not None and row.number_source == ON_PREMISES:
        return f"{situation.number} is owned on-premises ; clear it there (Set-CsUser -LineUri $null), then run again"
    return None


def _step(step: Step, situation: Situation, account: DirectoryUser, due: list[Step]) -> list[Change]:
    match step:
        case Step.FORWARD:
            return [] if Step.UNASSIGN in due else _forward(situation, account, "has left")
        case Step.UNASSIGN:
            if situation.number is None:
                return []
            taken = movers.taking(situation, account, "has left")
            return [*_announced(situation, account), *movers.shown_no_more(situation, account), *taken]
        case Step.LICENCES:
            return _licences(situation, account)
        case Step.DISABLE:
            return _disable(situation, account)
        case Step.DELETE:
            return _delete(situation, account)


def _announced(situation: Situation, account: DirectoryUser) -> list[Change]:
    """Have callers told before the number is taken: while somebody has it, nobody hears it."""
    life = situation.life
    return announcing(life.announcement, f"user:{account.id}") if life is not None and life.grace_days else []


def _forward(situation: Situation, account: DirectoryUser, reason: str) -> list[Change]:
    life = situation.life
    assert life is not None
    if life.forward_to is None or situation.number is None or life.forwarding == life.forward_to:
        return []
    return [movers.forwarding(account, life.forwarding, life.forward_to, reason)]


def _licences(situation: Situation, account: DirectoryUser) -> list[Change]:
    life, obj = situation.life, f"user:{account.id}"
    assert life is not None
    ours = {
        name.removeprefix("licence:")
        for (of, name), trace in life.traces.items()
        if of == obj and name.startswith("licence:") and trace.after is True
    }
    if life.rules.leaver.licences == "template" and situation.template is not None:
        ours |= {sku.sku_id for sku in life.skus.values() if sku.sku_part_number in situation.template.licences}
    held = [sku for sku in sorted(ours) if situation.observed(obj, f"licence:{sku}")]
    return [movers.licence_away(account, sku, "has left") for sku in held]


def _disable(situation: Situation, account: DirectoryUser) -> list[Change]:
    return [movers.switching(account, enabled=False)] if movers.is_enabled(situation, account) else []


def _delete(situation: Situation, account: DirectoryUser) -> list[Change]:
    """Delete an account that has been disabled for as long as lies between the two steps, however late HR told us."""
    life = situation.life
    assert life is not None
    if movers.is_enabled(situation, account) is not False:
        return []  # disabled first; one that is gone from its directory disappears from the cloud by itself
    trace = life.traces.get(movers.switching(account, enabled=False).effects[0].key_pair)
    since = life.departure.created_at.date() if life.departure else life.today
    if trace is not None and trace.after is False:  # it may be of an earlier departure
        since = max(since, trace.at.date())
    rules = life.rules.leaver
    between = timedelta(days=(rules.delete_after_days or 0) - (rules.disable_after_days or 0))
    return [deleting(account)] if life.today >= since + between else []


def deleting(account: DirectoryUser, *, reason: str = "has left") -> Change:
    """Give the change that deletes an account in the directory that owns it."""
    sam = account.on_premises_sam_account_name
    if account.is_synced and sam:
        obj, kind, parameters = f"ad:{sam}", "delete_ad_user", {"sam_account_name": sam}
    else:
        obj, kind, parameters = f"user:{account.id}", "delete_user", {"user_id": account.id}
    effect = Effect(object=obj, attribute="exists", before=True, after=False)
    return Change(kind=kind, target=f"user:{account.id}", parameters=dict(parameters), effects=(effect,), reason=reason)


# ---- leave of absence


def _on_leave(situation: Situation, life: Life) -> Line:
    account = situation.account
    if account is None:
        return line_for(situation, LineState.UNCHANGED, "is on leave and has no account")
    if life.refusal:
        return line_for(situation, LineState.REFUSED, life.refusal)
    obj = f"user:{account.id}"
    wanted: dict[str, JsonValue] = {f"policy:{kind}": name for kind, name in life.rules.leave.policies.items()}
    effects = compare(obj, wanted, {name: situation.observed(obj, name) for name in wanted})
    changes = _forward(situation, account, "is on leave")
    if effects:
        policies: dict[str, JsonValue] = {e.attribute.removeprefix("policy:"): e.after for e in effects}
        asked: dict[str, JsonValue] = {"user_id": account.id, "policies": policies}
        changes.append(Change(kind="set_policies", target=obj, parameters=asked, effects=effects, reason="is on leave"))
    if not changes:
        return line_for(situation, LineState.UNCHANGED, "is on leave")
    more = {"step": "leave", "template": "(leave)"}
    return line_for(situation, LineState.PLANNED, "", success="on_leave", changes=tuple(changes), more=more)
