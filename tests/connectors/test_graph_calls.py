"""The request core: what is repeated, what is waited for, and what each refusal means."""

from __future__ import annotations

import re

import httpx
import pytest

from config.errors import InputRefused
from connectors.errors import (
    AlreadyThere,
    Ambiguous,
    Busy,
    ConnectorError,
    Invalid,
    NotAllowed,
    NotFound,
    Throttled,
    Unreachable,
    Unsupported,
)
from connectors.graph import Graph
from connectors.graph_calls import segment
from connectors.rest import GraphEndpoint
from connectors.throttle import Hold, Pauses
from tests.fakes.scripted_graph import ROOT, Answer, Script, ok, page, refused, scripted
from tests.fakes.set_clock import SetClock
from tests.fakes.token_service import SECRET, FakeTokenService, tokens_from

USER = {"id": "u1", "userPrincipalName": "ada@example.test"}
LOST: list[Exception] = [
    httpx.ReadTimeout("slow"),
    httpx.ReadError("reset"),
    httpx.WriteError("reset"),
    httpx.RemoteProtocolError("Server disconnected without sending a response."),
]
NOT_SENT: list[Exception] = [httpx.ConnectError("refused"), httpx.ConnectTimeout(""), httpx.PoolTimeout("")]


def _name(value: object) -> str:
    return type(value).__name__


@pytest.mark.parametrize("trouble", [*LOST, *NOT_SENT, refused(500), refused(502), refused(503), refused(504)])
def test_read_is_repeated_after_trouble(trouble: Answer) -> None:
    """A read that failed for a moment is sent again and succeeds."""
    stand = scripted(trouble, ok(USER))
    assert stand.graph.user("u1") is not None
    assert len(stand.script.requests) == 2


def test_read_gives_up_and_says_so() -> None:
    """A service that stays away is Unreachable after a few tries with growing pauses."""
    stand = scripted(httpx.ConnectError("refused"))
    with pytest.raises(Unreachable, match=r"could not read user u1: no answer .*refused.* ; check the network"):
        stand.graph.user("u1")
    assert len(stand.script.requests) == 5
    assert stand.clock.slept == sorted(stand.clock.slept)


@pytest.mark.parametrize("trouble", [*LOST, refused(500), refused(502), refused(504)])
def test_write_with_a_lost_reply_is_ambiguous_and_sent_once(trouble: Answer) -> None:
    """A write whose outcome nobody told may have happened; it is not repeated."""
    stand = scripted(trouble, httpx.Response(204))
    with pytest.raises(Ambiguous, match="usage location of user u1"):
        stand.graph.set_usage_location("u1", "AT")
    assert len(stand.script.requests) == 1


@pytest.mark.parametrize("trouble", [*NOT_SENT, refused(429, retry_after="3"), refused(429), refused(401)], ids=_name)
def test_write_that_was_surely_not_done_is_repeated(trouble: Answer) -> None:
    """No connection, told to wait, token refused: nothing was done, so the write is sent again."""
    stand = scripted(trouble, httpx.Response(204))
    stand.graph.set_usage_location("u1", "AT")
    assert len(stand.script.requests) == 2


@pytest.mark.parametrize(("retry_after", "kind"), [("", Unreachable), ("7", Throttled)], ids=["plain", "with pause"])
def test_write_refused_by_a_service_that_is_away_is_left_to_the_engine(
    retry_after: str, kind: type[ConnectorError]
) -> None:
    """A 503 to a write is told, not repeated."""
    stand = scripted(refused(503, retry_after=retry_after), httpx.Response(204))
    with pytest.raises(kind):
        stand.graph.set_usage_location("u1", "AT")
    assert len(stand.script.requests) == 1


def test_token_is_renewed_once_when_refused() -> None:
    """A refused token is replaced; a second refusal is a matter of permissions."""
    stand = scripted(refused(401, code="InvalidAuthenticationToken"))
    with pytest.raises(NotAllowed):
        stand.graph.user("u1")
    sent = [request.headers["Authorization"] for request in stand.script.requests]
    assert sent == ["Bearer token-1", "Bearer token-2"]


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "Invalid usage location", Invalid),
        (400, "Service is unavailable. Please try again", Busy),
        (400, "Telephone Number '+431' has already been assigned to another user", AlreadyThere),
        (400, "User does not have a corresponding license.", NotFound),
        (403, "Insufficient privileges", NotAllowed),
        (404, "Resource 'u1' does not exist", NotFound),
        (405, "no", Unsupported),
        (409, "already exists", AlreadyThere),
        (422, "no", Invalid),
        (423, "locked", Busy),
        (501, "no", Unsupported),
    ],
)
def test_refusal_of_a_write_becomes_the_error_that_says_what_to_do(
    status: int, message: str, kind: type[ConnectorError]
) -> None:
    """Each refusal has one place in the tree, and its message names action, reason, request id and remedy."""
    stand = scripted(refused(status, message))
    with pytest.raises(ConnectorError) as caught:
        stand.graph.assign_licence("u1", "sku-1")
    assert type(caught.value) is kind
    assert re.match(r"could not give licence sku-1 to user u1: .*\(request-id req-7\) ; .+", str(caught.value))
    assert caught.value.what == "u1"
    assert len(stand.script.requests) == 1


def test_missing_permission_is_named() -> None:
    """A refusal for lack of permission tells which one to grant."""
    with pytest.raises(NotAllowed, match=r"grant the app registration User\.ReadWrite\.All"):
        scripted(refused(403)).graph.remove_licence("u1", "sku-1")


