"""Binding of arguments to parameters: names, aliases and abbreviations, sets, conversions, pipeline input."""

from __future__ import annotations

from collections.abc import Callable

from lab.cmdlets import BINDING, EVERY_SET, Call, Cmdlet, Parameter, Tokens
from lab.posh_compare import cast, truthy
from lab.posh_errors import ErrorRecord, PoshError, StatementError
from lab.posh_members import get_member
from lab.posh_values import Bag, Hashtable, PsObject, ScriptBlock, Value, as_list, to_text, type_name

COMMON = {
    "erroraction": "ea",
    "warningaction": "wa",
    "informationaction": "infa",
    "verbose": "vb",
    "debug": "db",
}
CHANGING = {"whatif": "wi", "confirm": "cf"}
_SWITCHES = frozenset({"verbose", "debug", "whatif", "confirm"})
_ACTIONS = frozenset({"stop", "continue", "silentlycontinue", "ignore", "inquire", "suspend"})


class Binder:
    """Binds the tokens of one call."""

    def __init__(self, cmdlet: Cmdlet) -> None:
        self.cmdlet = cmdlet
        self.bound = Bag()
        self.common: dict[str, str] = {}
        self._loose: list[Value] = []

    def take(self, tokens: Tokens) -> None:
        """Bind named values, then positional ones."""
        waiting: Parameter | str | None = None
        for name, value, given in tokens:
            if name:
                self._no_value(waiting)
                waiting = self._named(name, value, given=given)
            elif waiting is not None:
                self._bind(waiting, value)
                waiting = None
            else:
                self._loose.append(value)
        self._no_value(waiting)
        self._positional()

    def _named(self, name: str, value: Value, *, given: bool) -> Parameter | str | None:
        """Bind a name; gives it back when its value is the next token."""
        found = self._find(name.lstrip("-"))
        is_switch = found in _SWITCHES if isinstance(found, str) else found.kind == "switch"
        if given:
            self._bind(found, value)
        elif is_switch:
            self._bind(found, value=True)
        else:
            return found
        return None

    def _find(self, name: str) -> Parameter | str:
        lowered = name.lower()
        known: dict[str, Parameter | str] = {}
        for parameter in self.cmdlet.parameters:
            known.update(dict.fromkeys([parameter.name.lower(), *map(str.lower, parameter.aliases)], parameter))
        common = COMMON | CHANGING if self.cmdlet.changes else COMMON
        for long, short in common.items():
            known.update({long: long, short: long})
        if lowered in known:
            return known[lowered]
        candidates = {id(item): item for key, item in known.items() if key.startswith(lowered) and len(key) > 2}
        if len(candidates) == 1:
            return next(iter(candidates.values()))
        raise self._ambiguous(name) if candidates else self._unknown(name)

    def _bind(self, target: Parameter | str, value: Value) -> None:
        if isinstance(target, str):
            self.common[target] = self._common_value(target, value)
            return
        if target.name in self.bound:
            text = (
                f"Cannot bind parameter because parameter '{target.name}' is specified more than once. "
                "To provide multiple values to parameters that can accept multiple values, use the array syntax."
            )
            raise self.refuse(text, "ParameterAlreadyBound", target.name)
        self.bound[target.name] = self.convert(target, value)

    def _common_value(self, name: str, value: Value) -> str:
        text = to_text(truthy(value)) if name in _SWITCHES else to_text(value)
        if name not in _SWITCHES and text.lower() not in _ACTIONS:
            message = f'Cannot bind parameter \'{name}\'. Cannot convert value "{text}" to type "ActionPreference".'
            raise self.refuse(message, "CannotConvertArgumentNoMessage", name)
        return text

    def _positional(self) -> None:
        order = sorted(
            (item for item in self.cmdlet.parameters if item.position is not None), key=lambda item: item.position or 0
        )
        free = [item for item in order if item.name not in self.bound and self._fits(item)]
        for value in self._loose:
            if not free:
                text = f"A positional parameter cannot be found that accepts argument '{to_text(value)}'."
                raise self.refuse(text, "PositionalParameterNotFound", to_text(value))
            self._bind(free.pop(0), value)

    def _fits(self, parameter: Parameter) -> bool:
        return any(parameter.stands_in(name) for name in self._open_sets())

    def _open_sets(self) -> list[str]:
        """Give the parameter sets that all bound parameters belong to."""
        given = [item for item in self.cmdlet.parameters if item.name in self.bound]
        return [name for name in self.cmdlet.set_names if all(item.stands_in(name) for item in given)]

    def resolve(self, *, expecting_input: bool = False) -> str:
        """Give the parameter set, or raise what is wrong with the combination."""
        names = self._open_sets()
        if not names:
            raise self._no_set()
        complete = [name for name in names if not self._missing(name, expecting_input=expecting_input)]
        if self.cmdlet.default_set in complete or len(complete) == 1:
            return self.cmdlet.default_set if self.cmdlet.default_set in complete else complete[0]
        if complete:
            return self._narrowest(complete)
        if len(names) > 1 and self.cmdlet.default_set not in names:
            raise self._no_set()
        chosen = self.cmdlet.default_set if self.cmdlet.default_set in names else names[0]
        missing = " ".join(item.name for item in self._missing(chosen, expecting_input=expecting_input))
        text = f"Cannot process command because of one or more missing mandatory parameters: {missing}."
        raise self.refuse(text, "MissingMandatoryParameter", missing)

    def _narrowest(self, names: list[str]) -> str:
        """Prefer the set whose mandatory parameters are most of those given."""
        return max(names, key=lambda name: sum(item.needed_in(name) for item in self.cmdlet.parameters))

    def _missing(self, set_name: str, *, expecting_input: bool) -> list[Parameter]:
        return [
            item
            for item in self.cmdlet.parameters
            if item.needed_in(set_name)
            and item.stands_in(set_name)
            and item.name not in self.bound
            and not (expecting_input and (item.from_value or item.from_property))
        ]

    def convert(self, parameter: Parameter, value: Value) -> Value:
        """Bring a value to the parameter's type and check it against its choices."""
        try:
            converted = _CONVERTERS[parameter.kind](value)
        except (StatementError, ValueError) as error:
            text = f"Cannot bind parameter '{parameter.name}'. {error}"
            raise self.refuse(text, "CannotConvertArgumentNoMessage", parameter.name) from error
        if parameter.needed_in(EVERY_SET) and converted in (None, ""):
            empty = "null" if value is None else "an empty string"
            text = f"Cannot bind argument to parameter '{parameter.name}' because it is {empty}."
            raise self.refuse(text, "ParameterArgumentValidationErrorNullNotAllowed", parameter.name)
        return self._choice(parameter, converted) if parameter.choices else converted

    def _choice(self, parameter: Parameter, value: Value) -> Value:
        for choice in parameter.choices:
            if choice.lower() == to_text(value).lower():
                return choice
        text = (
            f"Cannot validate argument on parameter '{parameter.name}'. The argument \"{to_text(value)}\" does not "
            f'belong to the set "{",".join(parameter.choices)}" specified by the ValidateSet attribute. '
            "Supply an argument that is in the set and then try the command again."
        )
        raise self.refuse(text, "ParameterArgumentValidationError", parameter.name)

    def refuse(self, text: str, error_id: str, target: str) -> PoshError:
        """Make a binding error of this cmdlet."""
        record = ErrorRecord(text, error_id, "InvalidArgument", BINDING, target=target)
        return StatementError(record.called_by(self.cmdlet.name))

    def _unknown(self, name: str) -> PoshError:
        text = f"A parameter cannot be found that matches parameter name '{name}'."
        return self.refuse(text, "NamedParameterNotFound", name)

    def _ambiguous(self, name: str) -> PoshError:
        text = f"Parameter cannot be processed because the parameter name '{name}' is ambiguous."
        return self.refuse(text, "AmbiguousParameter", name)

    def _no_set(self) -> PoshError:
        text = (
            "Parameter set cannot be resolved using the specified named parameters. One or more parameters issued "
            "cannot be used together or an insufficient number of parameters were provided."
        )
        return self.refuse(text, "AmbiguousParameterSet", "")

    def _no_value(self, waiting: Parameter | str | None) -> None:
        if waiting is not None:
            name = waiting if isinstance(waiting, str) else waiting.name
            text = f"Missing an argument for parameter '{name}'. Specify a parameter of the type and try again."
            raise self.refuse(text, "MissingArgument", name)


