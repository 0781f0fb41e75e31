"""Plan the deletion of a user that a person asked for, in two steps: what can be taken back now, deleting days later.

The systems are named one by one: taking somebody from the Skype for Business Server leaves the directory account. The
number rests first; a number that went with the user would be lost to its pool until somebody missed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

from pydantic import JsonValue
from sqlalchemy import Connection

from config.errors import InputRefused
from connectors.database import Database
from datasets.hybrid import SkypeUser
from datasets.inventory import NumberState
from datasets.number_audit import believed
from datasets.numbering import InvalidNumber, PhoneNumber
from datasets.users import DirectoryUser
from engine import departing, departures, inventory, movers, number_acts, number_lines, plan_store
from engine.change import Change, Effect
from engine.departures import Departure
from engine.guards import Guard, reach_of
from engine.plan import Line, LineState, Plan
from engine.requests import new_id
from engine.runtime import Runtime, utc_now

Target = Literal["skype", "ad", "entra"]
TARGETS: tuple[Target, ...] = get_args(Target)
_SECOND = "deleted"


@dataclass(frozen=True)
class Deletion:
    """Whom to delete, from which systems (none named: from all where they are), and how many days after step one."""

    user: str
    targets: tuple[str, ...] = ()
    after_days: int = 30
    grace_days: int = 30
    dry_run: bool = False


def plan_deletion(runtime: Runtime, request_id: str, asked: Deletion) -> str:
    """Store the plan of the first step and remember the second, which a dry run does not; gives the plan's id.

    Raises InputRefused.
    """
    account = runtime.systems.graph.user(asked.user)
    if account is None:
        raise InputRefused(f"no user {asked.user}", remedy="give a user principal name or an object id")
    server = _on_server(runtime, account)
    targets = _targets(account, server, asked.targets)
    subject, label = f"user:{account.id}", account.user_principal_name
    _refuse_busy(runtime, subject, label)
    changes = _first_step(runtime, account, server, targets, asked.grace_days)
    now, plan_id = runtime.now(), new_id("p")
    with runtime.database.write() as connection:
        known = departures.latest(connection, [subject]).get(subject)
        if known is not None and known.state == departures.OPEN:
            raise InputRefused(f"{label} is being deleted already", remedy="see ./callwright users departures")
        made = "dry run"
        if not asked.dry_run:
            made = departures.begin_deletion(connection, (subject, label), targets, asked.after_days, request_id, now)
        lines = (_line(account, changes, made, "disabled", "nothing has to be taken away first"),)
        plan_store.save(connection, Plan(id=plan_id, request_id=request_id, lines=lines), now)
    return plan_id


def plan_due(runtime: Runtime, request_id: str, guard: Guard | None = None) -> str:
    """Store the plan that deletes whoever is due; gives its id. What was enabled again meanwhile is refused by name.

    It takes the place of a plan of another night that nobody started; a deletion that is being carried out is left to
    its own plan. Raises TooMuch for more than the guard allows, storing nothing then.
    """
    today = runtime.now().date()
    with runtime.database.read() as connection:
        found = [each for each in departures.listed(connection) if each.targets is not None]
    due = [each for each in found if today >= each.last_day + timedelta(days=each.delete_after_days or 0)]
    lines, done = list[Line](), list[Departure]()
    for each in due:
        targets = each.targets or []
        account, is_in_cloud = _account_of(runtime, each)
        left = targets if is_in_cloud else [name for name in targets if name != "entra"]
        changes = [] if account is None else _second_step(runtime, account, left)
        if account is not None and changes:
            lines.append(_line(account, changes, each.id, _SECOND, ""))
        elif account is None and left:
            lines.append(_lost(each))
        else:
            done.append(each)
    if guard is not None:
        guard.refuse_excess(reach_of(lines))
    with runtime.database.write() as connection:
        for each in done:
            departures.close(connection, each.id, departures.DONE, runtime.now())
        plan_id = new_id("p")
        busy = _overtaken(connection, lines, plan_id)
        kept = tuple(line for line in lines if line.object not in busy)
        plan_store.save(connection, Plan(id=plan_id, request_id=request_id, lines=kept), runtime.now())
    return plan_id


def _account_of(runtime: Runtime, deletion: Departure) -> tuple[DirectoryUser | None, bool]:
    """Give the account, and whether it is in the cloud still: one that is disabled may be synchronised no more."""
    graph, user_id = runtime.systems.graph, deletion.subject.removeprefix("user:")
    if (account := graph.user(user_id)) is not None:
        return account, True
    if set(deletion.targets or ()) <= {"entra"}:
        return None, False
    return next((each for each in graph.deleted_users() if each.id == user_id), None), False


def _lost(deletion: Departure) -> Line:
    """Give the line of somebody who is to be deleted on-premises and whose account there cannot be found any more."""
    what = f"is not in Entra any more, nor among its deleted users: {', '.join(deletion.targets or ())} is left to you"
    return Line(
        object=deletion.subject,
        label=deletion.label,
        source={"user": deletion.label, "named": True, "deletion": deletion.id},
        state=LineState.REFUSED,
        reason=f"{what} ; delete it there, then ./callwright users keep {deletion.label} ends this",
    )


def _overtaken(connection: Connection, lines: Sequence[Line], plan_id: str) -> set[str]:
    """Close older second steps of the same users that nobody started; gives the users whose deletion is under way."""
    older = plan_store.open_lines(connection, [line.object for line in lines])
    ours = (line for line in older if line.source.get("deletion") and line.success == _SECOND)
    return plan_store.overtake(connection, ours, f"planned anew by plan {plan_id}")


def withdraw(database: Database, user: str) -> str:
    """Forget a deletion whose second step has not come; gives whose it was. Raises InputRefused."""
    with database.write() as connection:
        for each in departures.listed(connection):
            if each.targets is not None and user.casefold() in (each.label.casefold(), each.subject[5:], each.id):
                departures.close(connection, each.id, departures.WITHDRAWN, utc_now())
                return each.label
    raise InputRefused(f"nobody is about to delete {user}", remedy="see ./callwright users departures")


def _targets(account: DirectoryUser, server: SkypeUser | None, asked: Sequence[str]) -> list[str]:
    there: dict[str, str] = {
        "skype": "" if server is not None else "is no user of the Skype for Business Server",
        "ad": "" if account.on_premises_sam_account_name else "has no account in Active Directory",
        "entra": "comes from Active Directory and would come back ; delete it from ad" if account.is_synced else "",
    }
    for name in asked:
        if name not in there:
            raise InputRefused(f"{name} is no system to delete from", remedy=f"name some of {', '.join(TARGETS)}")
        if there[name]:
            what, _, remedy = there[name].partition(" ; ")
            raise InputRefused(f"{account.user_principal_name} {what}", remedy=remedy or "name another system")
    return [name for name in TARGETS if (name in asked if asked else not there[name])]


def _on_server(runtime: Runtime, account: DirectoryUser) -> SkypeUser | None:
    skype, sam = runtime.systems.skype, account.on_premises_sam_account_name
    return skype.users([sam]).get(sam) if skype is not None and sam else None


def _refuse_busy(runtime: Runtime, subject: str, label: str) -> None:
    with runtime.database.read() as connection:
        lines = plan_store.open_lines(connection, [subject])
    if lines:
        what = f"plan {lines[0].plan_id} is not done with {label}"
        raise InputRefused(what, remedy="apply or discard it, or wait for it (./callwright continue)")


def _line(account: DirectoryUser, changes: Sequence[Change], departure: str, success: str, unchanged: str) -> Line:
    source: dict[str, JsonValue] = {"user": account.user_principal_name, "named": True}
    return Line(
        object=f"user:{account.id}",
        label=account.user_principal_name,
        success=success,
        source=source | {"deletion": departure},
        changes=tuple(changes),
        state=LineState.PLANNED if changes else LineState.UNCHANGED,
        reason="" if changes else unchanged,
    )


# ---- the first step: what can be taken back


def _first_step(
    runtime: Runtime, account: DirectoryUser, server: SkypeUser | None, targets: Sequence[str], grace_days: int
) -> list[Change]:
    changes = list[Change]()
    goes_from_cloud = "entra" in targets or ("ad" in targets and account.is_synced)
    if goes_from_cloud:
        changes += _number(runtime, account, grace_days)
    if server is not None and server.line_uri is not None and {"skype", "ad"} & {*targets}:  # no account, no user there
        changes += _line_of_server(runtime, account, server, grace_days)
    if "entra" in targets and account.account_enabled:
        changes.append(movers.switching(account, enabled=False))
    if "ad" in targets and _is_enabled_in_ad(runtime, account):
        changes.append(movers.switching(account.model_copy(update={"is_synced": True}), enabled=False))
    return changes


def _number(runtime: Runtime, account: DirectoryUser, grace_days: int) -> list[Change]:
    voice = runtime.systems.teams.voice_user(account.id)
    if voice is None or voice.number is None:
        return []
    row = runtime.systems.teams.number(voice.number)
    taken = number_lines.unassigning(account.id, voice, voice.number, row, grace_days)
    return [taken, *number_acts.blocking(runtime, voice.number, grace_days)]


def _line_of_server(runtime: Runtime, account: DirectoryUser, server: SkypeUser, grace_days: int) -> list[Change]:
    """Clear the line on the server, so that its number can rest; one our inventory does not have is only cleared."""
    obj, line = f"user:{account.id}", str(server.line_uri)
    effect = Effect(object=f"skype:{server.sip_address}", attribute="line", before=line)
    parameters: dict[str, JsonValue] = {"user_id": account.id, "sip_address": server.sip_address, "line": line}
    changes = [Change(kind="clear_on_premises_line", target=obj, parameters=parameters, effects=(effect,))]
    try:
        number = PhoneNumber.from_e164(line.removeprefix("tel:"))
    except InvalidNumber:
        return changes
    with runtime.database.read() as connection:
        row = inventory.find(connection, number)
    if row is not None and row.state == NumberState.ASSIGNED:
        after = f"grace {row.owner}" if grace_days else None
        rests = Effect(object=f"number:{number.e164}", attribute="state", before=believed(row), after=after)
        more: dict[str, JsonValue] = {"number": number.e164, "grace_days": grace_days}
        changes.append(Change(kind="let_rest", target=obj, parameters=more, effects=(rests,), reason="its user goes"))
    return changes


def _is_enabled_in_ad(runtime: Runtime, account: DirectoryUser) -> bool:
    directory, sam = runtime.systems.directory, account.on_premises_sam_account_name
    found = directory.user(sam) if directory is not None and sam else None
    return found is not None and found.enabled


# ---- the second step


def _second_step(runtime: Runtime, account: DirectoryUser, targets: Sequence[str]) -> list[Change]:
    changes, server = list[Change](), _on_server(runtime, account)
    reason = "its days are over"
    if "skype" in targets and server is not None:
        effect = Effect(object=f"skype:{server.sip_address}", attribute="exists", before=True, after=False)
        asked: dict[str, JsonValue] = {"user_id": account.id, "sip_address": server.sip_address}
        changes.append(
            Change(
                kind="disable_skype_user",
                target=f"user:{account.id}",
                parameters=asked,
                effects=(effect,),
                reason=reason,
            )
        )
    directory, sam = runtime.systems.directory, account.on_premises_sam_account_name
    if "ad" in targets and directory is not None and sam and directory.user(sam) is not None:
        changes.append(departing.deleting(account.model_copy(update={"is_synced": True}), reason=reason))
    if "entra" in targets:
        changes.append(departing.deleting(account.model_copy(update={"is_synced": False}), reason=reason))
    return changes
