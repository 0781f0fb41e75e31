"""The stand-in tenant as one running thing: HTTPS origin, WSMan end and control port in a background thread."""

from __future__ import annotations

import asyncio
import http.client
import importlib
import importlib.util
import json
import secrets
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from aiohttp import web

from lab import certificates
from lab.authority import Authority, Registration
from lab.calls import CallLog
from lab.clock import Clock
from lab.control import ControlEnd
from lab.exports import ExportEnd
from lab.faults import Faults
from lab.generator import fill
from lab.graph import GraphEnd
from lab.hybrid import adopt
from lab.parts import LabParts
from lab.records import Json, opaque_id
from lab.settings import Settings
from lab.snapshot import load, tenant_id_of
from lab.tenant import Tenant
from lab.tokens import ClientCertificate, Tokens

HOST = "127.0.0.1"
USERNAME = "labadmin"
TICK_S = 0.02  # how often what became due is done although nobody asks


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports to listen on; 0 takes a free one."""

    https: int = 0
    control: int = 0
    wsman: int = 0
    wsman_http: int = 0


class Lab:
    """Starts with `with Lab(folder=…) as lab`; `endpoints` is what a client needs to know."""

    def __init__(
        self,
        folder: Path,
        *,
        users: int = 200,
        seed: int = 1,
        ports: Ports | None = None,
        operators: int = 1,
        clock: Clock | None = None,
        settings: Settings | None = None,
        snapshot: Path | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._tenant_id = tenant_id_of(snapshot) if snapshot else opaque_id("tenant", str(seed))
        self.folder, self.users, self.seed = Path(folder).resolve(), users, seed
        self.clock, self.settings = clock or Clock(), settings or Settings()
        self.ports, self.operators = ports or Ports(), operators
        self.endpoints: dict[str, Json] = {}
        self._stack = ExitStack()

    @property
    def tenant(self) -> Tenant:
        """Give the tenant behind the protocols."""
        return self.parts.tenant

    @property
    def faults(self) -> Faults:
        """Give the fault plan."""
        return self.parts.faults

    @property
    def calls(self) -> CallLog:
        """Give the call log."""
        return self.parts.calls

    def control(self, method: str, path: str, body: Json = None) -> Json:
        """Make one call to the control port; raises `RuntimeError` with its words when it refuses."""
        connection = http.client.HTTPConnection(HOST, self._control_port, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {response.status} {content.decode(errors='replace')}")
        answer: Json = json.loads(content) if content else None
        return answer

    def __enter__(self) -> Lab:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        origin, control, wsman, plain = (stack.enter_context(_listening(port)) for port in _numbers(self.ports))
        self._control_port = _port(control)
        files = certificates.issue(self.folder)
        address = f"https://{HOST}:{_port(origin)}"
        self.parts = self._parts(stack, f"{address}/{self._tenant_id}")
        self._registration = Registration(
            opaque_id("application", str(self.seed)), secrets.token_urlsafe(24), ClientCertificate(files.application)
        )
        context = files.server_context()
        sites: list[Site] = [
            (self._origin(address), [(origin, context)]),
            (ControlEnd(self.parts).application(), [(control, None)]),
        ]
        if (shell := self._shell()) is not None:
            sites.append((shell, [(wsman, context), (plain, None)]))
        stack.enter_context(_serving(sites, self.parts.tenant))
        self.endpoints = self._endpoints(files, address, (_port(wsman), _port(plain)))
        certificates.write_secret(self.folder / "endpoints.json", json.dumps(self.endpoints).encode())

    def _parts(self, stack: ExitStack, authority: str) -> LabParts:
        tenant = Tenant(self._tenant_id, self.clock, self.settings)
        if self._snapshot:
            load(tenant, self._snapshot)
            adopt(tenant)
        else:
            fill(tenant, users=self.users, seed=self.seed, hybrid=self.settings.hybrid_share)
        calls = CallLog(self.folder / "calls.jsonl", self.clock)
        stack.callback(calls.close)
        return LabParts(
            tenant=tenant,
            faults=Faults(seed=self.seed),
            calls=calls,
            clock=self.clock,
            settings=self.settings,
            tokens=Tokens(certificates.rsa_key("tokens"), f"{authority}/v2.0"),
            username=USERNAME,
            password=secrets.token_urlsafe(18),
            operators={f"{USERNAME}{n}": secrets.token_urlsafe(18) for n in range(2, self.operators + 1)},
        )

    def _origin(self, address: str) -> web.Application:
        """Make the application of the HTTPS origin: identity provider and Graph."""
        application = web.Application(client_max_size=16 * 2**20)
        GraphEnd(self.parts, address).add_routes(application.router)
        ExportEnd(self.parts).add_routes(application.router)
        Authority(self.parts, self._registration, address).add_routes(application.router)
        return application

    def _shell(self) -> web.Application | None:
        """Make the WSMan application, when that end is there."""
        if importlib.util.find_spec("lab.wsman") is None:
            return None
        made: web.Application = importlib.import_module("lab.wsman").application(self.parts)
        return made

    def _operator(self, name: str, password: str) -> Json:
        file = certificates.write_secret(self.folder / f"wsman_password_{name}", password.encode())
        return {"username": name, "password_file": str(file)}

    def _endpoints(
        self, files: certificates.Certificates, address: str, wsman_ports: tuple[int, int]
    ) -> dict[str, Json]:
        secret = certificates.write_secret(self.folder / "client_secret", self._registration.client_secret.encode())
        password = certificates.write_secret(self.folder / "wsman_password", self.parts.password.encode())
        shell: dict[str, Json] = {"server": HOST, "port": wsman_ports[0], "username": self.parts.username}
        shell |= {"password_file": str(password), "auth": "basic", "path": "wsman", "http_port": wsman_ports[1]}
        shell |= {"operators": [self._operator(name, word) for name, word in self.parts.operators.items()]}
        return {
            "graph_url": f"{address}/v1.0",
            "authority": f"{address}/{self._tenant_id}",
            "token_url": f"{address}/{self._tenant_id}/oauth2/v2.0/token",
            "tenant_id": self._tenant_id,
            "client_id": self._registration.client_id,
            "client_secret_file": str(secret),
            "certificate_file": str(files.certificate_file),
            "private_key_file": str(files.private_key_file),
            "ca_bundle": str(files.ca_bundle),
            "powershell": shell,
            "ocs_powershell": {**shell, "path": "OcsPowershell"},
            "control_url": f"http://{HOST}:{self._control_port}",
            "call_log": str(self.parts.calls.path),
        }


Site = tuple[web.Application, list[tuple[socket.socket, ssl.SSLContext | None]]]


def _numbers(ports: Ports) -> tuple[int, int, int, int]:
    return ports.https, ports.control, ports.wsman, ports.wsman_http


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """Hold a port of this machine; raises `OSError` at once when it is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        yield listener


