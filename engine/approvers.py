"""Who may approve: people who are known well enough, and not who asked. One set of rules for plans and for batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Connection
from sqlalchemy.engine import Row

from config.errors import InputRefused
from config.site_approvals import ApprovalRules
from engine import journal
from engine.journal import Entry
from engine.plan_store import StoredLine, current_hash

_NO_PERSON = ("hr_feed", "schedule")


@dataclass(frozen=True)
class Person:
    """Who approves: an object id and UPN from a sign-in, or a typed name that nobody verified."""

    id: str
    name: str
    verified: bool


def refuse_person(person: Person, reason: str, rules: ApprovalRules) -> None:
    """Raise InputRefused for a person who is not known well enough, and for an approval without a reason."""
    if not reason.strip():
        raise InputRefused("an approval needs a reason", where="--reason", remedy="say why, in a few words")
    if not person.verified and not rules.allow_unverified:
        remedy = "sign in, or let the site allow typed names (approvals.toml: allow_unverified)"
        raise InputRefused(f"{person.name} is not signed in", remedy=remedy)


def refuse_altered(header: Row[Any], lines: Sequence[StoredLine]) -> None:
    """Raise InputRefused for a plan whose rows are not as they were when it was stored."""
    if current_hash(header.id, header.request_id, lines) != header.hash:
        raise InputRefused(f"plan {header.id} was altered after it was stored", remedy="discard it and plan anew")


def is_requester(request: Row[Any], person_id: str, name: str) -> bool:
    """Tell whether a person is who asked; an unverified name matches with and without its domain."""
    asked = request.actor_name.casefold()
    return asked in (person_id.casefold(), name.casefold(), name.casefold().partition("@")[0])


def counted(rows: Iterable[Row[Any]], asked: Iterable[Row[Any]], rules: ApprovalRules) -> set[str]:
    """Give the different people among approvals whose word counts: known well enough, and none of those who asked."""
    asked = tuple(asked)
    return {
        row.person_id.casefold()
        for row in rows
        if (row.verified or rules.allow_unverified)
        and not (rules.second_person and any(is_requester(each, row.person_id, row.person_name) for each in asked))
    }


def needed(asked: Iterable[Row[Any]], rules: ApprovalRules) -> int:
    """Say how many people must approve: two, when a second person is wanted and nobody knows who the first one is."""
    known = all(each.actor_verified or each.actor_kind in _NO_PERSON for each in asked)
    return 2 if rules.second_person and not known else 1


def record(
    connection: Connection,
    target: str,
    run: str,
    person: Person,
    result: journal.Result,
    message: str,
    now: datetime,
) -> None:
    """Put an approval, or the refusal of one, into the journal."""
    payload: JsonValue = {
        "message": message,
        "person": person.name,
        "person_id": person.id,
        "verified": person.verified,
    }
    entry = Entry(now, 0, 0, f"{target}:{run}"[:300], "outcome", result, payload)
    journal.append_closed(connection, run, "approval", [entry], now)
