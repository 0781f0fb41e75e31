"""Teams through PowerShell: what Graph does not reach, and numbers as a second way.

The module signs in inside the session, with the tokens handed to it; it talks to Microsoft itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import JsonValue

from connectors.bags import text_of, text_or_none, value_of
from connectors.clixml import Bag
from connectors.errors import Unsupported
from connectors.powershell import PowerShell
from connectors.rows import RowResult, settle
from connectors.scripts import REMOVE_PHONE_NUMBER, SET_PHONE_NUMBER, Script
from connectors.shell_errors import classify
from connectors.shell_owner import ShellOwner
from connectors.shell_probe import probed
from connectors.shell_sessions import Call, PipelineFailedError, Session
from connectors.writes import writes
from datasets.findings import Finding
from datasets.users import EmergencyLocation, NumberType
from datasets.voice_rows import NumberGrant, VoicePolicy, VoiceSwitch

GRAPH_SCOPE = "https://graph.microsoft.com/.default"
TEAMS_SCOPE = "48ac35b8-9aa8-4d74-927d-1f4a14a0b239/.default"
# scope → access token; a renewed token makes the sessions sign in again
TokenSource = Callable[[str], str]
Parameters = dict[str, JsonValue]

_NUMBER_TYPES: dict[NumberType, str] = {
    "directRouting": "DirectRouting",
    "callingPlan": "CallingPlan",
    "operatorConnect": "OperatorConnect",
}


class TeamsSignIn:
    """Signs each session in to Teams, and again as soon as its tokens were renewed."""

    def __init__(self, tokens: TokenSource, *, tenant_id: str | None = None) -> None:
        self._tokens, self._tenant_id = tokens, tenant_id

    def __call__(self, signed_in_with: object, session: Session, deadline: float) -> object:
        """Sign the session in unless it already is with these tokens. Raises NotAllowed and others."""
        tokens: list[JsonValue] = [self._tokens(GRAPH_SCOPE), self._tokens(TEAMS_SCOPE)]
        if signed_in_with != tokens:
            parameters: Parameters = {"AccessTokens": tokens}
            parameters |= {"TenantId": self._tenant_id} if self._tenant_id else {}
            try:
                list(session.stream(Call("Connect-MicrosoftTeams", parameters), deadline))
            except PipelineFailedError as error:
                raise classify(error.failure, attempt="Connect-MicrosoftTeams") from error
        return tokens


class TeamsShell(ShellOwner):
    """Teams configuration of one tenant; safe to share between threads. The shell is closed with it."""

    def __init__(
        self, shell: PowerShell, tokens: TokenSource, *, tenant_id: str | None = None, deadline_s: float = 120.0
    ) -> None:
        self.shell, self._deadline_s = shell, deadline_s
        shell.prepare_with(TeamsSignIn(tokens, tenant_id=tenant_id))

    def locations(self) -> list[EmergencyLocation]:
        """Read the emergency locations."""
        return [_location(bag) for bag in self._read("Get-CsOnlineLisLocation")]

    def voice_routing_policies(self) -> list[VoicePolicy]:
        """Read the voice routing policies."""
        return [_policy(bag) for bag in self._read("Get-CsOnlineVoiceRoutingPolicy")]

    def dial_plans(self) -> list[VoicePolicy]:
        """Read the tenant dial plans."""
        return [_policy(bag) for bag in self._read("Get-CsTenantDialPlan")]

    def routed_usages(self) -> frozenset[str]:
        """Name the PSTN usages that exist and that at least one voice route carries."""
        known = {usage for row in self._read("Get-CsOnlinePstnUsage") for usage in _many(row, "Usage")}
        routed = {usage for row in self._read("Get-CsOnlineVoiceRoute") for usage in _many(row, "OnlinePstnUsages")}
        return frozenset(known & routed)

    def module_version(self) -> str | None:
        """Read the version of the Teams module on the host; None when the session configuration does not tell."""
        try:
            rows = self.shell.cmdlet("Get-Module", {"Name": "MicrosoftTeams"}, deadline_s=self._deadline_s)
        except Unsupported:
            return None
        return next((text for row in rows if (text := text_or_none(row, "Version"))), None)

    @writes
    def set_enterprise_voice(self, rows: Sequence[VoiceSwitch]) -> list[RowResult]:
        """Switch Enterprise Voice of many users in one pipeline; results are keyed by user id."""
        sent = [(row.user_id, _switching(row)) for row in rows]
        return self._write(SET_PHONE_NUMBER, sent)

    @writes
    def enable_enterprise_voice(self, user_id: str, *, enabled: bool) -> None:
        """Switch Enterprise Voice of one user. Raises what its failure means."""
        self.set_enterprise_voice([VoiceSwitch(user_id=user_id, enabled=enabled)])[0].checked()

    @writes
    def assign_numbers(self, rows: Sequence[NumberGrant]) -> list[RowResult]:
        """Give numbers to users in one pipeline; results are keyed by number."""
        return self._write(SET_PHONE_NUMBER, [(row.number, _granting(row)) for row in rows])

    @writes
    def remove_numbers(self, rows: Sequence[NumberGrant]) -> list[RowResult]:
        """Take numbers away from users in one pipeline; results are keyed by number."""
        return self._write(REMOVE_PHONE_NUMBER, [(row.number, _naming(row)) for row in rows])

    def probe(self) -> list[Finding]:
        """Tell whether the endpoint answers, the module is there and Teams accepts our tokens."""
        return probed("teams powershell", self.shell.endpoint, self.voice_routing_policies)

    def _read(self, cmdlet: str) -> list[Bag]:
        return self.shell.cmdlet(cmdlet, {}, deadline_s=self._deadline_s)

    def _write(self, script: Script, sent: Sequence[tuple[str, Parameters]]) -> list[RowResult]:
        rows: list[Parameters] = [{"key": key, "parameters": parameters} for key, parameters in sent]
        results = self.shell.run(script, rows, deadline_s=self._deadline_s, writes=True)
        return settle([key for key, _ in sent], results, attempt=script.name)


def _switching(row: VoiceSwitch) -> Parameters:
    return {"Identity": row.user_id, "EnterpriseVoiceEnabled": row.enabled}


def _naming(row: NumberGrant) -> Parameters:
    kind = _NUMBER_TYPES.get(row.number_type)
    if kind is None:
        raise Unsupported(f"Teams PowerShell cannot assign {row.number_type} numbers ; use Graph", what=row.number)
    return {"Identity": row.user_id, "TelephoneNumber": row.number, "NumberType": kind}


def _granting(row: NumberGrant) -> Parameters:
    location: Parameters = {} if row.location_id is None else {"LocationId": row.location_id}
    return _naming(row) | location


def _location(bag: Bag) -> EmergencyLocation:
    return EmergencyLocation(
        location_id=text_of(bag, "LocationId"),
        civic_address_id=text_of(bag, "CivicAddressId"),
        description=text_or_none(bag, "Description") or text_or_none(bag, "Location") or "",
        city=text_or_none(bag, "City") or "",
        country=text_or_none(bag, "CountryOrRegion") or "",
    )


def _policy(bag: Bag) -> VoicePolicy:
    name = text_of(bag, "Identity")
    return VoicePolicy(
        name=name.partition("Tag:")[2] or name,
        description=text_or_none(bag, "Description") or "",
        usages=_many(bag, "OnlinePstnUsages"),
    )


def _many(bag: Bag, name: str) -> tuple[str, ...]:
    """Give a property of several values; a single one may come without its list."""
    value = value_of(bag, name)
    return tuple(str(each) for each in (value if isinstance(value, list) else [value]) if each)
