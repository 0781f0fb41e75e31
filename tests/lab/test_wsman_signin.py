"""Signing in to the lab's remoting end with every kind of authentication that stock clients know."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pypsrp.exceptions import AuthenticationError, WinRMTransportError
from pypsrp.powershell import RunspacePool
from pypsrp.wsman import WSMan

from lab.server import Lab
from tests.fakes.powershell_end import script


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Run a whole lab with two operators."""
    with Lab(tmp_path_factory.mktemp("lab"), users=4, operators=2) as running:
        yield running


def client(lab: Lab, *, ssl: bool, **given: Any) -> WSMan:
    """Make a stock client of one of the lab's two ports."""
    end: Any = lab.endpoints["powershell"]
    known = {
        "port": end["port"] if ssl else end["http_port"],
        "username": end["username"],
        "password": Path(end["password_file"]).read_text(encoding="utf-8"),
        "cert_validation": str(lab.endpoints["ca_bundle"]),
        "no_proxy": True,
        "ssl": ssl,
    }
    return WSMan(end["server"], **(known | given))


WAYS = [
    ("basic", True, "auto"),
    ("ntlm", True, "auto"),
    ("negotiate", True, "auto"),
    ("ntlm", True, "always"),
    ("negotiate", True, "always"),
    ("ntlm", False, "auto"),
    ("negotiate", False, "auto"),
    ("ntlm", False, "always"),
    ("negotiate", False, "always"),
]
IDS = ["-".join((auth, "https" if ssl else "http", encryption)) for auth, ssl, encryption in WAYS]


@pytest.mark.parametrize(("auth", "ssl", "encryption"), WAYS, ids=IDS)
def test_every_way_in_works_and_refuses_a_wrong_password(lab: Lab, auth: str, ssl: bool, encryption: str) -> None:
    """With each kind of sign-in a pool opens and runs; a wrong password is an authentication error."""
    with client(lab, ssl=ssl, auth=auth, encryption=encryption) as connection, RunspacePool(connection) as pool:
        assert script(pool, "param($V) 1; $V", "ü" * 100_000).output == [1, "ü" * 100_000]
    with (
        client(lab, ssl=ssl, auth=auth, encryption=encryption, password="wrong") as connection,
        pytest.raises(AuthenticationError),
    ):
        RunspacePool(connection).open()


def test_unencrypted_basic_over_http_is_refused(lab: Lab) -> None:
    """Without TLS the right password of Basic does not help, and Basic is not offered."""
    with (
        client(lab, ssl=False, auth="basic", encryption="never") as connection,
        pytest.raises(AuthenticationError),
    ):
        RunspacePool(connection).open()


def test_unsealed_messages_over_http_are_refused(lab: Lab) -> None:
    """Somebody who signed in with NTLM but does not seal messages gets nothing over plain HTTP."""
    with (
        client(lab, ssl=False, auth="ntlm", encryption="never") as connection,
        pytest.raises(WinRMTransportError) as caught,
    ):
        RunspacePool(connection).open()
    assert caught.value.code == 500


@pytest.mark.parametrize("name", ["CONTOSO\\labadmin", "labadmin@contoso.example", "LabAdmin"])
def test_forms_of_a_name_are_one_person(lab: Lab, name: str) -> None:
    """NTLM knows a person with the domain before or after the name, in any case."""
    with (
        client(lab, ssl=False, auth="negotiate", username=name) as connection,
        RunspacePool(connection) as pool,
    ):
        assert pool.shell.owner == "labadmin"


def test_operators_have_their_own_accounts(lab: Lab) -> None:
    """A second operator signs in with the password of its own file, and owns its shells."""
    end: Any = lab.endpoints["powershell"]
    other = end["operators"][0]
    word = Path(other["password_file"]).read_text(encoding="utf-8")
    with (
        client(lab, ssl=True, auth="basic", username=other["username"], password=word) as connection,
        RunspacePool(connection) as pool,
    ):
        assert pool.shell.owner == other["username"] == "labadmin2"


@pytest.mark.parametrize(("ssl", "offers"), [(True, "Negotiate, Basic"), (False, "Negotiate")])
def test_strangers_learn_what_is_offered(lab: Lab, ssl: bool, offers: str) -> None:
    """A stranger is told Negotiate, and Basic where TLS protects it."""
    answer = post(lab, ssl=ssl)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith(offers)


GARBAGE = [
    "Negotiate",
    "Negotiate !!!",
    "NTLM TlRMTVNTUAA=",
    "Negotiate YII=",
    "Basic %%%",
    "Bearer x",
    "Kerberos YII=",
]


@pytest.mark.parametrize("header", GARBAGE)
def test_garbage_in_the_sign_in_is_a_challenge(lab: Lab, header: str) -> None:
    """Tokens that are none are answered like no token."""
    answer = post(lab, ssl=False, headers={"Authorization": header})
    assert (answer.status_code, answer.content) == (401, b"")


def test_first_step_of_ntlm_belongs_to_its_connection(lab: Lab) -> None:
    """A challenge is good on the connection it was given on; another connection starts anew."""
    hello = base64.b64encode(b"NTLMSSP\0" + (1).to_bytes(4, "little") + (0x62088237).to_bytes(4, "little") + bytes(16))
    headers = {"Authorization": f"Negotiate {hello.decode()}"}
    first, second = post(lab, ssl=False, headers=headers), post(lab, ssl=False, headers=headers)
    assert first.headers["WWW-Authenticate"].startswith("Negotiate TlRM")
    assert first.headers["WWW-Authenticate"] != second.headers["WWW-Authenticate"]


def test_tampered_messages_end_the_sign_in(lab: Lab) -> None:
    """A sealed message that was changed on its way is a bad request, and the connection must sign in again."""
    with client(lab, ssl=False, auth="ntlm") as connection, RunspacePool(connection) as pool:
        transport = connection.transport
        kind, body = transport.encryption.wrap_message(b"<a/>")
        broken = body.replace(b"Length=4", b"Length=5")
        header = f'{kind};protocol="application/HTTP-SPNEGO-session-encrypted";boundary="Encrypted Boundary"'
        answer = transport.session.post(transport.endpoint, data=broken, headers={"Content-Type": header})
        assert answer.status_code == 400
        pool.shell.opened = False


def post(lab: Lab, *, ssl: bool, **given: Any) -> requests.Response:
    """Send an empty message with a plain client."""
    end: Any = lab.endpoints["powershell"]
    address = f"{'https' if ssl else 'http'}://127.0.0.1:{end['port'] if ssl else end['http_port']}/wsman"
    return requests.post(address, data=b"", verify=str(lab.endpoints["ca_bundle"]), timeout=60, **given)
