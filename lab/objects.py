"""Objects of the configuration by kind and name, policies or not: find, list, store and drop them, with effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lab.records import ConfigObject, Effect, Json
from lab.rules import not_found
from lab.store import diff
from lab.tenant import Tenant

Details = Mapping[str, Json]


def find(tenant: Tenant, kind: str, name: str) -> ConfigObject | None:
    """Find an object, with or without `Tag:` before its name; case does not matter."""
    policy = tenant.find_policy(kind, name)
    if policy:
        return ConfigObject(kind, policy.name, {"Description": policy.description, **policy.details})
    bare = name[4:] if name.casefold().startswith("tag:") else name
    return tenant.objects.get((kind, bare.casefold()))


def get(tenant: Tenant, kind: str, name: str) -> ConfigObject:
    """Find an object or refuse."""
    found = find(tenant, kind, name)
    if found is None:
        raise not_found(f'Cannot find {kind} with identity "{name}" because it does not exist')
    return found


def every(tenant: Tenant, kind: str) -> list[ConfigObject]:
    """Give all objects of a kind in the order they were made; of policies, `Global` first."""
    policies = tenant.policies_of_type(kind)
    if policies:
        return [ConfigObject(kind, row.name, {"Description": row.description, **row.details}) for row in policies]
    return [row for (known, _), row in list(tenant.objects.items()) if known == kind]


def store(tenant: Tenant, kind: str, name: str, details: Details) -> list[Effect]:
    """Make an object or replace its details; a kind that has a `Global` policy is a policy type."""
    with tenant.lock:
        if tenant.find_policy(kind, "Global"):
            return tenant.store_policy(kind, name, details)
        before = tenant.objects.get((kind, name.casefold()))
        if before is None:
            tenant.objects[(kind, name.casefold())] = ConfigObject(kind, name, dict(details))
            return [Effect(f"{kind}:{name}", "exists", before=False, after=True)]
        tenant.objects[(kind, name.casefold())] = replace(before, details=dict(details))
        pairs: dict[str, tuple[object, object]] = {}
        for key in {**before.details, **details}:
            pairs[key] = (before.details.get(key), details.get(key))
        return diff(f"{kind}:{before.name}", pairs)


def drop(tenant: Tenant, kind: str, name: str) -> list[Effect]:
    """Take an object away; who uses it is checked before."""
    with tenant.lock:
        found = get(tenant, kind, name)
        if tenant.find_policy(kind, name):
            return tenant.drop_policy(kind, name)
        del tenant.objects[(kind, found.name.casefold())]
        return [Effect(f"{kind}:{found.name}", "exists", before=True, after=False)]


def names(details: Details, key: str) -> list[str]:
    """Give a list property of an object as texts."""
    value = details.get(key)
    return [str(item) for item in value] if isinstance(value, list | tuple) else []
