"""The page of all cmdlets the lab knows, made from the registry: `python -m lab.reference > docs/lab-cmdlets.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from lab.cmdlets import EVERY_SET, Cmdlet, Parameter
from lab.cmdlets_modules import REGISTRY

MODULES = {
    "MicrosoftTeams": "Teams, after `Connect-MicrosoftTeams`",
    "SkypeForBusiness": "Skype for Business Server",
    "ActiveDirectory": "Active Directory",
}
_HEAD = """# Cmdlets of the stand-in tenant

Made by `python -m lab.reference`; what they do is in [lab-powershell.md](lab-powershell.md). A star marks a parameter
that is mandatory in some parameter set, a number the first module version that has the cmdlet, parameter set, parameter
or value before it. All take the common parameters; those that change something take `-WhatIf` and `-Confirm`.
"""


def page() -> str:
    """Write the page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _HEAD
    for module, title in MODULES.items():
        cmdlets = [cmdlet for cmdlet in REGISTRY.all() if cmdlet.module == module]
        yield f"## {title}\n"
        yield "| cmdlet | parameters |"
        yield "|---|---|"
        yield from (_row(cmdlet) for cmdlet in cmdlets)
        yield ""


def _row(cmdlet: Cmdlet) -> str:
    later = "".join(f"; set {name}{_since(since)}" for name, since in cmdlet.sets_since.items())
    name = f"`{cmdlet.name}`{_since(cmdlet.since)}{later}"
    return f"| {name} | {' '.join(_shown(item) for item in cmdlet.parameters) or '-'} |"


def _shown(item: Parameter) -> str:
    star = "\\*" if item.needed_in(EVERY_SET) or any(item.sets.values()) else ""
    later = "".join(f" `{name}`{_since(since)}" for name, since in item.choices_since.items())
    return f"`-{item.name}`{star}{_since(item.since)}{later}"


def _since(version: tuple[int, ...]) -> str:
    return f" ({'.'.join(map(str, version))})" if version else ""


if __name__ == "__main__":
    sys.stdout.write(page())