def _port(listener: socket.socket) -> int:
    number: int = listener.getsockname()[1]
    return number


@contextmanager
def _serving(sites: list[Site], tenant: Tenant) -> Iterator[None]:
    """Serve in a background thread until the block ends."""
    ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(sites, tenant, ready)), name="lab", daemon=True)
    thread.start()
    loop, stopping = ready.result(timeout=60)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(timeout=30)


async def _serve(
    sites: list[Site], tenant: Tenant, ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]
) -> None:
    stopping = asyncio.Event()
    runners: list[web.AppRunner] = []
    try:
        for application, listeners in sites:
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5, keepalive_timeout=300)
            await runner.setup()
            runners.append(runner)
            for listener, context in listeners:
                await web.SockSite(runner, listener, ssl_context=context, backlog=512).start()
        ready.set_result((asyncio.get_running_loop(), stopping))
        await _tick(tenant, stopping)
    except Exception as error:
        if ready.done():
            raise
        ready.set_exception(error)
    finally:
        for runner in runners:
            await _stop(runner)


async def _stop(runner: web.AppRunner) -> None:
    """Cut every connection: a client that keeps one open must not hold up the end."""
    for connection in list(runner.server.connections) if runner.server else ():
        if connection.transport:
            connection.transport.abort()
    await asyncio.sleep(0)
    await runner.cleanup()
    await asyncio.sleep(0)


async def _tick(tenant: Tenant, stopping: asyncio.Event) -> None:
    """Do what becomes due, so that the call log is right even when nobody asks."""
    while not stopping.is_set():
        tenant.settle()
        try:
            await asyncio.wait_for(stopping.wait(), TICK_S)
        except TimeoutError:
            continue
