"""The lab's WSMan end on a real socket in a thread, and stock pypsrp clients for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import web
from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.wsman import WSMan

from lab import generator, wsman
from lab.calls import CallLog
from lab.certificates import rsa_key
from lab.clock import Clock
from lab.faults import Faults
from lab.parts import LabParts
from lab.settings import Settings
from lab.tenant import Tenant
from lab.tokens import GRAPH_AUDIENCE, TEAMS_AUDIENCE, Tokens

TENANT_ID = "0b5a7c1e-7d6f-4c53-9f6e-3f9f3c1c9a10"
APPLICATION_ID = "5c1de2ab-0c4f-4b6c-8b7e-6f6ce1d0f001"


class PowerShellEnd:
    """Serves the WSMan application over plain HTTP on a free port."""

    def __init__(self, folder: Path, *, users: int = 20, clock: Clock | None = None, operators: int = 1) -> None:
        clock, settings = clock or Clock(), Settings(allow_unencrypted=True)
        tenant = Tenant(TENANT_ID, clock, settings)
        generator.fill(tenant, users=users, seed=1)
        others = {f"operator{n}": f"word {n}" for n in range(2, operators + 1)}
        tokens, log = Tokens(rsa_key("tokens"), "https://lab.test/issuer"), CallLog(folder / "calls.jsonl", clock)
        self.parts = LabParts(tenant, Faults(), log, clock, settings, tokens, "operator", "pa:ss wörd", others)
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> PowerShellEnd:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self.parts.calls.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._application = wsman.application(self.parts)
        runner = web.AppRunner(self._application, shutdown_timeout=0.5)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def close_shells(self) -> None:
        """Close every shell, whoever owns it."""
        asyncio.run_coroutine_threadsafe(self._close_shells(), self._loop).result(10)

    async def _close_shells(self) -> None:
        self._application[wsman.TENANCY].close()

    def busy_workers(self) -> int:
        """Count the pipelines that run or wait for a thread."""
        return self._application[wsman.WORKERS].busy

    def client(self, *, path: str = "wsman", **overrides: Any) -> WSMan:
        """Make a stock client."""
        given: dict[str, Any] = {
            "port": self.port,
            "path": path,
            "ssl": False,
            "auth": "basic",
            "encryption": "never",
            "username": self.parts.username,
            "password": self.parts.password,
            "no_proxy": True,
        }
        return WSMan("127.0.0.1", **(given | overrides))

    @contextmanager
    def pool(self, *, path: str = "wsman", max_runspaces: int = 1, **overrides: Any) -> Iterator[RunspacePool]:
        """Open a runspace pool of a stock client."""
        with (
            self.client(path=path, **overrides) as connection,
            RunspacePool(connection, max_runspaces=max_runspaces) as pool,
        ):
            yield pool

    def tokens(self) -> list[str]:
        """Make the two tokens Connect-MicrosoftTeams wants."""
        sign = self.parts.tokens.sign
        return [
            sign({"aud": audience, "appid": APPLICATION_ID}, lifetime_s=3600)
            for audience in (GRAPH_AUDIENCE, TEAMS_AUDIENCE)
        ]

    @contextmanager
    def teams(self, **options: Any) -> Iterator[RunspacePool]:
        """Open a pool that is connected to Teams."""
        with self.pool(**options) as pool:
            invoke(pool, "Connect-MicrosoftTeams", AccessTokens=self.tokens())
            yield pool


def invoke(pool: RunspacePool, cmdlet: str, **parameters: Any) -> PowerShell:
    """Run one cmdlet and give the finished pipeline."""
    with PowerShell(pool) as shell:
        shell.add_cmdlet(cmdlet).add_parameters(parameters)
        shell.invoke()
    return shell


def script(pool: RunspacePool, text: str, *arguments: Any) -> PowerShell:
    """Run a script with arguments and give the finished pipeline."""
    with PowerShell(pool) as shell:
        shell.add_script(text)
        for argument in arguments:
            shell.add_argument(argument)
        shell.invoke()
    return shell
