"""The WSMan end: shells, commands and streams of PowerShell remoting at `/wsman` and `/OcsPowershell`.

This file speaks HTTP; who is calling is decided in wsman_auth, SOAP is read and written in wsman_soap, what a request
asks for is done in wsman_operations, and runspace pools live in psrp_session.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

from aiohttp import web

from lab.parts import LabParts
from lab.wsman_answers import ENVELOPE_KB
from lab.wsman_auth import Caller, Gate
from lab.wsman_faults import check_quota, cut_short, play, transport_verdict
from lab.wsman_negotiate import SEALED, Refused
from lab.wsman_operations import Operations
from lab.wsman_shells import Shells, Tenancy
from lab.wsman_soap import WsmanFault, fault_body, internal_error, read_request, response
from lab.wsman_workers import Workers

log = logging.getLogger(__name__)

THREADS = 1024  # started when needed; quotas keep the number of pipelines far below
_SEALING = 4096  # what message encryption adds to a request
_SOAP = "application/soap+xml;charset=UTF-8"


TENANCY = web.AppKey("tenancy", Tenancy)
WORKERS = web.AppKey("workers", Workers)


def application(parts: LabParts) -> web.Application:
    """Build the WSMan end of the lab; one application may listen on several ports."""
    workers = Workers(THREADS)
    gate, tenancy = Gate(parts.accounts, parts.settings), Tenancy(parts.clock, parts.settings)
    app = web.Application(client_max_size=ENVELOPE_KB * 1024 + _SEALING)
    for path, scripts in (("/wsman", True), ("/OcsPowershell", False)):
        shells = Shells(tenancy)
        operations = Operations(parts, shells, workers, scripts=scripts)
        app.router.add_post(path, Endpoint(parts, gate, shells, operations).handle)

    async def close(_app: web.Application) -> AsyncIterator[None]:
        yield
        tenancy.close()
        gate.close()
        workers.close()

    app[TENANCY], app[WORKERS] = tenancy, workers
    app.cleanup_ctx.append(close)
    return app


class Endpoint:
    """One WSMan URL."""

    def __init__(self, parts: LabParts, gate: Gate, shells: Shells, operations: Operations) -> None:
        self._parts, self._gate, self._shells, self._operations = parts, gate, shells, operations

    async def handle(self, http: web.Request) -> web.StreamResponse:
        """Answer one HTTP request."""
        admitted = self._gate.admit(http)
        data = await http.read()
        if isinstance(admitted, web.Response):
            return admitted
        if not data:
            return web.Response(headers=admitted.headers, content_type="application/soap+xml")
        sealed = http.content_type in ("multipart/encrypted", "multipart/x-multi-encrypted")
        if not sealed:
            # A host that insists on encryption answers plain text without a word (AllowUnencrypted is false).
            return await self._plain(http, admitted, data) if self._gate.allows_plain(http) else _silent(500)
        try:
            data = _opened(admitted, data)
        except Refused:
            self._gate.forget(http)
            return _silent(400)
        return await self._sealed(http, admitted, data)

    async def _plain(self, http: web.Request, caller: Caller, data: bytes) -> web.StreamResponse:
        status, body, cut = await self._answer(http, caller.user, data)
        headers = {**caller.headers, "Content-Type": _SOAP}
        if cut:
            return await cut_short(http, status, body, headers)
        return web.Response(status=status, body=body, headers=headers)

    async def _sealed(self, http: web.Request, caller: Caller, data: bytes) -> web.StreamResponse:
        status, body, cut = await self._answer(http, caller.user, data)
        assert caller.seal is not None
        headers, body = {**caller.headers, "Content-Type": SEALED}, caller.seal.close(body)
        if cut:
            return await cut_short(http, status, body, headers)
        return web.Response(status=status, body=body, headers=headers)

    async def _answer(self, http: web.Request, user: str, data: bytes) -> tuple[int, bytes, bool]:
        """Give status and body, and whether the fault plan wants the connection cut in the middle of it."""
        relates_to = ""
        try:
            request = read_request(data)
            relates_to = request.message_id
            verdict = transport_verdict(self._parts.faults, request.action, user)
            self._strike(verdict.kill_shell, verdict.expire_idle, request.shell_id)
            await self._parts.clock.wait(verdict.latency_s)
            check_quota(verdict, self._parts.settings)
            text = await play(verdict, http, lambda: self._operations.run(request, user, http))
            return 200, response(request, text), verdict.cut_reply
        except WsmanFault as fault:
            return fault.status, fault_body(fault, relates_to), False
        except web.HTTPException:
            raise
        except Exception:  # the one place where a defect of the lab becomes a fault: no client sees a stack trace
            log.exception("the lab failed while answering")
            return 500, fault_body(internal_error(), relates_to), False

    def _strike(self, kill: bool, expire: bool, shell_id: str) -> None:
        """Let the shell of a request die, or have been idle for too long."""
        for shell in self._shells:
            if shell.id == shell_id and kill:
                self._shells.remove(shell)
            elif shell.id == shell_id and expire:
                self._shells.expire(shell)


def _opened(caller: Caller, data: bytes) -> bytes:
    if caller.seal is None:
        raise Refused("a sealed message on a connection without keys")
    return caller.seal.open(data)


def _silent(status: int) -> web.Response:
    return web.Response(status=status)
