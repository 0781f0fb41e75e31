"""The operations of WSMan: what Create, Command, Receive and their like do with the shells of one endpoint."""

from __future__ import annotations

import asyncio
import base64
import binascii
import uuid
from collections.abc import Awaitable, Callable
from xml.etree import ElementTree

from aiohttp import web
from psrpcore import PSRPCoreError

from lab.cmdlets_engine import Engine
from lab.cmdlets_host import Host
from lab.parts import LabParts
from lab.psrp_messages import FRAGMENT, Malformed
from lab.psrp_outbox import Outbox
from lab.psrp_session import Session
from lab.wsman_answers import (
    ENVELOPE_KB,
    MAX_TIMEOUT_S,
    commands,
    configured,
    connected,
    created,
    described,
    listed,
    received,
)
from lab.wsman_configurations import configuration
from lab.wsman_faults import hang_up
from lab.wsman_shells import IDLE_TIMEOUT_S, Shell, Shells
from lab.wsman_soap import (
    CONFIG,
    ENUMERATION,
    NOT_SUPPORTED,
    POWERSHELL,
    SHELL,
    TRANSFER,
    UNEXPECTED_SELECTORS,
    WSMAN,
    Request,
    WsmanFault,
    envelope_too_small,
    malformed,
    not_disconnected,
    seconds,
    shell_not_found,
    stream_disconnected,
    timed_out,
)
from lab.wsman_workers import Workers

_OVERHEAD = 2048  # what an answer needs around its payload
_SMALLEST = 512  # a fragment below that is all header
_TERMINATE = f"{SHELL}/signal/terminate"

# What reading a message from a confused client may raise.
_MALFORMED = (Malformed, PSRPCoreError, ValueError, LookupError, binascii.Error)
Operation = Callable[[Request, str, web.Request], Awaitable[str]]


