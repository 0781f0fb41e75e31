"""When pipelines are repeated, what their failures mean, and how sessions are shared: on a fake host."""

from __future__ import annotations

import threading

import pytest
from pydantic import JsonValue, SecretStr

from config.errors import InputRefused
from connectors.errors import (
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
from connectors.rows import settle
from connectors.scripts import SET_AD_USER, SET_PHONE_NUMBER, Script
from connectors.shell_endpoint import Endpoint
from connectors.shell_errors import Failure, NoPlace
from connectors.shell_sessions import PipelineFailedError, PipelineLateError, SessionLostError
from tests.fakes.shell_host import CMDLETS_ONLY, Answer, FakeHost

SENT = SessionLostError("the session broke", sent=True)
NOT_SENT = SessionLostError("the session broke", sent=False)
ROWS: list[dict[str, JsonValue]] = [{"key": "ada", "parameters": {}}, {"key": "bob", "parameters": {}}]


def test_cmdlet_gives_its_objects() -> None:
    """A cmdlet's objects come back as bags, a bare value under one name."""
    host = FakeHost([Answer([{"a": 1}, "text"])])
    assert host.shell().cmdlet("Get-X", {"Identity": "ada"}, deadline_s=10) == [{"a": 1}, {"Value": "text"}]
    assert host.sent().parameters == {"Identity": "ada"}


def test_read_is_repeated_once_with_a_new_session() -> None:
    """A read whose session broke is asked again on a fresh one; the broken one is closed."""
    host = FakeHost([Answer(error=SENT, breaks=True), Answer([{"a": 1}])])
    assert host.shell().cmdlet("Get-X", {}, deadline_s=10) == [{"a": 1}]
    assert [number for number, _ in host.calls] == [0, 1]
    assert host.sessions[0].closed


def test_read_that_breaks_twice_is_unreachable() -> None:
    """A second break in a row is told to the caller."""
    host = FakeHost([Answer(error=SENT, breaks=True)] * 2)
    with pytest.raises(Unreachable):
        host.shell().cmdlet("Get-X", {}, deadline_s=10)


def test_read_that_gave_something_is_not_repeated() -> None:
    """A read that broke after its first object is not asked again, or objects would come twice."""
    host = FakeHost([Answer([{"a": 1}], error=SENT, breaks=True)])
    with pytest.raises(Unreachable):
        host.shell().cmdlet("Get-X", {}, deadline_s=10)
    assert len(host.calls) == 1


def test_write_that_may_have_been_sent_is_never_repeated() -> None:
    """A lost write is Ambiguous and was sent once."""
    host = FakeHost([Answer(error=SENT, breaks=True)])
    with pytest.raises(Ambiguous):
        host.shell().cmdlet("Set-X", {}, deadline_s=10, writes=True)
    assert len(host.calls) == 1


def test_write_that_was_surely_not_sent_is_tried_on_a_new_session() -> None:
    """A session found dead before the command was sent costs nothing but a new one."""
    host = FakeHost([Answer(error=NOT_SENT, breaks=True), Answer()])
    assert host.shell().cmdlet("Set-X", {}, deadline_s=10, writes=True) == []
    assert len(host.sessions) == 2


@pytest.mark.parametrize(("writes", "kind"), [(True, Ambiguous), (False, Busy)])
def test_late_pipeline(writes: bool, kind: type[ConnectorError]) -> None:
    """A pipeline stopped at its deadline may have written; a read may be asked again later."""
    host = FakeHost([Answer(error=PipelineLateError())])
    with pytest.raises(kind, match="no end within 10 s"):
        host.shell().cmdlet("Do-X", {}, deadline_s=10, writes=writes)


def test_failed_cmdlet_is_classified_and_keeps_its_session() -> None:
    """A refusal is no fault of the session."""
    host = FakeHost([Answer(error=failed("Telephone Number '+1' is not found from tenant 'x'"))])
    shell = host.shell()
    with pytest.raises(NotFound, match="Set-X"):
        shell.cmdlet("Set-X", {}, deadline_s=10, writes=True)
    shell.cmdlet("Get-X", {}, deadline_s=10)
    assert len(host.sessions) == 1


def test_answer_of_code_and_message_is_a_failure() -> None:
    """Module versions before 4.2.1 answer an object instead of raising an error."""
    host = FakeHost([Answer([{"Code": "BadRequest", "Message": "Service is unavailable. Please try again"}])])
    with pytest.raises(Busy):
        host.shell().cmdlet("Set-CsPhoneNumberAssignment", {}, deadline_s=10, writes=True)


def test_rows_have_their_own_results() -> None:
    """Each row is answered with its key; one failure does not touch the others."""
    objects: list[JsonValue] = [
        {"key": "ada", "ok": True},
        {"key": "bob", "ok": False, "message": "no", "error_id": "ParameterBinding"},
    ]
    ada, bob = FakeHost([Answer(objects)]).shell().run(SET_AD_USER, ROWS, deadline_s=10, writes=True)
    assert ada.ok
    assert isinstance(bob.error, Invalid)


def test_row_answered_by_code_and_message_failed() -> None:
    """Also inside a script the old failure style is a failure."""
    objects: list[JsonValue] = [
        {"key": "ada", "ok": True, "code": "BadRequest", "message": "has already been assigned to another user"}
    ]
    (ada,) = FakeHost([Answer(objects)]).shell().run(SET_PHONE_NUMBER, ROWS[:1], deadline_s=10, writes=True)
    assert ada.error is not None


def test_lost_script_leaves_unanswered_rows_ambiguous() -> None:
    """Rows answered before the session broke keep their result, the others are settled by reading."""
    host = FakeHost([Answer([{"key": "ada", "ok": True}], error=SENT, breaks=True)])
    results = host.shell().run(SET_AD_USER, ROWS, deadline_s=10, writes=True)
    ada, bob = settle(["ada", "bob"], results, attempt="set")
    assert ada.ok
    assert isinstance(bob.error, Ambiguous)


def test_script_refused_as_a_whole_wrote_nothing() -> None:
    """A script that the endpoint did not start is a refusal, not a doubt."""
    host = FakeHost([Answer(error=failed("not recognized", "CommandNotFoundException"))])
    with pytest.raises(Unsupported):
        settle(["ada"], host.shell().run(SET_AD_USER, ROWS[:1], deadline_s=10, writes=True), attempt="set")


def test_script_that_ended_early_is_a_doubt() -> None:
    """A script that failed on its way may have written the row it was at."""
    host = FakeHost([Answer([{"key": "ada", "ok": True}], error=failed("boom"))])
    results = settle(["ada", "bob"], host.shell().run(SET_AD_USER, ROWS, deadline_s=10, writes=True), attempt="set")
    assert [type(result.error) for result in results] == [type(None), Ambiguous]


def test_only_constant_scripts_run() -> None:
    """A script made anywhere else is refused before anything is sent."""
    host = FakeHost()
    with pytest.raises(Invalid, match="no constant"):
        host.shell().run(Script("x", "Get-Process", "Get-Process"), ROWS, deadline_s=10)
    assert not host.calls


def test_endpoint_without_scripts_is_asked_row_by_row() -> None:
    """A cmdlets-only endpoint gets the script's cmdlet for each row; one failure does not touch the others."""
    host = FakeHost([Answer(), Answer(error=failed("no", "ParameterBinding")), Answer()])
    rows = [*ROWS, {**ROWS[0], "key": "eve"}]
    results = list(host.shell(endpoint=CMDLETS_ONLY).run(SET_AD_USER, rows, deadline_s=10, writes=True))
    assert [(result.key, type(result.error)) for result in results] == [
        ("ada", type(None)),
        ("bob", Invalid),
        ("eve", type(None)),
    ]
    assert [(call.name, call.script) for _, call in host.calls] == [("Set-ADUser", None)] * 3


def test_rows_after_one_that_could_not_be_tried_are_not_tried() -> None:
    """When the endpoint is gone the rest of the chunk is told so at once; if it never was there, nothing was done."""
    host = FakeHost([Answer(), Answer(error=NOT_SENT), Answer(error=NOT_SENT)])
    rows = [*ROWS, {**ROWS[0], "key": "eve"}]
    results = list(host.shell(endpoint=CMDLETS_ONLY).run(SET_AD_USER, rows, deadline_s=10, writes=True))
    assert [type(result.error) for result in results] == [type(None), Unreachable, Unreachable]
    assert len(host.calls) == 3
    gone = FakeHost([Answer(error=NOT_SENT), Answer(error=NOT_SENT)])
    with pytest.raises(Unreachable):
        list(gone.shell(endpoint=CMDLETS_ONLY).run(SET_AD_USER, rows, deadline_s=10, writes=True))


def test_lost_row_of_many_is_ambiguous_and_the_next_is_tried() -> None:
    """A write that may have happened is settled by reading; it is not repeated, and the others go on."""
    host = FakeHost([Answer(error=SENT, breaks=True), Answer()])
    results = list(host.shell(endpoint=CMDLETS_ONLY).run(SET_AD_USER, ROWS, deadline_s=10, writes=True))
    assert [type(result.error) for result in results] == [Ambiguous, type(None)]
    assert len(host.calls) == 2


def test_rows_with_one_key_are_refused() -> None:
    """Two rows of one key could not be told apart."""
    with pytest.raises(Invalid, match="same key"):
        FakeHost().shell().run(SET_AD_USER, [ROWS[0], ROWS[0]], deadline_s=10)


def test_no_rows_send_nothing() -> None:
    """Without rows there is no pipeline."""
    host = FakeHost()
    assert list(host.shell().run(SET_AD_USER, [], deadline_s=10)) == []
    assert not host.sessions


def test_parameter_without_a_value_is_refused() -> None:
    """None would travel as a switch, which means true."""
    with pytest.raises(Invalid, match="-LineUri has no value"):
        FakeHost().shell().cmdlet("Set-X", {"LineUri": None}, deadline_s=10)


def test_session_is_used_again() -> None:
    """One session serves one call after the other."""
    host = FakeHost()
    shell = host.shell()
    for _ in range(3):
        shell.cmdlet("Get-X", {}, deadline_s=10)
    assert len(host.sessions) == 1


@pytest.mark.parametrize(("alive", "sessions"), [(True, 1), (False, 2)])
def test_rested_session_is_checked_first(alive: bool, sessions: int) -> None:
    """After a rest the session is asked whether it lives, so that a write does not meet a dead one."""
    host = FakeHost(alive=alive)
    shell = host.shell()
    shell.cmdlet("Get-X", {}, deadline_s=10)
    host.time.sleep(31)
    shell.cmdlet("Set-X", {}, deadline_s=10, writes=True)
    assert len(host.sessions) == sessions


def test_no_more_sessions_than_allowed() -> None:
    """Threads wait for a session instead of opening a fourth; none is used by two at once."""
    host = FakeHost([Answer([{"n": n}]) for n in range(40)])
    shell = host.shell(sessions=2)
    threads = [threading.Thread(target=shell.cmdlet, args=("Get-X", {}), kwargs={"deadline_s": 30}) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(host.calls) == 40
    assert len(host.sessions) <= 2


def test_all_sessions_in_use_is_busy() -> None:
    """Who gets no session before the deadline is told so."""
    host = FakeHost([Answer([{"a": 1}, {"a": 2}])])
    shell = host.shell(sessions=1)
    reading = shell.stream("Get-X", {}, deadline_s=10)
    next(reading)
    with pytest.raises(Busy, match="all sessions"):
        shell.cmdlet("Get-X", {}, deadline_s=0)
    reading.close()
    assert shell.cmdlet("Get-X", {}, deadline_s=10) == []


def test_who_waits_for_a_session_is_counted() -> None:
    """One call waits while the only session is in use, and nobody any more once it has failed or come through."""
    host = FakeHost([Answer([1, 2])])
    shell = host.shell(sessions=1)
    first = shell.stream("Get-X", {}, deadline_s=10)
    next(first)
    waiting: list[int] = []
    watcher = threading.Timer(0.2, lambda: waiting.append(shell.waiting()))
    watcher.start()
    with pytest.raises(Busy):
        shell.cmdlet("Get-Y", {}, deadline_s=1)
    watcher.join()
    first.close()
    assert (waiting, shell.waiting()) == ([1], 0)


def test_quota_is_waited_out() -> None:
    """An endpoint without a free place is asked again after a pause, within the deadline."""
    host = FakeHost(opening=[NoPlace("full", retry_after_s=10)] * 2)
    host.shell().cmdlet("Get-X", {}, deadline_s=60)
    assert len(host.time.slept) == 2
    assert all(7 <= seconds <= 10 for seconds in host.time.slept)


def test_quota_beyond_the_deadline_is_told() -> None:
    """A pause longer than the call may take goes to the caller at once."""
    host = FakeHost(opening=[NoPlace("full", retry_after_s=10)] * 9)
    with pytest.raises(Throttled):
        host.shell().cmdlet("Get-X", {}, deadline_s=15)
    assert len(host.time.slept) == 1
    assert 7 <= host.time.slept[0] <= 10


def test_command_refused_for_throttling_is_sent_again() -> None:
    """HTTP 429 to a command means that nothing was done, so even a write goes out after the pause."""
    host = FakeHost([Answer(error=Throttled("slow down", retry_after_s=7), breaks=True)])
    host.shell().cmdlet("Set-X", {}, deadline_s=60, writes=True)
    assert sum(host.time.slept[:2]) == 7


def test_micro_delay_slows_everybody_down() -> None:
    """The service's own delay is repeated by us before the next call, or it escalates to refusals."""
    host = FakeHost([Answer(warnings=["Micro delay applied. Actual delayed: 4000 msecs, Enforced: True"])])
    shell = host.shell()
    shell.cmdlet("Get-X", {}, deadline_s=60)
    assert host.time.slept == []
    shell.cmdlet("Get-X", {}, deadline_s=60)
    assert host.time.slept[0] == 4


def test_refused_sign_in_is_not_tried_again() -> None:
    """A wrong password is sent once, however many calls follow: the account would be locked."""
    host = FakeHost(opening=[NotAllowed("sign-in failed")])
    shell = host.shell()
    for _ in range(3):
        with pytest.raises(NotAllowed):
            shell.cmdlet("Get-X", {}, deadline_s=10)
    assert host.sessions == []


def test_closing_closes_every_session() -> None:
    """Also a session in use is closed, when it comes back."""
    host = FakeHost([Answer([{"a": 1}, {"a": 2}])])
    with host.shell() as shell:
        reading = shell.stream("Get-X", {}, deadline_s=10)
        next(reading)
        shell.cmdlet("Get-X", {}, deadline_s=10)
    assert [session.closed for session in host.sessions] == [False, True]
    reading.close()
    assert host.sessions[0].closed


@pytest.mark.parametrize(("writes", "kind"), [(False, Busy), (True, Ambiguous)])
def test_cancelling_stops_what_runs(writes: bool, kind: type[ConnectorError]) -> None:
    """A cancelled read is tried another time, a cancelled write is settled by reading; the session goes on."""
    host = FakeHost([Answer([{"a": 1}, {"a": 2}])])
    with host.shell() as shell:
        shell.cancel()
        reading = shell.stream("Get-X", {}, deadline_s=10, writes=writes)
        next(reading)
        shell.cancel()
        with pytest.raises(kind, match="cancelled"):
            next(reading)
        shell.cmdlet("Get-X", {}, deadline_s=10)
    assert len(host.sessions) == 1


def test_closed_connector_opens_again() -> None:
    """A call after closing opens a new session."""
    host = FakeHost()
    shell = host.shell()
    shell.cmdlet("Get-X", {}, deadline_s=10)
    shell.close()
    shell.cmdlet("Get-X", {}, deadline_s=10)
    assert [session.closed for session in host.sessions] == [True, False]


@pytest.mark.parametrize("auth", ["basic", "certificate"])
def test_secret_without_tls_is_refused(auth: str) -> None:
    """Basic sign-in over plain HTTP would show the password to everybody on the way."""
    with pytest.raises(InputRefused, match="without TLS"):
        Endpoint("host", ssl=False, auth=auth, username="a", password=SecretStr("b"))  # type: ignore[arg-type] # text


def failed(message: str, error_id: str = "") -> PipelineFailedError:
    """Make the failure of a pipeline."""
    return PipelineFailedError(Failure(message, error_id=error_id))
