"""Reads what only Teams PowerShell lists, for a snapshot: policies, voice routing, locations, group policies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from pydantic import JsonValue

from connectors.bags import text_of, text_or_none, value_of
from connectors.clixml import Bag
from connectors.errors import Unsupported
from connectors.powershell import PowerShell
from datasets.snapshot import (
    Gateway,
    GroupPolicy,
    Location,
    NumberBlock,
    Policy,
    Route,
    Rule,
    TranslationRule,
    Usages,
)
from datasets.snapshot_line import SnapshotLine

_DEADLINE_S = 600.0
_PAGE = 1000


class TeamsListing:
    """Everything that Teams PowerShell lists about one tenant, as lines of a snapshot."""

    def __init__(self, shell: PowerShell) -> None:
        self._shell = shell

    def policies(self, policy_type: str) -> Iterator[Policy]:
        """Read every policy of a type; none when the module does not know the type."""
        try:
            for bag in self._shell.stream(f"Get-Cs{policy_type}", {}, deadline_s=_DEADLINE_S):
                yield _policy(policy_type, bag)
        except Unsupported:
            return  # an older module, or a type that has no cmdlet of its own

    def routing(self) -> Iterator[SnapshotLine]:
        """Read PSTN usages, translation rules, gateways and voice routes."""
        for cmdlet, parse in _ROUTING:
            yield from map(parse, self._shell.stream(cmdlet, {}, deadline_s=_DEADLINE_S))

    def blocks(self) -> Iterator[NumberBlock]:
        """Read which numbers Teams assigns to nobody, page by page; a page that is not full is the last."""
        skip, size = 0, _PAGE
        while size == _PAGE:
            size, asked = 0, {"Top": _PAGE, "Skip": skip}
            for bag in self._shell.stream("Get-CsPhoneNumberAssignment", asked, deadline_s=_DEADLINE_S):
                size += 1
                if (found := _block(bag)) is not None:
                    yield found
            skip += size

    def locations(self) -> Iterator[Location]:
        """Read the emergency locations."""
        return map(_location, self._shell.stream("Get-CsOnlineLisLocation", {}, deadline_s=_DEADLINE_S))

    def group_policies(self) -> Iterator[GroupPolicy]:
        """Read which policies groups were granted; none when the module is too old to know."""
        try:
            for bag in self._shell.stream("Get-CsGroupPolicyAssignment", {}, deadline_s=_DEADLINE_S):
                yield _group_policy(bag)
        except Unsupported:
            return


def _policy(policy_type: str, bag: Bag) -> Policy:
    name = text_of(bag, "Identity")
    return Policy(
        policy_type=policy_type,
        name=name.partition("Tag:")[2] or name,
        description=text_or_none(bag, "Description"),
        usages=tuple(map(str, _list(value_of(bag, "OnlinePstnUsages")))),
        rules=tuple(_rule(rule) for rule in _list(value_of(bag, "NormalizationRules")) if isinstance(rule, dict)),
    )


def _rule(bag: Bag) -> Rule:
    return Rule(
        name=text_or_none(bag, "Name") or "",
        description=text_or_none(bag, "Description"),
        pattern=text_or_none(bag, "Pattern") or "",
        translation=text_or_none(bag, "Translation") or "",
        is_internal_extension=value_of(bag, "IsInternalExtension") is True,
    )


def _usages(bag: Bag) -> SnapshotLine:
    return Usages(names=tuple(map(str, _list(value_of(bag, "Usage")))))


def _gateway(bag: Bag) -> SnapshotLine:
    port = value_of(bag, "SipSignalingPort")
    return Gateway(
        fqdn=text_of(bag, "Identity"),
        sip_port=port if isinstance(port, int) else None,
        is_enabled=value_of(bag, "Enabled") is True,
        inbound_pstn_rules=_names(bag, "InboundPstnNumberTranslationRules"),
        inbound_teams_rules=_names(bag, "InboundTeamsNumberTranslationRules"),
        outbound_pstn_rules=_names(bag, "OutboundPstnNumberTranslationRules"),
        outbound_teams_rules=_names(bag, "OutboundTeamsNumberTranslationRules"),
    )


def _translation_rule(bag: Bag) -> SnapshotLine:
    return TranslationRule(
        name=text_of(bag, "Identity"),
        description=text_or_none(bag, "Description"),
        pattern=text_or_none(bag, "Pattern") or "",
        translation=text_or_none(bag, "Translation") or "",
    )


def _block(bag: Bag) -> NumberBlock | None:
    """Give the assignment block of a number, None when it has none or the module does not know blocks."""
    number, until = text_of(bag, "TelephoneNumber"), text_or_none(bag, "AssignmentBlockedUntil")
    match text_or_none(bag, "AssignmentBlockedState"):
        case "BlockedForever":
            return NumberBlock(telephone_number=number)
        case "BlockedUntil" if until is not None:
            return NumberBlock(telephone_number=number, until=_in_utc(until))
        case _:
            return None


def _in_utc(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Unsupported(f"PowerShell answered '{text}' as a moment ; check the version of its module") from error
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z"


def _route(bag: Bag) -> SnapshotLine:
    priority = value_of(bag, "Priority")
    return Route(
        name=text_of(bag, "Identity"),
        description=text_or_none(bag, "Description"),
        priority=priority if isinstance(priority, int) else None,
        number_pattern=text_or_none(bag, "NumberPattern") or "",
        usages=tuple(map(str, _list(value_of(bag, "OnlinePstnUsages")))),
        gateways=tuple(map(str, _list(value_of(bag, "OnlinePstnGatewayList")))),
    )


def _location(bag: Bag) -> Location:
    return Location(
        location_id=text_of(bag, "LocationId"),
        civic_address_id=text_of(bag, "CivicAddressId"),
        description=text_or_none(bag, "Description") or text_or_none(bag, "Location"),
        company=text_or_none(bag, "CompanyName"),
        street=_street(bag),
        city=text_or_none(bag, "City"),
        postal_code=text_or_none(bag, "PostalCode"),
        country=text_or_none(bag, "CountryOrRegion"),
    )


def _street(bag: Bag) -> str | None:
    parts = (text_or_none(bag, name) for name in ("HouseNumber", "HouseNumberSuffix", "StreetName", "StreetSuffix"))
    return " ".join(part for part in parts if part) or None


def _group_policy(bag: Bag) -> GroupPolicy:
    rank = value_of(bag, "Priority") or value_of(bag, "Rank")
    return GroupPolicy(
        group_id=text_of(bag, "GroupId"),
        policy_type=text_of(bag, "PolicyType"),
        name=text_of(bag, "PolicyName"),
        rank=rank if isinstance(rank, int) else None,
    )


def _names(bag: Bag, name: str) -> tuple[str, ...]:
    return tuple(map(str, _list(value_of(bag, name))))


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


_ROUTING: tuple[tuple[str, Callable[[Bag], SnapshotLine]], ...] = (
    ("Get-CsOnlinePstnUsage", _usages),
    ("Get-CsTeamsTranslationRule", _translation_rule),
    ("Get-CsOnlinePSTNGateway", _gateway),
    ("Get-CsOnlineVoiceRoute", _route),
)
