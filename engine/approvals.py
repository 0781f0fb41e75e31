"""Approvals: a person lets a plan be applied exactly as it was reviewed, for a while, and says why.

An approval is bound to the hash of the plan as it is stored at that moment; apply computes the hash anew. Granted and
refused approvals are entries of the journal. The owner of the database is outside of what this protects against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Connection, insert, select
from sqlalchemy.engine import Row

from config.errors import InputRefused
from config.site_approvals import ApprovalRules
from connectors.database import Database
from datasets.tables.approvals import approvals
from engine import journal, plan_store, requests
from engine.journal import Entry
from engine.plan import Line, Plan
from engine.plan_store import StoredLine
from engine.review import needs_approval, review

_NO_PERSON = ("hr_feed", "schedule")


class ApprovalMissing(InputRefused):
    """The plan waits for an approval; nothing was done and nothing is wrong."""


@dataclass(frozen=True)
class Person:
    """Who approves: an object id and UPN from a sign-in, or a typed name that nobody verified."""

    id: str
    name: str
    verified: bool


def current_hash(plan_id: str, request_id: str, lines: Sequence[StoredLine]) -> str:
    """Give the hash of a plan as its rows are now."""
    made = tuple(
        Line(object=line.object, label=line.label, changes=tuple(stored.change for stored in line.changes))
        for line in lines
    )
    return Plan(id=plan_id, request_id=request_id, lines=made).hash


def approve(
    database: Database,
    plan_id: str,
    seen_hash: str,
    person: Person,
    *,
    reason: str,
    rules: ApprovalRules,
    now: datetime,
) -> str:
    """Record an approval of the plan with the hash that the person saw; gives its id. Raises InputRefused.

    A refused attempt is recorded too.
    """
    try:
        with database.write() as connection:
            _check(connection, plan_id, seen_hash, person, reason, rules)
            return _grant(
                connection, plan_id, seen_hash, person, reason, now + timedelta(hours=rules.expires_hours), now
            )
    except InputRefused as error:
        with database.write() as connection:
            _journal(connection, plan_id, person, "refused", str(error), now)
        raise


def _check(
    connection: Connection, plan_id: str, seen_hash: str, person: Person, reason: str, rules: ApprovalRules
) -> None:
    header = plan_store.header(connection, plan_id)
    if header.state != "planned":
        raise InputRefused(f"plan {plan_id} is {header.state}", remedy="only a plan that waits can be approved")
    if not reason.strip():
        raise InputRefused("an approval needs a reason", where="--reason", remedy="say why, in a few words")
    if not person.verified and not rules.allow_unverified:
        remedy = "sign in, or let the site allow typed names (approvals.toml: allow_unverified)"
        raise InputRefused(f"{person.name} is not signed in", remedy=remedy)
    _refuse_other_hash(connection, header, seen_hash)
    if rules.second_person and _is_requester(requests.load(connection, header.request_id), person.id, person.name):
        raise InputRefused(f"{person.name} asked for plan {plan_id}", remedy="somebody else must approve it")


def _refuse_other_hash(connection: Connection, header: Row[Any], seen_hash: str) -> None:
    lines = plan_store.load_lines(connection, header.id)
    if not header.hash == seen_hash == current_hash(header.id, header.request_id, lines):
        raise InputRefused(f"plan {header.id} is not the plan that was reviewed", remedy="review it again")


def _is_requester(request: Row[Any], person_id: str, name: str) -> bool:
    """Tell whether a person is who asked; an unverified name matches with and without its domain."""
    asked = request.actor_name.casefold()
    return asked in (person_id.casefold(), name.casefold(), name.casefold().partition("@")[0])


def _grant(
    connection: Connection, plan_id: str, plan_hash: str, person: Person, reason: str, expires: datetime, now: datetime
) -> str:
    approval_id = requests.new_id("ap")
    row = {"id": approval_id, "plan_id": plan_id, "plan_hash": plan_hash, "at": now, "expires": expires}
    who = {"person_id": person.id, "person_name": person.name, "verified": person.verified, "reason": reason}
    connection.execute(insert(approvals).values(row | who))
    _journal(connection, plan_id, person, "approved", reason, now)
    return approval_id


def _journal(
    connection: Connection, plan_id: str, person: Person, result: journal.Result, message: str, now: datetime
) -> None:
    payload: JsonValue = {
        "message": message,
        "person": person.name,
        "person_id": person.id,
        "verified": person.verified,
    }
    entry = Entry(now, 0, 0, f"plan:{plan_id}"[:300], "outcome", result, payload)
    journal.append_closed(connection, plan_id, "approval", [entry], now)


def require(connection: Connection, plan_id: str, rules: ApprovalRules, now: datetime) -> None:
    """Let a plan through that is as it was stored and approved where the site wants that. Raises ApprovalMissing."""
    header, lines = plan_store.header(connection, plan_id), plan_store.load_lines(connection, plan_id)
    if current_hash(plan_id, header.request_id, lines) != header.hash:
        raise InputRefused(f"plan {plan_id} was altered after it was stored", remedy="discard it and plan anew")
    reasons = needs_approval(review(lines, rules), rules)
    if not reasons:
        return
    request = requests.load(connection, header.request_id)
    counted = _counted(connection, header, request, rules, now)
    needed = _needed(request, rules)
    if len(counted) < needed:
        have = f", {len(counted)} of {needed} are there" if needed > 1 else ""
        what = f"plan {plan_id} needs an approval, because {'; '.join(reasons)}{have}"
        raise ApprovalMissing(what, remedy=f"review and approve it: ./callwright plan approve {plan_id}")


def _counted(
    connection: Connection, header: Row[Any], request: Row[Any], rules: ApprovalRules, now: datetime
) -> set[str]:
    """Give the different people whose approval of this very plan holds now."""
    c = approvals.c
    query = select(approvals).where(c.plan_id == header.id, c.plan_hash == header.hash, c.at <= now, c.expires > now)
    return {
        row.person_id.casefold()
        for row in connection.execute(query)
        if (row.verified or rules.allow_unverified)
        and not (rules.second_person and _is_requester(request, row.person_id, row.person_name))
    }


def _needed(request: Row[Any], rules: ApprovalRules) -> int:
    """Say how many people must approve: two, when a second person is wanted and nobody knows who the first one is."""
    is_known = request.actor_verified or request.actor_kind in _NO_PERSON
    return 2 if rules.second_person and not is_known else 1


def of_plan(connection: Connection, plan_id: str) -> list[dict[str, Any]]:
    """List the approvals of a plan, oldest first."""
    query = select(approvals).where(approvals.c.plan_id == plan_id).order_by(approvals.c.at)
    return [dict(row._mapping) for row in connection.execute(query)]
