"""Moving users between the on-premises servers and the cloud: what is checked before, what is so afterwards."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lab import skype
from lab.records import Effect, User
from lab.rules import bad_request
from lab.skype_records import ON_PREMISES, ONLINE, SkypeUser
from lab.tenant import Tenant

# The oldest builds that may move users, by major version.
OLDEST = {7: (7, 0, 2046, 385), 6: (6, 0, 9319, 619), 5: (5, 0, 8308, 1182)}
OLDEST_MODULE = (6, 2, 1)
SKYPE_PLAN = "MCOSTANDARD"
UPGRADED = "UpgradeToTeams"


@dataclass(frozen=True, slots=True)
class Move:
    """A wish to move somebody."""

    identity: str
    target: str
    bypass_voice_check: bool = False
    admin: str = ""
    override_url: str = ""


def move(tenant: Tenant, wanted: Move) -> list[Effect]:
    """Move one user to the cloud or to a pool."""
    with tenant.lock:
        user = skype.user(tenant, wanted.identity)
        if wanted.target.casefold() == ONLINE:
            return _to_cloud(tenant, user, wanted)
        return _to_pool(tenant, user, skype.pool(tenant, wanted.target))


def _to_cloud(tenant: Tenant, user: SkypeUser, wanted: Move) -> list[Effect]:
    if user.provider == ONLINE:
        raise bad_request(f'User "{wanted.identity}" is already homed in the target "{ONLINE}".')
    check_builds(tenant)
    _check_admin(wanted)
    account = _check_cloud_account(tenant, user, wanted)
    voice = tenant.voice(account.id)
    effects = skype.put(tenant, user, replace(user, provider=ONLINE, pool=None))
    effects += tenant.set_ad_user(user.sam, {"msRTCSIP-DeploymentLocator": ONLINE, "msRTCSIP-PrimaryHomeServer": None})
    policies = {**voice.policies, "TeamsUpgradePolicy": UPGRADED}
    keeps_voice = user.enterprise_voice and tenant.may_hold(account, "directRouting")
    # The line stays in the local directory: it blocks a number of the cloud until it is cleared and synchronised.
    return effects + tenant.change_voice(
        voice, homed_on_premises=False, policies=policies, enterprise_voice=keeps_voice
    )


def _to_pool(tenant: Tenant, user: SkypeUser, pool: str) -> list[Effect]:
    if user.pool == pool:
        raise bad_request(f'User is already homed in the target pool "{pool}".')
    effects = skype.put(tenant, user, replace(user, provider=ON_PREMISES, pool=pool))
    changes: dict[str, str | None] = {"msRTCSIP-DeploymentLocator": ON_PREMISES}
    changes["msRTCSIP-PrimaryHomeServer"] = f"CN={pool}"
    effects += tenant.set_ad_user(user.sam, changes)
    user_id = tenant.by_sam.get(user.sam)
    if user_id is None or user.provider == ON_PREMISES:
        return effects
    voice = tenant.voice(user_id)
    policies = {kind: name for kind, name in voice.policies.items() if kind != "TeamsUpgradePolicy"}
    return effects + tenant.change_voice(voice, homed_on_premises=True, policies=policies)


def check_builds(tenant: Tenant) -> None:
    """Refuse a server or a Teams module that is too old; parts of a version compare as numbers."""
    build = version(tenant.settings.skype_build)
    oldest = OLDEST.get(build[0], OLDEST[7])
    if build < oldest:
        spoken = ".".join(map(str, oldest))
        raise bad_request(
            f"Move-CsUser to Teams requires Skype for Business Server build {spoken} or later; "
            f"this server has {tenant.settings.skype_build}."
        )
    if version(tenant.settings.module_version) < OLDEST_MODULE:
        spoken = ".".join(map(str, OLDEST_MODULE))
        raise bad_request(f"Move-CsUser to Teams requires Teams PowerShell module {spoken} or later.")


def version(text: str) -> tuple[int, ...]:
    """Read a version as numbers."""
    return tuple(int(part) for part in text.partition("-")[0].split(".") if part.isdigit())


def _check_admin(wanted: Move) -> None:
    domain = wanted.admin.casefold().rpartition("@")[2]
    if wanted.admin and not domain.endswith(".onmicrosoft.com") and not wanted.override_url:
        raise bad_request(
            "HostedMigrationOverrideUrl is required because the administrator's account is not of an "
            "onmicrosoft.com domain."
        )


def _check_cloud_account(tenant: Tenant, user: SkypeUser, wanted: Move) -> User:
    """Give the account in the cloud, which must be synchronised and licensed."""
    user_id = tenant.by_sam.get(user.sam)
    account = tenant.users.get(user_id) if user_id else None
    if account is None:
        raise bad_request(f'User "{wanted.identity}" is not synchronised to the tenant.')
    features = tenant.features(account)
    if "Teams" not in features or not _has_plan(tenant, account, SKYPE_PLAN):
        raise bad_request(
            f'User "{wanted.identity}" is not licensed: Teams and Skype for Business Online (Plan 2) are required.'
        )
    if user.enterprise_voice and "PhoneSystem" not in features and not wanted.bypass_voice_check:
        raise bad_request(
            f'User "{wanted.identity}" is enabled for Enterprise Voice and has no Phone System licence. Assign one or '
            "use -BypassEnterpriseVoiceCheck."
        )
    return account


def _has_plan(tenant: Tenant, account: User, name: str) -> bool:
    for licence in account.licences:
        plans = tenant.skus[licence.sku_id].plans
        if any(plan.name == name and plan.plan_id not in licence.disabled_plans for plan in plans):
            return True
    return False
