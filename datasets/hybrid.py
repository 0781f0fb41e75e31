"""Users of a hybrid deployment: what the Skype for Business Server knows of them, and what a move needs of Entra ID."""

from __future__ import annotations

from typing import ClassVar

from datasets import users
from datasets.record import Record
from datasets.users import DirectoryUser

ON_PREMISES_PROVIDER = "SRV:"
# Identities of service plans are the same in every tenant.
SKYPE_ONLINE_PLAN_2 = "0feaeb32-d00e-4d66-bd5a-43b5b83db82c"
TEAMS_PLAN = "57ff2da0-773e-42df-b2af-ffb7a2317929"
PHONE_SYSTEM_PLAN = users.PHONE_SYSTEM_PLAN
TEAMS_ONLY_POLICY = "UpgradeToTeams"
CLOUD, SERVER = "cloud", "server"


class SkypeUser(Record):
    """A user who is enabled on the Skype for Business Server, whether homed there or moved to the cloud.

    `sip_address` is bare and in lower case; `line_uri` is as the server has it, `tel:+43…;ext=1`.
    """

    identity: ClassVar[tuple[str, ...]] = ("sip_address",)

    sip_address: str
    sam_account_name: str
    user_principal_name: str = ""
    registrar_pool: str | None = None
    hosting_provider: str | None = None
    line_uri: str | None = None
    is_enabled: bool = True
    is_enterprise_voice_enabled: bool = False

    @property
    def is_on_premises(self) -> bool:
        """Tell whether the user is homed on a pool of the server."""
        return self.hosting_provider in (None, ON_PREMISES_PROVIDER)

    @property
    def home(self) -> str | None:
        """Give where the user is homed: a pool, or the host of a hosting provider; in lower case, as names compare."""
        place = self.registrar_pool if self.is_on_premises else self.hosting_provider
        return None if place is None else place.casefold()

    @property
    def object(self) -> str:
        """Give the name by which plans and records speak of this user of the server."""
        return f"skype:{self.sip_address}"


class HybridAccount(Record):
    """A Graph user with what a move to Teams depends on; `plan_ids` are the service plans that are switched on."""

    identity: ClassVar[tuple[str, ...]] = ("id",)

    account: DirectoryUser
    is_synchronised: bool = False
    sip_addresses: tuple[str, ...] = ()
    plan_ids: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Give the object id."""
        return self.account.id
