"""GET_COMMAND_METADATA: what implicit remoting asks an endpoint before it makes local proxies of its commands."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from lab.cmdlets import Cmdlet, Parameter
from lab.cmdlets_engine import Engine
from lab.posh_compare import wildcard
from lab.posh_members import get_member
from lab.posh_scope import Scope
from lab.posh_values import EnumValue, Hashtable, PsObject, Value, as_list, to_text
from lab.psrp_pipeline import Exit, Pipeline

_CMDLET = EnumValue("System.Management.Automation.CommandTypes", "Cmdlet", 8)
_COUNT = (
    "Selected.Microsoft.PowerShell.Commands.GenericMeasureInfo",
    "System.Management.Automation.PSCustomObject",
    "System.Object",
)
_COMMAND = ("Selected.System.Management.Automation.CmdletInfo", *_COUNT[1:])
_PARAMETER = ("System.Management.Automation.ParameterMetadata", "System.Object")
_TYPES = {
    "int": "System.Int32",
    "bool": "System.Boolean",
    "bytes": "System.Byte[]",
    "switch": "System.Management.Automation.SwitchParameter",
    "strings": "System.String[]",
    "hashtable": "System.Collections.Hashtable",
    "script": "System.Management.Automation.ScriptBlock",
    "string": "System.String",
}


class MetadataPipeline(Pipeline):
    """Gives a count, then one object for each command whose name fits."""

    def __init__(self, pipeline_id: uuid.UUID, asked: Value, way_out: Exit) -> None:
        super().__init__(pipeline_id, [], way_out, scripts=False)
        self._names = [to_text(name) for name in as_list(get_member(asked, "Name"))] or ["*"]

    def results(self, scope: Scope) -> Iterator[Value]:
        """Give the answer."""
        found = [item for item in _known(scope) if any(wildcard(name).match(item.name) for name in self._names)]
        yield PsObject([("Count", len(found))], types=_COUNT)
        yield from map(_described, found)


def _known(scope: Scope) -> list[Cmdlet]:
    commands = scope.run.commands
    return commands.available() if isinstance(commands, Engine) else []


def _described(item: Cmdlet) -> PsObject:
    props: list[tuple[str, Value]] = [
        ("Name", item.name),
        ("Namespace", item.module),
        ("HelpUri", ""),
        ("CommandType", _CMDLET),
        ("OutputType", []),
        ("Parameters", Hashtable((parameter.name, _parameter(parameter)) for parameter in item.parameters)),
    ]
    return PsObject(props, types=_COMMAND)


def _parameter(item: Parameter) -> PsObject:
    props: list[tuple[str, Value]] = [
        ("Name", item.name),
        ("ParameterType", _TYPES.get(item.kind, "System.Object")),
        ("Aliases", list(item.aliases)),
        ("SwitchParameter", item.kind == "switch"),
        ("IsDynamic", False),
    ]
    return PsObject(props, types=_PARAMETER, adapted=True)
