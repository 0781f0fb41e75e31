"""The sections of the settings: what can be set about the tenant, the endpoints, feeds, chunks and waiting."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from config.secret_refs import SecretRef

Percent = PositiveFloat
Build = Annotated[str, Field(pattern=r"^\d+(\.\d+){1,3}$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class TenantSettings(_Section):
    """The Microsoft 365 tenant and the app registration that we act as."""

    tenant_id: str = Field(min_length=1, description="directory (tenant) id")
    client_id: str = Field(min_length=1, description="application (client) id of our app registration")
    client_secret: SecretRef | None = Field(None, description="reference to the client secret")
    private_key: SecretRef | None = Field(None, description="reference to the PEM private key of our certificate")
    certificate: Path | None = Field(None, description="PEM file of our certificate")
    authority: str = Field("", description="sign-in address; default: login.microsoftonline.com and the tenant id")
    graph_url: str = Field("https://graph.microsoft.com/v1.0", description="address of Microsoft Graph")
    instance_discovery: bool = Field(True, description="ask Microsoft whether the authority is genuine")
    ca_bundle: Path | None = Field(None, description="PEM file of certificate authorities to trust")

    @model_validator(mode="after")
    def _has_one_credential(self) -> Self:
        if (self.private_key is None) != (self.certificate is None):
            raise ValueError("private_key and certificate belong together")
        if (self.client_secret is None) == (self.private_key is None):
            raise ValueError("give either client_secret, or private_key and certificate")
        for name in ("authority", "graph_url"):
            if not (getattr(self, name) or "https://").startswith("https://"):
                raise ValueError(f"{name} must start with https://")
        return self

    @property
    def sign_in_address(self) -> str:
        """Give the authority, or Microsoft's for this tenant."""
        return self.authority or f"https://login.microsoftonline.com/{self.tenant_id}"


class PowerShellSettings(_Section):
    """A PowerShell remoting endpoint: the management host with the Teams and Active Directory modules."""

    server: str = Field(min_length=1, description="host name of the endpoint")
    port: int = Field(5986, ge=1, le=65535, description="port of the endpoint")
    path: str = Field("wsman", description="path of the endpoint")
    ssl: bool = Field(True, description="speak TLS; basic authentication is refused without it")
    auth: Literal["negotiate", "kerberos", "ntlm", "basic", "certificate"] = Field(
        "negotiate", description="how to sign in"
    )
    username: str | None = Field(None, description="account to sign in with")
    password: SecretRef | None = Field(None, description="reference to the password")
    private_key: SecretRef | None = Field(None, description="reference to the PEM key for certificate sign-in")
    certificate: Path | None = Field(None, description="PEM file for certificate sign-in")
    sessions: int = Field(3, ge=1, le=20, description="sessions at once; the endpoint has a quota")
    ca_bundle: Path | None = Field(None, description="PEM file of certificate authorities to trust")
    configuration_name: str = Field("Microsoft.PowerShell", description="session configuration to open")

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.auth == "basic" and not self.ssl:
            raise ValueError("basic authentication without TLS would send the password in clear: set ssl = true")
        if self.auth in ("basic", "ntlm") and not (self.username and self.password):
            raise ValueError(f"{self.auth} authentication needs username and password")
        if self.auth == "certificate" and not (self.certificate and self.private_key):
            raise ValueError("certificate authentication needs certificate and private_key")
        return self


class SkypeSettings(PowerShellSettings):
    """The remote PowerShell of a Skype for Business Server pool, and how users are moved from it to Teams.

    The oldest builds are those that Microsoft names for moves (since 31 July 2022); of each major version the newest.
    """

    port: int = Field(443, ge=1, le=65535, description="port of the endpoint")
    path: str = Field("OcsPowershell", description="path of the endpoint")
    cloud_host: str = Field("", description="where users are moved to; default: asked of the server")
    hosted_migration_url: str | None = Field(
        None, description="migration service of the tenant, for a tenant_admin outside of onmicrosoft.com"
    )
    tenant_admin: str | None = Field(None, description="account of the tenant that moves users")
    use_oauth: bool = Field(False, description="send -UseOAuth, which only 2015 CU8 to CU11 want")
    bypass_voice_check: bool = Field(False, description="move Enterprise Voice users without a Phone System licence")
    hand_over_tokens: bool = Field(False, description="sign a move in with our access tokens")
    domain_controller: str | None = Field(None, description="domain controller to write to")
    proxy_pool: str | None = Field(None, description="pool that moves the users")
    oldest_builds: tuple[Build, ...] = Field(
        ("7.0.2046.385", "6.0.9319.619", "5.0.8308.1182"), description="oldest server builds that may move users"
    )
    oldest_module: Build = Field("6.2.1", description="oldest Teams module that may move users")
    move_deadline_s: float = Field(150, gt=0, le=170, description="seconds that one move may take")

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        admin = (self.tenant_admin or "").casefold()
        if admin and not admin.endswith(".onmicrosoft.com") and not self.hosted_migration_url:
            raise ValueError("a tenant_admin outside of onmicrosoft.com needs hosted_migration_url")
        return self


