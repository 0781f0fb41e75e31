"""Batches of policy grants: one policy for up to 5,000 users, carried out later, a result for each user."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from lab.records import Effect, PolicyBatch, UserResult
from lab.rules import Refusal, bad_request, not_found
from lab.tenant import Tenant

LARGEST = 5_000
AT_ONCE = 5  # "only a few at a time": how many exactly is a guess
REMEMBERED = timedelta(days=30)
STARTS_AFTER = 0.2  # share of the delay during which a batch has not started
SUCCESS, UNKNOWN = "Success", "User not found"
TYPES = (
    "CallingLineIdentity",
    "ExternalAccessPolicy",
    "OnlineVoiceRoutingPolicy",
    "TeamsAppSetupPolicy",
    "TeamsAppPermissionPolicy",
    "TeamsCallingPolicy",
    "TeamsCallParkPolicy",
    "TeamsChannelsPolicy",
    "TeamsEducationAssignmentsAppPolicy",
    "TeamsEmergencyCallingPolicy",
    "TeamsMeetingBroadcastPolicy",
    "TeamsEmergencyCallRoutingPolicy",
    "TeamsMeetingPolicy",
    "TeamsMessagingPolicy",
    "TeamsTemplatePermissionPolicy",
    "TeamsUpdateManagementPolicy",
    "TeamsUpgradePolicy",
    "TeamsVerticalPackagePolicy",
    "TeamsVideoInteropServicePolicy",
    "TenantDialPlan",
)

Finish = Callable[[list[Effect]], None]
Spoil = Callable[[str], str | None]  # why it shall not work for a user


def begin(
    tenant: Tenant, batch: PolicyBatch, finish: Finish, *, pretend: bool = False, spoil: Spoil = lambda _user: None
) -> PolicyBatch:
    """Accept a batch; `finish` gets all effects when it is over, and a pretended one has none."""
    with tenant.lock:
        _check(tenant, batch)
        unique = tuple(dict.fromkeys(batch.users))
        now, known = tenant.clock.now(), secrets.token_hex(16)
        placed = replace(batch, id=known, users=unique, created_at=now, due_at=now)
        tenant.policy_batches[known] = placed
        delay = tenant.settings.batch_delay_s
        due = tenant.schedule(delay, lambda: _carry_out(tenant, known, finish, spoil, pretend=pretend))
        tenant.policy_batches[known] = replace(tenant.policy_batches[known], due_at=due)
        return tenant.policy_batches[known]


def find(tenant: Tenant, batch_id: str) -> PolicyBatch:
    """Find a batch of the last thirty days or refuse."""
    found = tenant.policy_batches.get(batch_id.lower())
    if found is None or found not in remembered(tenant):
        raise not_found(f"The policy assignment operation '{batch_id}' is not found")
    return found


def remembered(tenant: Tenant) -> list[PolicyBatch]:
    """Give the batches of the last thirty days, the newest first."""
    oldest = tenant.clock.now() - REMEMBERED
    return [batch for batch in reversed(tenant.policy_batches.values()) if batch.created_at > oldest]


def status(batch: PolicyBatch, now: datetime) -> str:
    """Tell how far a batch is."""
    if batch.done:
        return "Completed"
    return "NotStarted" if _share(batch, now) < STARTS_AFTER else "InProgress"


def results(batch: PolicyBatch, now: datetime) -> Sequence[UserResult]:
    """Give what is known about each user so far."""
    if batch.done:
        return batch.results
    working = status(batch, now) == "InProgress"
    return [UserResult(user, "", "InProgress" if working else "NotStarted") for user in batch.users]


def _share(batch: PolicyBatch, now: datetime) -> float:
    total = (batch.due_at - batch.created_at).total_seconds()
    return (now - batch.created_at).total_seconds() / total if total else 1.0


def _check(tenant: Tenant, batch: PolicyBatch) -> None:
    if batch.policy_type not in TYPES:
        raise bad_request(f"The policy type '{batch.policy_type}' is not supported for batch assignment.")
    if not batch.users:
        raise bad_request("At least one user is required.")
    if len(batch.users) > LARGEST:
        raise bad_request(f"The number of users {len(batch.users)} exceeds the maximum of {LARGEST} per operation.")
    if batch.policy_name:
        tenant.policy(batch.policy_type, batch.policy_name)
    if sum(not other.done for other in tenant.policy_batches.values()) >= AT_ONCE:
        raise bad_request("Too many policy assignment operations are in progress. Please try again later.")


def _carry_out(tenant: Tenant, batch_id: str, finish: Finish, spoil: Spoil, *, pretend: bool) -> None:
    batch = tenant.policy_batches[batch_id]
    effects: list[Effect] = []
    found: list[UserResult] = []
    for user in batch.users:
        refused = spoil(user)
        outcome, done = (refused, []) if refused else _one(tenant, batch, user, pretend=pretend)
        found.append(UserResult(user, outcome, "Completed"))
        effects += done
    ended = replace(batch, done=True, completed_at=tenant.clock.now(), results=tuple(found))
    tenant.policy_batches[batch_id] = ended
    finish(effects)


def _one(tenant: Tenant, batch: PolicyBatch, user: str, *, pretend: bool) -> tuple[str, list[Effect]]:
    """Grant to one user, found by object id or SIP address only."""
    folded = user.casefold()
    known = folded if folded in tenant.users else tenant.by_sip.get(folded.removeprefix("sip:"))
    if known is None or known not in tenant.users:
        return UNKNOWN, []
    try:
        return SUCCESS, [] if pretend else tenant.grant_policy(known, batch.policy_type, batch.policy_name or None)
    except Refusal as refusal:
        return refusal.message, []
