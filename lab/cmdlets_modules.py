"""All commands of the lab, and the commands that tell which ones there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lab.cmdlets import Call, Cmdlet, Parameter, Registry, needed, unknown_command
from lab.cmdlets_calling import CALLING
from lab.cmdlets_core import ALIASES, CORE
from lab.cmdlets_dial_plans import DIAL_PLANS
from lab.cmdlets_directory import DIRECTORY
from lab.cmdlets_directory_groups import DIRECTORY_GROUPS
from lab.cmdlets_engine import Engine
from lab.cmdlets_host import host_of
from lab.cmdlets_locations import LOCATIONS
from lab.cmdlets_number_settings import NUMBER_SETTINGS
from lab.cmdlets_numbers import NUMBERS
from lab.cmdlets_orders import ORDERS
from lab.cmdlets_policies import GRANTS
from lab.cmdlets_policy_batches import POLICY_BATCHES
from lab.cmdlets_resource_accounts import RESOURCE_ACCOUNTS
from lab.cmdlets_routing import ROUTING
from lab.cmdlets_secure import SECURE
from lab.cmdlets_skype import SKYPE_SHARED, SKYPE_USERS
from lab.cmdlets_skype_devices import SKYPE_DEVICES
from lab.cmdlets_skype_forwarding import SKYPE_FORWARDING
from lab.cmdlets_skype_groups import SKYPE_GROUPS
from lab.cmdlets_skype_numbers import SKYPE_NUMBERS
from lab.cmdlets_skype_server import SKYPE_SERVER
from lab.cmdlets_streams import STREAMS
from lab.cmdlets_teams import TEAMS
from lab.cmdlets_users import USERS
from lab.cmdlets_voice_settings import VOICE_SETTINGS
from lab.posh_compare import wildcard
from lab.posh_errors import ErrorRecord
from lab.posh_values import EnumValue, PsObject, Value

_CMDLET = EnumValue("System.Management.Automation.CommandTypes", "Cmdlet", 8)
_BUILT_IN = "7.4.0.0"


def get_command(call: Call) -> Iterator[Value]:
    """Get-Command: the commands this endpoint would run."""
    modules = {name.lower() for name in call.texts("Module")}
    for name in call.texts("Name") or ["*"]:
        found = [item for item in _known(call) if wildcard(name).match(item.name)]
        found = [item for item in found if not modules or item.module.lower() in modules]
        if not found and "*" not in name and "?" not in name:
            call.error(unknown_command(name))
        for item in found:
            yield _command(call, item)


def _known(call: Call) -> list[Cmdlet]:
    commands = call.scope.run.commands
    return commands.available() if isinstance(commands, Engine) else []


def _command(call: Call, item: Cmdlet) -> PsObject:
    parameters = [parameter.name for parameter in item.parameters]
    props: list[tuple[str, Value]] = [
        ("Name", item.name),
        ("CommandType", _CMDLET),
        ("ModuleName", item.module),
        ("Source", item.module),
        ("Version", _versions(call).get(item.module, _BUILT_IN)),
        ("Parameters", list(parameters)),
    ]
    return PsObject(
        props, types=("System.Management.Automation.CmdletInfo", "System.Object"), adapted=True, text=item.name
    )


def _versions(call: Call) -> dict[str, str]:
    settings = host_of(call).parts.settings
    on_premises = {"ActiveDirectory": "1.0.1.0", "SkypeForBusiness": settings.skype_build}
    return {"MicrosoftTeams": settings.module_version, **on_premises}


def get_module(call: Call) -> Iterator[Value]:
    """Get-Module: the two modules of this host; without -ListAvailable only those in use."""
    host = host_of(call)
    for name, version in _versions(call).items():
        loaded = name in host.imported or (name == "MicrosoftTeams" and host.connection is not None)
        wanted = call.texts("Name") or ["*"]
        if (call.flag("ListAvailable") or loaded) and any(wildcard(text).match(name) for text in wanted):
            yield _module(name, version)


def _module(name: str, version: str) -> PsObject:
    kind = EnumValue("System.Management.Automation.ModuleType", "Manifest", 2)
    props: list[tuple[str, Value]] = [("Name", name), ("Version", version.partition("-")[0]), ("ModuleType", kind)]
    return PsObject(
        props, types=("System.Management.Automation.PSModuleInfo", "System.Object"), adapted=True, text=name
    )


def import_module(call: Call) -> Iterable[Value]:
    """Import-Module: the two modules are there anyway; another name is refused."""
    for name in call.texts("Name"):
        known = next((item for item in _versions(call) if item.lower() == name.lower()), None)
        if known is None:
            text = (
                f"The specified module '{name}' was not loaded because no valid module file was found in any module "
                "directory."
            )
            missing = "System.IO.FileNotFoundException"
            call.error(ErrorRecord(text, "Modules_ModuleNotFound", "ResourceUnavailable", missing, target=name))
        else:
            host_of(call).imported.add(known)
    return []


_MODULES = (
    Cmdlet("Get-Command", get_command, (Parameter("Name", "strings", position=0), Parameter("Module", "strings"))),
    Cmdlet("Get-Module", get_module, (Parameter("Name", "strings", position=0), Parameter("ListAvailable", "switch"))),
    Cmdlet(
        "Import-Module",
        import_module,
        (Parameter("Name", "strings", position=0, sets=needed()), Parameter("Force", "switch")),
    ),
)

_VOICE = (*RESOURCE_ACCOUNTS, *ROUTING, *DIAL_PLANS, *VOICE_SETTINGS, *CALLING)
_TEAMS = (*_VOICE, *TEAMS, *USERS, *NUMBERS, *NUMBER_SETTINGS, *ORDERS, *LOCATIONS, *GRANTS, *POLICY_BATCHES)
_SKYPE = (*SKYPE_USERS, *SKYPE_SERVER, *SKYPE_NUMBERS, *SKYPE_DEVICES, *SKYPE_GROUPS, *SKYPE_FORWARDING)

REGISTRY = Registry((*CORE, *STREAMS, *SECURE, *_MODULES, *_TEAMS, *DIRECTORY, *DIRECTORY_GROUPS, *_SKYPE), ALIASES)

# What a session that is made for management from afar has beside the cmdlets of its roles.
_REMOTE_SERVER = frozenset({"Get-Command", "Measure-Object", "Select-Object"})
_REMOTE = (item for item in (*CORE, *_MODULES) if item.name in _REMOTE_SERVER)
SKYPE_REGISTRY = Registry((*_REMOTE, *_SKYPE, *SKYPE_SHARED), {})
