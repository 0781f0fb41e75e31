"""A private Prefect server as a child process, with its own SQLite database, for the demo and the tests."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from deployments.children import Child, free_port, require_free
from deployments.environment import STARTUP_TIMEOUT_S, Place, child_environment

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For questions over plain HTTP: httpx would read every authority of the machine for each of them."""


class PrefectServer:
    """A Prefect server on a loopback port; a context manager that is healthy inside its block."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.place = Place(folder=folder.resolve(), port=port or free_port())
        self.child = Child(
            "Prefect server",
            [sys.executable, "-m", "prefect", "server", "start"],
            log=self.place.folder / "server.log",
            folder=self.place.folder,  # Prefect reads `.env` and `prefect.toml` of its folder: here there are none
            env=child_environment(self.place),
        )

    def start(self) -> Self:
        """Start the process without waiting for it. Raises InputRefused when its port is taken."""
        require_free(self.place.port, "--prefect-port")  # or another server would answer our health question
        self.child.start()
        return self

    def wait(self, timeout_s: float = STARTUP_TIMEOUT_S) -> None:
        """Wait until the server answers. Raises InputRefused."""
        self.child.wait_until(self.is_healthy, timeout_s)

    def is_healthy(self) -> bool:
        """Tell whether the server answers its health question."""
        try:
            return httpx.get(f"{self.place.api_url}/health", timeout=5.0, verify=NO_TLS).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """Stop the process; history stays in the folder and is there again after `start`."""
        self.child.stop()

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
