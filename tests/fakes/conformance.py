"""What a connector tells the conformance suite about itself; one adapter for each connector in `tests/fakes/adapters`.

To bring a connector under the suite, add a module there with `ADAPTER`. The suite finds it by itself.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

from tests.fakes.lab_control import LabControl

T = TypeVar("T")
Behaviour = Literal["credentials", "reachability", "throttling", "lost reply", "lost read", "echo", "writes"]
HOSTILE = [
    "O'Hara; DROP TABLE users;--",
    '"quoted" $(whoami) `n ${env:PATH}',
    "a&b=c?d#e/f\\g%41+h",
    "<script>alert(1)</script>]]>&amp;",
    "_x0041_ 𝒰nicode \u202ertl é",
    "line\u2028separator",
]


@dataclass(frozen=True)
class Site:
    """Where to connect: the tenant's endpoints, and what is wrong with them on purpose.

    `hurry` asks the adapter to let no real time pass between attempts, as far as it can.
    """

    endpoints: dict[str, Any]
    has_wrong_credentials: bool = False
    is_down: bool = False
    hurry: bool = False
    deadline_s: float = 30.0


class Adapter(ABC, Generic[T]):
    """One connector under the suite; `cannot` names behaviours that its system does not have."""

    name: ClassVar[str]
    read_operation: ClassVar[str]
    """A glob over the call log's operation that `read` causes."""
    write_operation: ClassVar[str] = ""
    cannot: ClassVar[frozenset[Behaviour]] = frozenset()

    @abstractmethod
    def open(self, site: Site) -> AbstractContextManager[T]:
        """Give the connector for a site, not yet entered; it must be possible to enter it twice."""

    @abstractmethod
    def read(self, connector: T) -> object:
        """Read something that is there."""

    @abstractmethod
    def read_nothing(self, connector: T) -> object:
        """Read something that is not there; the answer must be falsy."""

    def write(self, connector: T, control: LabControl) -> None:
        """Change something by one remote call."""
        raise NotImplementedError

    def echo(self, connector: T, control: LabControl, text: str) -> str | None:
        """Bring a text into the system, by whatever way, and read it back."""
        raise NotImplementedError

    def secrets(self, site: Site) -> list[str]:
        """Give the secrets that must appear nowhere."""
        return [Path(site.endpoints["client_secret_file"]).read_text().strip()]


def adapters(behaviour: Behaviour | None = None) -> list[Adapter[Any]]:
    """Give every adapter whose system has the behaviour."""
    folder = Path(__file__).parent / "adapters"
    names = sorted(module.name for module in pkgutil.iter_modules([str(folder)]))
    found = [importlib.import_module(f"tests.fakes.adapters.{name}").ADAPTER for name in names]
    return [adapter for adapter in found if behaviour not in adapter.cannot]
