"""The threads that run pipelines, and how many of them are at work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Workers:
    """A bounded number of threads; a pipeline that finds none waits."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="lab-runspace")
        self._lock = threading.Lock()
        self.busy = 0

    def start(self, work: Callable[[], None]) -> None:
        """Run something as soon as a thread is free."""
        with self._lock:
            self.busy += 1
        self._pool.submit(self._run, work)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._lock:
                self.busy -= 1

    def close(self) -> None:
        """Start nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
