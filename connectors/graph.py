"""Microsoft Graph's directory: users, licences and groups. Numbers and policies are in `connectors/teams.py`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Self, TypeVar

import httpx

from connectors import graph_parsing
from connectors.errors import AlreadyThere, ConnectorError, Invalid, NotFound, Unreachable
from connectors.graph_calls import SYSTEM, Call, Json, argument, literal, parsed, segment
from connectors.graph_probes import failed, probe_call, probe_permissions, probe_time
from connectors.rest import GraphEndpoint, Rest
from connectors.throttle import SHARED_PAUSES, Clock, HoldSource
from connectors.tokens import Tokens
from connectors.writes import writes
from datasets.directory import DeltaPage, DirectoryGroup, Organization
from datasets.findings import Finding
from datasets.hybrid import HybridAccount
from datasets.users import DirectoryUser, SubscribedSku

# Graph allows fifteen values in one `in` list.
IN_LIST = 15
_READ_GROUPS, _WRITE_GROUPS = "GroupMember.Read.All", "GroupMember.ReadWrite.All"
_READ_USERS, _WRITE_USERS = "User.Read.All", "User.ReadWrite.All"
# The cast to users counts as an advanced query.
_ADVANCED = {"ConsistencyLevel": "eventual"}
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
R = TypeVar("R")


class Graph:
    """The directory of one tenant; safe to share between threads. An injected transport is closed with it."""

    def __init__(
        self,
        endpoint: GraphEndpoint,
        tokens: Tokens,
        *,
        transport: httpx.BaseTransport | None = None,
        pauses: HoldSource = SHARED_PAUSES,
        clock: Clock | None = None,
    ) -> None:
        self.rest = Rest(endpoint, tokens, transport=transport, pauses=pauses, clock=clock)

    def __enter__(self) -> Self:
        """Give itself; connections are made when first needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self.rest.close()

    def users(self, filter: str | None = None) -> Iterator[DirectoryUser]:
        """Read all users, or those of an OData filter, page by page."""
        params = {"$select": graph_parsing.USER_SELECT, "$top": "999"} | ({"$filter": filter} if filter else {})
        call = Call("read the users", "users", params=params, permission=_READ_USERS)
        return self._each(call, graph_parsing.directory_user)

    def deleted_users(self) -> Iterator[DirectoryUser]:
        """Read the soft-deleted users, who can be restored for thirty days and keep their numbers."""
        path = "directory/deletedItems/microsoft.graph.user"
        call = Call(
            "read the deleted users",
            path,
            params={"$select": graph_parsing.USER_SELECT, "$top": "999"},
            permission=_READ_USERS,
        )
        return self._each(call, graph_parsing.directory_user)

    def user(self, user: str) -> DirectoryUser | None:
        """Read one user by object id or user principal name, or None when there is none."""
        path = f"users/{segment(user)}"
        params = {"$select": graph_parsing.USER_SELECT}
        call = Call(f"read user {user}", path, what=user, params=params, permission=_READ_USERS)
        try:
            return parsed(call, graph_parsing.directory_user, self.rest.send(call).body)
        except NotFound:
            return None

    def users_named(self, names: Iterable[str]) -> dict[str, DirectoryUser]:
        """Find users by object id, user principal name or SIP address, twenty in a request; others are left out."""
        asked = [name for name in dict.fromkeys(names) if name]
        calls = [_read_only(f"users/{segment(name)}?$select={graph_parsing.USER_SELECT}", name) for name in asked]
        answers = zip(asked, calls, self.rest.read_many(calls), strict=True)
        found = {
            name: parsed(call, graph_parsing.directory_user, answer.body) for name, call, answer in answers if answer
        }
        return found | self._users_with_sip([name for name in asked if name not in found and "@" in name])

    def _users_with_sip(self, addresses: Sequence[str]) -> dict[str, DirectoryUser]:
        test = "users?$select={}&$filter=imAddresses/any(i:i%20eq%20{})"
        calls = [_read_only(test.format(graph_parsing.USER_SELECT, argument(each)), each) for each in addresses]
        found: dict[str, DirectoryUser] = {}
        for address, call, answer in zip(addresses, calls, self.rest.read_many(calls), strict=True):
            users = answer.body.get("value", ()) if answer else []
            if len(users) == 1:
                found[address] = parsed(call, graph_parsing.directory_user, users[0])
        return found

    def users_by_ids(self, ids: Iterable[str]) -> dict[str, DirectoryUser]:
        """Read many users by object id; those that do not exist are left out."""
        asked = list(ids)
        found = _by(self._users_where("id", asked), lambda user: user.id, asked)
        return {user_id: users[0] for user_id, users in found.items()}

    def hybrid_accounts(self, ids: Iterable[str]) -> dict[str, HybridAccount]:
        """Read many users by object id with what a move to Teams depends on; who does not exist is left out."""
        found: dict[str, HybridAccount] = {}
        for some in slices(ids, IN_LIST):
            asked = {user_id.casefold(): user_id for user_id in some}
            params = {"$select": graph_parsing.HYBRID_SELECT, "$top": "999"}
            params["$filter"] = f"id in ({','.join(map(literal, some))})"
            call = Call("read the users", "users", params=params, permission=_READ_USERS)
            for user in self._each(call, graph_parsing.hybrid_account):
                found[asked[user.id.casefold()]] = user
        return found

    def users_by_employee_ids(self, ids: Iterable[str]) -> dict[str, list[DirectoryUser]]:
        """Read the accounts that carry these employee ids; the caller judges an id that several carry."""
        asked = list(ids)
        return _by(self._users_where("employeeId", asked), lambda user: user.employee_id, asked)

    def users_delta(self, link: str | None = None) -> Iterator[DeltaPage]:
        """Read what changed since a delta link, or everything; the last page carries the next link.

        Raises NotFound when the link has expired: read everything again.
        """
        call = Call("read the changed users", link or "users/delta", permission=_READ_USERS)
        if not link:
            call = call.with_params({"$select": graph_parsing.USER_SELECT})
        for page in self.rest.pages(call):
            yield parsed(call, graph_parsing.delta_page, page)

    def group_by_name(self, name: str) -> DirectoryGroup | None:
        """Find a group by display name; raises Invalid when several carry it."""
        params = {"$select": graph_parsing.GROUP_SELECT, "$filter": f"displayName eq {literal(name)}"}
        call = Call(f"find group {name}", "groups", what=name, params=params, permission=_READ_GROUPS)
        found = list(self._each(call, graph_parsing.directory_group))
        if len(found) > 1:
            message = f"could not find group {name}: {len(found)} groups have this name ; rename all but one"
            raise Invalid(message, system=SYSTEM, what=name)
        return found[0] if found else None

    def transitive_members(self, group_id: str) -> Iterator[str]:
        """Read the object ids of all users in a group, however deeply nested, each once."""
        path = f"groups/{segment(group_id)}/transitiveMembers/microsoft.graph.user"
        params = {"$select": "id", "$top": "999", "$count": "true"}
        call = Call(
            f"read the members of group {group_id}",
            path,
            what=group_id,
            params=params,
            headers=_ADVANCED,
            permission=_READ_GROUPS,
        )
        return iter(dict.fromkeys(self._each(call, lambda raw: str(raw["id"]))))

    def member_ids(self, group: str) -> frozenset[str] | None:
        """Read the object ids of all users in a group, by its name or id; None when there is no such group."""
        group_id = self.group_id(group)
        try:
            return None if group_id is None else frozenset(self.transitive_members(group_id))
        except NotFound:
            return None

    def group_id(self, group: str) -> str | None:
        """Give the object id of a group by its name or id; None when no group has the name."""
        if _OBJECT_ID.fullmatch(group):
            return group
        found = self.group_by_name(group)
        return None if found is None else found.id

    def groups_of_user(self, user_id: str) -> list[DirectoryGroup]:
        """Read the groups that a user is in directly."""
        return self._groups_with("users", user_id)

    def groups_of_group(self, group_id: str) -> list[DirectoryGroup]:
        """Read the groups that a group lies in directly."""
        return self._groups_with("groups", group_id)

    def _groups_with(self, kind: str, object_id: str) -> list[DirectoryGroup]:
        path, params = f"{kind}/{segment(object_id)}/memberOf", {"$select": graph_parsing.GROUP_SELECT, "$top": "999"}
        doing = f"read the groups of {object_id}"
        call = Call(doing, path, what=object_id, params=params, permission=_READ_GROUPS)
        return [group for group in self._each(call, graph_parsing.group_among_others) if group is not None]

    def licence_groups(self, user_id: str) -> Mapping[str, tuple[str, ...]]:
        """Read which groups give a user which licences: ids of groups by product."""
        params = {"$select": "id,licenseAssignmentStates"}
        doing, path = f"read the licences of user {user_id}", f"users/{segment(user_id)}"
        call = Call(doing, path, what=user_id, params=params, permission=_READ_USERS)
        return parsed(call, graph_parsing.licence_groups, self.rest.send(call).body)

    def nesting(self, group_id: str) -> int:
        """Tell how many levels of groups lie in a group; 0 when it holds only users. Groups in a circle count once."""
        seen, level, depth = {group_id}, [group_id], -1
        while level:
            level = list(dict.fromkeys(inner for each in level for inner in self._groups_in(each) if inner not in seen))
            seen.update(level)
            depth += 1
        return depth

    def _groups_in(self, group_id: str) -> Iterator[str]:
        path, params = f"groups/{segment(group_id)}/members", {"$select": "id", "$top": "999"}
        doing = f"read what group {group_id} holds"
        call = Call(doing, path, what=group_id, params=params, permission=_READ_GROUPS)
        members = self._each(call, lambda raw: (str(raw["id"]), str(raw.get("@odata.type", ""))))
        return (member for member, kind in members if kind.endswith(".group"))

    def subscribed_skus(self) -> list[SubscribedSku]:
        """Read the licence products of the tenant and how many are left."""
        call = Call("read the licences of the tenant", "subscribedSkus", permission="Organization.Read.All")
        return list(self._each(call, graph_parsing.subscribed_sku))

    def organization(self) -> Organization:
        """Read the tenant's own name."""
        call = Call("read the tenant", "organization", permission="Organization.Read.All")
        found = list(self._each(call, graph_parsing.organization))
        if not found:
            raise NotFound("could not read the tenant: the answer is empty ; check graph_url", system=SYSTEM)
        return found[0]

    @writes
    def set_usage_location(self, user_id: str, country: str) -> None:
        """Set the two-letter country in which a user's licences are used."""
        doing = f"set the usage location of user {user_id} to {country}"
        self._change_user("PATCH", user_id, "", doing, {"usageLocation": country})

    @writes
    def assign_licence(self, user_id: str, sku_id: str) -> None:
        """Give a user a licence; giving it again changes nothing."""
        body: Json = {"addLicenses": [{"skuId": sku_id, "disabledPlans": []}], "removeLicenses": []}
        self._change_user("POST", user_id, "/assignLicense", f"give licence {sku_id} to user {user_id}", body)

    @writes
    def remove_licence(self, user_id: str, sku_id: str) -> None:
        """Take a licence from a user; raises NotFound when the user has none."""
        body: Json = {"addLicenses": [], "removeLicenses": [sku_id]}
        self._change_user("POST", user_id, "/assignLicense", f"take licence {sku_id} from user {user_id}", body)

    @writes
    def set_account_enabled(self, user_id: str, *, enabled: bool) -> None:
        """Let a user sign in, or not any more; accounts from on-premises are switched there."""
        doing = f"{'enable' if enabled else 'disable'} the account of user {user_id}"
        self._change_user("PATCH", user_id, "", doing, {"accountEnabled": enabled})

    @writes
    def delete_user(self, user_id: str) -> None:
        """Delete a user; for thirty days the account can be restored."""
        path = f"users/{segment(user_id)}"
        doing = f"delete user {user_id}"
        self.rest.send(Call(doing, path, method="DELETE", what=user_id, permission=_WRITE_USERS))

    @writes
    def restore_user(self, user_id: str) -> None:
        """Bring a deleted user back; raises NotFound once the thirty days are over."""
        path = f"directory/deletedItems/{segment(user_id)}/restore"
        doing = f"restore user {user_id}"
        self.rest.send(Call(doing, path, method="POST", what=user_id, body={}, permission=_WRITE_USERS))

    @writes
    def add_member(self, group: str, user_id: str) -> None:
        """Make a user a member of a group, by its name or id; raises AlreadyThere for one who is."""
        doing, path = f"add user {user_id} to group {group}", f"groups/{segment(self._the_group(group))}/members/$ref"
        body: Json = {"@odata.id": f"{self.rest.endpoint.url.rstrip('/')}/directoryObjects/{segment(user_id)}"}
        try:
            self.rest.send(Call(doing, path, method="POST", what=group, body=body, permission=_WRITE_GROUPS))
        except Invalid as error:
            if "already exist" in str(error):
                raise AlreadyThere(str(error), system=SYSTEM, what=group) from error
            raise

    @writes
    def remove_member(self, group: str, user_id: str) -> None:
        """Take a direct member out of a group; raises NotFound for somebody who is none."""
        doing, group_id = f"take user {user_id} out of group {group}", segment(self._the_group(group))
        path = f"groups/{group_id}/members/{segment(user_id)}/$ref"
        self.rest.send(Call(doing, path, method="DELETE", what=group, permission=_WRITE_GROUPS))

    def _the_group(self, group: str) -> str:
        found = self.group_id(group)
        if found is None:
            raise NotFound(f"there is no group {group} ; create it or correct the template", system=SYSTEM, what=group)
        return found

    def probe(self) -> list[Finding]:
        """Tell whether sign-in, time, address and permissions are right; asks no more once nobody answers."""
        signed_in = self.rest.tokens.probe(name="graph sign-in")
        if not all(finding.ok for finding in signed_in):
            return signed_in
        try:
            tenant = Finding(name="graph tenant", ok=True, detail=self.organization().display_name)
        except Unreachable as error:
            return [*signed_in, failed("graph tenant", error)]
        except ConnectorError as error:
            tenant = failed("graph tenant", error)
        return [
            *signed_in,
            tenant,
            probe_call("graph users", lambda: _first_user(self)),
            probe_call("graph licences", lambda: f"{len(self.subscribed_skus())} products"),
            *probe_time(self.rest),
            *probe_permissions(self.rest),
        ]

    def _change_user(self, method: str, user_id: str, action: str, doing: str, body: Json) -> None:
        path = f"users/{segment(user_id)}{action}"
        self.rest.send(Call(doing, path, method=method, what=user_id, body=body, permission=_WRITE_USERS))

    def _each(self, call: Call, parse: Callable[[Json], R]) -> Iterator[R]:
        for page in self.rest.pages(call):
            for raw in page.get("value", ()):
                yield parsed(call, parse, raw)

    def _users_where(self, attribute: str, values: Iterable[str]) -> Iterator[DirectoryUser]:
        for some in slices(values, IN_LIST):
            yield from self.users(f"{attribute} in ({','.join(map(literal, some))})")


def slices(values: Iterable[str], size: int) -> Iterator[list[str]]:
    """Cut values, each once, into lists of at most `size`."""
    unique = list(dict.fromkeys(value for value in values if value))
    return (unique[start : start + size] for start in range(0, len(unique), size))


def _by(
    users: Iterator[DirectoryUser], key: Callable[[DirectoryUser], str | None], asked: Iterable[str]
) -> dict[str, list[DirectoryUser]]:
    """Group users under the value that was asked for; the directory compares without regard to case."""
    found: dict[str, list[DirectoryUser]] = {}
    for user in users:
        found.setdefault((key(user) or "").casefold(), []).append(user)
    return {value: found[value.casefold()] for value in dict.fromkeys(asked) if value.casefold() in found}


def _read_only(path: str, who: str) -> Call:
    return Call(f"find user {who}", path, what=who, permission=_READ_USERS)


def _first_user(graph: Graph) -> str:
    call = Call("read the users", "users", params={"$select": "id", "$top": "1"}, permission=_READ_USERS)
    return f"{len(graph.rest.send(call).body.get('value', ()))} read"
