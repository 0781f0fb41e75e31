"""Which certificate authorities a connector trusts: the usual ones, or those of one file."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi

from config.errors import InputRefused


def authorities_file(ca_bundle: Path | None) -> str:
    """Give the file of trusted authorities; raises InputRefused when the site's file is not there."""
    if ca_bundle is None:
        return certifi.where()
    if not ca_bundle.is_file():
        raise InputRefused(
            "no such file of certificate authorities", where=str(ca_bundle), remedy="correct ca_bundle in the settings"
        )
    return str(ca_bundle)


def tls_context(ca_bundle: Path | None) -> ssl.SSLContext:
    """Make the TLS settings of a client; raises InputRefused for a file that is no certificate bundle."""
    file = authorities_file(ca_bundle)
    try:
        return ssl.create_default_context(cafile=file)
    except ssl.SSLError as error:
        raise InputRefused(
            "this file holds no PEM certificates", where=file, remedy="correct ca_bundle in the settings"
        ) from error
