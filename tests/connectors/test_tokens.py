"""Tokens: one request at a time, kept through an outage, and no secret in any message."""

from __future__ import annotations

import threading
import traceback

import pytest

from connectors.app_registration import AppRegistration, ClientCertificate, ClientSecret
from connectors.errors import Invalid, NotAllowed, Throttled, Unreachable
from connectors.tokens import GRAPH_SCOPE, TEAMS_SCOPE
from tests.fakes.set_clock import SetClock
from tests.fakes.token_service import AUTHORITY, SECRET, FakeTokenService, tokens_from


@pytest.fixture
def service() -> FakeTokenService:
    """Give a token service that works."""
    return FakeTokenService()


@pytest.fixture
def time() -> SetClock:
    """Give a clock that the test sets."""
    return SetClock()


def test_token_is_asked_once_and_then_kept(service: FakeTokenService) -> None:
    """A second call gives the same token and asks nobody."""
    tokens = tokens_from(service)
    assert tokens.token() == tokens.token() == "token-1"
    assert service.asked == 1


def test_token_of_another_scope_is_another_token(service: FakeTokenService) -> None:
    """Graph and Teams have their own tokens."""
    tokens = tokens_from(service)
    assert tokens.token(GRAPH_SCOPE) != tokens.token(TEAMS_SCOPE)
    assert [request["scope"] for request in service.requests] == [[GRAPH_SCOPE], [TEAMS_SCOPE]]


def test_token_is_asked_once_by_many_threads(service: FakeTokenService) -> None:
    """Eight cold threads cause one request."""
    tokens = tokens_from(service)
    start, got = threading.Barrier(8), []

    def ask() -> None:
        start.wait()
        got.append(tokens.token())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert got == ["token-1"] * 8
    assert service.asked == 1


@pytest.mark.parametrize("trouble", ["down", "500", "503", "429"])
def test_token_is_kept_through_an_outage_while_valid(service: FakeTokenService, time: SetClock, trouble: str) -> None:
    """A token that is due for renewal but valid is given when the service cannot renew it, without asking each time."""
    service.lifetime_s = 250  # below MSAL's own limit, so that it asks again
    tokens = tokens_from(service, time.clock)
    first = tokens.token()
    service.is_down, service.status = trouble == "down", 200 if trouble == "down" else int(trouble)
    asked = service.asked
    assert [tokens.token() for _ in range(5)] == [first] * 5
    assert service.asked <= asked + 1
    time.now += 251
    with pytest.raises((Unreachable, Throttled)):
        tokens.token()


def test_token_is_renewed_after_an_outage(service: FakeTokenService, time: SetClock) -> None:
    """When the service is back, the next look half a minute later brings a new token."""
    service.lifetime_s = 250
    tokens = tokens_from(service, time.clock)
    tokens.token()
    service.status = 500
    assert tokens.token() == "token-1"
    service.status = 200
    time.now += 31
    assert tokens.token() == "token-3"


def test_token_service_that_says_wait_is_not_asked_meanwhile(service: FakeTokenService, time: SetClock) -> None:
    """A Retry-After of the token service is waited for, as long as the deadline allows."""
    service.status, service.headers = 429, {"Retry-After": "25"}
    tokens = tokens_from(service, time.clock)
    with pytest.raises(Throttled) as caught:
        tokens.token()
    assert service.asked == 3
    assert sum(time.slept) == 50
    assert caught.value.retry_after_s == 25


def test_refused_token_is_replaced_once(service: FakeTokenService) -> None:
    """A token that Graph refuses is forgotten; a late refusal of an older one changes nothing."""
    tokens = tokens_from(service)
    tokens.refuse(GRAPH_SCOPE, tokens.token())
    assert tokens.token() == "token-2"
    tokens.refuse(GRAPH_SCOPE, "token-1")
    assert tokens.token() == "token-2"


def test_wrong_secret_is_one_line_with_a_remedy(service: FakeTokenService) -> None:
    """A wrong secret is not allowed, said in one line that names who, where and what to do, but not the secret."""
    service.status, service.error = 401, "invalid_client"
    service.description = f"AADSTS7000215: Invalid client secret provided: {SECRET}.\r\nTrace ID: 1\r\n"
    with pytest.raises(NotAllowed) as caught:
        tokens_from(service).token()
    message = str(caught.value)
    assert "app-1" in message
    assert AUTHORITY in message
    assert "secret reference" in message
    assert "\n" not in message
    assert service.asked == 1


@pytest.mark.parametrize("trouble", ["down", "500", "401"])
def test_no_secret_leaves_through_an_error(service: FakeTokenService, trouble: str) -> None:
    """Neither the error, nor its chain, nor a request hanging on it contains the secret."""
    tokens = tokens_from(service, SetClock().clock)
    assert SECRET not in repr(tokens.app)
    service.is_down, service.status = trouble == "down", 200 if trouble == "down" else int(trouble)
    service.error, service.description = "invalid_client", f"bad {SECRET}"
    with pytest.raises((Unreachable, NotAllowed)) as caught:
        tokens.token()
    cause = caught.value.__cause__
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert SECRET not in repr(vars(cause) if cause else {})
    assert getattr(cause, "request", None) is None


def test_unknown_scope_is_invalid(service: FakeTokenService) -> None:
    """A scope that the service does not know is no matter of credentials."""
    service.status, service.error = 400, "invalid_scope"
    with pytest.raises(Invalid):
        tokens_from(service).token("https://elsewhere.test/.default")


@pytest.mark.parametrize("authority", ["http://127.0.0.1:1/tenant", "https://127.0.0.1:1"], ids=["http", "no tenant"])
def test_authority_of_the_wrong_form_is_invalid(service: FakeTokenService, authority: str) -> None:
    """An authority that MSAL refuses is told as a setting to correct."""
    app = AppRegistration("app-1", authority, ClientSecret("x"), instance_discovery=False)
    with pytest.raises(Invalid, match="authority"):
        tokens_from(service, app=app).token()


def test_unreadable_private_key_is_not_allowed(service: FakeTokenService) -> None:
    """A private key that is no PEM is told without showing it."""
    app = AppRegistration("app-1", AUTHORITY, ClientCertificate("KEY-CANARY", "none"), instance_discovery=False)
    with pytest.raises(NotAllowed) as caught:
        tokens_from(service, app=app).token()
    assert "KEY-CANARY" not in "".join(traceback.format_exception(caught.value))
    assert "KEY-CANARY" not in repr(app)


def test_probe_tells_what_to_do(service: FakeTokenService) -> None:
    """A probe gives the error's own advice, and a plain yes when all is well."""
    assert [finding.ok for finding in tokens_from(service).probe()] == [True]
    service.status, service.error, service.description = 401, "invalid_client", "AADSTS7000222: expired"
    (finding,) = tokens_from(service).probe()
    assert not finding.ok
    assert finding.fix.startswith("the secret has expired")
