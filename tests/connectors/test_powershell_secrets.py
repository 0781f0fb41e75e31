"""Canaries: whatever goes well or wrong, no secret is in a log, an exception, or what an object says of itself."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from connectors.clixml import Sendable
from connectors.errors import ConnectorError
from connectors.powershell import PowerShell
from connectors.shell_endpoint import Endpoint
from connectors.shell_sessions import Call
from connectors.teams_shell import TeamsShell
from lab.server import Lab
from tests.fakes.graph_site import HURRIED
from tests.fakes.lab_control import LabControl
from tests.fakes.shell_site import endpoint_of, shell_of

Endpoints = dict[str, Any]
WRONG, PIN, TOKEN = "password-canary", "pin-canary", "token-canary"


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """Start a tenant and give its endpoints."""
    with Lab(folder=tmp_path_factory.mktemp("lab"), users=10, seed=2) as lab:
        yield dict(lab.endpoints)


def well(endpoint: Endpoint, _control: LabControl) -> None:
    """Send a secret and have it accepted."""
    with shell_of(endpoint, clock=HURRIED) as shell:
        shell.cmdlet("Write-Output", {"InputObject": SecretStr(PIN)}, deadline_s=20)


def refused_parameter(endpoint: Endpoint, _control: LabControl) -> None:
    """Send a secret to a cmdlet that does not know the parameter."""
    with shell_of(endpoint, clock=HURRIED) as shell:
        shell.cmdlet("Get-ADUser", {"Filter": "*", "Pin": SecretStr(PIN)}, deadline_s=20)


def wrong_password(endpoint: Endpoint, _control: LabControl) -> None:
    """Sign in with a wrong password."""
    with shell_of(replace(endpoint, password=SecretStr(WRONG)), clock=HURRIED) as shell:
        shell.cmdlet("Get-ADUser", {"Filter": "*"}, deadline_s=20)


def lost(endpoint: Endpoint, control: LabControl) -> None:
    """Lose the connection while a secret is on its way."""
    with shell_of(endpoint, clock=HURRIED) as shell, control.fault("drop_reply", "Set-ADUser", times=1):
        parameters: dict[str, Sendable] = {
            "Identity": "nobody",
            "Replace": {"ipPhone": TOKEN},
            "AccountPassword": SecretStr(PIN),
        }
        shell.cmdlet("Set-ADUser", parameters, deadline_s=20, writes=True)


def wrong_tokens(endpoint: Endpoint, _control: LabControl) -> None:
    """Sign in to Teams with tokens that are not accepted."""
    with TeamsShell(shell_of(endpoint, clock=HURRIED), lambda scope: f"{TOKEN}-{scope}") as teams:
        teams.locations()


def unreachable(endpoint: Endpoint, _control: LabControl) -> None:
    """Find nobody at the address."""
    with shell_of(replace(endpoint, port=9), clock=HURRIED) as shell:
        shell.cmdlet("Get-ADUser", {"Filter": "*"}, deadline_s=5)


@pytest.mark.parametrize("act", [well, refused_parameter, wrong_password, lost, wrong_tokens, unreachable])
def test_no_secret_is_told(
    act: Callable[[Endpoint, LabControl], None], endpoints: Endpoints, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger at its loudest, neither logs nor the error with its whole chain hold a secret."""
    endpoint, control = endpoint_of(endpoints), LabControl(endpoints["control_url"])
    told: list[str] = []
    with caplog.at_level(logging.DEBUG):
        try:
            act(endpoint, control)
        except ConnectorError as error:
            told += ["".join(traceback.format_exception(error)), *_said(error)]
    control.close()
    assert (act is well) == (not told)
    real = Path(endpoints["powershell"]["password_file"]).read_text().strip()
    for secret in (real, WRONG, PIN, TOKEN):
        assert secret not in caplog.text
        assert not [text for text in told if secret in text]


def test_objects_do_not_show_what_they_hold(endpoints: Endpoints) -> None:
    """Endpoint, connector and call hide password, tokens and parameters when they are printed."""
    endpoint = replace(endpoint_of(endpoints), password=SecretStr(WRONG))
    with PowerShell(endpoint) as shell:
        shown = [repr(endpoint), str(endpoint), repr(shell), repr(vars(shell))]
    shown.append(repr(Call("Connect-MicrosoftTeams", {"AccessTokens": [TOKEN], "Pin": SecretStr(PIN)})))
    assert not [text for text in shown for secret in (WRONG, TOKEN, PIN) if secret in text]


def _said(error: BaseException) -> Iterator[str]:
    """Give what hangs on an error and on every error before it."""
    seen: BaseException | None = error
    while seen is not None:
        yield repr(seen)
        yield repr(vars(seen))
        seen = seen.__cause__ or seen.__context__
