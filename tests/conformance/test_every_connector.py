"""What every connector must do, whatever the system behind it; run against the stand-in tenant."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from connectors.errors import Ambiguous, ConnectorError, NotAllowed, Unreachable
from tests.fakes.conformance import HOSTILE, Adapter, Behaviour, Site, adapters
from tests.fakes.lab_control import LabControl

Endpoints = dict[str, Any]


def every(behaviour: Behaviour | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test for every connector whose system has the behaviour."""
    return pytest.mark.parametrize("adapter", [pytest.param(a, id=a.name) for a in adapters(behaviour)])


def _failure(act: Callable[[], object]) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        act()
    return caught.value


@every()
def test_connector_opens_and_closes_twice(adapter: Adapter[Any], endpoints: Endpoints) -> None:
    """A connector that was closed can be opened again and works."""
    connector = adapter.open(Site(endpoints))
    for _ in range(2):
        with connector as opened:
            assert adapter.read(opened)
    with adapter.open(Site(endpoints)):
        pass  # closing without a call is fine


@every("credentials")
def test_wrong_credentials_are_not_allowed_in_one_line(adapter: Adapter[Any], endpoints: Endpoints) -> None:
    """Wrong credentials are told in one line that ends with what to do, and are not tried twice."""
    with adapter.open(Site(endpoints, has_wrong_credentials=True, hurry=True)) as connector:
        error = _failure(lambda: adapter.read(connector))
    assert type(error) is NotAllowed
    assert "\n" not in str(error)
    assert " ; " in str(error)


@every("reachability")
def test_endpoint_that_is_down_is_unreachable_in_one_line(adapter: Adapter[Any], endpoints: Endpoints) -> None:
    """A refused connection is Unreachable, for reads and writes alike."""
    with adapter.open(Site(endpoints, is_down=True, hurry=True, deadline_s=10)) as connector:
        error = _failure(lambda: adapter.read(connector))
    assert type(error) is Unreachable
    assert "\n" not in str(error)
    assert " ; " in str(error)


@every()
def test_no_error_carries_a_secret(adapter: Adapter[Any], endpoints: Endpoints) -> None:
    """Neither the text of an error, nor its chain, nor what hangs on it contains a secret."""
    for trouble in ({"has_wrong_credentials": True}, {"is_down": True}):
        site = Site(endpoints, hurry=True, deadline_s=10, **trouble)
        with adapter.open(site) as connector:
            error = _failure(lambda opened=connector: adapter.read(opened))  # type: ignore[misc] # bound on purpose
        shown = "".join(traceback.format_exception(error)) + repr(vars(error)) + repr(vars(error.__cause__ or error))
        for secret in [*adapter.secrets(site), "wrong-canary"]:
            assert secret not in shown


@every("lost read")
def test_read_whose_reply_is_lost_is_repeated(adapter: Adapter[Any], endpoints: Endpoints, control: LabControl) -> None:
    """A read without an answer is asked again, without the caller noticing."""
    with adapter.open(Site(endpoints, hurry=True)) as connector:
        adapter.read(connector)
        with control.fault("drop_reply", adapter.read_operation, times=1):
            assert adapter.read(connector)


@every("lost reply")
def test_write_whose_reply_is_lost_is_ambiguous_and_sent_once(
    adapter: Adapter[Any], endpoints: Endpoints, control: LabControl
) -> None:
    """A write without an answer happened once, and its outcome is told as unknown."""
    with adapter.open(Site(endpoints, hurry=True)) as connector:
        adapter.read(connector)
        before = control.last_seq()
        with control.fault("drop_reply", adapter.write_operation, times=1):
            error = _failure(lambda: adapter.write(connector, control))
    assert type(error) is Ambiguous
    assert len([call for call in control.calls(before) if call["write"]]) == 1


@every("writes")
def test_write_is_sent_once_when_all_is_well(adapter: Adapter[Any], endpoints: Endpoints, control: LabControl) -> None:
    """A write is one call with one effect at least."""
    with adapter.open(Site(endpoints)) as connector:
        before = control.last_seq()
        adapter.write(connector, control)
    (written,) = [call for call in control.calls(before) if call["write"]]
    assert written["effects"]


@every("throttling")
def test_nothing_is_sent_inside_a_pause(adapter: Adapter[Any], endpoints: Endpoints, control: LabControl) -> None:
    """A connector that is told to wait waits that long, then does what it was asked."""
    with adapter.open(Site(endpoints)) as connector:
        adapter.read(connector)
        before = control.last_seq()
        with control.fault("throttle", adapter.read_operation, times=1, retry_after_s=1):
            assert adapter.read(connector)
    told, *later = [_moment(call) for call in control.calls(before)]
    assert later
    assert all((moment - told).total_seconds() >= 0.95 for moment in later)


@every()
def test_empty_answer_is_empty_not_an_error(adapter: Adapter[Any], endpoints: Endpoints) -> None:
    """What is not there is None or empty."""
    with adapter.open(Site(endpoints)) as connector:
        assert not adapter.read_nothing(connector)


@every("echo")
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_comes_back_verbatim(
    adapter: Adapter[Any], endpoints: Endpoints, control: LabControl, text: str
) -> None:
    """Quotes, commands, markup and odd characters are data."""
    with adapter.open(Site(endpoints)) as connector:
        assert adapter.echo(connector, control, text) == text


def _moment(call: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(call["at"])
