"""Approvals of whole batches: every wave that is planned already, and every later one that stays within what was seen.

An approval is bound to the options and the users of the batch, and to the hash of each plan that there was. A wave that
is planned later is covered if it does for users of the batch what the options say, and nothing else. When options,
window or users change, the approval is void.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.engine import Row

from config.errors import InputRefused
from config.site_approvals import ApprovalRules
from connectors.database import Database
from datasets.batches import BatchNumbers, BatchOptions
from datasets.numbering import PhoneNumber
from datasets.tables.approvals import batch_approvals
from datasets.tables.batches import batch_plans, batch_users, batches
from engine import approvers, inventory_pools, plan_store, requests
from engine import batches as batch_rows
from engine.approvers import Person
from engine.change import Change
from engine.digests import GENESIS, entry_digest
from engine.plan_store import StoredLine
from engine.policy_batch_plan import is_for_many, is_of_users

_WAITS = ("await_teams_only", "await_line_release", "await_voice")
_GIVE_NONE = (BatchNumbers.NONE, BatchNumbers.ON_PREMISES)


@dataclass(frozen=True)
class Scope:
    """What an approval of a batch is bound to, apart from the plans there are."""

    hash: str
    users: int


def scope_of(connection: Connection, batch_id: str) -> Scope:
    """Give what a batch is now: the digest of its options, its window and its users, and how many they are."""
    c = batch_users.c
    row = connection.execute(select(batches).where(batches.c.id == batch_id)).one()
    users = [
        [found.row, found.user_id]
        for found in connection.execute(select(c.row, c.user_id).where(c.batch_id == batch_id).order_by(c.row))
    ]
    # What gates read stands in columns of its own: without them the options alone could say something else.
    gates = [moment and moment.isoformat() for moment in (row.window_start, row.window_end)]
    options = BatchOptions.model_validate(row.options).model_dump(mode="json")
    fields = [batch_id, sorted(options.items()), gates, row.error_budget_percent, users]
    return Scope(entry_digest(GENESIS, fields), sum(user is not None for _, user in users))


def approve(
    database: Database,
    batch: str,
    seen: Scope,
    person: Person,
    *,
    reason: str,
    rules: ApprovalRules,
    now: datetime,
) -> str:
    """Record an approval of a batch as the person saw it; gives its id. Raises InputRefused.

    A refused attempt is recorded too.
    """
    with database.read() as connection:
        batch_id = batch_rows.find(connection, batch).id
    try:
        with database.write() as connection:
            planned = _check(connection, batch_id, seen, person, reason, rules)
            return _grant(connection, batch_id, seen, planned, person, reason, rules, now)
    except InputRefused as error:
        with database.write() as connection:
            approvers.record(connection, "batch", batch_id, person, "refused", str(error), now)
        raise


def _check(
    connection: Connection, batch_id: str, seen: Scope, person: Person, reason: str, rules: ApprovalRules
) -> dict[str, str]:
    """Refuse what may not be approved; gives the plans that wait, with their hashes."""
    batch = batch_rows.find(connection, batch_id)
    batch_rows.refuse_cancelled(batch)
    approvers.refuse_person(person, reason, rules)
    if scope_of(connection, batch_id) != seen:
        raise InputRefused(f"batch {batch.name!r} is not what was reviewed", remedy="review it again")
    planned = _waiting_plans(connection, batch_id)
    if rules.second_person:
        _refuse_requester(connection, batch, [*planned], person)
    return planned


def _waiting_plans(connection: Connection, batch_id: str) -> dict[str, str]:
    found = {}
    for plan_id in batch_rows.plans_of(connection, batch_id):
        header = plan_store.header(connection, plan_id)
        if header.state != "planned":
            continue
        approvers.refuse_altered(header, plan_store.load_lines(connection, plan_id))
        found[plan_id] = str(header.hash)
    return found


def _refuse_requester(connection: Connection, batch: batch_rows.Batch, plan_ids: Sequence[str], person: Person) -> None:
    asked = {f"batch {batch.name!r}": _request_of(connection, batch.id)}
    for plan_id in plan_ids:
        asked[f"plan {plan_id}"] = requests.load(connection, plan_store.header(connection, plan_id).request_id)
    for what, request in asked.items():
        if request is not None and approvers.is_requester(request, person.id, person.name):
            raise InputRefused(f"{person.name} asked for {what}", remedy="somebody else must approve it")


def _grant(
    connection: Connection,
    batch_id: str,
    seen: Scope,
    planned: Mapping[str, str],
    person: Person,
    reason: str,
    rules: ApprovalRules,
    now: datetime,
) -> str:
    approval_id = requests.new_id("ap")
    connection.execute(
        insert(batch_approvals).values(
            id=approval_id,
            batch_id=batch_id,
            batch_hash=seen.hash,
            users=seen.users,
            plans=dict(planned),
            person_id=person.id,
            person_name=person.name,
            verified=person.verified,
            reason=reason,
            at=now,
            expires=now + timedelta(hours=rules.batch_expires_hours),
        )
    )
    approvers.record(connection, "batch", batch_id, person, "approved", reason, now)
    return approval_id


# ---- what an approval covers


def batch_of(connection: Connection, plan_id: str) -> batch_rows.Batch | None:
    """Give the batch whose wave a plan moves; None for other plans, and for those that take a wave back."""
    c = batch_plans.c
    query = select(c.batch_id).where(c.plan_id == plan_id, c.kind != "undo")
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else batch_rows.find(connection, str(found))


def asked_for(connection: Connection, plan_id: str) -> list[Row[Any]]:
    """Give the request that made the batch of a plan: who made a batch asked for each of its waves."""
    batch = batch_of(connection, plan_id)
    request = None if batch is None else _request_of(connection, batch.id)
    return [] if request is None else [request]


def _request_of(connection: Connection, batch_id: str) -> Row[Any] | None:
    found = connection.execute(select(batches.c.request_id).where(batches.c.id == batch_id)).scalar_one_or_none()
    return None if found is None else requests.load(connection, str(found))


def covering(connection: Connection, header: Row[Any], lines: Sequence[StoredLine], now: datetime) -> list[Row[Any]]:
    """Give the approvals of its batch that cover a plan as it is now."""
    batch = batch_of(connection, header.id)
    if batch is None:
        return []
    scope, beyond = scope_of(connection, batch.id), ""
    holding = [
        row for row in _rows(connection, batch.id) if row.at <= now < row.expires and row.batch_hash == scope.hash
    ]
    if any(header.id not in row.plans for row in holding):
        beyond = next(_beyond(connection, batch, lines), "")
    return [row for row in holding if _covers(row, header, beyond)]


def _covers(row: Row[Any], header: Row[Any], beyond: str) -> bool:
    """Tell whether an approval saw this very plan, or whether the plan came later and stays within."""
    return bool(row.plans[header.id] == header.hash) if header.id in row.plans else not beyond


def why_void(connection: Connection, plan_id: str, lines: Sequence[StoredLine], now: datetime) -> str:
    """Say why the newest approval of its batch does not cover a plan; empty where there is none or it does."""
    batch = batch_of(connection, plan_id)
    rows = [] if batch is None else _rows(connection, batch.id)
    if batch is None or not rows:
        return ""
    newest, header = rows[-1], plan_store.header(connection, plan_id)
    said = standing_of(connection, newest, now)
    if said != "holds":
        return f"that of {newest.person_name} {said}"
    beyond = "" if plan_id in newest.plans else next(_beyond(connection, batch, lines), "")
    if beyond or not _covers(newest, header, beyond):
        return f"that of {newest.person_name} does not cover it: {beyond or 'the plan was altered'}"
    return ""


def standing_of(connection: Connection, row: Row[Any], now: datetime) -> str:
    """Say in words whether an approval of a batch holds."""
    if scope_of(connection, row.batch_id).hash != row.batch_hash:
        return "is void: options, window or users of the batch were changed after it"
    return "has expired" if row.expires <= now else "holds"


def of_batch(connection: Connection, batch_id: str, now: datetime) -> list[dict[str, Any]]:
    """List the approvals of a batch, oldest first, with whether they hold."""
    rows = _rows(connection, batch_id)
    return [dict(row._mapping) | {"standing": standing_of(connection, row, now)} for row in rows]


def of_plans(connection: Connection, plan_ids: Sequence[str]) -> list[dict[str, Any]]:
    """List the approvals of the batches of these plans, oldest first."""
    c = batch_plans.c
    ids = select(c.batch_id).where(c.plan_id.in_(plan_ids)).distinct()
    query = select(batch_approvals).where(batch_approvals.c.batch_id.in_(ids)).order_by(batch_approvals.c.at)
    return [dict(row._mapping) for row in connection.execute(query)]


def _rows(connection: Connection, batch_id: str) -> list[Row[Any]]:
    query = select(batch_approvals).where(batch_approvals.c.batch_id == batch_id)
    return [*connection.execute(query.order_by(batch_approvals.c.at, batch_approvals.c.id))]


# ---- the bounds of a wave that is planned later


def _beyond(connection: Connection, batch: batch_rows.Batch, lines: Sequence[StoredLine]) -> Iterator[str]:
    """Say what a wave does beyond what the batch says; nothing when it stays within."""
    members = {f"user:{user_id}" for user_id, _ in batch_rows.users_of(connection, batch.id)}
    bounds, seen, skus = _Bounds(connection, batch.options), set[str](), set[str]()
    users = [line for line in lines if not is_for_many(line.object)]
    last = {line.line: line.changes[-1].change for line in users if line.changes}
    for line in lines:
        if is_for_many(line.object) and not is_of_users(line.object, [each.change for each in line.changes], last):
            yield f"{line.label} is not what each of these users gets"
    for line in users:
        if line.object not in members or line.object in seen:
            yield f"{line.label} is not a user of the batch, or is in the wave twice"
        seen.add(line.object)
        for change in (stored.change for stored in line.changes):
            if change.target != line.object or change.parameters.get("user_id", line.object[5:]) != line.object[5:]:
                yield f"a change of {line.label} is about somebody else"
            if not bounds.allow(change):
                yield f"{change.kind} of {line.label} is not what the options say"
            skus |= {str(change.parameters["sku_id"])} if change.kind == "assign_licence" else set()
    if len(skus) > len(batch.options.licences):
        yield "more licences are assigned than the options name"


class _Bounds:
    """What the options of a batch let a change be."""

    def __init__(self, connection: Connection, options: BatchOptions) -> None:
        self._connection, self._options = connection, options
        self._rules: dict[str, Callable[[Change], bool]] = {
            "assign_licence": lambda _change: bool(options.licences),
            "move_to_teams": lambda _change: True,
            "clear_on_premises_line": self._gives_numbers,
            "assign_number": self._number,
            "set_policies": self._policies,
            "write_directory": self._attributes,
            **{name: lambda _change: True for name in _WAITS},
        }

    def allow(self, change: Change) -> bool:
        """Tell whether a change is one of those that the options lead to."""
        rule = self._rules.get(change.kind)
        return rule is not None and rule(change)

    def _gives_numbers(self, _change: Change) -> bool:
        return self._options.numbers not in _GIVE_NONE

    def _number(self, change: Change) -> bool:
        if not self._gives_numbers(change):
            return False
        if self._options.pool is None:
            return True
        number = PhoneNumber.from_e164(str(change.parameters["number"]))
        return inventory_pools.pool_of(self._connection, number) == self._options.pool

    def _policies(self, change: Change) -> bool:
        wanted, given = self._options.policies, change.parameters["policies"]
        assert isinstance(given, dict)
        return all(kind in wanted and wanted[kind] == name for kind, name in given.items())

    def _attributes(self, change: Change) -> bool:
        given = change.parameters["attributes"]
        assert isinstance(given, dict)
        return set(given) <= set(self._options.write_back)
