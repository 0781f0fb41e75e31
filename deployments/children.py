"""Child processes of a set-up: started with their own log file, awaited until ready, stopped by process id."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from config.errors import InputRefused

HOST = "127.0.0.1"
GRACE_S = 10.0
_POLL_S = 0.05


class Child:
    """One child process; leaving the context terminates it, and kills it when it does not go."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        folder: Path,
        env: Mapping[str, str],
        grace_s: float = GRACE_S,
    ) -> None:
        self.name, self.command, self.log, self.folder = name, list(command), log, folder
        self.env, self.grace_s = dict(env), grace_s
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start the process, anew if it ran before; its output goes to the log file."""
        self.stop()
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    @property
    def pid(self) -> int | None:
        """Give the process id while the process runs."""
        return self.process.pid if self.process and self.process.poll() is None else None

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until a question is answered with yes. Raises InputRefused when the process ends or time is up."""
        give_up_at = time.monotonic() + timeout_s
        while not ready():
            if self.pid is None:
                raise InputRefused(
                    f"the {self.name} ended while starting: {self.last_line()}", remedy=f"read {self.log}"
                )
            if time.monotonic() > give_up_at:
                raise InputRefused(f"the {self.name} was not ready after {timeout_s:.0f} s", remedy=f"read {self.log}")
            time.sleep(_POLL_S)

    def _refusal(self, what: str) -> InputRefused:
        return InputRefused(f"the {self.name} {what}", remedy=f"read {self.log}")

    def last_line(self) -> str:
        """Give the last line the process wrote."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip() if lines else "it wrote nothing"

    def stop(self) -> None:
        """Terminate the process, then kill it; does nothing when it is gone."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(self.grace_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def free_port() -> int:
    """Give a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def require_free(port: int, option: str) -> int:
    """Give the port back. Raises InputRefused when somebody listens on it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InputRefused(
                f"port {port} cannot be used: {error.strerror}", where=option, remedy=f"choose another with {option}"
            ) from error
    return port
