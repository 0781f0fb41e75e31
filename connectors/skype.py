"""Skype for Business Server through its remote PowerShell: who is homed where with which line, moves, and ranges.

`/OcsPowershell` takes plain cmdlets only, so every operation here is one cmdlet with typed parameters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from pydantic import JsonValue

from connectors.bags import text_of, text_or_none, value_of
from connectors.clixml import Bag
from connectors.errors import NotFound, Unsupported
from connectors.powershell import PowerShell
from connectors.quoting import ldap_any_of
from connectors.shell_errors import SYSTEM
from connectors.shell_owner import ShellOwner
from connectors.shell_probe import probed
from connectors.writes import writes
from datasets.call_forwarding import CallForwarding
from datasets.findings import Finding
from datasets.hybrid import SkypeUser
from datasets.unassigned_ranges import UnassignedRange

Parameters = dict[str, JsonValue]
_BUILD = re.compile(r"\((\d+(?:\.\d+){3})\)")
# One filter names so many accounts: a read for a wave of 500 is five calls.
_NAMES_PER_FILTER = 100
# A server that is slow to say it for one user must not hold up a sync of hundreds.
_FORWARDING_DEADLINE_S = 20.0
_FORWARDING_REMEDY = "it needs Skype for Business Server 2019 CU1 ; set cache.forwarding_users to 0 to leave it out"


@dataclass(frozen=True)
class MoveOptions:
    """What a site adds to every Move-CsUser; `tokens` gives the access tokens to sign in with."""

    cloud_host: str = ""
    hosted_migration_url: str | None = None
    tenant_admin: str | None = None
    use_oauth: bool = False
    bypass_voice_check: bool = False
    domain_controller: str | None = None
    proxy_pool: str | None = None
    tokens: Callable[[], list[str]] | None = None
    deadline_s: float = 150.0

    def to_cloud(self) -> Parameters:
        """Give the parameters of a move between the server and the cloud."""
        texts = {
            "HostedMigrationOverrideUrl": self.hosted_migration_url,
            "TenantAdminUserName": self.tenant_admin,
            "ProxyPool": self.proxy_pool,
        }
        switches = {"UseOAuth": self.use_oauth, "BypassEnterpriseVoiceCheck": self.bypass_voice_check}
        found: Parameters = {name: text for name, text in texts.items() if text}
        found |= {name: True for name, wanted in switches.items() if wanted}
        return found | ({"AccessTokens": [*self.tokens()]} if self.tokens else {})

    @property
    def everywhere(self) -> Parameters:
        """Give the parameters of every cmdlet that writes."""
        return {"DomainController": self.domain_controller} if self.domain_controller else {}


class SkypeServer(ShellOwner):
    """The users of one deployment; safe to share between threads. The shell is closed with it."""

    def __init__(self, shell: PowerShell, options: MoveOptions | None = None, *, deadline_s: float = 120.0) -> None:
        self.shell, self._options, self._deadline_s = shell, options or MoveOptions(), deadline_s

    def user(self, sip_address: str) -> SkypeUser | None:
        """Read one user by SIP address; None when the server has none."""
        try:
            rows = self._read("Get-CsUser", {"Identity": f"sip:{sip_address}"})
        except NotFound:
            return None
        return next((user for row in rows if (user := _user(row))), None)

    def users(self, sam_account_names: Iterable[str]) -> dict[str, SkypeUser]:
        """Read users by account name, whatever its case; those who are not enabled are left out."""
        names = list(dict.fromkeys(sam_account_names))
        found: dict[str, SkypeUser] = {}
        for start in range(0, len(names), _NAMES_PER_FILTER):
            asked = {"LdapFilter": ldap_any_of("sAMAccountName", names[start : start + _NAMES_PER_FILTER])}
            for user in filter(None, map(_user, self._read("Get-CsUser", asked))):
                found[user.sam_account_name.casefold()] = user
        return {name: found[name.casefold()] for name in names if name.casefold() in found}

    def everybody(self, *, deadline_s: float) -> Iterator[SkypeUser]:
        """Read every enabled user as they come: any number of them in little memory."""
        return filter(None, map(_user, self.shell.stream("Get-CsUser", {}, deadline_s=deadline_s)))

    def server_build(self) -> str | None:
        """Read the build of the server, four numbers; None when the server words it in another way."""
        return build_in(self._read("Get-CsServerVersion", {}))

    def cloud_host(self) -> str:
        """Give where users are moved to: as the site says, or the hosting provider that the server knows.

        Raises NotFound when the server knows none.
        """
        return self._options.cloud_host.casefold() or self._provider

    def pools(self) -> list[str]:
        """Read the names of the pools that users can be homed on."""
        return [text_of(row, "Fqdn").casefold() for row in self._read("Get-CsPool", {})]

    def front_ends(self) -> Mapping[str, int]:
        """Count the front ends of each pool, whose name is in lower case."""
        return {text_of(row, "Fqdn").casefold(): _count(row, "Computers") for row in self._read("Get-CsPool", {})}

    def call_forwarding(self, sip_address: str) -> CallForwarding:
        """Read where the calls of a user go, as the front end that is asked has it: others may be behind.

        Raises Unsupported where the servers have no cmdlet for it.
        """
        name, asked = "Get-CsUserCallForwardingSettings", {"User": f"sip:{sip_address}"}
        try:
            rows = self.shell.cmdlet(name, asked, deadline_s=min(self._deadline_s, _FORWARDING_DEADLINE_S))
        except Unsupported as error:
            raise Unsupported(f"{error} ; {_FORWARDING_REMEDY}", system=SYSTEM, what=name) from error
        return _forwarding(sip_address, rows[0] if rows else {})

    def unassigned_ranges(self) -> list[UnassignedRange]:
        """Read the ranges whose unassigned numbers the servers answer."""
        return [_range(row) for row in self._read("Get-CsUnassignedNumber", {})]

    @writes
    def move_user(self, sip_address: str, target: str) -> None:
        """Move a user to the cloud or to a pool; nothing but its end tells that it happened."""
        asked: Parameters = {"Identity": f"sip:{sip_address}", "Target": target, **self._options.to_cloud()}
        self._write("Move-CsUser", asked, self._options.deadline_s)

    @writes
    def set_line_uri(self, sip_address: str, line_uri: str | None) -> None:
        """Set or clear (None) the line of a user; an empty text clears it, since $null cannot be sent."""
        self._write("Set-CsUser", {"Identity": f"sip:{sip_address}", "LineURI": line_uri or ""})

    @writes
    def switch_on_premises_voice(self, sip_address: str, *, enabled: bool) -> None:
        """Switch Enterprise Voice of a user of the server."""
        self._write("Set-CsUser", {"Identity": f"sip:{sip_address}", "EnterpriseVoiceEnabled": enabled})

    @writes
    def disable_skype_user(self, sip_address: str) -> None:
        """Take a user from the server with line, policies and all that is theirs; the directory account stays."""
        self._write("Disable-CsUser", {"Identity": f"sip:{sip_address}"})

    def probe(self) -> list[Finding]:
        """Tell whether the endpoint answers, accepts us and shows the server's version."""
        return probed("skype for business server", self.shell.endpoint, self.server_build)

    @cached_property
    def _provider(self) -> str:
        rows = self._read("Get-CsHostingProvider", {})
        hosts = (text_or_none(row, "ProxyFqdn") for row in rows if value_of(row, "HostsOCSUsers") is True)
        found = next((host for host in hosts if host), None)
        if found is None:
            message = (
                "the Skype for Business Server knows no hosting provider for users ; set ocs_powershell.cloud_host"
            )
            raise NotFound(message, system=SYSTEM, what="Get-CsHostingProvider")
        return found.casefold()

    def _read(self, cmdlet: str, parameters: Mapping[str, JsonValue]) -> list[Bag]:
        return self.shell.cmdlet(cmdlet, parameters, deadline_s=self._deadline_s)

    def _write(self, cmdlet: str, parameters: Parameters, deadline_s: float | None = None) -> None:
        # Where a cmdlet would ask for a confirmation, nobody could answer.
        asked = {**parameters, **self._options.everywhere, "Confirm": False}
        self.shell.cmdlet(cmdlet, asked, deadline_s=deadline_s or self._deadline_s, writes=True)


