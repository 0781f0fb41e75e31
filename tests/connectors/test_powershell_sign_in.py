"""Signing in as Windows does, over the wire: Negotiate and NTLM, with TLS and without."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from connectors.directory import Directory
from connectors.errors import NotAllowed
from connectors.shell_endpoint import Authentication
from lab.server import Lab
from tests.fakes.graph_site import HURRIED
from tests.fakes.lab_control import LabControl
from tests.fakes.shell_site import endpoint_of, shell_of

Endpoints = dict[str, Any]


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """Start a tenant and give its endpoints."""
    with Lab(folder=tmp_path_factory.mktemp("lab"), users=10, seed=2) as lab:
        yield dict(lab.endpoints)


@pytest.fixture
def control(endpoints: Endpoints) -> Iterator[LabControl]:
    """Give the control port."""
    control = LabControl(endpoints["control_url"])
    yield control
    control.close()


@pytest.fixture
def name(endpoints: Endpoints) -> str:
    """Give an account name of the tenant."""
    with shell_of(endpoint_of(endpoints)) as shell:
        return next(user.sam_account_name for user in Directory(shell).everybody(deadline_s=60))


@pytest.mark.parametrize("auth", ["negotiate", "ntlm"])
@pytest.mark.parametrize("ssl", [True, False], ids=["https", "http"])
def test_windows_sign_in_works_with_and_without_tls(
    endpoints: Endpoints, name: str, auth: Authentication, ssl: bool
) -> None:
    """Negotiate and NTLM sign in; without TLS every message is encrypted by the session itself."""
    place = endpoints["powershell"]
    endpoint = replace(endpoint_of(endpoints), auth=auth, ssl=ssl, port=place["port"] if ssl else place["http_port"])
    with shell_of(endpoint, sessions=1) as shell:
        Directory(shell).write_phone_attributes(name, {"ipPhone": f"{auth}-{ssl}"})
        user = Directory(shell).user(name)
    assert user is not None
    assert user.ip_phone == f"{auth}-{ssl}"


@pytest.mark.parametrize("auth", ["negotiate", "ntlm"])
def test_wrong_windows_password_is_not_allowed_and_sent_once(endpoints: Endpoints, auth: Authentication) -> None:
    """A refused NTLM sign-in is told in one line, once, whatever way it was chosen."""
    endpoint = replace(endpoint_of(endpoints), auth=auth, password=SecretStr("wrong-canary"))
    with shell_of(endpoint, clock=HURRIED) as shell:
        for _ in range(2):
            with pytest.raises(NotAllowed) as caught:
                shell.cmdlet("Get-ADUser", {"Filter": "*"}, deadline_s=60)
            assert "wrong-canary" not in str(caught.value)


def test_windows_session_that_was_cut_is_replaced(endpoints: Endpoints, control: LabControl) -> None:
    """An encrypted session whose connection broke in a read is opened anew: its keys belong to the connection."""
    endpoint = replace(endpoint_of(endpoints), auth="ntlm", ssl=False, port=endpoints["powershell"]["http_port"])
    with shell_of(endpoint, clock=HURRIED, sessions=1) as shell:
        before = shell.cmdlet("Get-ADUser", {"Filter": "*"}, deadline_s=60)
        with control.fault("drop_reply", "Get-ADUser", times=1):
            assert shell.cmdlet("Get-ADUser", {"Filter": "*"}, deadline_s=60) == before


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"auth": "kerberos"}, "kerberos sign-in needs libraries that are not installed"),
        (
            {"auth": "certificate", "certificate_file": Path("nowhere.pem"), "private_key_file": Path("no.key")},
            "nowhere",
        ),
    ],
    ids=["kerberos without its libraries", "certificate that is not there"],
)
def test_sign_in_that_is_not_set_up_says_what_is_missing(
    endpoints: Endpoints, changes: dict[str, Any], told: str
) -> None:
    """What is missing on this machine is named, instead of blaming the network; it is asked once."""
    if "kerberos" in told and importlib.util.find_spec("gssapi"):
        pytest.skip("this machine has Kerberos' libraries")
    with shell_of(replace(endpoint_of(endpoints), **changes)) as shell, pytest.raises(NotAllowed, match=told):
        shell.cmdlet("Get-ADUser", {"Filter": "*"}, deadline_s=20)


def test_certificate_that_nobody_knows_is_not_allowed(endpoints: Endpoints) -> None:
    """A certificate is presented over TLS; a host that maps it to nobody refuses, and we say what to check."""
    endpoint = replace(
        endpoint_of(endpoints),
        auth="certificate",
        certificate_file=Path(endpoints["certificate_file"]),
        private_key_file=Path(endpoints["private_key_file"]),
    )
    with shell_of(endpoint) as shell, pytest.raises(NotAllowed, match="maps this certificate"):
        shell.cmdlet("Get-ADUser", {"Filter": "*"}, deadline_s=20)
