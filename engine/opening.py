"""From settings to open systems: which connectors a site has, with which credentials. Secrets are resolved here, late.

Nothing is contacted by opening; each connector connects when it is first used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.errors import InputRefused
from config.secret_refs import SecretRef
from config.sections import PowerShellSettings, SkypeSettings, TenantSettings
from config.settings import Settings
from connectors.app_registration import AppRegistration, ClientCertificate, ClientSecret
from connectors.database import Database
from connectors.directory import Directory
from connectors.graph import Graph
from connectors.powershell import PowerShell
from connectors.rest import GraphEndpoint
from connectors.shell_endpoint import Endpoint
from connectors.shell_errors import SYSTEM
from connectors.shell_places import Quota
from connectors.skype import MoveOptions, SkypeServer
from connectors.teams import Teams
from connectors.teams_calling import TeamsCalling
from connectors.teams_numbering import TeamsNumbering
from connectors.teams_policy_batches import TeamsPolicyBatches
from connectors.teams_shell import GRAPH_SCOPE, TEAMS_SCOPE, TeamsShell
from connectors.throttle import SHARED_PAUSES, HoldSource
from connectors.tokens import Tokens
from engine.session_quota import SessionQuota
from engine.shared_pauses import SharedPauses
from engine.systems import Systems
from engine.turnstile import Turnstile

# A look at a line concerns its user in up to four systems.
READS_AT_ONCE = 4


@dataclass(frozen=True)
class OpenSystems:
    """The connectors of one site; the PowerShell ones are None where no management host is set."""

    graph: Graph
    teams: Teams
    directory: Directory | None = None
    shell: TeamsShell | None = None
    numbering: TeamsNumbering | None = None
    skype: SkypeServer | None = None
    calling: TeamsCalling | None = None
    turnstile: Turnstile | None = None
    policy_batches: TeamsPolicyBatches | None = None

    def for_engine(self) -> Systems:
        """Give them as the engine wants them."""
        return Systems(
            graph=self.graph,
            teams=self.teams,
            directory=self.directory,
            shell=self.shell,
            numbering=self.numbering,
            skype=self.skype,
            calling=self.calling,
            turnstile=self.turnstile,
            reads_at_once=READS_AT_ONCE,
            policy_batches=self.policy_batches,
        )


@contextmanager
def open_systems(settings: Settings, database: Database | None = None) -> Iterator[OpenSystems]:
    """Open the systems of a site; with a database, processes share pauses and session quota through it.

    Raises InputRefused for a missing tenant or secret.
    """
    tenant = settings.require_tenant()
    pauses: HoldSource = SHARED_PAUSES if database is None else SharedPauses(database)
    with ExitStack() as stack:
        tokens = stack.enter_context(Tokens(app_registration(tenant)))
        graph = stack.enter_context(Graph(GraphEndpoint(tenant.graph_url, tenant.ca_bundle), tokens, pauses=pauses))
        directory = shell = numbering = calling = policy_batches = None
        if settings.powershell is not None:
            host = endpoint(settings.powershell)
            quota = _quota(stack, database, host, settings.powershell.sessions)
            for_directory, for_teams = _shared(settings.powershell.sessions)
            hold = pauses(host.account, SYSTEM)
            at_directory = PowerShell(host, sessions=for_directory, quota=quota, hold=hold)
            directory = stack.enter_context(Directory(at_directory))
            teams_host = PowerShell(host, sessions=for_teams, quota=quota, hold=hold)
            stack.push(_cancelling(at_directory, teams_host))
            shell = stack.enter_context(TeamsShell(teams_host, tokens.token, tenant_id=tenant.tenant_id))
            numbering, calling = TeamsNumbering(teams_host), TeamsCalling(teams_host)
            policy_batches = TeamsPolicyBatches(teams_host)
        on_premises = settings.ocs_powershell
        skype = None if on_premises is None else _skype(stack, on_premises, tokens, database, pauses)
        turnstile = Turnstile(on_premises.sessions, skype.shell.waiting) if skype and on_premises else None
        yield OpenSystems(graph, Teams(graph), directory, shell, numbering, skype, calling, turnstile, policy_batches)


def _skype(
    stack: ExitStack, host: SkypeSettings, tokens: Tokens, database: Database | None, pauses: HoldSource
) -> SkypeServer:
    """Open the endpoint of the Skype for Business Server, which takes no scripts."""
    place = endpoint(host, "ocs_powershell", allows_scripts=False)
    quota = _quota(stack, database, place, host.sessions)
    shell = PowerShell(place, sessions=host.sessions, quota=quota, hold=pauses(place.account, SYSTEM))
    stack.push(_cancelling(shell))
    return stack.enter_context(SkypeServer(shell, _move_options(host, tokens)))


def _move_options(host: SkypeSettings, tokens: Tokens) -> MoveOptions:
    return MoveOptions(
        cloud_host=host.cloud_host,
        hosted_migration_url=host.hosted_migration_url,
        tenant_admin=host.tenant_admin,
        use_oauth=host.use_oauth,
        bypass_voice_check=host.bypass_voice_check,
        domain_controller=host.domain_controller,
        proxy_pool=host.proxy_pool,
        tokens=(lambda: [tokens.token(GRAPH_SCOPE), tokens.token(TEAMS_SCOPE)]) if host.hand_over_tokens else None,
        deadline_s=host.move_deadline_s,
    )


@contextmanager
def open_servers(settings: Settings, database: Database) -> Iterator[SkypeServer | None]:
    """Open the Skype for Business Server alone, to be read without the tenant; None where no endpoint is set."""
    if settings.ocs_powershell is None:
        yield None
        return
    with ExitStack() as stack:
        host = endpoint(settings.ocs_powershell, "ocs_powershell", allows_scripts=False)
        quota = _quota(stack, database, host, settings.ocs_powershell.sessions)
        shell = PowerShell(host, sessions=1, quota=quota, hold=SharedPauses(database)(host.account, SYSTEM))
        yield stack.enter_context(SkypeServer(shell))


@contextmanager
def open_directory(settings: Settings, database: Database) -> Iterator[Directory | None]:
    """Open Active Directory alone, for what can be done without the tenant; None where no management host is set."""
    if settings.powershell is None:
        yield None
        return
    with ExitStack() as stack:
        host = endpoint(settings.powershell)
        quota = _quota(stack, database, host, settings.powershell.sessions)
        shell = PowerShell(host, sessions=1, quota=quota, hold=SharedPauses(database)(host.account, SYSTEM))
        yield stack.enter_context(Directory(shell))


def app_registration(tenant: TenantSettings) -> AppRegistration:
    """Give our identity in the tenant, its secret or certificate fetched."""
    return AppRegistration(
        client_id=tenant.client_id,
        authority=tenant.sign_in_address,
        credential=_credential(tenant),
        ca_bundle=tenant.ca_bundle,
        instance_discovery=tenant.instance_discovery,
    )


def endpoint(host: PowerShellSettings, section: str = "powershell", *, allows_scripts: bool = True) -> Endpoint:
    """Give the PowerShell endpoint of a section of the settings, its password fetched."""
    return Endpoint(
        server=host.server,
        port=host.port,
        path=host.path,
        ssl=host.ssl,
        auth=host.auth,
        username=host.username,
        password=host.password.resolve(f"{section}.password") if host.password else None,
        ca_bundle=host.ca_bundle,
        certificate_file=host.certificate,
        private_key_file=_key_file(host.private_key, section),
        configuration_name=host.configuration_name,
        allows_scripts=allows_scripts,
    )


def _credential(tenant: TenantSettings) -> ClientSecret | ClientCertificate:
    if tenant.client_secret is not None:
        return ClientSecret(tenant.client_secret.resolve("tenant.client_secret").get_secret_value())
    assert tenant.private_key is not None
    assert tenant.certificate is not None  # settings allow one or the other, and never half of it
    try:
        certificate = tenant.certificate.read_text(encoding="utf-8")
    except OSError as error:
        what = f"{tenant.certificate} cannot be read ({error.strerror})"
        raise InputRefused(what, where="tenant.certificate", remedy="create the file or correct the path") from error
    key = tenant.private_key.resolve("tenant.private_key").get_secret_value()
    return ClientCertificate(private_key=key, certificate=certificate)


def _key_file(reference: SecretRef | None, section: str) -> Path | None:
    """Give the key's file: the TLS library wants a file, so a key in the environment will not do."""
    if reference is None:
        return None
    scheme, _, place = reference.partition(":")
    if scheme != "file":
        remedy = "put the key into a file and write file:PATH"
        raise InputRefused("certificate sign-in needs the key as a file", where=f"{section}.private_key", remedy=remedy)
    return Path(place).expanduser()


def _quota(stack: ExitStack, database: Database | None, host: Endpoint, sessions: int) -> Quota | None:
    """Give the quota of an account at an endpoint, shared with other processes; None without a database."""
    return None if database is None else stack.enter_context(SessionQuota(database, host.account, sessions))


def _cancelling(*shells: PowerShell) -> Callable[[type[BaseException] | None, object, object], None]:
    """Have the pipelines of other threads stopped when the work ends by an error or an interrupt."""

    def leave(kind: type[BaseException] | None, _error: object, _trace: object) -> None:
        if kind is not None:
            for shell in shells:
                shell.cancel()

    return leave


def _shared(sessions: int) -> tuple[int, int]:
    """Share the host's session quota: Teams work comes in bulk, directory work in single pipelines of many rows."""
    return max(1, sessions // 3), max(1, sessions - sessions // 3)
