"""One pipeline: the commands a client sent, run in a thread, their streams turned into messages."""

from __future__ import annotations

import logging
import queue
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lab import psrp_messages as kinds
from lab.cmdlets_engine import Engine
from lab.posh_compile import compile_script
from lab.posh_errors import (
    ErrorRecord,
    LoopFlow,
    PipelineStopped,
    PoshError,
    ReturnFlow,
    StatementError,
    final_record,
    not_supported,
)
from lab.posh_members import get_member
from lab.posh_parameters import bind_script
from lab.posh_scope import Run, Scope, Token, new_scope
from lab.posh_values import PsObject, Value, as_list, to_text
from lab.psrp_outbox import Outbox
from lab.psrp_records import information_message, progress_message, record_message
from lab.psrp_writer import Writer

log = logging.getLogger(__name__)

STOPPED, COMPLETED, FAILED = 3, 4, 5
_END = object()
_STREAMS = {
    "warning": (kinds.WARNING_RECORD, "WarningRecord"),
    "verbose": (kinds.VERBOSE_RECORD, "VerboseRecord"),
    "debug": (kinds.DEBUG_RECORD, "DebugRecord"),
}


@dataclass(frozen=True)
class Command:
    """One element of a pipeline as the client sent it."""

    text: str
    is_script: bool
    own_scope: bool
    tokens: tuple[Token, ...]


def read_statements(pipeline: Value) -> list[list[Command]]:
    """Read the statements of a CREATE_PIPELINE message."""
    shell = get_member(pipeline, "PowerShell")
    extra = as_list(get_member(shell, "ExtraCmds"))
    raw = [get_member(item, "Cmds") for item in extra] or [get_member(shell, "Cmds")]
    return [[_command(item) for item in as_list(statement)] for statement in raw if as_list(statement)]


def _command(item: Value) -> Command:
    arguments = as_list(get_member(item, "Args"))
    return Command(
        to_text(get_member(item, "Cmd")),
        bool(get_member(item, "IsScript")),
        bool(get_member(item, "UseLocalScope")),
        tuple(_token(argument) for argument in arguments),
    )


def _token(argument: Value) -> Token:
    name = argument.props.get("N") if isinstance(argument, PsObject) else None
    value = argument.props.get("V") if isinstance(argument, PsObject) else argument
    return to_text(name).lstrip("-").rstrip(":"), value, True


@dataclass(frozen=True)
class Exit:
    """How a pipeline reaches its client: what it says, secure texts, and the end of the shell."""

    outbox: Outbox
    emit: Callable[[int, bytes], Iterator[bytes]]
    encrypt: Callable[[str], str | None]
    kill: Callable[[], None]


