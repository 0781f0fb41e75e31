"""PowerShell remoting: the only module that speaks to pypsrp. Typed values in, plain values out, always closed.

Connects and reads are repeated, a write never: a write whose reply is lost is Ambiguous. What the cmdlets mean is left
to `directory.py` and `teams_shell.py`, how many sessions there are and who uses them to `shell_sessions.py`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, Self

import requests
from pydantic import JsonValue, SecretStr
from pypsrp.complex_objects import PSInvocationState
from pypsrp.exceptions import AuthenticationError, WinRMTransportError, WSManFaultError
from pypsrp.messages import Message
from pypsrp.powershell import Fragmenter, RunspacePool
from pypsrp.powershell import PowerShell as Pipeline
from pypsrp.serializer import TaggedValue
from pypsrp.wsman import NAMESPACES, WSMan, WSManAction
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError

from connectors.clixml import Bag, Sendable, check_sendable, has_secret
from connectors.errors import Invalid, NotAllowed, Throttled
from connectors.psrp_messages import complete, read
from connectors.rows import Row, RowResult, attribute, one_by_one
from connectors.scripts import CATALOGUE, Script
from connectors.shell_calls import Calls
from connectors.shell_endpoint import IDLE_TIMEOUT_S, Endpoint
from connectors.shell_errors import (
    SYSTEM,
    classify,
    failure_object,
    failure_of_record,
    meaning_of_fault,
    meaning_of_status,
)
from connectors.shell_places import Quota
from connectors.shell_sessions import (
    Call,
    OpenSession,
    PipelineCancelledError,
    PipelineFailedError,
    PipelineLateError,
    Prepare,
    SessionLostError,
    Sessions,
)
from connectors.throttle import SHARED_PAUSES, Clock, Hold
from connectors.trust import authorities_file

# Its debug output shows whole messages, and so the tokens in them; its errors reach us as exceptions as well.
for _library in ("pypsrp", "spnego"):
    logging.getLogger(_library).setLevel(logging.CRITICAL)

# A pipeline that is cancelled, or late, goes on for so long at most.
_POLL_S = 5
_STOP_S = 5
_SLOWEST_OPENING_S = 90.0


class PowerShell:
    """Cmdlets and constant scripts on one endpoint; safe to share between threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        sessions: int = 3,
        idle_s: float = 30.0,
        clock: Clock | None = None,
        hold: Hold | None = None,
        open_session: OpenSession | None = None,
        quota: Quota | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._clock = ticks = clock or Clock()
        pause = hold or SHARED_PAUSES(endpoint.account, SYSTEM)
        opener = open_session or (lambda deadline: RemoteSession(endpoint, deadline, clock=ticks, hold=pause))
        self._sessions = Sessions(opener, limit=sessions, idle_s=idle_s, clock=ticks, hold=pause, quota=quota)
        self._calls = Calls(self._sessions, endpoint.address, clock=ticks, hold=pause)

    def __enter__(self) -> Self:
        """Give itself; sessions are opened when first needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every session: one left open occupies a place of the quota for a quarter of an hour."""
        self.close()

    def close(self) -> None:
        """Close every session."""
        self._sessions.close()

    def cancel(self) -> None:
        """Stop every pipeline that runs, in whatever thread: a read is Busy then, a write Ambiguous."""
        self._sessions.cancel()

    def waiting(self) -> int:
        """Tell how many calls wait for a session now."""
        return self._sessions.waiting()

    def prepare_with(self, prepare: Prepare) -> None:
        """Have each session made ready before it is used, for instance by signing in inside it."""
        self._sessions.prepare = prepare

    def run(
        self, script: Script, rows: Sequence[Row], *, deadline_s: float, writes: bool = False
    ) -> Iterator[RowResult]:
        """Run a constant script over rows in one pipeline and give a result for each row as it comes.

        A row is its `key`, which no other row may have, and what the script reads of it. Where scripts are forbidden,
        the script's cmdlet is called row by row. Raises Invalid, Unsupported, NotAllowed, Throttled, Busy or
        Unreachable, and Ambiguous for a lost write.
        """
        if script not in CATALOGUE:
            raise Invalid(f"the script {script.name!r} is no constant of connectors/scripts.py", system=SYSTEM)
        check_sendable(rows, "rows")
        if len({row["key"] for row in rows}) < len(rows):
            raise Invalid("two rows have the same key, so their results could not be told apart", system=SYSTEM)
        if not self.endpoint.allows_scripts:
            return self._one_by_one(script, rows, deadline_s, writes=writes)
        call = Call(script.name, {"Rows": [dict(row) for row in rows]}, script)
        objects = self._calls.objects(call, deadline_s, writes=writes) if rows else iter(())
        return attribute(objects, attempt=script.name, writes=writes)

    def _one_by_one(
        self, script: Script, rows: Sequence[Row], deadline_s: float, *, writes: bool
    ) -> Iterator[RowResult]:
        deadline = self._clock.now() + deadline_s

        def call(row: Row) -> None:
            parameters = row["parameters"]
            assert isinstance(parameters, dict)
            self.cmdlet(script.cmdlet, parameters, deadline_s=max(0.0, deadline - self._clock.now()), writes=writes)

        return one_by_one(rows, call)

    def cmdlet(
        self, name: str, parameters: Mapping[str, Sendable], *, deadline_s: float, writes: bool = False
    ) -> list[Bag]:
        """Call one cmdlet with typed parameters (True for a switch) and give its objects.

        Raises what the failure means; a {Code, Message} answer is a failure too, as is an error that did not stop it.
        """
        return list(self.stream(name, parameters, deadline_s=deadline_s, writes=writes))

    def stream(
        self, name: str, parameters: Mapping[str, Sendable], *, deadline_s: float, writes: bool = False
    ) -> Generator[Bag, None, None]:
        """Call one cmdlet and give its objects as they come, in little memory; closing it early stops the cmdlet."""
        _check_parameters(name, parameters)
        for value in self._calls.objects(Call(name, parameters), deadline_s, writes=writes):
            bag: Bag = value if isinstance(value, dict) else {"Value": value}
            failure = failure_object(bag)
            if failure is not None:
                raise classify(failure, attempt=name, writes=writes)
            yield bag


