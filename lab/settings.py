"""What can be turned in the stand-in tenant while it runs; the control port shows and changes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from lab.records import Json
from lab.rules import bad_request

GRAPH_ROLES = (
    "User.Read.All",
    "User.ReadWrite.All",
    "Group.Read.All",
    "GroupMember.Read.All",
    "GroupMember.ReadWrite.All",
    "Organization.Read.All",
    "LicenseAssignment.ReadWrite.All",
    "TeamsTelephoneNumber.ReadWrite.All",
    "TeamsUserConfiguration.Read.All",
    "TeamsPolicyUserAssign.ReadWrite.All",
)


# What the session configuration `VoiceOperators` lets one run: globs, case ignored.
JEA_COMMANDS = (
    "Connect-MicrosoftTeams",
    "Disconnect-MicrosoftTeams",
    "Get-Command",
    "Get-Cs*",
    "Set-CsPhoneNumberAssignment",
    "Remove-CsPhoneNumberAssignment",
    "Grant-Cs*",
    "Select-Object",
    "Measure-Object",
    "Out-Null",
)


@dataclass(slots=True)
class Settings:
    """Delays are lab seconds, except `operation_delay_s`: real seconds for each call."""

    licence_delay_s: float = 0.0
    assignment_delay_s: float = 0.0
    order_delay_s: float = 0.0
    batch_delay_s: float = 0.0
    group_policy_delay_s: float = 0.0
    replication_lag_s: float = 0.0
    directory_sync_delay_s: float = 0.0
    operation_delay_s: float = 0.0
    module_version: str = "7.4.0"
    hybrid_share: float = 0.0  # of the sample people, read at the start only
    skype_build: str = "7.0.2046.524"
    front_end_lag_s: float = 0.0
    stale_replicas: tuple[str, ...] = ()
    shells_per_user: int = 3
    shells_per_tenant: int = 9
    allow_unencrypted: bool = False
    jea_commands: tuple[str, ...] = JEA_COMMANDS
    extension_clashes: bool = False
    licence_loss_releases: bool = True
    usage_overflow: bool = False
    gateways_down: tuple[str, ...] = ()
    token_lifetime_s: int = 3599
    token_refresh_in_s: int = 0
    delta_token_days: int = 7
    delta_expired_status: int = 410
    wrapped_operations: bool = False
    rules_per_dial_plan: int = 25
    roles: tuple[str, ...] = GRAPH_ROLES

    def as_json(self) -> dict[str, Json]:
        """Give every setting."""
        return asdict(self)

    def change(self, values: Mapping[str, Json]) -> None:
        """Change some settings; refuses unknown names and wrong types, then nothing is changed."""
        kinds = {item.name: type(getattr(self, item.name)) for item in fields(self)}
        checked = {name: _convert(name, value, kinds.get(name)) for name, value in values.items()}
        for name, value in checked.items():
            setattr(self, name, value)


def _convert(name: str, value: Json, kind: type | None) -> object:
    """Bring a JSON value to a setting's type."""
    if kind is None:
        raise bad_request(f"there is no setting '{name}'")
    if kind is tuple and isinstance(value, list):
        return tuple(str(item) for item in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise bad_request(f"setting '{name}' wants {kind.__name__}, not {value!r}")
    return value
