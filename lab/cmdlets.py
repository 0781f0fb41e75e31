"""What a cmdlet is: its parameters and sets, the call it receives, and the registry that finds and runs it by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from lab.posh_errors import ErrorRecord, PoshError, StatementError
from lab.posh_scope import Scope, Token
from lab.posh_values import Bag, ScriptBlock, Value, to_text

BINDING = "System.Management.Automation.ParameterBindingException"
EVERY_SET = "*"


@dataclass(frozen=True)
class Parameter:
    """One parameter; `sets` says in which parameter sets it may stand and where it is mandatory."""

    name: str
    kind: str = "string"  # string, int, bool, bytes, switch, strings, hashtable, script or any
    aliases: tuple[str, ...] = ()
    position: int | None = None
    sets: Mapping[str, bool] = field(default_factory=lambda: {EVERY_SET: False})
    choices: tuple[str, ...] = ()
    from_value: bool = False
    from_property: bool = False
    since: tuple[int, ...] = ()  # the first module version that knows it
    choices_since: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # the same for a choice

    def stands_in(self, set_name: str) -> bool:
        """Tell whether the parameter belongs to a set."""
        return EVERY_SET in self.sets or set_name in self.sets

    def needed_in(self, set_name: str) -> bool:
        """Tell whether the set cannot do without it."""
        return self.sets.get(set_name, self.sets.get(EVERY_SET, False))


def needed(*sets: str) -> dict[str, bool]:
    """Say where a parameter is mandatory: in these sets, or everywhere."""
    return dict.fromkeys(sets or (EVERY_SET,), True)


def allowed(*sets: str) -> dict[str, bool]:
    """Say in which sets a parameter may stand."""
    return dict.fromkeys(sets, False)


def words(text: str) -> list[str]:
    """Split a list of names."""
    return text.split()


@dataclass(frozen=True)
class Cmdlet:
    """A command of the lab: `run` gets one call per input object, or once with all of them when it streams."""

    name: str
    run: Callable[[Call], Iterable[Value]]
    parameters: tuple[Parameter, ...] = ()
    default_set: str = EVERY_SET
    module: str = "Microsoft.PowerShell.Core"
    streams: bool = False
    changes: bool = False  # knows -WhatIf and -Confirm
    since: tuple[int, ...] = ()
    sets_since: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # the first version of a parameter set

    def at(self, version: tuple[int, ...]) -> Cmdlet:
        """Give the cmdlet as that module version has it: without its later parameters, sets and choices."""
        later = {name for name, since in self.sets_since.items() if since > version}
        kept = (_at(item, version, later) for item in self.parameters if item.since <= version)
        there = replace(self, parameters=tuple(item for item in kept if item.sets))
        return replace(there, default_set=there.set_names[0]) if self.default_set in later else there

    @property
    def set_names(self) -> list[str]:
        """Give the names of all parameter sets."""
        names = dict.fromkeys(name for item in self.parameters for name in item.sets if name != EVERY_SET)
        return list(names) or [EVERY_SET]


def _at(item: Parameter, version: tuple[int, ...], later: Collection[str]) -> Parameter:
    """Give a parameter as a module version has it; without any set when it has none there."""
    sets = {name: must for name, must in item.sets.items() if name not in later}
    choices = tuple(name for name in item.choices if item.choices_since.get(name, ()) <= version)
    return replace(item, sets=sets, choices=choices)


@dataclass
class Call:
    """One call: bound values under canonical names, the set they resolved to, and where output goes."""

    cmdlet: Cmdlet
    scope: Scope
    host: object  # what cmdlets reach beyond the language; a lab.cmdlets_host.Host
    bound: Bag = field(default_factory=Bag)
    set_name: str = EVERY_SET
    pipe: Iterator[Value] | None = None
    common: dict[str, str] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Tell whether a parameter was given."""
        return name in self.bound

    def text(self, name: str) -> str:
        """Give a parameter as text, '' when it is missing or null."""
        return to_text(self.bound.get(name))

    def flag(self, name: str) -> bool:
        """Tell whether a switch or boolean is on."""
        return bool(self.bound.get(name))

    def number(self, name: str, default: int) -> int:
        """Give a whole-number parameter."""
        value = self.bound.get(name)
        return value if isinstance(value, int) else default

    def texts(self, name: str) -> list[str]:
        """Give a list parameter as texts."""
        value = self.bound.get(name)
        return [to_text(item) for item in value] if isinstance(value, list) else []

    def block(self, name: str) -> ScriptBlock:
        """Give a script block parameter."""
        value = self.bound.get(name)
        assert isinstance(value, ScriptBlock)
        return value

    def error(self, record: ErrorRecord) -> None:
        """Write a non-terminating error under the call's -ErrorAction."""
        self.scope.write_error(record.called_by(self.cmdlet.name), self.common.get("erroraction", ""))

    def fail(self, record: ErrorRecord) -> PoshError:
        """Make the error that ends the statement."""
        return StatementError(record.called_by(self.cmdlet.name))

    def message(self, stream: str, text: str) -> None:
        """Write to the warning, verbose, debug or information stream, as the preferences allow."""
        usual = "continue" if stream == "warning" else "silentlycontinue"
        action = self.common.get(f"{stream}action") or self.scope.preference(f"{stream}preference") or usual
        if stream in ("verbose", "debug") and stream in self.common:
            action = "continue" if self.common[stream] == "True" else "silentlycontinue"
        if stream == "information":
            action = "continue"
        if action.lower() not in ("silentlycontinue", "ignore"):
            self.scope.run.streams.message(stream, text)


class Registry:
    """The commands of an endpoint by name and alias, case ignored."""

    def __init__(self, cmdlets: Iterable[Cmdlet], aliases: Mapping[str, str]) -> None:
        self._cmdlets = {cmdlet.name.lower(): cmdlet for cmdlet in cmdlets}
        self._aliases = {alias.lower(): name.lower() for alias, name in aliases.items()}

    def find(self, name: str) -> Cmdlet | None:
        """Find a command; the module may be named before a backslash."""
        lowered = name.lower().rpartition("\\")[2]
        return self._cmdlets.get(self._aliases.get(lowered, lowered))

    def all(self) -> list[Cmdlet]:
        """Give every command, sorted by name."""
        return [self._cmdlets[name] for name in sorted(self._cmdlets)]


def unknown_command(name: str) -> ErrorRecord:
    """Say that there is no such command."""
    text = (
        f"The term '{name}' is not recognized as the name of a cmdlet, function, script file, or operable program. "
        "Check the spelling of the name, or if a path was included, verify that the path is correct and try again."
    )
    exception = "System.Management.Automation.CommandNotFoundException"
    return ErrorRecord(text, "CommandNotFoundException", "ObjectNotFound", exception, target=name)


Tokens = list[Token]