def bind_input(call: Call, binder: Binder, item: Value) -> bool:
    """Bind one pipeline object by value, else by property names; tells whether any parameter took it."""
    free = [parameter for parameter in call.cmdlet.parameters if parameter.name not in binder.bound]
    for parameter in free:
        if parameter.from_value and not isinstance(item, PsObject):
            call.bound[parameter.name] = binder.convert(parameter, item)
            return True
    taken = False
    for parameter in free:
        name = _property(parameter, item) if parameter.from_property else None
        if name is not None:
            call.bound[parameter.name] = binder.convert(parameter, get_member(item, name))
            taken = True
    return taken


def _property(parameter: Parameter, item: Value) -> str | None:
    names = (parameter.name, *parameter.aliases)
    if isinstance(item, PsObject):
        return next((name for name in names if name in item.props), None)
    return None


def _single(value: Value) -> Value:
    if isinstance(value, list) and len(value) != 1:
        message = "Cannot convert 'System.Object[]' to the type 'System.String' required by the parameter."
        raise ValueError(message)
    inner = value[0] if isinstance(value, list) else value
    return None if inner is None else to_text(inner)


def _boolean(value: Value) -> Value:
    if isinstance(value, bool | int | float):
        return bool(value)
    message = (
        f'Cannot convert value "{to_text(value)}" to type "System.Boolean". Boolean parameters accept only Boolean '
        "values and numbers, such as $True, $False, 1 or 0 instead."
    )
    raise ValueError(message)


def _switch(value: Value) -> Value:
    return True if value is None else _boolean(value)


def _of_type(wanted: type, spoken: str) -> Callable[[Value], Value]:
    def check(value: Value) -> Value:
        if isinstance(value, wanted):
            return value
        message = f'Cannot convert the "{to_text(value)}" value of type "{type_name(value)}" to type "{spoken}".'
        raise ValueError(message)

    return check


def _bytes(value: Value) -> Value:
    """Take a byte array, also one that came as a list of numbers."""
    if isinstance(value, list) and all(isinstance(item, int) and 0 <= item < 256 for item in value):
        return bytes(item for item in value if isinstance(item, int))
    return _of_type(bytes, "System.Byte[]")(value)


def _whole(value: Value) -> Value:
    convert = cast("int")
    assert convert is not None
    return None if value is None else convert(value)


_CONVERTERS: dict[str, Callable[[Value], Value]] = {
    "string": _single,
    "int": _whole,
    "bool": _boolean,
    "bytes": _bytes,
    "switch": _switch,
    "strings": lambda value: [to_text(item) for item in as_list(value)],
    "list": lambda value: list(as_list(value)),
    "hashtable": _of_type(Hashtable, "System.Collections.Hashtable"),
    "script": _of_type(ScriptBlock, "System.Management.Automation.ScriptBlock"),
    "any": lambda value: value,
}
