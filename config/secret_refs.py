"""References to secrets: a setting says where a secret is kept, never what it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler, SecretStr
from pydantic_core import CoreSchema, core_schema

from config.errors import InputRefused

_SCHEMES = ("env:", "file:")
_FORM = "write env:NAME or file:PATH; the secret itself never belongs in the settings"


class SecretRef(str):
    """Where a secret is kept: `env:NAME` or `file:PATH`; safe to print."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls.parse, core_schema.str_schema())

    @classmethod
    def parse(cls, text: str) -> SecretRef:
        """Take a reference; raises ValueError, without repeating the text, for anything else."""
        if not text.startswith(_SCHEMES) or not text.partition(":")[2].strip():
            raise ValueError(f"is no reference to a secret: {_FORM}")
        return cls(text)

    def resolve(self, key: str = "secret") -> SecretStr:
        """Fetch the secret, naming `key` in complaints; raises InputRefused when it is missing or empty."""
        scheme, _, place = self.partition(":")
        text = _from_environment(place, key) if scheme == "env" else _from_file(place, key)
        if not text:
            raise InputRefused(f"the secret in {self} is empty", where=key, remedy="put the secret there")
        return SecretStr(text)


def _from_environment(name: str, key: str) -> str:
    if name not in os.environ:
        raise InputRefused(f"the environment has no {name}", where=key, remedy=f"set {name} to the secret")
    return os.environ[name]


def _from_file(place: str, key: str) -> str:
    path = Path(place).expanduser()
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        remedy = "create the file or correct the reference"
        raise InputRefused(f"secret file {path} cannot be read ({reason})", where=key, remedy=remedy) from error