class FeedLimits(_Section):
    """When a feed is not believed: nothing is written and one alert is raised."""

    shrink_percent: Percent = Field(20, description="fewer rows than the last accepted feed, in percent")
    leavers: NonNegativeInt = Field(25, description="people leaving in one feed")
    leavers_percent: Percent = Field(10, description="people leaving in one feed, in percent of its rows")
    number_changes: NonNegativeInt = Field(25, description="live numbers changed by one feed")
    number_changes_percent: Percent = Field(10, description="live numbers changed, in percent of its rows")
    moves: NonNegativeInt = Field(
        100, description="people given other values, by a move or an edited template, or sent on leave by one feed"
    )
    moves_percent: Percent = Field(20, description="the same in percent of its rows, from six people on")
    steps: NonNegativeInt = Field(100, description="leavers for whom one feed or one night takes steps")
    deletions: NonNegativeInt = Field(25, description="accounts deleted by one feed or in one night")


class CacheLimits(_Section):
    """When an answer of an outside system is not believed: the cache keeps what it had; and how much is read."""

    removed: NonNegativeInt = Field(25, description="objects of a source that may disappear between two syncs")
    removed_percent: Percent = Field(10, description="the same in percent, if that is more")
    forwarding_users: NonNegativeInt = Field(
        200, description="users on-premises whose call forwarding one sync reads; 0: it is not read"
    )
    calling_users: NonNegativeInt = Field(
        300, description="users with Enterprise Voice whose calling settings one sync reads; 0: they are not read"
    )


class DriftLimits(_Section):
    """How far the nightly comparison of templates and users may go."""

    apply: bool = Field(False, description="apply the nightly plan of what may converge; else a person does")
    most_users: NonNegativeInt = Field(100, description="users changed at once; with more nothing is planned")
    most_percent: Percent = Field(20, description="users changed at once, in percent of those onboarded")
    shrink_percent: Percent = Field(20, description="onboarded users missing in an answer, in percent: not believed")
    alert_users: NonNegativeInt = Field(25, description="users who differ until an alert is raised")


class ChunkLimits(_Section):
    """How many lines one task works on."""

    smallest: PositiveInt = Field(4, description="lines in the smallest chunk: the last ones keep the sessions busy")
    largest: PositiveInt = Field(50, description="lines in the largest chunk")

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.smallest > self.largest:
            raise ValueError("smallest is larger than largest")
        return self


class WaitSettings(_Section):
    """How long lines wait, claims last and numbers rest."""

    claim_hours: PositiveFloat = Field(48, description="hours until the numbers of a plan that is not applied are free")
    licence_give_up_h: PositiveFloat = Field(24, description="hours to wait for a licence to take effect")
    account_give_up_days: PositiveFloat = Field(30, description="days to wait for an account to appear")
    move_give_up_h: PositiveFloat = Field(24, description="hours to wait until Teams shows that a user was moved")
    sync_give_up_h: PositiveFloat = Field(24, description="hours to wait for the directory synchronisation")
    reservation_days_after_start: NonNegativeInt = Field(
        14, description="days that a future hire's number stays reserved after the first day"
    )
    grace_days: NonNegativeInt = Field(30, description="days that a released number rests")
    poll_s: PositiveFloat = Field(30, description="seconds between two looks at a waiting line")
    lag_window_s: PositiveFloat | None = Field(None, description="replaces the lag window of every kind of change")


class StockSettings(_Section):
    """When a pool runs low: an alert is raised."""

    low_percent: Percent = Field(10, description="free numbers of a pool, in percent of those that may be given out")
    low_count: NonNegativeInt = Field(5, description="free numbers of a pool")


class AuditSettings(_Section):
    """How long personal data is kept, and where the heads of the journal are noted."""

    keep_days: PositiveInt = Field(730, description="days until personal data of a record is erased; the proof stays")
    heads_file: Path = Field(
        Path(".callwright/journal-heads.jsonl"),
        description="file, better on another machine, to which the heads of the journal are exported",
    )


class ListenSettings(_Section):
    """The HTTP endpoint for HR systems: where it listens, whom it believes, and how much it takes."""

    host: str = Field("127.0.0.1", description="address to listen at; any other than this machine needs a certificate")
    port: int = Field(8020, ge=0, le=65535, description="port to listen at")
    certificate: Path | None = Field(None, description="PEM file of the certificate with which the endpoint speaks TLS")
    private_key: Path | None = Field(None, description="PEM file of its private key")
    mapping: str = Field("workday", description="mapping of the people in events: a file, or a name in the site policy")
    secret: SecretRef | None = Field(None, description="reference to the secret that HR systems send as bearer token")
    audience: str = Field("", description="audience of Entra tokens that are believed; empty: none are")
    applications: tuple[str, ...] = Field((), description="client ids that Entra tokens may be of; empty: any")
    callbacks: tuple[str, ...] = Field(
        ("https://graph.microsoft.com/beta",), description="addresses that answers to workflows may be sent below"
    )
    largest_body: PositiveInt = Field(1_000_000, description="bytes of a request")
    most_people: PositiveInt = Field(500, description="people in one request")
    per_minute: PositiveInt = Field(120, description="requests of one sender in a minute")

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key belong together")
        if self.host not in ("127.0.0.1", "localhost", "::1") and self.certificate is None:
            raise ValueError("listening to other machines needs a certificate: the secret would be sent in clear")
        if not all(each.startswith("https://") for each in self.callbacks):
            raise ValueError("callbacks must start with https://")
        return self
