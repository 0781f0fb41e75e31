"""What a running script stands on: variables, streams, the commands it may call, and what the runspace remembers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lab.posh_errors import ErrorRecord, PoshError, ScriptError, StatementError, not_supported
from lab.posh_values import PsObject, Value, to_text

Token = tuple[str, Value, bool]
"""A piece of a command line: parameter name ('' for a bare value), value, whether the value came with the name."""


class Streams(Protocol):
    """Where a pipeline writes; `checkpoint` raises PipelineStopped once the client asked to stop."""

    def output(self, value: Value) -> None:
        """Send one object."""

    def error(self, record: ErrorRecord) -> None:
        """Send a non-terminating error."""

    def message(self, stream: str, text: str) -> None:
        """Send a line on the warning, verbose, debug or information stream."""

    def information(self, value: Value, tags: list[str], source: str) -> None:
        """Send a record of the information stream."""

    def progress(self, record: PsObject) -> None:
        """Send how far something has come."""

    def checkpoint(self) -> None:
        """Leave when the client asked to stop."""

    def sleep(self, seconds: float) -> None:
        """Wait, unless the client asks to stop."""

    def cut(self) -> None:
        """Have the client lose its connection before it hears of this."""

    def kill(self) -> None:
        """Have the shell die before the client hears of this."""


class Commands(Protocol):
    """Finds and runs commands by name."""

    def invoke(self, name: str, tokens: list[Token], pipe: Iterator[Value] | None, scope: Scope) -> Iterator[Value]:
        """Bind the tokens to the command and run it; `pipe` is the input, None without a pipeline."""


class Callee(Protocol):
    """A function that a script defined."""

    def call(self, tokens: list[Token], pipe: Iterator[Value] | None, scope: Scope) -> Iterator[Value]:
        """Run it in a scope of its own."""


@dataclass
class Run:
    """One pipeline while it runs."""

    streams: Streams
    commands: Commands
    guarded: int = 0  # how many try blocks surround the running statement
    depth: int = 0  # how many functions are being called


@dataclass
class Scope:
    """Variables by lower-case name; a name that is not here is looked up in the parent."""

    run: Run
    variables: dict[str, Value] = field(default_factory=dict)
    parent: Scope | None = None
    functions: dict[str, Callee] = field(default_factory=dict)

    def function(self, name: str) -> Callee | None:
        """Find a function of this scope or of one around it."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.functions:
                return scope.functions[name]
            scope = scope.parent
        return None

    def get(self, name: str) -> Value:
        """Read a variable; an unknown one is null."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.variables:
                return scope.variables[name]
            scope = scope.parent
        return None

    def set(self, name: str, value: Value) -> None:
        """Write a variable of this scope."""
        if name in CONSTANTS:
            text = f"Cannot overwrite variable {name} because it is read-only or constant."
            raise StatementError(ErrorRecord(text, "VariableNotWritable", "InvalidOperation"))
        self.variables[name] = value

    def each(self, value: Value, body: Iterator[Value]) -> Iterator[Value]:
        """Run a block with `$_` set to a value; the former one is put back while outputs travel on."""
        before = self.variables.get("_")
        self.variables["_"] = value
        try:
            for item in body:
                yield item
                self.variables["_"] = value
        finally:
            self.variables["_"] = before

    def preference(self, name: str) -> str:
        """Read a preference variable such as `erroractionpreference` in lower case."""
        return to_text(self.get(name)).lower()

    def report(self, error: StatementError) -> None:
        """Deal with a statement that failed: leave it to a try, end the script, or write it and go on."""
        if self.run.guarded:
            raise error
        action = self.preference("erroractionpreference")
        if action == "stop":
            raise ScriptError(error.record) from error
        if action not in ("silentlycontinue", "ignore"):
            self.run.streams.error(error.record)

    def write_error(self, record: ErrorRecord, action: str) -> None:
        """Deal with a non-terminating error of a cmdlet under its -ErrorAction, '' for the preference."""
        action = (action or self.preference("erroractionpreference")).lower()
        if action == "stop":
            raise ScriptError(record, stopped_by_preference=True)
        if action in ("inquire", "suspend", "break"):
            raise ScriptError(_nobody_to_ask(record, action))
        if action not in ("silentlycontinue", "ignore"):
            self.run.streams.error(record)


def _nobody_to_ask(record: ErrorRecord, action: str) -> ErrorRecord:
    """Say that a remote host asks no questions."""
    text = (
        "A command that prompts the user failed because the host program or the command type does not support user "
        f"interaction (ErrorAction {action}). The error was: {record.message}"
    )
    return ErrorRecord(text, "PromptNotSupported", "NotImplemented", "System.Management.Automation.Host.HostException")


CONSTANTS: Mapping[str, Value] = {"null": None, "true": True, "false": False}

REFUSED_VARIABLES = frozenset(
    {"error", "?", "host", "home", "pwd", "profile", "executioncontext", "psversiontable", "matches", "this", "foreach"}
)


def variable_name(text: str) -> str:
    """Bring `$Name`, `${Name}` or `$script:name` to the form the scope uses; refuses other drives."""
    name = text.lstrip("$@").removeprefix("{").removesuffix("}").lower()
    drive, colon, rest = name.partition(":")
    if colon and drive not in ("script", "local", "global"):
        raise StatementError(not_supported(f"the variable ${name}"))
    name = rest if colon else name
    if name in REFUSED_VARIABLES:
        raise StatementError(not_supported(f"the variable ${name}"))
    return "_" if name == "psitem" else name


def new_scope(run: Run, variables: dict[str, Value]) -> Scope:
    """Open the scope of a pipeline over the variables its runspace remembers."""
    variables.setdefault("erroractionpreference", "Continue")
    return Scope(run, variables)


__all__ = ["CONSTANTS", "Commands", "PoshError", "Run", "Scope", "Streams", "Token", "new_scope", "variable_name"]
