"""The param() block of a script: which values its variables get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.posh_errors import ErrorRecord, StatementError
from lab.posh_scope import Scope, Token
from lab.posh_values import Value

_BINDING = "System.Management.Automation.ParameterBindingException"


@dataclass(frozen=True)
class ScriptParameter:
    """One parameter of a script."""

    name: str
    convert: Callable[[Value], Value] | None = None
    mandatory: bool = False
    default: Callable[[Scope], Value] | None = None
    is_switch: bool = False

    def store(self, scope: Scope, value: Value) -> None:
        """Give the variable its value, converted to the declared type."""
        scope.variables[self.name] = self.convert(value) if self.convert else value


def bind_script(parameters: list[ScriptParameter], tokens: list[Token], scope: Scope) -> None:
    """Give named and positional values to the script's variables."""
    named: dict[str, Value] = {}
    loose: list[Value] = []
    for name, value, given in tokens:
        if name:
            named[_known(parameters, name)] = value if given else True
        else:
            loose.append(value)
    scope.variables["args"] = []
    for parameter in parameters:
        _give(parameter, named, loose, scope)
    scope.variables["args"] = loose


def _known(parameters: list[ScriptParameter], name: str) -> str:
    lowered = name.lstrip("-").lower()
    if any(parameter.name == lowered for parameter in parameters):
        return lowered
    text = f"A parameter cannot be found that matches parameter name '{name}'."
    raise StatementError(ErrorRecord(text, "NamedParameterNotFound", "InvalidArgument", _BINDING))


def _give(parameter: ScriptParameter, named: dict[str, Value], loose: list[Value], scope: Scope) -> None:
    if parameter.name in named:
        parameter.store(scope, named[parameter.name])
    elif loose:
        parameter.store(scope, loose.pop(0))
    elif parameter.mandatory:
        text = f"Cannot process command because of one or more missing mandatory parameters: {parameter.name}."
        raise StatementError(ErrorRecord(text, "MissingMandatoryParameter", "InvalidArgument", _BINDING))
    else:
        scope.variables[parameter.name] = parameter.default(scope) if parameter.default else None