def _count(bag: Bag, name: str) -> int:
    value = value_of(bag, name)
    return len(value) if isinstance(value, list) else 1


def _forwarding(sip_address: str, bag: Bag) -> CallForwarding:
    # What the answer's properties are called is not documented: see docs/connectors/skype.md.
    return CallForwarding(
        sip_address=sip_address,
        forwarded_to=text_or_none(bag, "ForwardDestination") or "",
        rings_too=text_or_none(bag, "SimulRingDestination") or "",
        unanswered_to=text_or_none(bag, "UnansweredCallHandling") or "",
    )


def build_in(rows: Iterable[Bag]) -> str | None:
    """Give the build that a server names in words; None when it words it in another way."""
    found = (_BUILD.search(text) for row in rows for text in _texts(row))
    return next((match[1] for match in found if match), None)


def _texts(bag: Bag) -> Iterator[str]:
    return (value for value in bag.values() if isinstance(value, str))


def _range(bag: Bag) -> UnassignedRange:
    first, last = (text_of(bag, f"NumberRange{end}").removeprefix("tel:") for end in ("Start", "End"))
    return UnassignedRange(name=text_of(bag, "Identity"), start=first, end=last)


def _user(bag: Bag) -> SkypeUser | None:
    """Read a user; None for an account without a SIP address, which is not enabled."""
    address = text_or_none(bag, "SipAddress")
    if address is None:
        return None
    return SkypeUser(
        sip_address=address.casefold().removeprefix("sip:"),
        sam_account_name=text_of(bag, "SamAccountName"),
        user_principal_name=text_or_none(bag, "UserPrincipalName") or "",
        registrar_pool=text_or_none(bag, "RegistrarPool"),
        hosting_provider=text_or_none(bag, "HostingProvider"),
        line_uri=text_or_none(bag, "LineURI"),
        is_enabled=value_of(bag, "Enabled") is True,
        is_enterprise_voice_enabled=value_of(bag, "EnterpriseVoiceEnabled") is True,
    )