class Operations:
    """The operations of one endpoint; each gives the body of its answer or raises a fault."""

    def __init__(self, parts: LabParts, shells: Shells, workers: Workers, *, scripts: bool) -> None:
        self._parts, self._shells, self._workers, self._scripts = parts, shells, workers, scripts
        self._known: dict[str, Operation] = {
            f"{TRANSFER}/Create": self._create,
            f"{TRANSFER}/Delete": self._delete,
            f"{TRANSFER}/Get": self._get,
            f"{ENUMERATION}/Enumerate": self._enumerate,
            f"{SHELL}/Command": self._command,
            f"{SHELL}/Send": self._send,
            f"{SHELL}/Receive": self._receive,
            f"{SHELL}/Signal": self._signal,
            f"{SHELL}/Disconnect": self._disconnect,
            f"{SHELL}/Reconnect": self._reconnect,
            f"{SHELL}/Connect": self._connect,
        }

    async def run(self, request: Request, user: str, http: web.Request) -> str:
        """Do what a request asks for."""
        operation = self._known.get(request.action)
        if operation is None:
            text = f"The action is not supported by the service: {request.action}"
            raise WsmanFault(NOT_SUPPORTED, "a:ActionNotSupported", text)
        try:
            return await operation(request, user, http)
        except _MALFORMED as error:
            raise malformed(f"{type(error).__name__}: {error}") from error

    async def _create(self, request: Request, user: str, http: web.Request) -> str:
        chosen = configuration(request.resource, self._parts.settings, scripts=self._scripts)
        self._shells.check_quota(user)
        body = _need(request.body)
        host = Host(self._parts, user)
        engine = Engine(chosen.registry(), host, lambda: host.version)
        room = min(FRAGMENT, _room(request))
        session = Session(engine, start=self._workers.start, scripts=chosen.scripts, fragment=room)
        shell = Shell(
            str(uuid.UUID(body.attrib["ShellId"]) if "ShellId" in body.attrib else uuid.uuid4()).upper(),
            user,
            request.resource,
            session,
            self._parts.clock.now(),
            seconds(_find(body, SHELL, "IdleTimeOut")) or IDLE_TIMEOUT_S,
            http.remote or "",
        )
        try:
            session.feed(_decoded(_find(body, POWERSHELL, "creationXml")))
            self._shells.add(shell)
        except (*_MALFORMED, WsmanFault):
            session.close()
            raise
        session.on_kill = lambda: self._shells.remove(shell)
        return created(shell) + described(shell, self._parts.clock.now())

    async def _delete(self, request: Request, user: str, _http: web.Request) -> str:
        self._shells.remove(self._shells.find(request.shell_id, user))
        return ""

    async def _get(self, request: Request, user: str, _http: web.Request) -> str:
        if request.resource.startswith(CONFIG):
            return configured()
        try:
            shell = self._shells.find(request.shell_id, user)
        except WsmanFault as fault:
            # A Get on a dead shell finds no such instance; every other operation says the shell is not there.
            raise WsmanFault(UNEXPECTED_SELECTORS, "wsman:InvalidSelectors", fault.message) from fault
        return described(shell, self._parts.clock.now())

    async def _enumerate(self, request: Request, user: str, _http: web.Request) -> str:
        if request.resource == f"{SHELL}/Command":
            wanted = next(_need(request.body).iter(f"{{{WSMAN}}}Selector"), None)
            shell = self._shells.find("" if wanted is None else (wanted.text or "").upper(), user)
            return listed(commands(shell))
        if request.resource.rstrip("/") != SHELL:
            raise WsmanFault(NOT_SUPPORTED, "a:ActionNotSupported", f"{request.resource} cannot be enumerated.")
        now = self._parts.clock.now()
        return listed(described(shell, now) for shell in self._shells.of(user))

    async def _command(self, request: Request, user: str, _http: web.Request) -> str:
        shell, body = self._shells.get(request.shell_id, user), _need(request.body)
        command_id = uuid.UUID(body.attrib.get("CommandId") or str(uuid.uuid4()))
        shell.session.open_command(command_id)
        self._feed(shell, command_id, _find(body, SHELL, "Arguments"))
        shown = str(command_id).upper()
        return f"<rsp:CommandResponse><rsp:CommandId>{shown}</rsp:CommandId></rsp:CommandResponse>"

    async def _send(self, request: Request, user: str, _http: web.Request) -> str:
        shell = self._shells.get(request.shell_id, user)
        for stream in _need(request.body).iter(f"{{{SHELL}}}Stream"):
            command = stream.attrib.get("CommandId", "")
            self._feed(shell, uuid.UUID(command) if command else None, stream.text or "")
        return "<rsp:SendResponse/>"

    def _feed(self, shell: Shell, command_id: uuid.UUID | None, text: str) -> None:
        """Hand fragments on; a command whose message is broken is over, so that nobody waits for it."""
        try:
            shell.session.feed(_decoded(text))
        except _MALFORMED:
            if command_id is not None:
                shell.session.drop(command_id)
            raise

    async def _receive(self, request: Request, user: str, http: web.Request) -> str:
        shell = self._shells.get(request.shell_id, user)
        wanted = _need(request.body).find(f"{{{SHELL}}}DesiredStream")
        command = "" if wanted is None else wanted.attrib.get("CommandId", "")
        outbox, room = _outbox(shell, command), _room(request)
        if room < shell.session.fragment:
            raise envelope_too_small(request.envelope_size)
        if not await outbox.ready(min(request.timeout_s, MAX_TIMEOUT_S)):
            raise timed_out()
        self._shells.touch(shell)
        if http.transport is None or http.transport.is_closing():
            raise asyncio.CancelledError  # the client has gone: what waits is for its next Receive
        if outbox.cut:
            outbox.cut = False
            hang_up(http)
        if outbox.closed:
            raise shell_not_found(shell.id)
        if outbox.interrupted:
            raise stream_disconnected()
        return received(outbox, command, room)

    async def _signal(self, request: Request, user: str, _http: web.Request) -> str:
        shell, body = self._shells.get(request.shell_id, user), _need(request.body)
        command_id = uuid.UUID(body.attrib["CommandId"])
        if _find(body, SHELL, "Code").lower() == _TERMINATE:
            shell.session.drop(command_id)
        else:
            shell.session.stop(command_id)
        return "<rsp:SignalResponse/>"

    async def _disconnect(self, request: Request, user: str, _http: web.Request) -> str:
        shell = self._shells.get(request.shell_id, user)
        if request.body is not None:
            shell.idle_timeout_s = seconds(_find(request.body, SHELL, "IdleTimeOut")) or shell.idle_timeout_s
        shell.disconnect()
        return "<rsp:DisconnectResponse/>"

    async def _reconnect(self, request: Request, user: str, _http: web.Request) -> str:
        shell = self._shells.find(request.shell_id, user)
        shell.reconnect()
        self._shells.touch(shell)
        return "<rsp:ReconnectResponse/>"

    async def _connect(self, request: Request, user: str, _http: web.Request) -> str:
        shell, body = self._shells.find(request.shell_id, user), _need(request.body)
        if "CommandId" in body.attrib:
            _outbox(shell, body.attrib["CommandId"])
            return connected(b"")
        if shell.connected:
            raise not_disconnected(shell.id)
        answer = shell.session.connect(_decoded(_find(body, POWERSHELL, "connectXml")))
        shell.reconnect()
        self._shells.touch(shell)
        return connected(answer)


def _outbox(shell: Shell, command: str) -> Outbox:
    outbox = shell.session.commands.get(uuid.UUID(command)) if command else shell.session.outbox
    if outbox is None:
        raise shell_not_found(shell.id)
    return outbox


def _room(request: Request) -> int:
    """Tell how many bytes of fragments fit into the answer the client accepts."""
    room = (min(request.envelope_size, ENVELOPE_KB * 1024) - _OVERHEAD) // 4 * 3
    if room < _SMALLEST:
        raise envelope_too_small(request.envelope_size)
    return room


def _need(body: ElementTree.Element | None) -> ElementTree.Element:
    if body is None:
        raise malformed("The body is empty.")
    return body


def _find(parent: ElementTree.Element, namespace: str, name: str) -> str:
    return (parent.findtext(f"{{{namespace}}}{name}") or "").strip()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
