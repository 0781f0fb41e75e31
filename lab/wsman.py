"""The WSMan end: shells, commands and streams of PowerShell remoting at `/wsman` and `/OcsPowershell`.

SOAP is read and written in wsman_soap, runspace pools live in psrp_session; this file routes the operations.
"""

from __future__ import annotations

import base64
import struct
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from aiohttp import web
from psrpcore import PSRPCoreError

from lab.cmdlets_engine import Engine
from lab.cmdlets_host import Host
from lab.cmdlets_modules import REGISTRY
from lab.parts import LabParts
from lab.psrp_outbox import Outbox
from lab.psrp_reader import Malformed
from lab.psrp_session import Session
from lab.wsman_auth import Authenticator, BasicAuthenticator
from lab.wsman_faults import hang_up, play, transport_verdict
from lab.wsman_shells import IDLE_TIMEOUT_S, Shell, Shells
from lab.wsman_soap import (
    BAD_REQUEST,
    CONFIG,
    NOT_SUPPORTED,
    POWERSHELL,
    SHELL,
    TRANSFER,
    UNEXPECTED_SELECTORS,
    WSA,
    WSMAN,
    Request,
    WsmanFault,
    fault_body,
    read_request,
    response,
    seconds,
    shell_not_found,
    timed_out,
)

MAX_BODY = 8 << 20
ENVELOPE_KB = 500
THREADS = 64
_OVERHEAD = 2048  # what an answer needs around its payload
_DONE = f"{SHELL}/CommandState/Done"
_RUNNING = f"{SHELL}/CommandState/Running"
_TERMINATE = f"{SHELL}/signal/terminate"
_SOAP = {"Content-Type": "application/soap+xml;charset=UTF-8"}

# What reading a message from a confused client may raise.
_MALFORMED = (Malformed, PSRPCoreError, ValueError, KeyError, struct.error)
Handler = Callable[[Request, str, web.Request], Awaitable[str]]


def application(parts: LabParts) -> web.Application:
    """Build the WSMan end of the lab."""
    workers = ThreadPoolExecutor(THREADS, thread_name_prefix="lab-runspace")
    basic = BasicAuthenticator(parts.username, parts.password)
    ends = [
        Endpoint(parts, basic, workers, scripts=True),
        Endpoint(parts, basic, workers, scripts=False),
    ]
    app = web.Application(client_max_size=MAX_BODY)
    for path, end in zip(("/wsman", "/OcsPowershell"), ends, strict=True):
        app.router.add_post(path, end.handle)

    async def close(_app: web.Application) -> AsyncIterator[None]:
        yield
        for end in ends:
            end.shells.close()
        workers.shutdown(wait=False, cancel_futures=True)

    app.cleanup_ctx.append(close)
    return app


