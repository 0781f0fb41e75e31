"""Approvals: a person lets a plan be applied exactly as it was reviewed, for a while, and says why.

An approval is bound to the hash of the plan as it is stored at that moment; apply computes the hash anew. A wave of a
batch may be covered by an approval of the whole batch instead (`engine/batch_approvals.py`). Granted and refused
approvals are entries of the journal. The owner of the database is outside of what this protects against.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.engine import Row

from config.errors import InputRefused
from config.site_approvals import ApprovalRules
from connectors.database import Database
from datasets.tables.approvals import approvals
from engine import approvers, batch_approvals, plan_store, requests
from engine.approvers import Person
from engine.plan_store import StoredLine, current_hash
from engine.review import needs_approval, review

__all__ = ["ApprovalMissing", "Person", "approve", "of_plan", "require"]


class ApprovalMissing(InputRefused):
    """The plan waits for an approval; nothing was done and nothing is wrong."""


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
            approvers.record(connection, "plan", plan_id, person, "refused", str(error), now)
        raise


def _check(
    connection: Connection, plan_id: str, seen_hash: str, person: Person, reason: str, rules: ApprovalRules
) -> None:
    header = plan_store.header(connection, plan_id)
    if header.state != "planned":
        raise InputRefused(f"plan {plan_id} is {header.state}", remedy="only a plan that waits can be approved")
    approvers.refuse_person(person, reason, rules)
    _refuse_other_hash(connection, header, seen_hash)
    asked = _asked(connection, header)
    if rules.second_person and any(approvers.is_requester(each, person.id, person.name) for each in asked):
        raise InputRefused(f"{person.name} asked for plan {plan_id}", remedy="somebody else must approve it")


def _refuse_other_hash(connection: Connection, header: Row[Any], seen_hash: str) -> None:
    lines = plan_store.load_lines(connection, header.id)
    if not header.hash == seen_hash == current_hash(header.id, header.request_id, lines):
        raise InputRefused(f"plan {header.id} is not the plan that was reviewed", remedy="review it again")


def _asked(connection: Connection, header: Row[Any]) -> list[Row[Any]]:
    """Give the requests behind a plan: its own, and that of the batch whose wave it moves."""
    asked = [requests.load(connection, header.request_id)]
    return asked + batch_approvals.asked_for(connection, header.id)


def _grant(
    connection: Connection, plan_id: str, plan_hash: str, person: Person, reason: str, expires: datetime, now: datetime
) -> str:
    approval_id = requests.new_id("ap")
    row = {"id": approval_id, "plan_id": plan_id, "plan_hash": plan_hash, "at": now, "expires": expires}
    who = {"person_id": person.id, "person_name": person.name, "verified": person.verified, "reason": reason}
    connection.execute(insert(approvals).values(row | who))
    approvers.record(connection, "plan", plan_id, person, "approved", reason, now)
    return approval_id


def require(connection: Connection, plan_id: str, rules: ApprovalRules, now: datetime) -> None:
    """Let a plan through that is as it was stored and approved where the site wants that. Raises ApprovalMissing."""
    header, lines = plan_store.header(connection, plan_id), plan_store.load_lines(connection, plan_id)
    approvers.refuse_altered(header, lines)
    reasons = needs_approval(review(lines, rules), rules)
    if not reasons:
        return
    asked = _asked(connection, header)
    given = [*_given(connection, header, now), *batch_approvals.covering(connection, header, lines, now)]
    people, needed = approvers.counted(given, asked, rules), approvers.needed(asked, rules)
    if len(people) < needed:
        have = f", {len(people)} of {needed} are there" if needed > 1 else ""
        what = f"plan {plan_id} needs an approval, because {'; '.join(reasons)}{have}"
        raise ApprovalMissing(what, remedy=_remedy(connection, plan_id, lines, now))


def _given(connection: Connection, header: Row[Any], now: datetime) -> Sequence[Row[Any]]:
    """Give the approvals of this very plan that hold now."""
    c = approvals.c
    query = select(approvals).where(c.plan_id == header.id, c.plan_hash == header.hash, c.at <= now, c.expires > now)
    return connection.execute(query).all()


def _remedy(connection: Connection, plan_id: str, lines: Sequence[StoredLine], now: datetime) -> str:
    """Say how to approve, and why an approval of the batch does not count."""
    remedy = f"review and approve it: ./callwright plan approve {plan_id}"
    batch = batch_approvals.batch_of(connection, plan_id)
    if batch is None:
        return remedy
    void = batch_approvals.why_void(connection, plan_id, lines, now)
    return f"{remedy}, or all of its batch: ./callwright batch approve '{batch.name}'{f' ({void})' if void else ''}"


def of_plan(connection: Connection, plan_id: str) -> list[dict[str, Any]]:
    """List the approvals of a plan, oldest first."""
    query = select(approvals).where(approvals.c.plan_id == plan_id).order_by(approvals.c.at)
    return [dict(row._mapping) for row in connection.execute(query)]
