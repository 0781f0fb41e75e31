"""Skype for Business Server through its own endpoint, which takes single cmdlets only: what it says about numbers."""

from __future__ import annotations

from typing import Self

from connectors.bags import text_of
from connectors.clixml import Bag
from connectors.powershell import PowerShell
from connectors.shell_probe import probed
from datasets.findings import Finding
from datasets.unassigned_ranges import UnassignedRange


class SkypeServer:
    """The servers of one site; safe to share between threads. The shell is closed with it."""

    def __init__(self, shell: PowerShell, *, deadline_s: float = 120.0) -> None:
        self.shell, self._deadline_s = shell, deadline_s

    def __enter__(self) -> Self:
        """Give itself; sessions are opened when first needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the sessions."""
        self.close()

    def close(self) -> None:
        """Close the sessions."""
        self.shell.close()

    def unassigned_ranges(self) -> list[UnassignedRange]:
        """Read the ranges whose unassigned numbers the servers answer."""
        return [_range(bag) for bag in self.shell.cmdlet("Get-CsUnassignedNumber", {}, deadline_s=self._deadline_s)]

    def probe(self) -> list[Finding]:
        """Tell whether the endpoint answers, accepts us and can read."""
        return probed("skype for business server", self.shell.endpoint, self.unassigned_ranges)


def _range(bag: Bag) -> UnassignedRange:
    first, last = (text_of(bag, f"NumberRange{end}").removeprefix("tel:") for end in ("Start", "End"))
    return UnassignedRange(name=text_of(bag, "Identity"), start=first, end=last)
