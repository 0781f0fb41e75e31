"""The calls the Graph end knows: address, name in the call log and in fault plans, and the roles that allow them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from lab import graph_delta, graph_groups, graph_numbers, graph_users, graph_voice, graph_workflows
from lab.graph_messages import Answer, Call

Handler = Callable[[Call], Answer]

READ_USERS = ("User.Read.All", "User.ReadWrite.All")
WRITE_USERS = ("User.ReadWrite.All",)
LICENCES = ("LicenseAssignment.ReadWrite.All", "User.ReadWrite.All")
READ_GROUPS = ("Group.Read.All", "GroupMember.Read.All", "GroupMember.ReadWrite.All")
WRITE_GROUPS = ("GroupMember.ReadWrite.All",)
READ_TENANT = ("Organization.Read.All",)
READ_NUMBERS = ("TeamsTelephoneNumber.Read.All", "TeamsTelephoneNumber.ReadWrite.All")
WRITE_NUMBERS = ("TeamsTelephoneNumber.ReadWrite.All",)
READ_VOICE = ("TeamsUserConfiguration.Read.All",)
POLICIES = ("TeamsPolicyUserAssign.ReadWrite.All",)

_TELEPHONY = "/admin/teams/telephoneNumberManagement"
_ASSIGNMENTS = f"{_TELEPHONY}/numberAssignments"
_POLICY = "/admin/teams/policy"
_WORKFLOW_TASK = "/identityGovernance/lifecycleWorkflows/workflows/{}/tasks/{}/taskProcessingResults/{}"
_NAMED = "(type='((?:[^']|'')*)',name='((?:[^']|'')*)')"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One call; `{}` in the template stands for an identifier."""

    method: str
    template: str
    operation: str
    handler: Handler
    roles: Sequence[str]

    @property
    def write(self) -> bool:
        """Tell whether the call may change something."""
        return self.method != "GET"


