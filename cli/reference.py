"""Writes the generated parts of the documents: every command, every setting. `python -m cli.reference` refreshes them.

A test compares; nothing generated is edited by hand.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- generated: {} -->", "<!-- end -->"


class Command(NamedTuple):
    """One command: its words, the parsed command object, and what it is for."""

    words: str
    parsed: Any
    help: str


def commands() -> list[Command]:
    """List every command of the command line, groups left out."""
    from cli.main import command

    return list(_walk(command(), ""))


def commands_table() -> str:
    """Give the table of all commands and their options."""
    lines = ["| command | does |", "|---|---|"]
    for command in commands():
        lines.append(f"| `./callwright {_usage(command)}` | {command.help} |")
    return "\n".join(lines)


def settings_table() -> str:
    """Give the table of all settings."""
    from config.settings import keys

    lines = ["| key | environment | default | means |", "|---|---|---|---|"]
    lines += [f"| `{key.name}` | `{key.environment}` | {_code(key.default)} | {key.help} |" for key in keys()]
    return "\n".join(lines)


def matrix_table() -> str:
    """Give the table of user types and the policy types that apply to them."""
    from config import user_types

    return user_types.matrix_table()


def template_table() -> str:
    """Give the table of every key of a lifecycle template."""
    from config.site_templates import LifecycleTemplate

    lines = ["| key | default | means |", "|---|---|---|"]
    for name, field in LifecycleTemplate.model_fields.items():
        default = "required" if field.is_required() else _default(field.default)
        lines.append(f"| `{name}` | {default} | {field.description or _MEANINGS[name]} |")
    return "\n".join(lines)


_MEANINGS = {
    "name": "what it is called; plans and reports name it",
    "match": "whom it is for: `department`, `location`, `usage_location`, `company`, `worker_type`, `groups`",
    "number_source": "where the number comes from; the values are below",
    "enterprise_voice": "whether Enterprise Voice is switched on",
}


def _default(value: object) -> str:
    from pydantic import BaseModel

    shown = "" if value is None or isinstance(value, BaseModel) else str(value)
    return "" if shown in ("()", "{}") else f"`{shown}`" if shown else ""


PAGES = {
    "docs/commands.md": ("commands", commands_table),
    "docs/configuration.md": ("settings", settings_table),
    "docs/templates.md": ("template keys", template_table),
    "docs/user-types.md": ("matrix", matrix_table),
}


def refreshed(page: str) -> str:
    """Give a page's text with its generated part up to date."""
    name, make = PAGES[page]
    begin = BEGIN.format(name)
    pattern = re.compile(f"({re.escape(begin)}\n).*?(\n{re.escape(END)})", re.DOTALL)
    text = (ROOT / page).read_text(encoding="utf-8")
    return pattern.sub(lambda found: f"{found[1]}{make()}{found[2]}", text)


def _walk(parsed: Any, words: str) -> Iterator[Command]:
    children = getattr(parsed, "commands", None)
    if children is None:
        yield Command(words, parsed, inspect.cleandoc(parsed.help or "").partition("\n")[0])
        return
    for name, child in children.items():
        yield from _walk(child, f"{words} {name}".strip())


def _usage(command: Command) -> str:
    words = [command.words]
    for parameter in command.parsed.params:
        if parameter.param_type_name == "argument":
            words.append(parameter.name.upper() if parameter.required else f"[{parameter.name.upper()}]")
        elif "--help" not in parameter.opts:
            option = max(parameter.opts, key=len)
            shown = option if parameter.is_flag else f"{option} {parameter.name.upper()}"
            words.append(shown if parameter.required else f"[{shown}]")
    return " ".join(words)


def _code(text: str) -> str:
    return f"`{text}`" if text and text != "required" else text


if __name__ == "__main__":
    for name in PAGES:
        (ROOT / name).write_text(refreshed(name), encoding="utf-8")
