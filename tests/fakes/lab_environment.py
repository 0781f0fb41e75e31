"""The settings of a site whose tenant is a lab, as environment names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.fakes.checkout import ROOT


def skype_environment_of(endpoints: Mapping[str, Any]) -> dict[str, str]:
    """Give the names and values that point Callwright at the on-premises servers of a lab."""
    host = endpoints["ocs_powershell"]
    named = {name.upper(): str(host[name]) for name in ("server", "port", "path", "auth", "username")}
    named |= {"PASSWORD": f"file:{host['password_file']}", "CA_BUNDLE": str(endpoints["ca_bundle"])}
    return {f"CALLWRIGHT_OCS_POWERSHELL__{name}": text for name, text in named.items()}


def environment_of(endpoints: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Give the names and values that point Callwright at a lab, with a database in the folder."""
    shell = endpoints["powershell"]
    ca_bundle = str(endpoints["ca_bundle"])
    tenant = {
        "TENANT_ID": endpoints["tenant_id"],
        "CLIENT_ID": endpoints["client_id"],
        "CLIENT_SECRET": f"file:{endpoints['client_secret_file']}",
        "AUTHORITY": endpoints["authority"],
        "GRAPH_URL": endpoints["graph_url"],
        "INSTANCE_DISCOVERY": "false",
        "CA_BUNDLE": ca_bundle,
    }
    host = {
        "SERVER": shell["server"],
        "PORT": str(shell["port"]),
        "PATH": shell["path"],
        "AUTH": shell["auth"],
        "USERNAME": shell["username"],
        "PASSWORD": f"file:{shell['password_file']}",
        "CA_BUNDLE": ca_bundle,
    }
    site = {"DATABASE_URL": f"sqlite:///{folder / 'callwright.db'}", "SITE": str(ROOT / "config" / "sample")}
    values = site | {f"TENANT__{name}": text for name, text in tenant.items()}
    values |= {f"POWERSHELL__{name}": text for name, text in host.items()}
    return {f"CALLWRIGHT_{name}": str(text) for name, text in values.items()}
