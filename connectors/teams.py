"""Numbers and policies of users through Graph's Teams administration API.

Dial plans, voice routes, locations and batches are not in Graph; PowerShell does those.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from connectors import number_refusals, teams_parsing
from connectors.errors import Ambiguous, ConnectorError, Invalid, NotFound
from connectors.graph import Graph, slices
from connectors.graph_calls import SYSTEM, Answer, Call, Json, argument, literal, parsed, segment
from connectors.graph_probes import probe_call
from connectors.throttle import Clock
from connectors.writes import writes
from datasets.findings import Finding
from datasets.users import NumberAssignment, NumberOperation, VoiceUser

_NUMBERS = "admin/teams/telephoneNumberManagement/numberAssignments"
_OPERATIONS = "admin/teams/telephoneNumberManagement/operations"
_USERS = "admin/teams/userConfigurations"
_POLICY = "admin/teams/policy"
_READ_NUMBERS, _WRITE_NUMBERS = "TeamsTelephoneNumber.Read.All", "TeamsTelephoneNumber.ReadWrite.All"
_READ_USERS, _POLICIES = "TeamsUserConfiguration.Read.All", "TeamsPolicyUserAssign.ReadWrite.All"
_POLICY_TYPE = "#microsoft.graph.teamsAdministration.teamsPolicyUserAssignment"
_NUMBER_PAGE = 1000
# A filter with one `eq` for each user stays well below the limit of an address.
_TARGETS = 15
_FIRST_POLL_S, _LONGEST_POLL_S = 2.0, 30.0
_DONE = ("succeeded", "skipped")
R = TypeVar("R")


class Teams:
    """Numbers and policies of one tenant, over a Graph connection; safe to share between threads."""

    def __init__(self, graph: Graph, *, clock: Clock | None = None) -> None:
        self._rest = graph.rest
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._policy_ids: dict[tuple[str, str], str] = {}

    def number(self, e164: str) -> NumberAssignment | None:
        """Read one number of the inventory, or None when it is not there."""
        found = self.numbers(f"telephoneNumber eq {literal(e164)}")
        return next((number for number in found if number.telephone_number == e164), None)

    def numbers(self, filter: str | None = None) -> Iterator[NumberAssignment]:
        """Read the number inventory, or the part an OData filter names, page by page."""
        skipped = 0
        while True:
            read = 0
            for raw in self._number_pages(filter, skipped):
                read += len(raw)
                yield from raw
            skipped += read
            # Without a link to the next page a full page may not be the last.
            if read == 0 or read % _NUMBER_PAGE:
                return

    def numbers_of(self, user_ids: Iterable[str]) -> dict[str, list[NumberAssignment]]:
        """Read the numbers these users hold; users without one are left out."""
        found: dict[str, list[NumberAssignment]] = {}
        for some in slices(user_ids, _TARGETS):
            asked = {user.casefold(): user for user in some}
            for number in self.numbers(" or ".join(f"assignmentTargetId eq {literal(user)}" for user in some)):
                holder = asked.get((number.assignment_target_id or "").casefold())
                if holder is not None:
                    found.setdefault(holder, []).append(number)
        return found

    def voice_user(self, user_id: str) -> VoiceUser | None:
        """Read what Teams knows of a user, or None when it does not know the user (yet)."""
        call = _voice_user_call(user_id)
        try:
            return parsed(call, teams_parsing.voice_user, self._rest.send(call).body)
        except NotFound:
            return None

    def voice_users_by_ids(self, user_ids: Iterable[str]) -> dict[str, VoiceUser]:
        """Read what Teams knows of several users, twenty in a request; those it does not know are left out."""
        calls = {user_id: _voice_user_call(user_id) for user_id in user_ids if user_id}
        answers = zip(calls.items(), self._rest.read_many(list(calls.values())), strict=True)
        return {
            user_id: parsed(call, teams_parsing.voice_user, answer.body)
            for (user_id, call), answer in answers
            if answer is not None
        }

    def voice_users(self, filter: str | None = None) -> Iterator[VoiceUser]:
        """Read all users that Teams knows, or those of an OData filter, page by page."""
        params = {"$filter": filter} if filter else None
        call = Call("read the voice users", _USERS, params=params, permission=_READ_USERS)
        for page in self._rest.pages(call):
            for raw in page.get("value", ()):
                yield parsed(call, teams_parsing.voice_user, raw)

    def policy_id(self, policy_type: str, name: str) -> str | None:
        """Find the id of a policy, or None; found ids are remembered."""
        key = (policy_type.casefold(), name.casefold())
        with self._lock:
            if key in self._policy_ids:
                return self._policy_ids[key]
        found = self._read_policy_ids(policy_type, name)
        policy = next((found[each] for each in found if each.casefold() == key[1]), None)
        if policy is not None:
            with self._lock:
                self._policy_ids[key] = policy
        return policy

    def operation(self, operation_id: str) -> NumberOperation:
        """Read how far a number operation is."""
        path = f"{_OPERATIONS}/{segment(operation_id)}"
        call = Call(f"read number operation {operation_id}", path, what=operation_id, permission=_READ_NUMBERS)
        return parsed(call, teams_parsing.number_operation, self._rest.send(call).body)

    def wait_for_operation(self, operation_id: str, deadline_s: float = 600.0) -> None:
        """Wait until a number operation has ended; asks after 2 s, then ever less often.

        Raises the error its failure stands for, or Ambiguous when the end is not seen within `deadline_s`.
        """
        give_up_at = self._clock.now() + deadline_s
        pause_s = _FIRST_POLL_S
        while True:
            trouble: ConnectorError | None = None
            try:
                operation = self.operation(operation_id)
            except ConnectorError as error:
                trouble = error  # whatever it is, the operation itself goes on
            else:
                if operation.status in _DONE:
                    return
                if operation.status == "failed":
                    raise _failure(operation)
            if self._clock.now() + pause_s > give_up_at:
                raise _unseen(operation_id, deadline_s) from trouble
            self._clock.sleep(pause_s)
            pause_s = min(_LONGEST_POLL_S, pause_s * 2)

    @writes
    def assign_number(self, number: str, user_id: str, number_type: str, location_id: str | None = None) -> str:
        """Start giving a number to a user and return the operation's id; see `wait_for_operation`."""
        body: Json = {"telephoneNumber": number, "assignmentTargetId": user_id, "numberType": number_type}
        if location_id is not None:
            body["locationId"] = location_id
        return self._start(self._number_call("assignNumber", f"give {number} to user {user_id}", number, body))

    @writes
    def unassign_number(self, number: str, number_type: str) -> str:
        """Start taking a number from its user and return the operation's id; see `wait_for_operation`."""
        body: Json = {"telephoneNumber": number, "numberType": number_type}
        return self._start(self._number_call("unassignNumber", f"take {number} from its user", number, body))

    @writes
    def update_number_location(self, number: str, location_id: str | None) -> None:
        """Set the emergency location of a number; None clears it."""
        body: Json = {"telephoneNumber": number, "locationId": location_id or ""}
        self._rest.send(self._number_call("updateNumber", f"set the location of {number}", number, body))

    @writes
    def grant_policies(self, user_id: str, policies: Mapping[str, str]) -> None:
        """Give a user policies, policy id by policy type, in one call."""
        self._assign_policies("assign", user_id, [{"policyType": t, "policyId": p} for t, p in policies.items()])

    @writes
    def revoke_policies(self, user_id: str, policy_types: Iterable[str]) -> None:
        """Take a user's direct policies of these types away, in one call."""
        self._assign_policies("unassign", user_id, [{"policyType": policy_type} for policy_type in policy_types])

    def probe(self) -> list[Finding]:
        """Tell whether numbers and users of Teams can be read."""
        return [
            probe_call("teams numbers", lambda: self._one_of("read the numbers", _NUMBERS, _READ_NUMBERS)),
            probe_call("teams users", lambda: self._one_of("read the voice users", _USERS, _READ_USERS)),
        ]

    def _number_pages(self, filter: str | None, skip: int) -> Iterator[list[NumberAssignment]]:
        params = {"$top": str(_NUMBER_PAGE)} | ({"$skip": str(skip)} if skip else {})
        params |= {"$filter": filter} if filter else {}
        call = Call("read the numbers", _NUMBERS, params=params, permission=_READ_NUMBERS)
        for page in self._rest.pages(call):
            yield [parsed(call, teams_parsing.number_assignment, raw) for raw in page.get("value", ())]

    def _read_policy_ids(self, policy_type: str, name: str) -> dict[str, str]:
        path = f"{_POLICY}/getPolicyId(type={argument(policy_type)},name={argument(name)})"
        call = Call(f"find {policy_type} {name}", path, what=name, permission=_POLICIES)
        try:
            return parsed(call, teams_parsing.policy_ids, self._rest.send(call).body)
        except NotFound:
            return {}

    def _number_call(self, action: str, doing: str, number: str, body: Json) -> Call:
        path = f"{_NUMBERS}/{action}"
        return Call(doing, path, method="POST", what=number, body=body, permission=_WRITE_NUMBERS)

    def _start(self, call: Call) -> str:
        answer: Answer = self._rest.send(call)
        operation = teams_parsing.operation_id(answer)
        if operation is None:
            message = f"could {call.doing}, but was told no operation to follow ; read the number to see what happened"
            raise Ambiguous(message, system=SYSTEM, what=call.what)
        return operation

    def _assign_policies(self, action: str, user_id: str, items: list[dict[str, str]]) -> None:
        value = [{"@odata.type": _POLICY_TYPE, "userId": user_id, **item} for item in items]
        types = ", ".join(item["policyType"] for item in items)
        verb = "give" if action == "assign" else "take"
        call = Call(
            f"{verb} policies {types} of user {user_id}",
            f"{_POLICY}/userAssignments/{action}",
            method="POST",
            what=user_id,
            body={"value": value},
            permission=_POLICIES,
        )
        self._rest.send(call)

    def _one_of(self, doing: str, path: str, permission: str) -> str:
        call = Call(doing, path, params={"$top": "1"}, permission=permission)
        return f"{len(self._rest.send(call).body.get('value', ()))} read"


def _voice_user_call(user_id: str) -> Call:
    return Call(f"read voice user {user_id}", f"{_USERS}/{segment(user_id)}", what=user_id, permission=_READ_USERS)


def _failure(operation: NumberOperation) -> ConnectorError:
    kind = number_refusals.meaning(operation.detail) or Invalid
    reason = operation.detail or "no reason given"
    message = f"number operation {operation.id} failed: {reason} ; {number_refusals.remedy(kind)}"
    return kind(message, system=SYSTEM, what=operation.id)


def _unseen(operation_id: str, deadline_s: float) -> Ambiguous:
    message = f"number operation {operation_id} had not ended after {deadline_s:.0f} s ; read the number to see"
    return Ambiguous(message, system=SYSTEM, what=operation_id)
