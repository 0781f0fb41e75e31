"""Session configurations: which commands a resource URI offers, and whether it takes script text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from lab.cmdlets import Registry
from lab.cmdlets_core import ALIASES
from lab.cmdlets_modules import REGISTRY, SKYPE_REGISTRY
from lab.settings import Settings
from lab.wsman_soap import POWERSHELL, unknown_resource

FULL = "Microsoft.PowerShell"
JEA = "VoiceOperators"


@dataclass(frozen=True)
class Configuration:
    """What a shell of this configuration may do; an empty list allows every command of the address."""

    name: str
    scripts: bool
    commands: Registry = REGISTRY
    allowed: tuple[str, ...] = ()

    def registry(self) -> Registry:
        """Give the commands; the others are not known at all."""
        if not self.allowed:
            return self.commands
        return Registry((item for item in self.commands.all() if _fits(item.name, self.allowed)), ALIASES)


def _fits(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(name.lower(), glob.lower()) for glob in globs)


def configuration(resource: str, settings: Settings, *, scripts: bool) -> Configuration:
    """Find the configuration of a resource URI; the address without script text is that of the Skype servers."""
    name = resource.removeprefix(f"{POWERSHELL}/").partition("?")[0]
    if name.lower() == FULL.lower():
        return Configuration(FULL, scripts, REGISTRY if scripts else SKYPE_REGISTRY)
    if name.lower() == JEA.lower() and scripts:
        return Configuration(JEA, scripts=False, allowed=settings.jea_commands)
    raise unknown_resource(resource)
