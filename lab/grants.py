"""Policies of the stand-in tenant: instances, direct grants, grants to groups with their ranks, what works for whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from lab import rules
from lab.records import ZERO_GUID, Effect, GroupPolicy, Json, Policy, User, Voice, opaque_id
from lab.rules import bad_request
from lab.store import diff
from lab.voice import Telephony

# Not grantable to groups (Grant-Cs… -Group refuses them).
DIRECT_ONLY = frozenset(
    {
        "TeamsUpgradePolicy",
        "TeamsEmergencyCallRoutingPolicy",
        "TeamsVoiceApplicationsPolicy",
        "TeamsAppPermissionPolicy",
        "TeamsNetworkRoamingPolicy",
    }
)
MOST_GROUPS = 64  # per policy type, whatever the instances
UPGRADE = "TeamsUpgradePolicy"


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    """A policy that works for a user, directly or through a group."""

    policy: Policy
    group_id: str | None = None


def policy_id(policy_type: str, name: str) -> str:
    """Give a policy's identifier, as opaque as the real one."""
    return opaque_id("policy", policy_type, name).replace("-", "") + "_"


class Grants(Telephony):
    """The mutations of policies and grants; they return effects."""

    # Instances

    def policy(self, policy_type: str, name: str) -> Policy:
        """Find a policy instance or refuse."""
        found = self.find_policy(policy_type, name)
        if found is None:
            raise rules.not_found(f"Policy '{name}' of type '{policy_type}' is not found")
        return found

    def policy_type(self, text: str) -> str:
        """Give the proper spelling of a policy type or refuse."""
        known = self.find_policy(text, "Global")
        if known is None:
            raise bad_request(f"'{text}' is not a valid policy type")
        return known.policy_type

    def store_policy(self, policy_type: str, name: str, details: Mapping[str, Json]) -> list[Effect]:
        """Make a policy instance or replace its details."""
        with self.lock:
            known = self.find_policy(policy_type, name)
            text = str(details.get("Description") or "")
            if known is None:
                self.add_policy(Policy(policy_type, name, policy_id(policy_type, name), text, dict(details)))
                return [Effect(f"policy:{policy_type}:{name}", "exists", before=False, after=True)]
            self.add_policy(replace(known, description=text, details=dict(details)))
            names = {**known.details, **details}
            pairs: dict[str, tuple[object, object]] = {n: (known.details.get(n), details.get(n)) for n in names}
            return diff(f"policy:{policy_type}:{known.name}", pairs)

    def drop_policy(self, policy_type: str, name: str) -> list[Effect]:
        """Remove an instance nobody uses; `Global` only goes back to its defaults."""
        with self.lock:
            policy = self.policy(policy_type, name)
            if policy.name == "Global":
                return self.store_policy(policy_type, "Global", {})
            if self.users_of_policy(policy):
                raise bad_request(
                    f'The policy "{policy.name}" is currently assigned to one or more users or groups. Ensure policy '
                    "is not assigned before removing. Please refer to documentation."
                )
            self.forget_policy(policy)
            return [Effect(f"policy:{policy.policy_type}:{policy.name}", "exists", before=True, after=False)]

    def users_of_policy(self, policy: Policy) -> int:
        """Count the users, groups and numbers an instance is granted to."""
        kind, name = policy.policy_type, policy.name
        people = sum(voice.policies.get(kind) == name for voice in self.voices.values() if voice.user_id in self.users)
        numbers = sum((number.policies or {}).get(kind) == name for number in self.numbers.values())
        return people + numbers + sum((g.policy_type, g.name) == (kind, name) for g in self.group_policies)

    # Direct grants

    def grant_policy(self, identity: str, policy_type: str, name: str | None) -> list[Effect]:
        """Grant a policy directly; None or `Global` removes the direct grant."""
        with self.lock:
            user = self.telephony_user(identity)
            policies = dict(self.voice(user.id).policies)
            known = self.policy_type(policy_type)
            if name is None or name.casefold() in ("", "global"):
                policies.pop(known, None)
            else:
                policies[known] = self.policy(known, name).name
                self._check_upgrade(user, known, policies[known])
            return self.change_voice(self.voice(user.id), policies=policies)

    def grant_policy_to_tenant(self, policy_type: str, name: str | None) -> list[Effect]:
        """Make an instance the tenant's default: `Global` takes over its details."""
        with self.lock:
            known = self.policy_type(policy_type)
            policy = self.policy(known, name or "Global")
            homed_here = any(voice.homed_on_premises for voice in self.voices.values())
            if known == UPGRADE and policy.name == "UpgradeToTeams" and homed_here:
                raise bad_request("UpgradeToTeams can not be the tenant default: an on-premises deployment is detected")
            before = self.tenant_policies.get(known, "Global")
            self.tenant_policies[known] = policy.name
            if policy.details:
                self.store_policy(known, "Global", policy.details)
            return diff(f"tenant:{self.tenant_id}", {f"policy:{known}": (before, policy.name)})

    def _check_upgrade(self, user: User, policy_type: str, name: str) -> None:
        if policy_type == UPGRADE and name == "UpgradeToTeams" and self.voice(user.id).homed_on_premises:
            raise bad_request(f"User '{user.upn}' is homed on-premises: move the user before granting UpgradeToTeams")

    # Grants to groups

    def grant_policy_to_group(
        self, group_id: str, policy_type: str, name: str | None, rank: int = 1, *, by: str = ZERO_GUID
    ) -> list[Effect]:
        """Grant a policy to the direct members of a group; None removes the grant, rank 0 means the last."""
        with self.lock:
            group_id, known = self.group_id(group_id), self.policy_type(policy_type)
            self._check_group_grant(group_id, known)
            order = sorted((g for g in self.group_policies if g.policy_type == known), key=lambda g: g.rank)
            before = next((g for g in order if g.group_id == group_id), None)
            order = [g for g in order if g.group_id != group_id]
            if name is not None:
                if len(order) >= MOST_GROUPS:
                    raise bad_request(f"Policy type '{known}' is assigned to the maximum of {MOST_GROUPS} groups")
                now = self.clock.now()
                grant = GroupPolicy(group_id, known, self.policy(known, name).name, rank, now, by)
                order.insert(rank - 1 if rank > 0 else len(order), grant)
            self._remember("group_policies", "", tuple(self.group_policies))
            kept = [g for g in self.group_policies if g.policy_type != known]
            self.group_policies = kept + [replace(g, rank=place) for place, g in enumerate(order, 1)]
            pair: tuple[object, object] = (before.name if before else None, name)
            return diff(f"group:{group_id}", {f"policy:{known}": pair})

    def _check_group_grant(self, group_id: str, policy_type: str) -> None:
        if group_id not in self.groups:
            raise rules.not_found(f"Group '{group_id}' is not found")
        if policy_type in DIRECT_ONLY:
            raise bad_request(f"Policy type '{policy_type}' can not be assigned to a group")

    # What works

    def effective_policies(self, user_id: str, voice: Voice | None = None) -> list[EffectivePolicy]:
        """Give a user's policies: direct before group, rank 1 first; Global is not named."""
        found: dict[str, EffectivePolicy] = {}
        for source in self.policy_sources(user_id, voice):
            found.setdefault(source.policy.policy_type, source)
        return list(found.values())

    def policy_sources(self, user_id: str, voice: Voice | None = None) -> list[EffectivePolicy]:
        """Give every grant that reaches a user, the stronger first; a group's comes after its delay."""
        direct = (voice or self.voice(user_id)).policies
        found = [EffectivePolicy(self.policy(kind, name)) for kind, name in direct.items()]
        groups = self.groups_of.get(user_id)
        if not groups:
            return found
        latest = self.clock.now() - timedelta(seconds=self.settings.group_policy_delay_s)
        for grant in sorted(self.group_policies, key=lambda g: g.rank):
            if grant.group_id in groups and (grant.created_at is None or grant.created_at <= latest):
                found.append(EffectivePolicy(self.policy(grant.policy_type, grant.name), grant.group_id))
        return found
