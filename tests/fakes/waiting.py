"""Waits for something to become true in another thread or process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    question: Callable[[], T],
    timeout_s: float = 240,
    every_s: float = 0.02,
    told: Callable[[], object] = lambda: "waited in vain",
) -> T:
    """Ask until the answer is true, and give it; fails, with what is told then, when that takes too long."""
    give_up_at = time.monotonic() + timeout_s
    while not (answer := question()):
        assert time.monotonic() < give_up_at, told()
        time.sleep(every_s)
    return answer
