"""The part of a fake tenant that gives one policy to many users: carried out after a delay, a result for each user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connectors.errors import Busy, Invalid, NotFound
from datasets.policy_operations import LARGEST, PolicyOperation
from tests.fakes.tenant import FakeTenant


@dataclass
class Placed:
    """An operation that was accepted."""

    name: str
    policy_type: str
    policy: str | None
    users: list[str]
    due: datetime
    failed: dict[str, str] = field(default_factory=dict)
    is_over: bool = False


class FakePolicyBatches:
    """Operations by the tenant's clock; `refused` says for whom they fail, `at_once` how many may be under way."""

    def __init__(self, tenant: FakeTenant, *, delay_s: float = 0.0, at_once: int = 5) -> None:
        self._tenant, self.delay_s, self.at_once = tenant, delay_s, at_once
        self.placed: dict[str, Placed] = {}
        self.refused: dict[str, str] = {}
        tenant.policy_batches = self

    def begin_policy_operation(self, policy_type: str, policy: str | None, user_ids: Sequence[str], name: str) -> str:
        """Accept an operation."""
        if len(user_ids) > LARGEST:
            raise Invalid(f"{len(user_ids)} users are too many for one policy operation ; {LARGEST} at most")
        self._carry_out()
        if sum(not each.is_over for each in self.placed.values()) >= self.at_once:
            raise Busy("Too many policy assignment operations are in progress. Please try again later.")
        due = self._tenant.clock.now() + timedelta(seconds=self.delay_s)
        key = f"operation-{len(self.placed) + 1}"
        made = Placed(name, policy_type, policy, list(user_ids), due)
        self._tenant.call("begin_policy_operation", policy_type, lambda: self.placed.update({key: made}))
        return key

    def named(self, name: str) -> PolicyOperation | None:
        """Find an operation by name."""
        self._tenant.read("policies.named", name)
        found = next((key for key, each in self.placed.items() if each.name == name), None)
        return None if found is None else PolicyOperation(id=found, name=name, status="InProgress")

    def operation(self, operation_id: str) -> PolicyOperation:
        """Read how far an operation is."""
        self._tenant.read("policies.operation", operation_id)
        self._carry_out()
        if operation_id not in self.placed:
            raise NotFound(f"The policy assignment operation '{operation_id}' is not found")
        found = self.placed[operation_id]
        status = "Completed" if found.is_over else "InProgress"
        return PolicyOperation(id=operation_id, name=found.name, status=status, failed=found.failed)

    def _carry_out(self) -> None:
        for each in self.placed.values():
            if not each.is_over and each.due <= self._tenant.clock.now():
                each.is_over = True
                self._give(each)

    def _give(self, placed: Placed) -> None:
        self._tenant.remember()
        for user_id in placed.users:
            user, why = self._tenant.users.get(user_id), self.refused.get(user_id)
            if user is None or why:
                placed.failed[user_id.casefold()] = why or "User not found"
            elif placed.policy:
                user.policies[placed.policy_type] = placed.policy
            else:
                user.policies.pop(placed.policy_type, None)