class Endpoint:
    """One WSMan URL; `scripts` tells whether its runspaces take script text."""

    def __init__(
        self, parts: LabParts, authenticator: Authenticator, workers: ThreadPoolExecutor, *, scripts: bool
    ) -> None:
        self.shells = Shells(parts.clock, lambda: parts.settings.shells_per_user)
        self._parts, self._authenticator, self._workers, self._scripts = parts, authenticator, workers, scripts
        self._handlers: dict[str, Handler] = {
            f"{TRANSFER}/Create": self._create,
            f"{TRANSFER}/Delete": self._delete,
            f"{TRANSFER}/Get": self._get,
            f"{SHELL}/Command": self._command,
            f"{SHELL}/Send": self._send,
            f"{SHELL}/Receive": self._receive,
            f"{SHELL}/Signal": self._signal,
        }

    async def handle(self, http: web.Request) -> web.StreamResponse:
        """Answer one HTTP request."""
        user = self._authenticator.user(http)
        data = await http.read()
        if user is None:
            return web.Response(status=401, headers={"WWW-Authenticate": self._authenticator.challenge})
        if not data:
            return web.Response(headers=_SOAP)
        relates_to = ""
        try:
            request = read_request(data)
            relates_to = request.message_id
            answer = response(request, await self._dispatch(request, user, http))
        except WsmanFault as fault:
            return web.Response(status=fault.status, body=fault_body(fault, relates_to), headers=_SOAP)
        return web.Response(body=answer, headers=_SOAP)

    async def _dispatch(self, request: Request, user: str, http: web.Request) -> str:
        handler = self._handlers.get(request.action)
        if handler is None:
            text = f"The action is not supported by the service: {request.action}"
            raise WsmanFault(NOT_SUPPORTED, "a:ActionNotSupported", text)
        verdict = transport_verdict(self._parts.faults, request.action, user)
        try:
            return await play(verdict, http, lambda: handler(request, user, http))
        except _MALFORMED as error:
            raise WsmanFault(BAD_REQUEST, "wsman:SchemaValidationError", f"Malformed message: {error}") from error

    async def _create(self, request: Request, user: str, http: web.Request) -> str:
        self.shells.check_quota(user)
        body = _need(request.body)
        host = Host(self._parts, user)
        engine = Engine(REGISTRY, host, lambda: host.version)
        session = Session(engine, start=self._workers.submit, scripts=self._scripts)
        shell = Shell(
            str(uuid.UUID(body.attrib["ShellId"]) if "ShellId" in body.attrib else uuid.uuid4()).upper(),
            user,
            escape(request.resource),
            session,
            self._parts.clock.now(),
            seconds(_find(body, SHELL, "IdleTimeOut")) or IDLE_TIMEOUT_S,
            http.remote or "",
        )
        session.feed(base64.b64decode(_find(body, POWERSHELL, "creationXml")))
        self.shells.add(shell)
        return _created(shell) + self._describe(shell)

    def _describe(self, shell: Shell) -> str:
        age = (self._parts.clock.now() - shell.created).total_seconds()
        return (
            f"<rsp:Shell><rsp:ShellId>{shell.id}</rsp:ShellId><rsp:ResourceUri>{shell.resource}</rsp:ResourceUri>"
            f"<rsp:Owner>{shell.owner}</rsp:Owner><rsp:ClientIP>{shell.client_ip}</rsp:ClientIP>"
            f"<rsp:IdleTimeOut>PT{shell.idle_timeout_s:.3f}S</rsp:IdleTimeOut>"
            "<rsp:InputStreams>stdin pr</rsp:InputStreams><rsp:OutputStreams>stdout</rsp:OutputStreams>"
            f"<rsp:ShellRunTime>PT{age:.0f}S</rsp:ShellRunTime><rsp:ShellInactivity>PT0S</rsp:ShellInactivity>"
            "<rsp:State>Connected</rsp:State></rsp:Shell>"
        )

    async def _delete(self, request: Request, user: str, _http: web.Request) -> str:
        self.shells.remove(self.shells.get(request.shell_id, user))
        return ""

    async def _get(self, request: Request, user: str, _http: web.Request) -> str:
        if request.resource.startswith(CONFIG):
            return (
                f'<cfg:Config xmlns:cfg="{CONFIG}"><cfg:MaxEnvelopeSizekb>{ENVELOPE_KB}</cfg:MaxEnvelopeSizekb>'
                "<cfg:MaxTimeoutms>60000</cfg:MaxTimeoutms></cfg:Config>"
            )
        try:
            return self._describe(self.shells.get(request.shell_id, user))
        except WsmanFault as fault:
            # A Get on a dead shell finds no such instance; every other operation says the shell is not there.
            raise WsmanFault(UNEXPECTED_SELECTORS, "wsman:InvalidSelectors", fault.message) from fault

    async def _command(self, request: Request, user: str, _http: web.Request) -> str:
        shell, body = self.shells.get(request.shell_id, user), _need(request.body)
        command_id = uuid.UUID(body.attrib.get("CommandId") or str(uuid.uuid4()))
        shell.session.open_command(command_id)
        shell.session.feed(base64.b64decode(_find(body, SHELL, "Arguments")))
        shown = str(command_id).upper()
        return f"<rsp:CommandResponse><rsp:CommandId>{shown}</rsp:CommandId></rsp:CommandResponse>"

    async def _send(self, request: Request, user: str, _http: web.Request) -> str:
        shell = self.shells.get(request.shell_id, user)
        for stream in _need(request.body).iter(f"{{{SHELL}}}Stream"):
            shell.session.feed(base64.b64decode(stream.text or ""))
        return "<rsp:SendResponse/>"

    async def _receive(self, request: Request, user: str, http: web.Request) -> str:
        shell = self.shells.get(request.shell_id, user)
        wanted = _need(request.body).find(f"{{{SHELL}}}DesiredStream")
        command = "" if wanted is None else wanted.attrib.get("CommandId", "")
        outbox = self._outbox(shell, command)
        if not await outbox.ready(request.timeout_s):
            raise timed_out()
        if outbox.cut:
            outbox.cut = False
            hang_up(http)
        if outbox.closed:
            raise shell_not_found(shell.id)
        return _received(outbox, command, (min(request.envelope_size, ENVELOPE_KB * 1024) - _OVERHEAD) // 4 * 3)

    def _outbox(self, shell: Shell, command: str) -> Outbox:
        outbox = shell.session.commands.get(uuid.UUID(command)) if command else shell.session.outbox
        if outbox is None:
            raise shell_not_found(shell.id)
        return outbox

    async def _signal(self, request: Request, user: str, _http: web.Request) -> str:
        shell, body = self.shells.get(request.shell_id, user), _need(request.body)
        command_id = uuid.UUID(body.attrib["CommandId"])
        if _find(body, SHELL, "Code") == _TERMINATE:
            shell.session.drop(command_id)
        else:
            shell.session.stop(command_id)
        return "<rsp:SignalResponse/>"


def _need(body: ElementTree.Element | None) -> ElementTree.Element:
    if body is None:
        raise WsmanFault(BAD_REQUEST, "wsman:SchemaValidationError", "The body is empty.")
    return body


def _find(parent: ElementTree.Element, namespace: str, name: str) -> str:
    return (parent.findtext(f"{{{namespace}}}{name}") or "").strip()


def _created(shell: Shell) -> str:
    return (
        f'<x:ResourceCreated xmlns:x="{TRANSFER}" xmlns:a="{WSA}" xmlns:w="{WSMAN}">'
        "<a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address><a:ReferenceParameters>"
        f"<w:ResourceURI>{shell.resource}</w:ResourceURI>"
        f'<w:SelectorSet><w:Selector Name="ShellId">{shell.id}</w:Selector></w:SelectorSet>'
        "</a:ReferenceParameters></x:ResourceCreated>"
    )


def _received(outbox: Outbox, command: str, budget: int) -> str:
    label = f' CommandId="{escape(command)}"' if command else ""
    data = base64.b64encode(outbox.take(budget)).decode()
    stream = f'<rsp:Stream Name="stdout"{label}>{data}</rsp:Stream>' if data else ""
    if not command:
        return f"<rsp:ReceiveResponse>{stream}</rsp:ReceiveResponse>"
    done = outbox.drained
    ending = "<rsp:ExitCode>0</rsp:ExitCode>" if done else ""
    state = f'<rsp:CommandState{label} State="{_DONE if done else _RUNNING}">{ending}</rsp:CommandState>'
    return f"<rsp:ReceiveResponse>{stream}{state}</rsp:ReceiveResponse>"
