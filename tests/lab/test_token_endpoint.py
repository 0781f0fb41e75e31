"""The lab's identity provider, through MSAL and by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
import msal
import pytest
import requests

from lab.server import Lab
from tests.fakes.graph_client import GRAPH_SCOPE, TEAMS_SCOPE, GraphClient
from tests.fakes.lab_people import with_number

REDIRECT = "http://localhost:1/back"
MakeClient = Callable[[Any], Any]


@pytest.fixture
def session(lab: Lab) -> Iterator[requests.Session]:
    """Give a session that trusts the lab only."""
    with requests.Session() as made:
        made.trust_env, made.verify = False, str(lab.endpoints["ca_bundle"])
        yield made


@pytest.fixture
def application(lab: Lab, session: requests.Session) -> MakeClient:
    """Give a maker of MSAL clients for a credential."""

    def make(credential: Any) -> Any:
        return msal.ConfidentialClientApplication(
            lab.endpoints["client_id"],
            client_credential=credential,
            authority=lab.endpoints["authority"],
            instance_discovery=False,
            http_client=session,
        )

    return make


def secret(lab: Lab, name: str = "client_secret_file") -> str:
    """Read one of the lab's files."""
    return Path(str(lab.endpoints[name])).read_text()


def thumbprint(lab: Lab) -> str:
    """Give the SHA-1 thumbprint of the application's certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    certificate = x509.load_pem_x509_certificate(secret(lab, "certificate_file").encode())
    return certificate.fingerprint(hashes.SHA1()).hex()


@pytest.mark.parametrize("kind", ["secret", "thumbprint", "certificate"])
def test_msal_gets_a_token_with_every_credential(lab: Lab, application: MakeClient, kind: str) -> None:
    """A secret, RS256 with x5t and PS256 with x5t#S256 are accepted by both audiences."""
    key = secret(lab, "private_key_file")
    credential = {
        "secret": secret(lab),
        "thumbprint": {"private_key": key, "thumbprint": thumbprint(lab)},
        "certificate": {"private_key": key, "public_certificate": secret(lab, "certificate_file")},
    }[kind]
    client = application(credential)
    audiences = [
        jwt.decode(_token(client, s), options={"verify_signature": False})["aud"] for s in (GRAPH_SCOPE, TEAMS_SCOPE)
    ]
    assert audiences == ["https://graph.microsoft.com", "48ac35b8-9aa8-4d74-927d-1f4a14a0b239"]