def test_nothing_is_sent_inside_a_pause() -> None:
    """After a 429 the next request of the same class leaves when the pause is over, not before."""
    stand = scripted(refused(429, retry_after="12"), ok(USER))
    stand.graph.user("u1")
    first, second = stand.script.moments
    assert second - first >= 12


def test_pause_of_the_directory_does_not_hold_teams() -> None:
    """Each endpoint class has its own pause."""
    stand = scripted(refused(503, retry_after="60"), ok({"value": []}))
    with pytest.raises(Throttled):
        stand.graph.set_usage_location("u1", "AT")
    assert stand.teams.number("+431") is None
    assert stand.clock.slept == []


def test_pause_longer_than_the_deadline_is_told_at_once() -> None:
    """A call that may not take that long gives up without waiting and says how long the pause is."""
    stand = scripted(refused(429, retry_after="900"), deadline_s=60)
    with pytest.raises(Throttled) as caught:
        stand.graph.user("u1")
    assert caught.value.retry_after_s == pytest.approx(900)
    assert stand.clock.slept == []


def test_retry_after_may_be_a_date() -> None:
    """A pause given as a date counts from the date of the answer, whatever our clock says."""
    headers = {"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}
    stand = scripted(httpx.Response(429, headers=headers), ok(USER))
    stand.graph.user("u1")
    assert sum(stand.clock.slept) == pytest.approx(30)


def test_link_to_another_host_is_not_followed() -> None:
    """A next page elsewhere is refused, because our token would go with it."""
    stand = scripted(page(USER, next="https://evil.test/v1.0/users?$skiptoken=x"))
    with pytest.raises(Invalid, match=r"evil\.test"):
        list(stand.graph.users())
    assert len(stand.script.requests) == 1


def test_redirect_is_not_followed() -> None:
    """A redirect is a refusal: a token goes nowhere but to Graph."""
    stand = scripted(httpx.Response(302, headers={"Location": "https://evil.test/"}))
    with pytest.raises(Invalid):
        stand.graph.user("u1")
    assert len(stand.script.requests) == 1


@pytest.mark.parametrize("answer", [httpx.Response(200, text="<html>"), httpx.Response(200, json={"no": "id"})])
def test_answer_of_another_form_is_an_error_of_the_tree(answer: httpx.Response) -> None:
    """A sign-in page of a proxy, or a user without an id, is told in one line."""
    with pytest.raises((Unreachable, Invalid), match="could not read user u1"):
        scripted(answer).graph.user("u1")


@pytest.mark.parametrize("name", ["", ".", "..", "\ud800"], ids=ascii)
def test_name_that_would_address_something_else_is_invalid(name: str) -> None:
    """An empty or dotted id would address the whole collection."""
    with pytest.raises(Invalid):
        segment(name)


@pytest.mark.parametrize("name", ["a/b", "a?x=1", "a#EXT#@b", "%41", "a'b", "ü@ö", "$x", "a\r\nHost: evil"])
def test_name_travels_as_one_path_segment(name: str) -> None:
    """Characters with a meaning in addresses stay part of the name."""
    stand = scripted(ok(USER))
    stand.graph.user(name)
    url = stand.script.requests[0].url
    assert url.raw_path.split(b"?")[0] == b"/v1.0/users/" + segment(name).encode()
    assert url.host == httpx.URL(ROOT).host


def test_certificate_that_is_not_trusted_is_not_repeated() -> None:
    """An untrusted certificate is told with the setting that mends it."""
    stand = scripted(httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate"))
    with pytest.raises(NotAllowed, match="ca_bundle"):
        stand.graph.user("u1")
    assert len(stand.script.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_no_message_carries_a_token_or_secret(status: int) -> None:
    """Whatever the service says, neither the token nor the secret is in the error."""
    with pytest.raises(ConnectorError) as caught:
        scripted(refused(status, retry_after="900"), deadline_s=1).graph.set_usage_location("u1", "AT")
    assert "token-" not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_value_that_is_no_text_is_invalid() -> None:
    """Half a character in a body or a filter is told, not sent and not a crash."""
    stand = scripted(ok(USER))
    for act in (
        lambda: stand.graph.set_usage_location("u1", "\ud800"),
        lambda: stand.graph.group_by_name("\ud800"),
        lambda: stand.graph.user("\ud800"),
    ):
        with pytest.raises(Invalid, match="correct the value"):
            act()
    assert stand.script.requests == []


@pytest.mark.parametrize("url", ["http://graph.example.test/v1.0", "graph.example.test/v1.0", "https://", ""])
def test_address_that_is_not_https_is_refused(url: str) -> None:
    """A token is never sent in the clear."""
    with pytest.raises(InputRefused, match="graph_url"):
        Graph(GraphEndpoint(url), tokens_from(FakeTokenService()))


def test_nothing_is_sent_into_a_pause_that_began_while_connecting() -> None:
    """The connection is open, and another thread was told to wait meanwhile: the first byte leaves after the pause."""
    clock, pauses = SetClock(), list[Hold]()
    known = Pauses(clock.clock)

    def source(tenant: str, endpoint: str) -> Hold:
        pauses.append(known(tenant, endpoint))
        return pauses[-1]

    def connecting(request: httpx.Request) -> httpx.Response:
        pauses[-1].hold(7.0)
        request.extensions["trace"]("http11.send_request_headers.started", {})
        return ok(USER)

    script, tokens = Script(clock, (connecting,)), tokens_from(FakeTokenService(), clock.clock)
    graph = Graph(GraphEndpoint(ROOT), tokens, transport=script, pauses=source, clock=clock.clock)
    assert graph.user("u1") is not None
    assert clock.slept == [5.0, 2.0]
