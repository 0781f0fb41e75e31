"""Where a PowerShell endpoint is and how to sign in to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from config.errors import InputRefused

# The endpoint ends a session that nobody used for so long; so a process that died keeps its places no longer.
IDLE_TIMEOUT_S = 300

Authentication = Literal["basic", "certificate", "kerberos", "negotiate", "ntlm"]


@dataclass(frozen=True)
class Endpoint:
    """A WSMan endpoint; `allows_scripts` is False for session configurations that take single cmdlets only."""

    server: str
    port: int = 5986
    path: str = "wsman"
    ssl: bool = True
    auth: Authentication = "negotiate"
    username: str | None = None
    password: SecretStr | None = None
    ca_bundle: Path | None = None
    certificate_file: Path | None = None
    private_key_file: Path | None = None
    configuration_name: str = "Microsoft.PowerShell"
    allows_scripts: bool = True

    def __post_init__(self) -> None:
        if self.auth in {"basic", "certificate"} and not self.ssl:
            raise InputRefused(
                f"{self.auth} sign-in without TLS would send the secret in the clear",
                where=f"powershell endpoint {self.server}",
                remedy="set ssl = true or choose negotiate",
            )
        if self.auth == "basic" and (self.username is None or self.password is None):
            raise InputRefused(
                "basic sign-in needs a user name and a password", where=f"powershell endpoint {self.server}"
            )

    @property
    def sign_in_remedy(self) -> str:
        """Say what to do about a refused sign-in."""
        if self.auth == "certificate":
            return "check that the host maps this certificate to an account"
        return "correct the user name or password"

    @property
    def account(self) -> str:
        """Name who signs in where: sessions and pauses are counted for this."""
        return f"{self.username or 'certificate'}@{self.address}"

    @property
    def address(self) -> str:
        """Give the address for messages: server, port and path."""
        return f"{self.server}:{self.port}/{self.path}"
