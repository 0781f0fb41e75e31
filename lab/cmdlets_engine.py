"""Runs commands by name: binding, one call per input object, and the records of what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from lab.cmdlets import Call, Cmdlet, Registry, Tokens, unknown_command
from lab.cmdlets_binding import Binder, bind_input
from lab.posh_errors import ErrorRecord, StatementError
from lab.posh_scope import Scope
from lab.posh_values import Bag, Value

_NOT_BOUND = (
    "The input object cannot be bound to any parameters for the command either because the command does not take "
    "pipeline input or the input and its properties do not match any of the parameters that take pipeline input."
)


class Engine:
    """The commands of one endpoint and what they may reach."""

    def __init__(self, registry: Registry, host: object, version: Callable[[], tuple[int, ...]]) -> None:
        self.registry, self.host, self._version = registry, host, version
        self._known: dict[tuple[str, tuple[int, ...]], Cmdlet] = {}

    def available(self) -> list[Cmdlet]:
        """Give the commands of the module version in use."""
        version = self._version()
        return [self._at(item, version) for item in self.registry.all() if item.since <= version]

    def _at(self, item: Cmdlet, version: tuple[int, ...]) -> Cmdlet:
        """Give a command as that version has it; remembered, since every call asks."""
        if (item.name, version) not in self._known:
            self._known[item.name, version] = item.at(version)
        return self._known[item.name, version]

    def invoke(self, name: str, tokens: Tokens, pipe: Iterator[Value] | None, scope: Scope) -> Iterator[Value]:
        """Bind the tokens and give the output as it comes."""
        cmdlet, version = self.registry.find(name), self._version()
        if cmdlet is None or cmdlet.since > version:
            raise StatementError(unknown_command(name))
        cmdlet = self._at(cmdlet, version)
        binder = Binder(cmdlet)
        binder.take(tokens)
        call = Call(cmdlet, scope, self.host, binder.bound, common=binder.common, pipe=pipe)
        call.set_name = binder.resolve(expecting_input=pipe is not None)
        if cmdlet.streams or pipe is None:
            return iter(run_one(call))
        return self._each(call, binder, pipe)

    def _each(self, call: Call, binder: Binder, pipe: Iterator[Value]) -> Iterator[Value]:
        for item in pipe:
            call.scope.run.streams.checkpoint()
            one = Call(call.cmdlet, call.scope, call.host, Bag(binder.bound.items()), common=call.common)
            if not bind_input(one, binder, item):
                record = ErrorRecord(
                    _NOT_BOUND,
                    "InputObjectNotBound",
                    "InvalidArgument",
                    "System.Management.Automation.ParameterBindingException",
                    target=item,
                )
                one.error(record)
                continue
            full = Binder(call.cmdlet)
            full.bound = one.bound
            one.set_name = full.resolve()
            yield from run_one(one)


def run_one(call: Call) -> Iterable[Value]:
    """Run a call, unless -WhatIf says only to tell."""
    if call.common.get("whatif") == "True":
        subject = call.text("Identity") or call.text("TelephoneNumber")
        call.message("information", f'What if: Performing the operation "{call.cmdlet.name}" on target "{subject}".')
        return []
    return call.cmdlet.run(call)
