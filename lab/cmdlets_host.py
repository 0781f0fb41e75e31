"""What cmdlets reach beyond the language: the tenant through the fault plan, the call log, and the Teams connection."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from lab.calls import CallLine
from lab.clock import stamp
from lab.cmdlets import Call
from lab.fault_modes import act as spoil
from lab.fault_modes import check_read
from lab.faults import Verdict
from lab.parts import LabParts
from lab.posh_errors import ErrorRecord
from lab.posh_values import Hashtable, PsObject, Value, to_text
from lab.records import Effect, Json
from lab.rules import Refusal, service_unavailable
from lab.tenant import View

_SECRETS = frozenset({"accesstokens", "certificate", "credential", "accountpassword", "newpassword", "pin"})
_UNDECLARED = "Microsoft.Rest.ClientRuntime.UndeclaredResponseException"
_OLD_STYLE_BEFORE = (4, 2, 1)
_OLD_STYLE_TYPE = "Microsoft.Teams.ConfigAPI.Cmdlets.Generated.Models.SkypeTelephoneNumberMgmtErrorResponse"

Act = Callable[[], list[Effect]]
Look = Callable[[View], Iterable[Value]]
Tell = Callable[[Refusal], ErrorRecord]
Place = Callable[[Callable[[list[Effect]], None], bool], Iterable[Value]]


@dataclass
class Connection:
    """A Teams connection of the process: who it speaks for, and when its tokens end (0: renewed by the module)."""

    account: str
    expires: float = 0.0
    app_only: bool = True


@dataclass
class Host:
    """One per runspace pool: like a Windows process, it shares module state between its runspaces."""

    parts: LabParts
    user: str
    connection: Connection | None = None
    imported: set[str] = field(default_factory=set)

    @property
    def version(self) -> tuple[int, ...]:
        """Give the version of the Teams module as numbers."""
        found = re.findall(r"\d+", self.parts.settings.module_version.partition("-")[0])
        return tuple(int(part) for part in found[:3])

    def need_teams(self, call: Call) -> None:
        """Refuse unless Connect-MicrosoftTeams was called before and its tokens still hold."""
        if self.connection is None:
            text = "Session is not established. Please run Connect-MicrosoftTeams before running cmdlets."
        elif self.connection.expires and self.connection.expires < time.time():
            text = "Lifetime validation failed, the token is expired. Please run Connect-MicrosoftTeams again."
        else:
            return
        exception = "System.UnauthorizedAccessException"
        raise call.fail(ErrorRecord(text, exception, "AuthenticationError", exception))

    def need_person(self, call: Call) -> None:
        """Refuse a cmdlet that does not work for an application."""
        self.need_teams(call)
        if self.connection and self.connection.app_only:
            text = f"{call.cmdlet.name} is not supported with application-based authentication."
            raise call.fail(ErrorRecord(text, "AccessDenied", "PermissionDenied", "System.UnauthorizedAccessException"))

    def read(self, call: Call, look: Look, targets: Iterable[str] = (), *, tell: Tell | None = None) -> Iterable[Value]:
        """Read through the fault plan; a refusal becomes an error."""
        try:
            verdict = self._before(call, names := [name for name in targets if name])
            check_read(verdict.modes)
            found = [] if verdict.false_success else look(self.parts.tenant.view(verdict.lag_s))
        except Refusal as refusal:
            self._log(call, targets, refusal=refusal)
            return self._refused(call, refusal, tell)
        self._log(call, names)
        self._after(call, verdict)
        return found

    def write(self, call: Call, act: Act, targets: Iterable[str] = (), *, tell: Tell | None = None) -> Iterable[Value]:
        """Change something through the fault plan; a refusal becomes an error or, in old modules, an object."""
        names, verdict = [name for name in targets if name], Verdict()
        try:
            verdict = self._before(call, names)
            self.parts.tenant.settle()
            target = names[-1] if names else ""
            effects = [] if verdict.false_success else spoil(self.parts.tenant, verdict.modes, act, target)
        except Refusal as refusal:
            self._log(call, names, write=True, refusal=refusal)
            return self._refused(call, refusal, tell, as_object="error_object" in verdict.modes)
        self._log(call, names, write=True, effects=effects)
        self._after(call, verdict)
        return []

    def later(self, call: Call, place: Place, targets: Iterable[str] = ()) -> Iterable[Value]:
        """Accept work that is done later; the call is logged once, with its effects, when it has been done."""
        names = [name for name in targets if name]

        def finish(effects: list[Effect]) -> None:
            self._log(call, names, write=True, effects=effects)

        try:
            verdict = self._before(call, names)
            self.parts.tenant.settle()
            answer = list(place(finish, verdict.false_success))
        except Refusal as refusal:
            self._log(call, names, write=True, refusal=refusal)
            return self._refused(call, refusal, None)
        self._after(call, verdict)
        return answer

    def names_of(self, identity: str) -> list[str]:
        """Give every name of a user, so that faults and the log find it: what was asked for, id, UPN."""
        user = self.parts.tenant.find_user(identity)
        return [user.id, user.upn, identity] if user else [identity]

    def _before(self, call: Call, targets: list[str]) -> Verdict:
        """Wait and refuse as the fault plan says."""
        streams = call.scope.run.streams
        verdict = self.parts.faults.before(call.cmdlet.name, *targets)
        streams.sleep(self.parts.settings.operation_delay_s + verdict.latency_s)
        if verdict.throttle_s is not None:
            call.message("warning", f"Micro delay applied. Actual delayed: {round(verdict.throttle_s * 1000)} msecs")
            streams.sleep(verdict.throttle_s)
        if verdict.unavailable:
            raise service_unavailable()
        if verdict.error is not None:
            status, code, message = verdict.error
            raise Refusal(code, message, status=status)
        streams.checkpoint()
        return verdict

    def _after(self, call: Call, verdict: Verdict) -> None:
        if verdict.drop_reply:
            call.scope.run.streams.cut()
        if verdict.kill_shell:
            call.scope.run.streams.kill()

    def _refused(self, call: Call, refusal: Refusal, tell: Tell | None, *, as_object: bool = False) -> list[Value]:
        numbers = "PhoneNumberAssignment" in call.cmdlet.name and call.cmdlet.changes
        if numbers and (as_object or self.version < _OLD_STYLE_BEFORE):
            props: list[tuple[str, Value]] = [("Code", refusal.code), ("Message", refusal.message)]
            return [PsObject(props, types=(_OLD_STYLE_TYPE, "System.Object"), adapted=True)]
        if tell is not None:
            raise call.fail(tell(refusal))
        call.error(teams_error(refusal, call))
        return []

    def _log(
        self,
        call: Call,
        targets: Iterable[str],
        *,
        write: bool = False,
        effects: list[Effect] | None = None,
        refusal: Refusal | None = None,
    ) -> None:
        line = CallLine(
            "powershell",
            call.cmdlet.name,
            self.connection.account if self.connection and call.cmdlet.module == "MicrosoftTeams" else self.user,
            target=next(iter(targets), ""),
            parameters={name: as_json(name, value) for name, value in call.bound.items()},
            write=write,
            status=refusal.status if refusal else 200,
            error=refusal.message if refusal else None,
            effects=effects or (),
        )
        self.parts.calls.add(line)


def host_of(call: Call) -> Host:
    """Give the host of a call."""
    assert isinstance(call.host, Host)
    return call.host


def teams_host(call: Call) -> Host:
    """Give the host of a call that needs a Teams connection."""
    host = host_of(call)
    host.need_teams(call)
    return host


def teams_error(refusal: Refusal, call: Call) -> ErrorRecord:
    """Word a refusal as the Teams module does: the code is the error id."""
    category = "ObjectNotFound" if refusal.code == "NotFound" else "InvalidOperation"
    target = call.bound.get("Identity") or call.bound.get("TelephoneNumber")
    return ErrorRecord(refusal.message, refusal.code, category, _UNDECLARED, target=target)


def as_json(name: str, value: Value) -> Json:
    """Turn an argument into what the call log may hold: no secrets, no objects."""
    if name.lower() in _SECRETS:
        return "***"
    match value:
        case None | bool() | int() | float() | str():
            return value
        case list():
            return [as_json("", item) for item in value]
        case Hashtable():
            return {to_text(key): as_json(to_text(key), item) for key, item in value.items()}
        case datetime():
            return stamp(value)
        case bytes():
            return value.decode("utf-8", "replace")
        case _:
            return to_text(value)


def from_json(value: Json, type_: str = "System.Object") -> Value:
    """Turn JSON into script values: objects become objects."""
    match value:
        case dict():
            props = [(str(name), from_json(item)) for name, item in value.items()]
            return PsObject(props, types=(type_, "System.Object"), adapted=True)
        case list() | tuple():
            return [from_json(item) for item in value]
        case _:
            return value
