"""Teams through PowerShell: signing in inside the session, reading configuration, writing rows."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from connectors.errors import AlreadyThere, Busy, NotAllowed, Unsupported
from connectors.shell_errors import Failure
from connectors.shell_sessions import PipelineFailedError
from connectors.teams_shell import GRAPH_SCOPE, TEAMS_SCOPE, TeamsShell
from datasets.voice_rows import NumberGrant, VoicePolicy, VoiceSwitch
from tests.fakes.shell_host import Answer, FakeHost

NOT_CONNECTED = PipelineFailedError(Failure("You must run Connect-MicrosoftTeams before running cmdlets"))


class Tokens:
    """Gives tokens named after their scope and generation."""

    def __init__(self) -> None:
        self.generation = 1

    def __call__(self, scope: str) -> str:
        """Give the token of a scope."""
        return f"{'graph' if scope == GRAPH_SCOPE else 'teams' if scope == TEAMS_SCOPE else scope}-{self.generation}"


def test_session_signs_in_once() -> None:
    """The first use of a session hands over both tokens, Graph first; the next uses do not."""
    host = FakeHost()
    teams = TeamsShell(host.shell(), Tokens(), tenant_id="t")
    teams.locations()
    teams.dial_plans()
    assert names(host) == ["Connect-MicrosoftTeams", "Get-CsOnlineLisLocation", "Get-CsTenantDialPlan"]
    assert host.sent(0).parameters == {"AccessTokens": ["graph-1", "teams-1"], "TenantId": "t"}


def test_renewed_token_signs_in_again() -> None:
    """The module does not renew tokens, so a renewed one is handed over before the next call."""
    host, tokens = FakeHost(), Tokens()
    teams = TeamsShell(host.shell(), tokens)
    teams.locations()
    tokens.generation = 2
    teams.locations()
    assert [call.parameters.get("AccessTokens") for _, call in host.calls][::2] == [
        ["graph-1", "teams-1"],
        ["graph-2", "teams-2"],
    ]


def test_lapsed_sign_in_is_repaired_once() -> None:
    """A module that forgot its sign-in is signed in again, and the call repeated: it did nothing."""
    host = FakeHost([Answer(), Answer(error=NOT_CONNECTED)])
    TeamsShell(host.shell(), Tokens()).locations()
    assert names(host) == ["Connect-MicrosoftTeams", "Get-CsOnlineLisLocation"] * 2


def test_lapsed_sign_in_that_stays_is_told() -> None:
    """A second refusal in a row goes to the caller."""
    host = FakeHost([Answer(), Answer(error=NOT_CONNECTED)] * 2)
    with pytest.raises(NotAllowed):
        TeamsShell(host.shell(), Tokens()).locations()


def test_refused_tokens_are_told() -> None:
    """Tokens that Teams does not accept are a refusal that names the sign-in."""
    failure = PipelineFailedError(Failure("Access is denied", reason="UnauthorizedAccessException"))
    host = FakeHost([Answer(error=failure)])
    with pytest.raises(NotAllowed, match="Connect-MicrosoftTeams"):
        TeamsShell(host.shell(), Tokens()).locations()


def test_configuration_is_read() -> None:
    """Locations and policies become records; the scope prefix of a policy's name is dropped."""
    location: JsonValue = {
        "LocationId": "l1",
        "CivicAddressId": "c1",
        "City": "Vienna",
        "CountryOrRegion": "AT",
        "Location": "2nd floor",
    }
    policies: list[JsonValue] = [{"Identity": "Global"}, {"Identity": "Tag:Vienna", "Description": "all"}]
    teams = TeamsShell(FakeHost([Answer(), Answer([location]), Answer(policies)]).shell(), Tokens())
    assert [(found.location_id, found.city, found.country) for found in teams.locations()] == [("l1", "Vienna", "AT")]
    assert teams.voice_routing_policies() == [VoicePolicy(name="Global"), VoicePolicy(name="Vienna", description="all")]


def test_enterprise_voice_is_switched() -> None:
    """Enterprise Voice is set without naming a number."""
    host = FakeHost([Answer(), Answer([{"key": "u1", "ok": True}])])
    TeamsShell(host.shell(), Tokens()).enable_enterprise_voice("u1", enabled=True)
    assert host.sent().parameters == {
        "Rows": [{"key": "u1", "parameters": {"Identity": "u1", "EnterpriseVoiceEnabled": True}}]
    }


def test_switching_many_answers_each() -> None:
    """Each user has a result of his own."""
    answers: list[JsonValue] = [
        {"key": "u1", "ok": True},
        {"key": "u2", "ok": False, "message": "Service is unavailable. Please try again"},
    ]
    teams = TeamsShell(FakeHost([Answer(), Answer(answers)]).shell(), Tokens())
    first, second = teams.set_enterprise_voice([VoiceSwitch(user_id=user, enabled=True) for user in ("u1", "u2")])
    assert first.ok
    assert isinstance(second.error, Busy)


@pytest.mark.parametrize(
    "answer",
    [
        {"ok": False, "message": "Telephone Number '+4311' has already been assigned to another user"},
        {
            "ok": True,
            "code": "BadRequest",
            "message": "Telephone Number '+4311' has already been assigned to another user",
        },
    ],
    ids=["error-record", "answer-object"],
)
def test_both_failure_styles_are_failures(answer: dict[str, JsonValue]) -> None:
    """Newer module versions raise an error, older ones answer an object."""
    teams = TeamsShell(FakeHost([Answer(), Answer([{"key": "+4311", **answer}])]).shell(), Tokens())
    (result,) = teams.assign_numbers([grant()])
    assert isinstance(result.error, AlreadyThere)


def test_number_is_given_and_taken() -> None:
    """The number type is spelled as the module does; the location travels only when there is one."""
    host = FakeHost([Answer(), Answer([{"key": "+4311", "ok": True}]), Answer([{"key": "+4311", "ok": True}])])
    teams = TeamsShell(host.shell(), Tokens())
    assert teams.assign_numbers([grant(location_id="l1")])[0].ok
    assert teams.remove_numbers([grant(location_id="l1")])[0].ok
    named = {"Identity": "u1", "TelephoneNumber": "+4311", "NumberType": "DirectRouting"}
    assert [call.parameters["Rows"] for _, call in host.calls[1:]] == [
        [{"key": "+4311", "parameters": named | {"LocationId": "l1"}}],
        [{"key": "+4311", "parameters": named}],
    ]


def test_mobile_numbers_are_left_to_graph() -> None:
    """The module has no name for Teams Phone Mobile numbers."""
    teams = TeamsShell(FakeHost().shell(), Tokens())
    with pytest.raises(Unsupported, match="Graph"):
        teams.assign_numbers([grant().model_copy(update={"number_type": "teamsPhoneMobile"})])


def names(host: FakeHost) -> list[str]:
    """Name the pipelines the host was asked for."""
    return [call.name for _, call in host.calls]


def grant(location_id: str | None = None) -> NumberGrant:
    """Make a row that gives a number."""
    return NumberGrant(number="+4311", user_id="u1", number_type="directRouting", location_id=location_id)
