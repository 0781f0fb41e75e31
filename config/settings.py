"""The one settings object: environment names with CALLWRIGHT_ first, then one TOML file; read once, at the edge.

The file is named by CALLWRIGHT_SETTINGS, else `callwright.toml` in the current folder if there is one. Nested keys are
written `CALLWRIGHT_TENANT__CLIENT_ID` or `[tenant] client_id`. Relative paths start at the current folder.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, Field, JsonValue, PositiveFloat, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from config.errors import InputRefused
from config.secret_refs import SecretRef
from config.sections import (
    AuditSettings,
    CacheLimits,
    ChunkLimits,
    DriftLimits,
    FeedLimits,
    ListenSettings,
    PowerShellSettings,
    SkypeSettings,
    StockSettings,
    TenantSettings,
    WaitSettings,
)
from config.toml_files import key_of, model_in, read_toml, refusal

PREFIX = "CALLWRIGHT_"
DEFAULT_FILE = Path("callwright.toml")
MASK = "***"
# Names with our prefix that are no settings: the file itself, and what the tests insist on.
NOT_SETTINGS = frozenset({"CALLWRIGHT_SETTINGS", "CALLWRIGHT_REQUIRE"})


class Settings(BaseSettings):
    """Everything a site sets; secrets are references that are resolved late."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
    )
    database_url: str = Field("sqlite:///.callwright/callwright.db", description="address of our own database")
    database_password: SecretRef | None = Field(None, description="reference to the database password")
    database_wait_s: PositiveFloat = Field(30, description="seconds that a write to SQLite waits for other writers")
    site: Path = Field(Path("config/sample"), description="folder of the site policy")
    drop_folder: Path = Field(Path(".callwright/drop"), description="folder that is watched for feed files")
    prefect_api_url: str | None = Field(None, description="Prefect server, for information; Prefect has its own name")
    tenant: TenantSettings | None = Field(None, description="the Microsoft 365 tenant")
    powershell: PowerShellSettings | None = Field(None, description="the management host")
    ocs_powershell: SkypeSettings | None = Field(None, description="Skype for Business Server's endpoint")
    feed: FeedLimits = Field(FeedLimits(), description="when a feed is not believed")
    drift: DriftLimits = Field(DriftLimits(), description="how far the nightly comparison with templates may go")
    chunk: ChunkLimits = Field(ChunkLimits(), description="lines per task")
    audit: AuditSettings = Field(AuditSettings(), description="retention and exported heads")
    cache: CacheLimits = Field(CacheLimits(), description="when an answer for the cache is not believed")
    listen: ListenSettings = Field(ListenSettings(), description="the HTTP endpoint for HR systems")
    stock: StockSettings = Field(StockSettings(), description="when pools run low")
    wait: WaitSettings = Field(WaitSettings(), description="waiting, claims and grace")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library names it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library names it
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment and one TOML file; never a `.env` file or a folder of secrets."""
        path = settings_file()
        values = read_toml(path) if path else {}
        _refuse_password_in_file(values, path)
        return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=values)

    def masked(self) -> dict[str, JsonValue]:
        """Give every value for printing; references stay, passwords in addresses are masked."""
        shown: dict[str, JsonValue] = self.model_dump(mode="json")
        shown["database_url"] = _with_password(self.database_url, MASK if _password(self.database_url) else None)
        return shown

    def database_address(self) -> str:
        """Give the database address with its password put in; raises InputRefused for a missing secret."""
        if self.database_password is None:
            return self.database_url
        secret = self.database_password.resolve("database_password").get_secret_value()
        return _with_password(self.database_url, quote(secret, safe=""))

    def require_tenant(self) -> TenantSettings:
        """Give the tenant's settings; raises InputRefused when there are none."""
        if self.tenant is None:
            raise InputRefused(
                "no tenant is set", where=_place("tenant"), remedy="add [tenant]; see the sample settings"
            )
        return self.tenant


class Key(NamedTuple):
    """One setting for the page that lists them all."""

    name: str
    environment: str
    default: str
    help: str


def read_settings() -> Settings:
    """Read and check every setting; raises InputRefused with one line naming file or variable, key and remedy."""
    _refuse_unknown_names()
    try:
        return Settings()
    except ValidationError as error:
        first = key_of(error.errors(include_url=False, include_input=False)[0])
        raise refusal(error, Settings, where=_place(first)) from error
    except SettingsError as error:
        remedy = "write sections as CALLWRIGHT_SECTION__KEY, or as JSON"
        raise InputRefused("a section cannot be read", where="environment", remedy=remedy) from error


def settings_file() -> Path | None:
    """Give the settings file in use: the one named by CALLWRIGHT_SETTINGS, else `callwright.toml` if it exists."""
    named = os.environ.get("CALLWRIGHT_SETTINGS", "")
    if named:
        return Path(named).expanduser()
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def keys(model: type[BaseModel] = Settings, above: str = "") -> Iterator[Key]:
    """List every setting with its environment name, default and help."""
    for name, field in model.model_fields.items():
        key = f"{above}{name}"
        section = model_in(field.annotation)
        if section is not None:
            yield from keys(section, f"{key}.")
        else:
            default = "required" if field.is_required() else "" if field.default is None else str(field.default)
            yield Key(key, _variable(key), default, field.description or "")


def _variable(key: str) -> str:
    return PREFIX + key.upper().replace(".", "__")


def _place(key: str) -> str:
    """Say where a key was, or should have been, set."""
    if os.environ.get(_variable(key)):
        return f"environment {_variable(key)}"
    path = settings_file()
    return f"{path} (or {_variable(key)})" if path else f"environment {_variable(key)}"


def _refuse_unknown_names() -> None:
    known = {_variable(name) for name in Settings.model_fields}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in NOT_SETTINGS and name.split("__")[0] not in known:
            close = difflib.get_close_matches(name, [key.environment for key in keys()], n=1)
            remedy = f"did you mean {close[0]}?" if close else "unset it"
            raise InputRefused(f"unknown setting {name}", where="environment", remedy=remedy)


def _refuse_password_in_file(values: dict[str, object], path: Path | None) -> None:
    if _password(str(values.get("database_url", ""))):
        remedy = "leave it out and set database_password to env:NAME or file:PATH"
        raise InputRefused("database_url contains a password", where=str(path), remedy=remedy)


def _password(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:
        return None


def _with_password(url: str, password: str | None) -> str:
    scheme, _, rest = url.partition("://")
    account, at, place = rest.rpartition("@")
    if password is None or not at:
        return url
    return f"{scheme}://{account.partition(':')[0]}:{password}@{place}"
