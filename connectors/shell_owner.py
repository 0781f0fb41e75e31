"""What connectors over a PowerShell endpoint have in common: the shell is theirs, and is closed with them."""

from __future__ import annotations

from typing import Self

from connectors.powershell import PowerShell


class ShellOwner:
    """A context manager around the shell that a connector works with."""

    shell: PowerShell

    def __enter__(self) -> Self:
        """Give itself; sessions are opened when first needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the sessions."""
        self.close()

    def close(self) -> None:
        """Close the sessions."""
        self.shell.close()
