"""One policy for many users through Teams PowerShell: start an operation, find it again, read how far it is.

An operation is carried out later and says for each user how it ended. Policies of single users are in
`connectors/teams.py`: Graph has those, and not these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import JsonValue

from connectors.bags import text_of, text_or_none
from connectors.clixml import Bag
from connectors.errors import Ambiguous, Invalid
from connectors.powershell import PowerShell
from connectors.rows import settle
from connectors.scripts import READ_POLICY_OPERATION
from connectors.shell_errors import SYSTEM
from connectors.writes import writes
from datasets.policy_operations import LARGEST, PolicyOperation


class TeamsPolicyBatches:
    """Policy operations of one tenant, over sessions that are signed in to Teams; safe to share between threads."""

    def __init__(self, shell: PowerShell, *, deadline_s: float = 120.0) -> None:
        self._shell, self._deadline_s = shell, deadline_s

    @writes
    def begin_policy_operation(self, policy_type: str, policy: str | None, user_ids: Sequence[str], name: str) -> str:
        """Start giving a policy to users by object id, 5,000 at most; None takes a direct policy away.

        Gives the operation's id. Raises Invalid for too many users, Ambiguous when no id came back.
        """
        if len(user_ids) > LARGEST:
            message = f"{len(user_ids)} users are too many for one policy operation ; {LARGEST} at most"
            raise Invalid(message, system=SYSTEM, what=name)
        # Null cannot be sent, and an empty name means the same: the direct policy goes.
        asked: dict[str, JsonValue] = {"PolicyType": policy_type, "PolicyName": policy or "", "OperationName": name}
        asked |= {"Identity": list(user_ids)}
        cmdlet = "New-CsBatchPolicyAssignmentOperation"
        rows = self._shell.cmdlet(cmdlet, asked, deadline_s=self._deadline_s, writes=True)
        found = next((text for row in rows if (text := _id(row))), None)
        if found is None:
            message = f"policy operation {name} was sent, but no id came back ; it is looked for by its name"
            raise Ambiguous(message, system=SYSTEM, what=name)
        return found

    def named(self, name: str) -> PolicyOperation | None:
        """Find an operation of the last thirty days by its name; the list says nothing about its users."""
        rows = self._shell.cmdlet("Get-CsBatchPolicyAssignmentOperation", {}, deadline_s=self._deadline_s)
        found = next((row for row in rows if text_or_none(row, "OperationName") == name), None)
        if found is None:
            return None
        status = text_or_none(found, "OverallStatus") or ""
        return PolicyOperation(id=text_of(found, "OperationId"), name=name, status=status)

    def operation(self, operation_id: str) -> PolicyOperation:
        """Read how far an operation is, and for whom it failed. Raises NotFound after thirty days."""
        # Users are objects in an object, of which remoting would send the type's name only: a script flattens them.
        row: dict[str, JsonValue] = {"key": operation_id, "parameters": {"OperationId": operation_id}}
        results = self._shell.run(READ_POLICY_OPERATION, [row], deadline_s=self._deadline_s)
        (found,) = settle([operation_id], results, attempt=READ_POLICY_OPERATION.name)
        values = found.checked().values
        return PolicyOperation(
            id=operation_id,
            name=str(values.get("name") or ""),
            status=str(values.get("status") or ""),
            failed=dict(_failed(values.get("failed"))),
        )


def _id(row: Bag) -> str | None:
    """Give the id, which comes as a text of its own or as a property."""
    return text_or_none(row, "Value") or text_or_none(row, "OperationId")


def _failed(told: JsonValue) -> Iterator[tuple[str, str]]:
    """Read who got nothing, with the reason; an operation that is Completed may have failed for all its users."""
    for text in told if isinstance(told, list) else [told] if told else []:
        user, _, reason = str(text).partition(" ")
        yield user.casefold(), reason
