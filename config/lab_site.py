"""The settings of a site whose tenant is a lab, made from what the lab says about itself when it is ready."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from config.errors import InputRefused

ENDPOINTS_FILE = "endpoints.json"
Value = str | int | bool
Sections = dict[str, dict[str, Value]]


def sections_of(lab: Mapping[str, object]) -> Sections:
    """Give the settings for a lab by section; secrets stay in its files and are only referred to."""
    host = lab["powershell"]
    assert isinstance(host, dict)
    sections: Sections = {
        "tenant": {
            "tenant_id": str(lab["tenant_id"]),
            "client_id": str(lab["client_id"]),
            "client_secret": f"file:{lab['client_secret_file']}",
            "authority": str(lab["authority"]),
            "graph_url": str(lab["graph_url"]),
            "ca_bundle": str(lab["ca_bundle"]),
            "instance_discovery": False,  # Microsoft does not know this authority
        },
        "powershell": _endpoint(host, lab),
        "wait": {"poll_s": 1},  # the lab's licences take effect in seconds, not in hours
    }
    skype = lab.get("ocs_powershell")
    return sections | ({"ocs_powershell": _endpoint(skype, lab)} if isinstance(skype, dict) else {})


def _endpoint(host: Mapping[str, Value], lab: Mapping[str, object]) -> dict[str, Value]:
    return {
        **{name: host[name] for name in ("server", "port", "path", "auth", "username")},
        "password": f"file:{host['password_file']}",
        "ca_bundle": str(lab["ca_bundle"]),
    }


def read_endpoints(folder: Path) -> dict[str, object]:
    """Read where the lab of a folder is. Raises InputRefused when none has started there."""
    file = folder / ENDPOINTS_FILE
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        remedy = f"start one: ./callwright lab --folder {folder}"
        raise InputRefused("no lab has started here", where=str(file), remedy=remedy) from error
    return dict(found)


def as_toml(sections: Sections, **above: Value) -> str:
    """Write a settings file; `above` comes before the sections."""
    parts = [_lines(above), *(f"[{name}]\n{_lines(values)}" for name, values in sections.items())]
    return "\n".join(parts)


def _lines(values: Mapping[str, Value]) -> str:
    # JSON's texts, numbers and flags are TOML's as well.
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
