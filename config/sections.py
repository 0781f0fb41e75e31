"""The sections of the settings: what can be set about the tenant, the endpoints, feeds, chunks and waiting."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from config.secret_refs import SecretRef

Percent = PositiveFloat


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


class FeedLimits(_Section):
    """When a feed is not believed: nothing is written and one alert is raised."""

    shrink_percent: Percent = Field(20, description="fewer rows than the last accepted feed, in percent")
    leavers: NonNegativeInt = Field(25, description="people leaving in one feed")
    leavers_percent: Percent = Field(10, description="people leaving in one feed, in percent of its rows")
    number_changes: NonNegativeInt = Field(25, description="live numbers changed by one feed")
    number_changes_percent: Percent = Field(10, description="live numbers changed, in percent of its rows")


class CacheLimits(_Section):
    """When an answer of an outside system is not believed: the cache keeps what it had."""

    removed: NonNegativeInt = Field(25, description="objects of a source that may disappear between two syncs")
    removed_percent: Percent = Field(10, description="the same in percent, if that is more")


class ChunkLimits(_Section):
    """How many lines one task works on."""

    smallest: PositiveInt = Field(1, description="lines in the smallest chunk")
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
