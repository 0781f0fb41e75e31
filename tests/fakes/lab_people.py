"""People of a stand-in tenant by what they are ready for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from lab.catalogue import E5
from lab.records import DIRECT_ROUTING, Licence, User
from lab.tenant import Tenant

FREE_NUMBER = "+431934601234"  # in no inventory: a Direct Routing number that was never uploaded
OTHER_NUMBER = "+431934601235"


def without_licence(tenant: Tenant) -> list[User]:
    """Give the people who have a usage location and no licence."""
    users = tenant.users.values()
    return [user for user in users if user.account_type == "user" and user.text("usageLocation") and not user.licences]


def with_number(tenant: Tenant) -> list[User]:
    """Give the people who hold a number of the cloud."""
    people = [user for user in tenant.users.values() if user.account_type == "user"]
    return [user for user in people if any(n.source == "online" for n in tenant.numbers_held_by(user.id))]


def anybody(_user: User) -> bool:
    """Take everybody."""
    return True


def ready(tenant: Tenant, count: int = 4, *, among: Callable[[User], bool] = anybody) -> list[User]:
    """License some people long enough ago and give them: each may get a number now."""
    made = []
    for user in list(filter(among, without_licence(tenant)))[:count]:
        tenant.assign_licence(user.id, E5)
        licence = Licence(E5, tenant.clock.now() - timedelta(days=1))
        tenant.put_user(User(user.id, user.fields, (licence,), user.account_type))
        made.append(tenant.users[user.id])
        assert tenant.may_hold(made[-1], DIRECT_ROUTING)
    return made