def test_tokens_are_signed_with_the_published_key(lab: Lab, graph: GraphClient) -> None:
    """The signature verifies with the key set of the discovery document."""
    discovery = graph.http.get(f"{lab.endpoints['authority']}/v2.0/.well-known/openid-configuration").json()
    (key,) = graph.http.get(discovery["jwks_uri"]).json()["keys"]
    claims = jwt.decode(graph.token, jwt.PyJWK(key), algorithms=["RS256"], audience="https://graph.microsoft.com")
    assert claims["iss"] == discovery["issuer"]
    assert claims["appid"] == lab.endpoints["client_id"]


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "stranger"}, 400, "unauthorized_client"),
        ({"scope": "https://graph.microsoft.com/User.Read"}, 400, "invalid_scope"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "authorization_code", "code": "x"}, 400, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, 400, "invalid_grant"),
    ],
    ids=str,
)
def test_wrong_requests_are_named(graph: GraphClient, change: dict[str, str], status: int, error: str) -> None:
    """Each mistake has its own OAuth error."""
    answer = graph.token_request(**change)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_a_foreign_certificate_is_refused(lab: Lab, application: MakeClient) -> None:
    """An assertion signed by another key is invalid_client, whatever thumbprint it claims."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    client = application({"private_key": pem, "thumbprint": thumbprint(lab)})
    assert client.acquire_token_for_client([GRAPH_SCOPE])["error"] == "invalid_client"


def test_lifetimes_follow_the_settings(graph: GraphClient) -> None:
    """The lifetime and the time to refresh can be set."""
    graph.lab.control("PATCH", "/settings", {"token_lifetime_s": 600, "token_refresh_in_s": 60})
    answer = graph.token_request().json()
    assert (answer["expires_in"], answer["refresh_in"]) == (600, 60)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"name": "token_down"}, 503),
        ({"name": "throttle", "retry_after_s": 9, "match": {"operation": "token"}}, 429),
        ({"name": "error", "status": 500, "code": "server_error", "match": {"operation": "token"}}, 500),
    ],
    ids=["down", "throttled", "broken"],
)
def test_the_token_service_can_fail(graph: GraphClient, fault: dict[str, Any], status: int) -> None:
    """The token service alone fails; Graph goes on with the token it got before."""
    graph.lab.faults.add(fault)
    answer = graph.token_request()
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == ("9" if status == 429 else None)
    assert graph.get("/organization").status_code == 200


def test_token_calls_are_logged_without_secrets(graph: GraphClient, lab: Lab) -> None:
    """The log names application and scope, and holds neither secret nor token."""
    graph.token_request(client_secret="hunter2-wrong")
    line = lab.calls.since()[-1]
    text = lab.calls.path.read_text()
    assert (line["operation"], line["status"], line["error"]) == ("token", 401, "invalid_client")
    assert line["parameters"] == {"grant_type": "client_credentials", "scope": GRAPH_SCOPE}
    assert not any(hidden in text for hidden in ("hunter2", secret(lab), graph.token))


@pytest.mark.parametrize("response_mode", ["form_post", "query"])
def test_a_person_signs_in(lab: Lab, session: requests.Session, application: MakeClient, response_mode: str) -> None:
    """Authorization code with PKCE through MSAL: choose a person, get their claims."""
    user = with_number(lab.tenant)[0]
    client = application(secret(lab))
    flow = client.initiate_auth_code_flow(["User.Read"], redirect_uri=REDIRECT, response_mode="form_post")
    query = dict(parse_qsl(urlsplit(flow["auth_uri"]).query)) | {"response_mode": response_mode}
    page = session.get(flow["auth_uri"])
    assert user.upn in page.text
    answer = session.post(flow["auth_uri"].partition("?")[0], data={**query, "user": user.id}, allow_redirects=False)
    reply = _form(answer.text) if response_mode == "form_post" else _query(answer.headers["Location"])
    result = client.acquire_token_by_auth_code_flow(flow, reply)
    claims = result["id_token_claims"]
    assert (claims["oid"], claims["preferred_username"], claims["tid"]) == (
        user.id,
        user.upn,
        lab.endpoints["tenant_id"],
    )
    assert client.acquire_token_by_auth_code_flow(flow, reply)["error"] == "invalid_grant"


def test_a_public_client_needs_its_verifier(lab: Lab, session: requests.Session) -> None:
    """A code without its verifier is worthless; with it no secret is needed."""
    from lab.tokens import challenge

    verifier = "v" * 50
    base = f"{lab.endpoints['authority']}/oauth2/v2.0"
    query = {
        "client_id": str(lab.endpoints["client_id"]),
        "response_type": "code",
        "redirect_uri": REDIRECT,
        "scope": "openid",
    }
    query |= {
        "code_challenge": challenge(verifier),
        "code_challenge_method": "S256",
        "login_hint": with_number(lab.tenant)[0].upn,
    }
    form = {"grant_type": "authorization_code", "client_id": query["client_id"], "redirect_uri": REDIRECT}
    answers = []
    for given in ("wrong", verifier):
        where = session.get(f"{base}/authorize?{urlencode(query)}", allow_redirects=False).headers["Location"]
        answers.append(
            session.post(f"{base}/token", data={**form, "code": _query(where)["code"], "code_verifier": given})
        )
    assert [answer.status_code for answer in answers] == [400, 200]
    refresh = {"grant_type": "refresh_token", "refresh_token": answers[1].json()["refresh_token"]}
    assert session.post(f"{base}/token", data=refresh).status_code == 200


@pytest.mark.parametrize(
    "change",
    [{"redirect_uri": "https://evil.example/back"}, {"client_id": "stranger"}, {"response_type": "token"}],
    ids=str,
)
def test_foreign_sign_in_requests_are_refused(lab: Lab, session: requests.Session, change: dict[str, str]) -> None:
    """A code goes only to this machine and the registered application."""
    query = {"client_id": str(lab.endpoints["client_id"]), "response_type": "code", "redirect_uri": REDIRECT, **change}
    assert session.get(f"{lab.endpoints['authority']}/oauth2/v2.0/authorize?{urlencode(query)}").status_code == 400


def _token(client: Any, scope: str) -> str:
    result = client.acquire_token_for_client([scope])
    assert "access_token" in result, result
    return str(result["access_token"])


def _form(page: str) -> dict[str, str]:
    return dict(re.findall(r'name="([^"]+)" value="([^"]*)"', page))


def _query(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query))