def _check_parameters(name: str, parameters: Mapping[str, Sendable]) -> None:
    check_sendable(parameters, name)
    missing = [parameter for parameter, value in parameters.items() if value is None]
    if missing:
        # pypsrp would send it as a switch, and the cmdlet would take that for true
        raise Invalid(f"{name} -{missing[0]} has no value ; only rows of a script can say $null", system=SYSTEM)


class RemoteSession:
    """One WSMan connection and one runspace; for one thread at a time."""

    def __init__(self, endpoint: Endpoint, deadline: float, *, clock: Clock, hold: Hold) -> None:
        self.broken = self._is_cancelled = False
        self._endpoint, self._address, self._clock, self._hold = endpoint, endpoint.address, clock, hold
        self._warnings: list[str] = []
        self._connection = _Connection(endpoint)
        self._pool = RunspacePool(
            self._connection, configuration_name=endpoint.configuration_name, idle_timeout=IDLE_TIMEOUT_S
        )
        # The private attribute is the only way to read objects cheaply; tests fail when a new pypsrp moves it.
        self._pool._fragmenter = MessageReader(self._connection.max_payload_size, self._pool._serializer)
        self._connection.allow(deadline - clock.now())
        try:
            self._pool.open()
        except Exception as error:  # pypsrp lets every kind through
            self.close()
            raise self._meaning(error, sent=False) from error

    def stream(self, call: Call, deadline: float) -> Iterator[JsonValue]:
        """Run a pipeline and give its objects as they come; whatever happens, it is ended on the server."""
        pipeline, self._is_cancelled = Pipeline(self._pool), False
        try:
            self._begin(pipeline, call, deadline)
            while pipeline.state == PSInvocationState.RUNNING:
                self._poll(pipeline, deadline)
                objects, pipeline.output = pipeline.output, []
                yield from objects
        finally:
            self._end(pipeline)
        self._judge(pipeline)

    def warnings(self) -> list[str]:
        """Give the warnings of the last pipeline."""
        return self._warnings

    def is_alive(self) -> bool:
        """Ask the server whether it still knows the session, on the open connection only."""
        try:
            return bool(self._pool.is_alive(timeout=_STOP_S))
        except Exception:  # noqa: BLE001 - whatever goes wrong, the session is not worth keeping
            return False

    def cancel(self) -> None:
        """Have the pipeline that runs stopped at its next poll."""
        self._is_cancelled = True

    def close(self) -> None:
        """End the session on both sides; the server keeps it, and its place in the quota, when it cannot be told."""
        try:
            self._connection.allow(_STOP_S)
            self._pool.close()
        except Exception:  # noqa: BLE001 - closing is a courtesy to the server
            self.broken = True
        finally:
            self._connection.close()

    def _begin(self, pipeline: Any, call: Call, deadline: float) -> None:
        self._connection.allow(deadline - self._clock.now())
        try:
            if has_secret(call.parameters):
                self._pool.exchange_keys()
            if call.script is not None:
                pipeline.add_script(call.script.text)
            else:
                pipeline.add_cmdlet(call.name)
            pipeline.add_parameters({name: typed(value) for name, value in call.parameters.items()})
            # 0: no invocation details in error records, they repeat the parameters
            pipeline.begin_invoke(remote_stream_options=0)
        except Exception as error:
            self.broken = True
            raise self._meaning(
                error, sent=pipeline.state == PSInvocationState.RUNNING or _may_be_sent(error)
            ) from error

    def _poll(self, pipeline: Any, deadline: float) -> None:
        remaining_s = deadline - self._clock.now()
        if self._is_cancelled:
            raise PipelineCancelledError
        if remaining_s <= 0:
            raise PipelineLateError
        self._look_for_pause(remaining_s)
        try:
            pipeline.poll_invoke(timeout=min(_POLL_S, math.ceil(remaining_s)))
        except Exception as error:
            meaning = self._meaning(error, sent=True)
            if not isinstance(meaning, Throttled):
                self.broken = True
                raise meaning from error
            self._hold.hold(meaning.retry_after_s)  # asking again afterwards is safe: the pipeline runs on meanwhile

    def _look_for_pause(self, remaining_s: float) -> None:
        """Ask for no output either while the endpoint told this account to wait, in whatever session."""
        try:
            self._hold.last_look(remaining_s)
        except Throttled as error:
            raise PipelineLateError from error

    def _end(self, pipeline: Any) -> None:
        """Stop what still runs and release it on the server, which would keep every pipeline otherwise."""
        if self.broken or pipeline.state == PSInvocationState.NOT_STARTED:
            return
        try:
            self._connection.allow(_STOP_S)
            if pipeline.state == PSInvocationState.RUNNING:
                pipeline.stop()
            pipeline.close()
            self._pool._fragmenter.incoming_buffer.clear()
        except Exception:  # noqa: BLE001 - the outcome is known; only the session cannot be used again
            self.broken = True

    def _judge(self, pipeline: Any) -> None:
        """Take an error that did not stop the pipeline for an error too: PowerShell calls such a pipeline completed."""
        self._warnings = [str(warning) for warning in pipeline.streams.warning]
        if pipeline.streams.error:
            raise PipelineFailedError(failure_of_record(pipeline.streams.error[0]))
        if pipeline.state != PSInvocationState.COMPLETED:
            raise SessionLostError("the pipeline was stopped by the server", sent=True)

    def _meaning(self, error: Exception, *, sent: bool) -> Exception:
        """Say what an exception of the transport means; unknown ones mean that the session cannot be trusted."""
        match error:
            case AuthenticationError():
                return NotAllowed(f"sign-in to {self._address} failed ; {self._endpoint.sign_in_remedy}", system=SYSTEM)
            case ImportError():  # pypsrp asks for Kerberos' libraries when they are needed
                return NotAllowed(
                    f"{self._endpoint.auth} sign-in needs libraries that are not installed here ;"
                    " install gssapi and krb5, or choose negotiate",
                    system=SYSTEM,
                )
            case OSError() if type(error) is OSError:  # requests: a certificate file is not there
                return NotAllowed(f"sign-in to {self._address}: {error} ; correct the path", system=SYSTEM)
            case WSManFaultError():
                reason = f"{error.reason or ''} {error.provider_fault or ''}".strip()
                meaning = meaning_of_fault(error.code, reason, self._address)
            case WinRMTransportError():
                meaning = meaning_of_status(error.code, self._connection.retry_after, self._address)
            case requests.exceptions.SSLError():
                meaning = NotAllowed(
                    f"the certificate of {self._address} is not trusted ; set ca_bundle", system=SYSTEM
                )
            case _ if type(error).__module__.startswith("spnego"):
                meaning = NotAllowed(f"sign-in to {self._address} failed: {error} ; check the account", system=SYSTEM)
            case _:
                meaning = None
        how = "the session was lost" if sent else "no session could be opened"
        return meaning or SessionLostError(f"{how} ({type(error).__name__})", sent=sent)


