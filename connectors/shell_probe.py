"""What a probe says about a PowerShell endpoint, in lines a person can act on."""

from __future__ import annotations

from collections.abc import Callable

from connectors.errors import ConnectorError, NotAllowed, Throttled, Unreachable, Unsupported
from connectors.shell_endpoint import Endpoint
from connectors.shell_errors import SYSTEM
from datasets.findings import Finding

_FIXES: dict[type[ConnectorError], str] = {
    Unreachable: "check the address, the firewall and that remoting is enabled on the host",
    NotAllowed: "check the account, its password and its right to use the session configuration",
    Throttled: "close other sessions of this account or lower `sessions`",
    Unsupported: "install the module on the host and let the session configuration show its cmdlets",
}


def probed(name: str, endpoint: Endpoint, read: Callable[[], object]) -> list[Finding]:
    """Try one harmless read and tell how it went."""
    try:
        read()
    except ConnectorError as error:
        what, _, remedy = str(error).partition(" ; ")
        # A refusal knows its reason (certificate, password, token); that nobody answers may have any.
        is_reasoned = isinstance(error, NotAllowed) or error.system != SYSTEM
        fix = remedy if is_reasoned and remedy else _FIXES.get(type(error), remedy)
        return [Finding(name=name, ok=False, detail=what, fix=fix)]
    return [Finding(name=name, ok=True, detail=f"{endpoint.address} as {endpoint.username or 'this account'}")]
