"""Runs lab scripts in-process and keeps what they say; no sockets, no threads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab import generator
from lab.calls import CallLog
from lab.catalogue import E5
from lab.certificates import rsa_key
from lab.clock import Clock
from lab.cmdlets_engine import Engine
from lab.cmdlets_host import Connection, Host
from lab.cmdlets_modules import REGISTRY
from lab.faults import Faults
from lab.parts import LabParts
from lab.posh_compile import compile_script
from lab.posh_errors import ErrorRecord, PoshError, ReturnFlow, final_record
from lab.posh_members import qualified_id
from lab.posh_parameters import bind_script
from lab.posh_scope import Run, new_scope
from lab.posh_values import Hashtable, PsObject, Value, to_text
from lab.records import User
from lab.settings import Settings
from lab.tenant import Tenant
from lab.tokens import Tokens

REMOVE = "param($I, $N) Remove-CsPhoneNumberAssignment -Identity $I -TelephoneNumber $N -NumberType DirectRouting"
ASSIGN = "param($I, $N) Set-CsPhoneNumberAssignment -Identity $I -TelephoneNumber $N -NumberType DirectRouting"
FREE = "+431934609001"


class ScriptRunner:
    """A runspace; `errors`, `messages` and `slept` hold what the last script did."""

    def __init__(self, folder: Path, *, users: int = 12, connected: bool = True, hybrid: float = 0.0) -> None:
        clock, settings = Clock(runs=False), Settings()
        self.tenant = Tenant("0b5a7c1e-7d6f-4c53-9f6e-3f9f3c1c9a10", clock, settings)
        generator.fill(self.tenant, users=users, seed=1, hybrid=hybrid)
        calls, tokens = CallLog(folder / "calls.jsonl", clock), Tokens(rsa_key("tokens"), "https://lab.test/issuer")
        self.parts = LabParts(self.tenant, Faults(), calls, clock, settings, tokens, "operator", "secret")
        self.host = Host(self.parts, "operator", Connection("application") if connected else None)
        self.variables: dict[str, Value] = {}
        self.errors: list[ErrorRecord] = []
        self.messages: list[tuple[str, str]] = []
        self.slept: list[float] = []
        self.cuts = 0
        self.failure: ErrorRecord | None = None

    def __call__(self, text: str, *arguments: Value) -> list[Value]:
        """Run a script and give its output as plain values; a failed script leaves its record in `failure`."""
        self.errors, self.messages, self.failure = [], [], None
        found: list[Value] = []
        try:
            for item in self._flow(text, arguments):
                found.append(plain(item))
        except ReturnFlow:
            pass
        except PoshError as error:
            self.failure = final_record(error)
        return found

    def _flow(self, text: str, arguments: tuple[Value, ...]) -> Iterator[Value]:
        scope = new_scope(Run(self, Engine(REGISTRY, self.host, lambda: self.host.version)), self.variables)
        script = compile_script(text)
        bind_script(script.parameters, [("", item, True) for item in arguments], scope)
        yield from script.body(scope)

    @property
    def error_ids(self) -> list[str]:
        """Give the fully qualified ids of the error stream."""
        return [qualified_id(record) for record in self.errors]

    def output(self, value: Value) -> None:
        """Ignore: output is what the script yields."""

    def error(self, record: ErrorRecord) -> None:
        """Keep an error."""
        self.errors.append(record)

    def message(self, stream: str, text: str) -> None:
        """Keep a line of a side stream."""
        self.messages.append((stream, text))

    def information(self, value: Value, tags: list[str], source: str) -> None:
        """Keep a record of the information stream."""
        self.messages.append(("information", to_text(value)))

    def progress(self, record: PsObject) -> None:
        """Keep a progress record."""
        self.messages.append(("progress", to_text(record.props.get("StatusDescription"))))

    def kill(self) -> None:
        """Count as a lost connection."""
        self.cuts += 1

    def checkpoint(self) -> None:
        """Never stop."""

    def sleep(self, seconds: float) -> None:
        """Note the wait instead of waiting."""
        if seconds:
            self.slept.append(seconds)

    def cut(self) -> None:
        """Count lost connections."""
        self.cuts += 1


def plain(value: Value) -> Value:
    """Turn script values into dicts and lists."""
    match value:
        case PsObject():
            return {name: plain(item) for name, item in value.props.items()}
        case Hashtable():
            return {str(key): plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case _:
            return value


def licensed(run: ScriptRunner, *, with_number: bool) -> User:
    """Find a person with a number, or make one who may have one and has none."""
    tenant = run.tenant
    people = [user for user in tenant.users.values() if user.account_type == "user" and user.text("usageLocation")]
    if with_number:
        return next(user for user in people if tenant.numbers_of.get(user.id))
    bare = next(user for user in people if not user.licences and not tenant.voice(user.id).on_prem_line_uri)
    tenant.assign_licence(bare.id, E5)
    return tenant.users[bare.id]


def last_call(run: ScriptRunner) -> dict[str, Any]:
    """Give the newest line of the call log."""
    line: dict[str, Any] = dict(run.parts.calls.since(0)[-1])
    return line
