"""Connecting to Teams, and the tenant itself."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lab.cmdlets import Call, Cmdlet, Parameter, allowed, needed
from lab.cmdlets_host import Connection, host_of, teams_host
from lab.posh_errors import ErrorRecord
from lab.posh_values import PsObject, Value
from lab.rules import Refusal
from lab.tenant import View
from lab.tokens import GRAPH_AUDIENCE, TEAMS_AUDIENCE

MODULE = "MicrosoftTeams"
_MODELS = "Microsoft.Teams.ConfigAPI.Cmdlets.Generated.Models."
_CERTIFICATES = ("ServicePrincipalCertificate", "ServicePrincipalCertificateThumbprint")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)
_THUMBPRINT = re.compile(r"[0-9a-f]{40}\Z", re.IGNORECASE)


def connect(call: Call) -> Iterable[Value]:
    """Connect-MicrosoftTeams: two tokens, or an application with a certificate (its shape is what is checked)."""
    host = host_of(call)
    ways = {"AccessTokens": _by_tokens, **dict.fromkeys(_CERTIFICATES, _by_certificate)}

    def look(_view: View) -> Iterable[Value]:
        host.connection = ways.get(call.set_name, _interactive)(call)
        return [_context(host.connection.account, host.parts.tenant.tenant_id)]

    return host.read(call, look, tell=_connect_error)


def _context(account: str, tenant_id: str) -> PsObject:
    props: list[tuple[str, Value]] = [
        ("Account", account),
        ("Environment", "AzureCloud"),
        ("Tenant", tenant_id),
        ("TenantId", tenant_id),
    ]
    type_ = "Microsoft.TeamsCmdlets.Powershell.Connect.Models.PSAzureContext"
    return PsObject(props, types=(type_, "System.Object"), adapted=True)


def _interactive(_call: Call) -> Connection:
    raise _refusal("Interactive sign-in is not possible in a remote session.")


def _by_tokens(call: Call) -> Connection:
    tokens = call.texts("AccessTokens")
    if len(tokens) != 2:
        raise _refusal("Two access tokens are required: Microsoft Graph, then Skype and Teams Tenant Admin API.")
    verify = host_of(call).parts.tokens.verify
    graph, teams = verify(tokens[0], GRAPH_AUDIENCE), verify(tokens[1], TEAMS_AUDIENCE)
    if graph.get("appid") != teams.get("appid") or ("scp" in graph) != ("scp" in teams):
        raise _refusal("Both access tokens must be of the same kind and for the same application.")
    _check_tenant(call)
    account = str(graph.get("upn") or graph.get("appid") or graph.get("sub") or "token")
    ends = min(float(str(claims["exp"])) for claims in (graph, teams))
    return Connection(account, ends, app_only="scp" not in graph)


def _by_certificate(call: Call) -> Connection:
    application, thumbprint = call.text("ApplicationId"), call.text("CertificateThumbprint")
    if not _GUID.match(application):
        raise _refusal(f"AADSTS700016: Application with identifier '{application}' was not found.")
    if call.has("CertificateThumbprint") and not _THUMBPRINT.match(thumbprint):
        raise _refusal(f"Could not find a certificate with thumbprint {thumbprint}.")
    if call.has("Certificate") and call.bound.get("Certificate") is None:
        raise _refusal("The certificate is empty.")
    _check_tenant(call)
    return Connection(application)


def _check_tenant(call: Call) -> None:
    tenant = host_of(call).parts.tenant
    given = call.text("TenantId").lower()
    if given and given not in (tenant.tenant_id.lower(), tenant.domain):
        raise _refusal(f"AADSTS90002: Tenant '{call.text('TenantId')}' not found.")


def _refusal(message: str) -> Refusal:
    return Refusal("AuthenticationFailed", message, status=401)


def _connect_error(refusal: Refusal) -> ErrorRecord:
    return ErrorRecord(refusal.message, "Connect-MicrosoftTeams", "AuthenticationError", "System.AggregateException")


def disconnect(call: Call) -> Iterable[Value]:
    """Disconnect-MicrosoftTeams: forget the connection."""
    host = host_of(call)

    def look(_view: View) -> Iterable[Value]:
        host.connection = None
        return []

    return host.read(call, look)


def tenant(call: Call) -> Iterable[Value]:
    """Get-CsTenant: the tenant itself."""
    host = teams_host(call)

    def look(view: View) -> Iterable[Value]:
        own = view.tenant
        props: list[tuple[str, Value]] = [
            ("TenantId", own.tenant_id),
            ("DisplayName", own.display_name),
            ("Domains", [own.domain]),
            ("CountryAbbreviation", "AT"),
            ("PreferredLanguage", "en-US"),
            ("SyncEnabled", True),
        ]
        return [PsObject(props, types=(_MODELS + "TenantModel", "System.Object"), adapted=True)]

    return host.read(call, look, [host.parts.tenant.tenant_id])


_TENANT_SETS = {"UserCredential": False, "AccessTokens": False} | needed(*_CERTIFICATES)

TEAMS = (
    Cmdlet(
        "Connect-MicrosoftTeams",
        connect,
        (
            Parameter("TenantId", sets=_TENANT_SETS),
            Parameter("AccessTokens", "strings", sets=needed("AccessTokens")),
            Parameter("ApplicationId", sets=needed(*_CERTIFICATES)),
            Parameter("Certificate", "any", sets=needed(_CERTIFICATES[0])),
            Parameter("CertificateThumbprint", sets=needed(_CERTIFICATES[1])),
            Parameter("Credential", "any", sets=allowed("UserCredential")),
            Parameter("AccountId", sets=allowed("UserCredential")),
            Parameter("UseDeviceAuthentication", "switch", sets=allowed("UserCredential")),
            Parameter("DisableWAM", "switch", sets=allowed("UserCredential")),
            Parameter("Identity", "switch", aliases=("MSI",), sets=needed("ManagedServiceLogin")),
            Parameter("TeamsEnvironmentName", sets=allowed("UserCredential")),
            Parameter("LogLevel", choices=("Info", "Error", "Warning", "None")),
            Parameter("LogFilePath"),
        ),
        default_set="UserCredential",
        module=MODULE,
        changes=True,
        sets_since={_CERTIFICATES[0]: (4, 9, 2), _CERTIFICATES[1]: (4, 7, 1), "ManagedServiceLogin": (5, 8, 1)},
    ),
    Cmdlet("Disconnect-MicrosoftTeams", disconnect, module=MODULE, changes=True),
    Cmdlet("Get-CsTenant", tenant, module=MODULE),
)
