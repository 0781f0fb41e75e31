"""The mark that says a connector method changes an outside system.

Only `engine/writers.py` may call a marked method; `tests/layout` proves it from the syntax trees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def writes(method: Callable[P, R]) -> Callable[P, R]:
    """Mark a connector method as a remote write."""
    method.__callwright_writes__ = True  # type: ignore[attr-defined] # a mark on the function object
    return method
