"""The settings of the Skype for Business Server, by hand and for a lab."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from config.lab_site import sections_of
from config.sections import SkypeSettings
from config.settings import Settings
from engine.migration_terms import WaveTerms

LAB: dict[str, Any] = {
    **dict.fromkeys(("tenant_id", "client_id", "client_secret_file", "ca_bundle"), "x"),
    **dict.fromkeys(("authority", "graph_url"), "https://lab.test"),
}
HOST = {"server": "lab.test", "port": 1, "path": "wsman", "auth": "basic", "username": "u", "password_file": "/p"}


@pytest.mark.parametrize(
    ("admin", "url", "fits"),
    [
        ("mover@contoso.onmicrosoft.com", None, True),
        ("mover@contoso.com", None, False),
        ("mover@contoso.com", "https://admin1a.online.lync.com/HostedMigration/hostedmigrationService.svc", True),
    ],
)
def test_an_administrator_of_another_domain_needs_the_migration_service(
    admin: str, url: str | None, *, fits: bool
) -> None:
    """The server would refuse every move: the settings say so before the first."""
    if fits:
        assert SkypeSettings(server="s", tenant_admin=admin, hosted_migration_url=url).port == 443
        return
    with pytest.raises(ValidationError, match="needs hosted_migration_url"):
        SkypeSettings(server="s", tenant_admin=admin, hosted_migration_url=url)


def test_a_build_is_numbers() -> None:
    """Something that is no version cannot be compared, and is refused."""
    with pytest.raises(ValidationError):
        SkypeSettings(server="s", oldest_builds=("newest",))


def test_a_lab_fills_the_section_of_its_server() -> None:
    """The endpoint of the lab's servers becomes a section of its own, the password a reference."""
    skype = HOST | {"path": "OcsPowershell"}
    sections = sections_of(LAB | {"powershell": HOST, "ocs_powershell": skype})
    assert sections["ocs_powershell"]["path"] == "OcsPowershell"
    assert sections["ocs_powershell"]["password"] == "file:/p"
    assert "ocs_powershell" not in sections_of(LAB | {"powershell": HOST})


def test_waves_take_their_terms_from_the_settings() -> None:
    """Oldest builds and sessions of the section hold for every wave; without it, Microsoft's builds do."""
    asked = SkypeSettings(server="s", oldest_builds=("6.0.9319.537",), sessions=5)
    terms = WaveTerms.of(Settings(ocs_powershell=asked))
    assert (terms.oldest_builds, terms.sessions) == (("6.0.9319.537",), 5)
    assert WaveTerms.of(Settings()).oldest_builds == SkypeSettings(server="s").oldest_builds
