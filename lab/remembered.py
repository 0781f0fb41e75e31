"""Dictionaries of the tenant that tell its history what an entry was before each change."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Remember = Callable[[str, Any, Any], None]


class Remembered(dict[K, V]):
    """A dictionary that is changed by setting, deleting and popping only; `name` is what the history calls it."""

    def __init__(self, name: str, remember: Remember) -> None:
        super().__init__()
        self._name, self._tell = name, remember

    def __setitem__(self, key: K, value: V) -> None:
        """Set an entry after its value before was remembered."""
        self._tell(self._name, key, self.get(key))
        super().__setitem__(key, value)

    def __delitem__(self, key: K) -> None:
        """Delete an entry after its value was remembered."""
        self._tell(self._name, key, self.get(key))
        super().__delitem__(key)

    def pop(self, key: K, default: Any = None) -> Any:
        """Take an entry out, None or the default when it is not there."""
        if key not in self:
            return default
        value = self[key]
        del self[key]
        return value