def _may_be_sent(error: Exception) -> bool:
    """Tell whether a request that failed may have been carried out: not if it was answered, or never connected."""
    if isinstance(error, WSManFaultError):
        return False
    if isinstance(error, WinRMTransportError):
        return int(error.code) in {500, 502, 504}
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return False
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return not isinstance(reason, NewConnectionError | ConnectTimeoutError | ProxyError)


def typed(value: Sendable) -> object:
    """Give the form in which pypsrp sends a value without loss: it would send floats as single precision."""
    match value:
        case SecretStr():
            return TaggedValue("SS", value.get_secret_value())
        case bool() | str() | None:
            return value
        case int():
            return value if -(2**31) <= value < 2**31 else TaggedValue("I64", value)
        case float():
            return TaggedValue("Db", repr(value))
        case Mapping():
            return {str(name): typed(item) for name, item in value.items()}
        case _:
            return [typed(item) for item in value]


class _Connection(WSMan):  # type: ignore[misc] # pypsrp has no types
    """A WSMan connection that keeps to our time limits and looks nothing up in the environment."""

    def __init__(self, endpoint: Endpoint) -> None:
        password = endpoint.password
        super().__init__(
            endpoint.server,
            port=endpoint.port,
            path=endpoint.path,
            ssl=endpoint.ssl,
            auth=endpoint.auth,
            username=endpoint.username,
            password=None if password is None else password.get_secret_value(),
            cert_validation=authorities_file(endpoint.ca_bundle),
            certificate_pem=endpoint.certificate_file and str(endpoint.certificate_file),
            certificate_key_pem=endpoint.private_key_file and str(endpoint.private_key_file),
        )
        self.retry_after: float | None = None
        http = self.transport._build_session()
        http.max_redirects = 0  # an endpoint does not move, and a password does not follow
        http.trust_env = False  # a look at the environment per request costs a fifth of a cmdlet's time
        http.hooks["response"].append(self._note)
        self.transport.session = http

    def allow(self, remaining_s: float) -> None:
        """Let the next requests take no longer than this; a host that loads its modules needs its time to open."""
        self.operation_timeout = math.ceil(min(_SLOWEST_OPENING_S, max(1.0, remaining_s)))
        self.transport.connection_timeout = min(30.0, max(1.0, remaining_s))
        self.transport.read_timeout = self.operation_timeout + 2.0

    def receive(self, resource_uri: str, resource: Any, option_set: Any, selector_set: Any, timeout: int | None) -> Any:
        """Ask for output once; pypsrp's five silent repetitions with waits in between would outlast any deadline."""
        answer = self.invoke(WSManAction.RECEIVE, resource_uri, resource, option_set, selector_set, timeout)
        return answer.find("s:Body", namespaces=NAMESPACES)

    def _note(self, response: requests.Response, **_: object) -> None:
        response.encoding = response.encoding or "utf-8"  # guessing it takes longer than reading the answer
        header = response.headers.get("Retry-After", "")
        self.retry_after = float(header) if header.isdigit() else None


class MessageReader(Fragmenter):  # type: ignore[misc] # pypsrp has no types
    """Puts messages together and reads those of pipelines itself; the few others are left to pypsrp."""

    def defragment(self, data: bytes) -> list[Any]:
        """Give the messages that are complete with these bytes."""
        return [read(raw) or Message.unpack(raw, self.serializer) for raw in complete(data, self.incoming_buffer)]
