"""Reading YAML into typed models as strictly as TOML: what YAML would guess is refused, with file, line and remedy.

Only plain data is read: no tags, no anchors, no duplicate keys. A word that some YAML reader takes for something else
(`NO` for Norway, `+431…` for a number, `08` for eight) must be quoted.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from config.errors import InputRefused
from config.toml_files import read_text, refusal

Model = TypeVar("Model", bound=BaseModel)
Place = tuple[int | str, ...]

_PLAIN_TAGS = frozenset(["str", "int", "float", "bool", "null", "timestamp", "merge", "map", "seq"])
_NUMBER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)
_BOOLEANS = {"true": True, "false": False}
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false"])
# Whatever begins like a number and is none of ours: 08, 0x1F, 1_000, 1.5, 12:30, 2026-03-01, +4312345, .inf
_GUESSED = re.compile(r"[-+]?\.?[0-9][0-9a-fA-FxoTZ:_.,eE+-]*|[-+]?\.inf|\.nan", re.IGNORECASE | re.ASCII)


def load_yaml(path: Path, model: type[Model]) -> Model:
    """Read a YAML file as a model; raises InputRefused naming file, line, key and remedy."""
    reader = _Reader(path)
    values = reader.read()
    try:
        return model.model_validate(values)
    except ValidationError as error:
        place = error.errors(include_url=False, include_input=False)[0]["loc"]
        raise refusal(error, model, where=f"{path}, line {reader.line_of(place)}") from error


class _Reader:
    """Turns the nodes of one file into plain values and remembers the line of each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[Place, int] = {(): 1}

    def read(self) -> dict[str, Any]:
        """Read the file. Raises InputRefused."""
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
        from ruamel.yaml.nodes import MappingNode

        text = read_text(self._path)
        try:
            node = YAML(typ="safe", pure=True).compose(text)
        except MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise self._refused(f"is not YAML: {error.problem}", line, "correct that place") from error
        except YAMLError as error:
            raise self._refused("is not YAML", 1, "save it as plain UTF-8 text") from error
        if not isinstance(node, MappingNode):
            raise self._refused("holds no keys", 1, "begin with templates: and a list below it")
        values = self._value(node, ())
        assert isinstance(values, dict)
        return values

    def line_of(self, place: Place) -> int:
        """Give the line of a key, or of the nearest one around it that is written down."""
        while place not in self._lines:
            place = place[:-1]
        return self._lines[place]

    def _value(self, node: Any, place: Place) -> Any:
        from ruamel.yaml.nodes import MappingNode, SequenceNode

        line = node.start_mark.line + 1
        self._lines.setdefault(place, line)
        self._refuse_cleverness(node, line)
        if isinstance(node, MappingNode):
            return self._mapping(node, place)
        if isinstance(node, SequenceNode):
            return [self._value(each, (*place, index)) for index, each in enumerate(node.value)]
        return self._scalar(node, self._lines[place])  # of the key: an empty value is found on the next line

    def _refuse_cleverness(self, node: Any, line: int) -> None:
        if node.anchor is not None:
            raise self._refused(f"uses the anchor &{node.anchor}", line, "write the values out at each place")
        tag = str(node.ctag) if node.ctag else ""
        if tag and tag.removeprefix("tag:yaml.org,2002:") not in _PLAIN_TAGS:
            raise self._refused(f"uses the tag {tag}", line, "take the tag away: only plain data is read")

    def _mapping(self, node: Any, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line, key = key_node.start_mark.line + 1, self._value(key_node, (*place, "…", key_node.start_mark.index))
            if not isinstance(key, str) or key == "<<":
                raise self._refused(f"has the key {key_node.value}, which is no name", line, "use names as keys")
            if key in found:
                first = self._lines[*place, key]
                raise self._refused(f"has the key {key} twice, first in line {first}", line, "keep one of them")
            self._lines[*place, key] = line
            found[key] = self._value(value_node, (*place, key))
        return found

    def _scalar(self, node: Any, line: int) -> str | int | bool:
        text = str(node.value)
        if node.style is not None:
            return text
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        if _NUMBER.fullmatch(text):
            return int(text)
        if text.casefold() in _WORDS:
            said = f"{text} could mean a country or a truth value"
            raise self._refused(said, line, f"write '{text}' in quotes for the text, or true or false")
        if text.casefold() in ("", "~", "null"):
            raise self._refused("has a key without a value", line, "give it a value or leave the key out")
        if _GUESSED.fullmatch(text):
            raise self._refused(f"{text} is read differently by different programs", line, f"write '{text}' in quotes")
        return text

    def _refused(self, what: str, line: int, remedy: str) -> InputRefused:
        return InputRefused(what, where=f"{self._path}, line {line}", remedy=remedy)
