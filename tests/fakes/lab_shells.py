"""Stock pypsrp clients of a running lab: over TLS, with the certificates and the password it tells of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.wsman import WSMan

from lab.server import Lab


def pool_at(lab: Lab, address: str) -> RunspacePool:
    """Make a pool for `powershell` or `ocs_powershell`; it opens with `with`."""
    place: Any = lab.endpoints[address]
    who = {"username": place["username"], "password": Path(place["password_file"]).read_text().strip()}
    trust = {"ssl": True, "auth": "basic", "cert_validation": str(lab.endpoints["ca_bundle"])}
    return RunspacePool(WSMan(place["server"], port=place["port"], path=place["path"], **who, **trust))


def run(pool: RunspacePool, cmdlet: str, **parameters: object) -> tuple[list[Any], str]:
    """Run one cmdlet: its output, and the text of its first error."""
    with PowerShell(pool) as shell:
        shell.add_cmdlet(cmdlet).add_parameters(parameters)
        found = shell.invoke()
        return found, str(shell.streams.error[0]) if shell.streams.error else ""


@contextmanager
def teams_pool(lab: Lab) -> Iterator[RunspacePool]:
    """Open a pool that is connected to Teams."""
    with pool_at(lab, "powershell") as pool:
        login = {"TenantId": "contoso.example", "ApplicationId": lab.endpoints["client_id"]}
        assert run(pool, "Connect-MicrosoftTeams", **login, CertificateThumbprint="A1" * 20)[1] == ""
        yield pool