ENDPOINTS = (
    Endpoint("GET", "/users", "users.list", graph_users.list_users, READ_USERS),
    Endpoint("GET", "/users/delta", "users.delta", graph_delta.list_changes, READ_USERS),
    Endpoint("GET", "/users/{}", "users.get", graph_users.get_user, READ_USERS),
    Endpoint("PATCH", "/users/{}", "users.update", graph_users.update_user, WRITE_USERS),
    Endpoint("DELETE", "/users/{}", "users.delete", graph_users.delete_user, WRITE_USERS),
    Endpoint("POST", "/users/{}/assignLicense", "users.assignLicense", graph_users.assign_license, LICENCES),
    Endpoint("POST", "/users/{}/revokeSignInSessions", "users.revoke", graph_users.revoke_sessions, WRITE_USERS),
    Endpoint(
        "GET", "/directory/deletedItems/microsoft.graph.user", "deleted.list", graph_users.list_deleted, READ_USERS
    ),
    Endpoint("POST", "/directory/deletedItems/{}/restore", "deleted.restore", graph_users.restore_user, WRITE_USERS),
    Endpoint("GET", "/directory/deletedItems/{}", "deleted.get", graph_users.get_deleted, READ_USERS),
    Endpoint("DELETE", "/directory/deletedItems/{}", "deleted.purge", graph_users.purge_user, WRITE_USERS),
    Endpoint("GET", "/subscribedSkus", "subscribedSkus.list", graph_groups.list_skus, (*READ_TENANT, *LICENCES)),
    Endpoint("GET", "/organization", "organization.list", graph_groups.organization, READ_TENANT),
    Endpoint("GET", "/groups", "groups.list", graph_groups.list_groups, READ_GROUPS),
    Endpoint("GET", "/groups/{}", "groups.get", graph_groups.get_group, READ_GROUPS),
    Endpoint("GET", "/groups/{}/members", "groups.members", graph_groups.list_members, READ_GROUPS),
    Endpoint(
        "GET", "/groups/{}/members/microsoft.graph.user", "groups.members", graph_groups.list_member_users, READ_GROUPS
    ),
    Endpoint(
        "GET", "/groups/{}/transitiveMembers", "groups.transitiveMembers", graph_groups.list_transitive, READ_GROUPS
    ),
    Endpoint(
        "GET",
        "/groups/{}/transitiveMembers/microsoft.graph.user",
        "groups.transitiveMembers",
        graph_groups.list_transitive_users,
        READ_GROUPS,
    ),
    Endpoint("GET", "/users/{}/memberOf", "users.memberOf", graph_groups.list_groups_of_user, READ_GROUPS),
    Endpoint("GET", "/groups/{}/memberOf", "groups.memberOf", graph_groups.list_groups_of_group, READ_GROUPS),
    Endpoint("POST", "/groups/{}/members/$ref", "groups.addMember", graph_groups.add_member, WRITE_GROUPS),
    Endpoint("DELETE", "/groups/{}/members/{}/$ref", "groups.removeMember", graph_groups.remove_member, WRITE_GROUPS),
    Endpoint("GET", _ASSIGNMENTS, "numberAssignments.list", graph_numbers.list_numbers, READ_NUMBERS),
    Endpoint("POST", f"{_ASSIGNMENTS}/assignNumber", "numberAssignments.assign", graph_numbers.assign, WRITE_NUMBERS),
    Endpoint(
        "POST", f"{_ASSIGNMENTS}/unassignNumber", "numberAssignments.unassign", graph_numbers.unassign, WRITE_NUMBERS
    ),
    Endpoint("POST", f"{_ASSIGNMENTS}/updateNumber", "numberAssignments.update", graph_numbers.update, WRITE_NUMBERS),
    Endpoint("GET", f"{_ASSIGNMENTS}/{{}}", "numberAssignments.get", graph_numbers.get_number, READ_NUMBERS),
    Endpoint("GET", f"{_TELEPHONY}/operations/{{}}", "operations.get", graph_numbers.get_operation, READ_NUMBERS),
    Endpoint(
        "GET", "/admin/teams/userConfigurations", "userConfigurations.list", graph_voice.list_configurations, READ_VOICE
    ),
    Endpoint(
        "GET", "/admin/teams/userConfigurations/{}", "userConfigurations.get", graph_voice.get_configuration, READ_VOICE
    ),
    Endpoint("GET", f"{_POLICY}/getPolicyId{_NAMED}", "policy.getPolicyId", graph_voice.policy_id, POLICIES),
    Endpoint("POST", f"{_POLICY}/userAssignments/assign", "policy.assign", graph_voice.assign_policies, POLICIES),
    Endpoint("POST", f"{_POLICY}/userAssignments/unassign", "policy.unassign", graph_voice.unassign_policies, POLICIES),
    # Whoever the custom task extension names may answer, without a role of its own.
    Endpoint("POST", f"{_WORKFLOW_TASK}/resume", "workflows.resume", graph_workflows.resume, READ_USERS),
)


def find(method: str, path: str) -> tuple[Endpoint, list[str]] | None:
    """Find the call an address means, and its identifiers, in both OData key forms."""
    plain = path if path.endswith(")") and "getPolicyId" in path else re.sub(r"\('([^']*)'\)", r"/\1", path)
    for endpoint in ENDPOINTS:
        if endpoint.method == method and (match := _pattern(endpoint.template).fullmatch(plain)):
            return endpoint, [unquote(part) for part in match.groups()]
    return None


@lru_cache(maxsize=100)
def _pattern(template: str) -> re.Pattern[str]:
    """Make a template a pattern; words of the address match in any case."""
    if template.endswith(_NAMED):
        head = re.escape(template.removesuffix(_NAMED))
        return re.compile(rf"{head}\(type='((?:[^']|'')*)', ?name='((?:[^']|'')*)'\)", re.IGNORECASE)
    return re.compile("([^/]+)".join(re.escape(part) for part in template.split("{}")), re.IGNORECASE)