class Pipeline:
    """Runs in a thread; everything it writes goes through its exit into the outbox."""

    def __init__(
        self, pipeline_id: uuid.UUID, statements: list[list[Command]], way_out: Exit, *, scripts: bool
    ) -> None:
        self.id, self.outbox, self.no_input = pipeline_id, way_out.outbox, True
        self._statements, self._exit, self._scripts = statements, way_out, scripts
        self._input: queue.SimpleQueue[Value] = queue.SimpleQueue()
        self._stop = threading.Event()
        self.finished = threading.Event()

    # What the client does to it

    def feed(self, value: Value) -> None:
        """Take an object from the client."""
        self._input.put(value)

    def end_input(self) -> None:
        """Hear that no more objects come."""
        self._input.put(_END)

    def stop(self) -> None:
        """Ask the pipeline to leave."""
        self._stop.set()
        self._input.put(_END)
        self.outbox.refuse()

    # What the script does (lab.posh_scope.Streams)

    def output(self, value: Value) -> None:
        """Send one object."""
        self.checkpoint()
        self._put(kinds.PIPELINE_OUTPUT, Writer(self._exit.encrypt).message(value))

    def error(self, record: ErrorRecord) -> None:
        """Send a non-terminating error."""
        writer = Writer()
        writer.error(record)
        self._put(kinds.ERROR_RECORD, writer.done())

    def message(self, stream: str, text: str) -> None:
        """Send a line on a side stream."""
        if stream in _STREAMS:
            kind, type_ = _STREAMS[stream]
            self._put(kind, record_message(text, type_))
        else:
            self.information(text, [], "")

    def information(self, value: Value, tags: list[str], source: str) -> None:
        """Send a record of the information stream."""
        self._put(kinds.INFORMATION_RECORD, information_message(value, tags, source))

    def progress(self, record: PsObject) -> None:
        """Send how far something has come."""
        self._put(kinds.PROGRESS_RECORD, progress_message(record))

    def checkpoint(self) -> None:
        """Leave when the client asked to stop."""
        if self._stop.is_set():
            raise PipelineStopped

    def sleep(self, seconds: float) -> None:
        """Wait, unless the client asks to stop."""
        if seconds > 0 and self._stop.wait(seconds):
            raise PipelineStopped

    def cut(self) -> None:
        """Close the client's connection at its next Receive."""
        self.outbox.cut_next()

    def kill(self) -> None:
        """Have the shell die here and now."""
        self._stop.set()
        self._exit.kill()
        raise PipelineStopped

    def _put(self, kind: int, data: bytes) -> None:
        self.outbox.put(self._exit.emit(kind, data))

    # Running

    def run(self, engine: Engine, variables: dict[str, Value]) -> None:
        """Run all statements and report the final state."""
        scope = new_scope(Run(self, engine), variables)
        try:
            state = self._all(scope)
        except PipelineStopped:
            state = _state(STOPPED, _STOP_RECORD)
        except PoshError as error:
            state = _state(FAILED, final_record(error))
        except Exception as error:
            log.exception("the lab failed while running a pipeline")
            record = ErrorRecord(f"The lab failed: {type(error).__name__}: {error}", "LabDefect")
            state = _state(FAILED, record)
        self.outbox.finish(self._exit.emit(kinds.PIPELINE_STATE, state))
        self.finished.set()

    def _all(self, scope: Scope) -> bytes:
        try:
            for item in self.results(scope):
                self.output(item)
        except (ReturnFlow, LoopFlow):
            pass
        return _state(COMPLETED)

    def results(self, scope: Scope) -> Iterator[Value]:
        """Run one statement after the other."""
        given = None if self.no_input else self._objects()
        for commands in self._statements:
            yield from self._statement(commands, given, scope)
            given = None  # what the client sends is for the first statement

    def _statement(self, commands: list[Command], given: Iterator[Value] | None, scope: Scope) -> Iterator[Value]:
        flow = given
        for command in commands:
            flow = self._element(command, flow, scope)
        return flow or iter(())

    def _element(self, command: Command, flow: Iterator[Value] | None, scope: Scope) -> Iterator[Value]:
        if not command.is_script:
            return scope.run.commands.invoke(command.text, list(command.tokens), flow, scope)
        if not self._scripts:
            raise StatementError(_NO_SCRIPTS)
        script = compile_script(command.text)
        inner = Scope(scope.run, {}, scope) if command.own_scope else scope
        bind_script(script.parameters, list(command.tokens), inner)
        inner.variables["input"] = list(flow) if flow is not None else []
        return _until_return(script.body(inner))

    def _objects(self) -> Iterator[Value]:
        while (value := self._input.get()) is not _END:
            yield value
        self.checkpoint()


def _until_return(flow: Iterator[Value]) -> Iterator[Value]:
    try:
        yield from flow
    except ReturnFlow:
        return


_NO_SCRIPTS = ErrorRecord(
    "The syntax is not supported by this runspace. This can occur if the runspace is in no-language mode.",
    "ScriptsNotAllowed",
    "ParserError",
    "System.Management.Automation.PSNotSupportedException",
)
_STOP_RECORD = ErrorRecord(
    "The pipeline has been stopped.",
    "PipelineStopped",
    "OperationStopped",
    "System.Management.Automation.PipelineStoppedException",
)


def _state(number: int, record: ErrorRecord | None = None) -> bytes:
    writer = Writer()
    writer.open("", ())
    props: list[tuple[str, Value]] = [("PipelineState", number)]
    if record is not None:
        props.append(("ExceptionAsErrorRecord", record))
    writer.properties("MS", props)
    writer.close()
    return writer.done()


__all__ = ["Command", "Pipeline", "not_supported", "read_statements"]
