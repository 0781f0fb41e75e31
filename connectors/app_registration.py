"""Who we are at the identity platform: an app registration and its secret or certificate. Nothing here is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class ClientSecret:
    """The secret of an app registration."""

    value: str = field(repr=False)

    def for_msal(self) -> str:
        """Give the form that MSAL takes."""
        return self.value


@dataclass(frozen=True)
class ClientCertificate:
    """The certificate of an app registration with its private key, both PEM text."""

    private_key: str = field(repr=False)
    certificate: str = field(repr=False)

    def for_msal(self) -> dict[str, str]:
        """Give the form that MSAL takes."""
        return {"private_key": self.private_key, "public_certificate": self.certificate}


@dataclass(frozen=True)
class AppRegistration:
    """Our identity in one tenant.

    `authority` is `https://<host>/<tenant id>`; `instance_discovery` is False for a host Microsoft does not know.
    """

    client_id: str
    authority: str
    credential: ClientSecret | ClientCertificate
    ca_bundle: Path | None = None
    instance_discovery: bool = True

    @property
    def tenant(self) -> str:
        """Give the tenant's part of the authority."""
        return self.authority.rstrip("/").rpartition("/")[2]

    def redacted(self, text: str) -> str:
        """Give the text without our secret, should it contain it."""
        match self.credential:
            case ClientSecret(value):
                return text.replace(value, "***") if value else text
            case ClientCertificate():
                return text  # the key is only ever used here, never sent
