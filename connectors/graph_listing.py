"""Reads the directory of a tenant whole, for a snapshot: products, accounts with deleted ones, groups and members.

Single users and what changed about them are in `connectors/graph.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from connectors.graph import Graph
from connectors.graph_calls import Call, Json, parsed, segment
from datasets.snapshot import Account, Group, Licence, Product, ServicePlan

_TEXTS = {
    "displayName": "display_name",
    "givenName": "given_name",
    "surname": "surname",
    "mail": "mail",
    "userType": "user_type",
    "usageLocation": "usage_location",
    "country": "country",
    "city": "city",
    "officeLocation": "office",
    "department": "department",
    "companyName": "company",
    "jobTitle": "job_title",
    "employeeId": "employee_id",
    "employeeType": "employee_type",
    "onPremisesSamAccountName": "sam_account_name",
    "mobilePhone": "mobile_phone",
}
_SELECT = ",".join(
    [
        "id",
        "userPrincipalName",
        *_TEXTS,
        "accountEnabled",
        "onPremisesSyncEnabled",
        "businessPhones",
        "assignedLicenses",
    ]
)
_MEMBER_KINDS = frozenset(("#microsoft.graph.user", "#microsoft.graph.group"))
_USERS, _GROUPS = "User.Read.All", "GroupMember.Read.All"
R = TypeVar("R")


class GraphListing:
    """Everything in the directory of one tenant, as lines of a snapshot; read page by page."""

    def __init__(self, graph: Graph) -> None:
        self._rest = graph.rest

    def products(self) -> Iterator[Product]:
        """Read the licence products with their services."""
        call = Call("read the licences of the tenant", "subscribedSkus", permission="Organization.Read.All")
        return self._each(call, _product)

    def accounts(self) -> Iterator[Account]:
        """Read every account, the soft-deleted ones last."""
        params = {"$select": _SELECT, "$top": "999"}
        yield from self._each(Call("read the users", "users", params=params, permission=_USERS), _account)
        deleted = "directory/deletedItems/microsoft.graph.user"
        call = Call("read the deleted users", deleted, params=params, permission=_USERS)
        for account in self._each(call, _account):
            yield account.model_copy(update={"is_deleted": True})

    def groups(self) -> Iterator[Group]:
        """Read every group."""
        params = {"$select": "id,displayName,description", "$top": "999"}
        return self._each(Call("read the groups", "groups", params=params, permission=_GROUPS), _group)

    def member_ids(self, group_id: str) -> Iterator[str]:
        """Read the ids of the direct members of a group that are users or groups."""
        params = {"$select": "id", "$top": "999"}
        path = f"groups/{segment(group_id)}/members"
        call = Call(f"read the members of group {group_id}", path, what=group_id, params=params, permission=_GROUPS)
        return (member for member in self._each(call, _member) if member)

    def _each(self, call: Call, parse: Callable[[Json], R]) -> Iterator[R]:
        for page in self._rest.pages(call):
            for raw in page.get("value", ()):
                yield parsed(call, parse, raw)


def _product(raw: Json) -> Product:
    plans = raw.get("servicePlans") or ()
    return Product(
        sku_id=raw["skuId"],
        part_number=raw.get("skuPartNumber") or "",
        enabled_units=(raw.get("prepaidUnits") or {}).get("enabled") or 0,
        plans=tuple(ServicePlan(plan_id=plan["servicePlanId"], name=plan["servicePlanName"]) for plan in plans),
    )


def _account(raw: Json) -> Account:
    licences = raw.get("assignedLicenses") or ()
    return Account.model_validate(
        {
            "id": raw["id"],
            "user_principal_name": raw["userPrincipalName"],
            **{ours: raw.get(theirs) or None for theirs, ours in _TEXTS.items()},
            "is_enabled": raw.get("accountEnabled") is not False,
            "is_synchronised": bool(raw.get("onPremisesSyncEnabled")),
            "business_phones": tuple(raw.get("businessPhones") or ()),
            "licences": tuple(_licence(licence) for licence in licences),
        }
    )


def _licence(raw: Json) -> Licence:
    return Licence(sku_id=raw["skuId"], disabled_plans=tuple(raw.get("disabledPlans") or ()))


def _group(raw: Json) -> Group:
    name = raw.get("displayName") or raw["id"]
    return Group(id=raw["id"], display_name=name, description=raw.get("description") or None)


def _member(raw: Json) -> str | None:
    """Give the id of a user or a group; devices and applications are of no interest."""
    return str(raw["id"]) if raw.get("@odata.type") in _MEMBER_KINDS else None
