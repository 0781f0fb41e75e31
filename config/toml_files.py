"""Reading TOML into typed models, with every complaint as one line that names file, key and remedy."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from config.errors import InputRefused

Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path) -> dict[str, object]:
    """Read a TOML file; raises InputRefused when it is missing, unreadable or not TOML."""
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise InputRefused(f"is not TOML: {error}", where=str(path), remedy="correct that place") from error


def read_text(path: Path) -> str:
    """Read a policy file as text; raises InputRefused when it is missing or unreadable."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        remedy = "create the file or correct its path"
        raise InputRefused(f"cannot be read ({error.strerror})", where=str(path), remedy=remedy) from error
    except UnicodeDecodeError as error:
        raise InputRefused("is not UTF-8 text", where=str(path), remedy="save the file as UTF-8") from error


def load_toml(path: Path, model: type[Model]) -> Model:
    """Read a TOML file as a model; raises InputRefused naming file, key and remedy."""
    return validated(model, read_toml(path), where=str(path))


def validated(model: type[Model], values: Mapping[str, object], *, where: str) -> Model:
    """Make a model from values that came from `where`; raises InputRefused with one line."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise refusal(error, model, where=where) from error


def refusal(error: ValidationError, model: type[BaseModel], *, where: str) -> InputRefused:
    """Turn a validation error into one line; values are not repeated, they may be secrets."""
    problems = error.errors(include_url=False, include_input=False)
    first, others = problems[0], len(problems) - 1
    what, remedy = _explain(first, model)
    more = f" (and {others} more)" if others else ""
    return InputRefused(f"{what}{more}", where=where, remedy=remedy)


def key_of(problem: ErrorDetails) -> str:
    """Write the place of a problem as a dotted key; list items are counted from 1."""
    parts = (f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in problem["loc"])
    return "".join(parts).lstrip(".")


def _explain(problem: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    key = key_of(problem)
    match problem["type"]:
        case "extra_forbidden":
            return f"unknown key {key}", _suggestion(str(problem["loc"][-1]), _fields_at(model, problem["loc"][:-1]))
        case "missing":
            return f"{key} is missing", f"add {key}"
        case _:
            message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
            return (f"{key}: {message}" if key else message), (f"correct {key}" if key else "")


def _suggestion(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"remove it; known keys: {', '.join(names)}" if names else "remove it"


def _fields_at(model: type[BaseModel], place: Iterable[int | str]) -> list[str]:
    """List the fields of the model that a place inside another model leads to."""
    current: type[BaseModel] | None = model
    for part in place:
        if current is not None and isinstance(part, str) and part in current.model_fields:
            current = model_in(current.model_fields[part].annotation)
    return list(current.model_fields) if current else []


def model_in(annotation: object) -> type[BaseModel] | None:
    """Find the model in an annotation such as `Pool`, `Pool | None` or `tuple[Pool, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = getattr(annotation, "__args__", ())
    return next((found for part in inner if (found := model_in(part))), None)
