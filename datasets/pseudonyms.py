"""Pseudonyms for a snapshot: no real name, address, id or number is left, and the structure stays.

One value has one pseudonym within an export, whatever its case and wherever it stands. A number keeps its country and
its last four digits and moves, together with its block of ten thousand, to another block: what was one range still is.
Personal numbers change altogether. Nothing is remembered, so an export of any size needs no more memory.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from typing import ClassVar, Literal, TypeVar, get_args

import phonenumbers

from datasets.skype_pseudonyms import SKYPE, replaced
from datasets.snapshot import (
    Account,
    AdAccount,
    Gateway,
    Group,
    GroupPolicy,
    Header,
    Location,
    Members,
    Number,
    NumberBlock,
    Policy,
    Product,
    Route,
    TranslationRule,
    Usages,
    Voice,
)
from datasets.snapshot_line import SnapshotLine

Kept = Literal["departments", "groups", "policies"]
KEEPABLE: tuple[Kept, ...] = get_args(Kept)

_NUMBER = re.compile(r"\+([1-9][0-9]{1,14})", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_BLOCK_DIGITS, _SHORTEST_BLOCK, _LONGEST_EXTENSION, _ROUNDS = 4, 2, 6, 8
_GLOBAL = "global"
L = TypeVar("L", bound=SnapshotLine)


class Pseudonyms:
    """Replaces what identifies people and places; the same key gives the same pseudonyms."""

    def __init__(self, key: bytes, *, keep: Iterable[Kept] = ()) -> None:
        self._key, self._kept = key, frozenset(keep)

    def __call__(self, line: SnapshotLine) -> SnapshotLine:
        """Give the same line about nobody."""
        return self._REPLACE[type(line)](self, line)

    # Values

    def identifier(self, text: str) -> str:
        """Replace an id by another of GUID form."""
        found = self._hex("id", text, 32)
        return f"{found[:8]}-{found[8:12]}-4{found[13:16]}-a{found[17:20]}-{found[20:]}"

    def word(self, kind: str, text: str) -> str:
        """Replace a name by a word that says what it was."""
        return f"{kind} {self._hex(kind, text, 8)}"

    def address(self, text: str) -> str:
        """Replace a mail address, user principal name or SIP address; the people of one domain stay in one domain."""
        scheme, colon, rest = text.rpartition(":")
        local, at, domain = rest.rpartition("@")
        if not at:
            return f"{scheme}{colon}{self.account_name(rest)}"
        return f"{scheme}{colon}{self.account_name(local)}@d{self._hex('domain', domain, 8)}.example"

    def account_name(self, text: str) -> str:
        """Replace an account name; the local part of an address is one too, and stays equal to it."""
        return f"u{self._hex('account', text, 12)}"

    def number(self, text: str) -> str:
        """Move the numbers in a text, with their blocks; a short extension stays, anything else changes altogether."""
        if text.isascii() and text.isdigit() and len(text) <= _LONGEST_EXTENSION:
            return text
        if not _NUMBER.search(text):
            return self.digits(text)
        return _NUMBER.sub(lambda match: f"+{self._moved(match[1], _BLOCK_DIGITS)}", text)

    def personal_number(self, text: str) -> str:
        """Replace a number that belongs to a person, last digits too; its country stays."""
        if not _NUMBER.search(text):
            return self.digits(text)
        return _NUMBER.sub(lambda match: f"+{self._moved(match[1], 0)}", text)

    def digits(self, text: str) -> str:
        """Replace every run of digits by another of the same length, and every other text by a word."""
        if not _DIGITS.search(text):
            return self._hex("text", text, 8)
        return "".join(self._permuted(part, "digits") for part in _DIGITS.findall(text))

    def _moved(self, digits: str, kept: int) -> str:
        code = country_code(digits)
        national = digits[len(code) :]
        cut = len(national) - (kept if len(national) > kept + _SHORTEST_BLOCK else 0)
        block, rest = national[:cut], national[cut:]
        return code + self._permuted(block, f"block {code}") + rest

    def _permuted(self, digits: str, about: str) -> str:
        """Give other digits of the same length, different ones for different digits: a Feistel network over halves."""
        middle = len(digits) // 2
        left, right = digits[:middle], digits[middle:]
        if not left:
            return digits and str((int(digits) + self._whole(about, "1") % 9 + 1) % 10)
        for turn in range(_ROUNDS):
            if turn % 2:
                right = self._shifted(right, f"{about} {turn} {left}")
            else:
                left = self._shifted(left, f"{about} {turn} {right}")
        return left + right

    def _shifted(self, digits: str, about: str) -> str:
        size = 10 ** len(digits)
        return f"{(int(digits) + self._whole(about, str(len(digits)))) % size:0{len(digits)}}"

    def _whole(self, about: str, text: str) -> int:
        return int(self._hex(about, text, 16), 16)

    def _hex(self, about: str, text: str, length: int) -> str:
        message = f"{about}\0{text.casefold()}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()[:length]

    # Names that may be kept

    def policy(self, name: str) -> str:
        """Replace the name of a policy, a usage, a route or a rule, unless those are kept."""
        return name if "policies" in self._kept or name.casefold() == _GLOBAL else self.word("Policy", name)

    def _group(self, name: str) -> str:
        return name if "groups" in self._kept else self.word("Group", name)

    def _department(self, name: str) -> str:
        return name if "departments" in self._kept else self.word("Department", name)

    # Lines

    def _header(self, line: Header) -> Header:
        return replaced(line, tenant_id=self.identifier, tenant_name=self._word("Tenant"))

    def _of_policy(self, line: Policy) -> Policy:
        """Give a policy without its description and rules: those contain names and number patterns."""
        usages = tuple(self.policy(usage) for usage in line.usages)
        plain = line.model_copy(update={"description": None, "rules": (), "usages": usages})
        return replaced(plain, name=self.policy)

    def _of_usages(self, line: Usages) -> Usages:
        return line.model_copy(update={"names": tuple(map(self.policy, line.names))})

    def _of_gateway(self, line: Gateway) -> Gateway:
        lists = ("inbound_pstn_rules", "inbound_teams_rules", "outbound_pstn_rules", "outbound_teams_rules")
        rules = {name: tuple(map(self.policy, getattr(line, name))) for name in lists}
        return replaced(line.model_copy(update=rules), fqdn=self.host)

    def _of_translation_rule(self, line: TranslationRule) -> TranslationRule:
        """Give a rule that fits every number and changes none: real ones hold prefixes."""
        plain = line.model_copy(update={"description": None, "pattern": "^(.*)$", "translation": "$1"})
        return replaced(plain, name=self.policy)

    def _of_route(self, line: Route) -> Route:
        """Give a route without its description and pattern, which name people and prefixes; it fits every number."""
        names = {"usages": tuple(map(self.policy, line.usages)), "gateways": tuple(map(self.host, line.gateways))}
        plain = line.model_copy(update={"description": None, "number_pattern": ".*", **names})
        return replaced(plain, name=self.policy)

    def host(self, name: str) -> str:
        """Replace the name of a server."""
        return f"sbc{self._hex('host', name, 8)}.example"

    def _of_location(self, line: Location) -> Location:
        return replaced(
            line,
            location_id=self.identifier,
            civic_address_id=self.identifier,
            description=self._word("Location"),
            company=self._word("Company"),
            street=self._word("Street"),
            city=self._word("City"),
            postal_code=self._word("Code"),
        )

    def _of_account(self, line: Account) -> Account:
        name = self._hex("id", line.id, 8)
        phones = tuple(map(self.number, line.business_phones))
        return replaced(
            line.model_copy(update={"business_phones": phones}),
            id=self.identifier,
            user_principal_name=self.address,
            display_name=lambda _: f"Given {name} Surname {name}",
            given_name=lambda _: f"Given {name}",
            surname=lambda _: f"Surname {name}",
            mail=self.address,
            city=self._word("City"),
            office=self._word("Office"),
            department=self._department,
            company=self._word("Company"),
            job_title=self._word("Title"),
            employee_id=self._employee_id,
            sam_account_name=self.account_name,
            mobile_phone=self.personal_number,
        )

    def _of_voice(self, line: Voice) -> Voice:
        policies = {kind: self.policy(name) for kind, name in line.policies.items()}
        return replaced(line.model_copy(update={"policies": policies}), user_id=self.identifier)

    def _of_number(self, line: Number) -> Number:
        return replaced(
            line,
            telephone_number=self.number,
            holder_id=self.identifier,
            location_id=self.identifier,
            city=self._word("City"),
        )

    def _of_block(self, line: NumberBlock) -> NumberBlock:
        return replaced(line, telephone_number=self.number)

    def _of_group(self, line: Group) -> Group:
        return replaced(line.model_copy(update={"description": None}), id=self.identifier, display_name=self._group)

    def _of_members(self, line: Members) -> Members:
        ids = tuple(map(self.identifier, line.member_ids))
        return replaced(line.model_copy(update={"member_ids": ids}), group_id=self.identifier)

    def _of_group_policy(self, line: GroupPolicy) -> GroupPolicy:
        return replaced(line, group_id=self.identifier, name=self.policy)

    def _of_ad_account(self, line: AdAccount) -> AdAccount:
        return replaced(
            line,
            sam_account_name=self.account_name,
            user_principal_name=self.address,
            telephone_number=self.number,
            ip_phone=self.number,
            mobile=self.personal_number,
            home_phone=self.personal_number,
            msrtcsip_line=self.number,
            employee_id=self._employee_id,
        )

    def _employee_id(self, text: str) -> str:
        return self._permuted(text, "employee") if _DIGITS.fullmatch(text) else f"E{self._hex('employee', text, 10)}"

    def _word(self, kind: str) -> Callable[[str], str]:
        return lambda text: self.word(kind, text)

    def _same(self, line: Product) -> Product:
        return line

    _REPLACE: ClassVar[dict[type[SnapshotLine], Callable[..., SnapshotLine]]] = {
        Header: _header,
        Product: _same,
        Policy: _of_policy,
        Usages: _of_usages,
        TranslationRule: _of_translation_rule,
        Gateway: _of_gateway,
        Route: _of_route,
        Location: _of_location,
        Account: _of_account,
        Voice: _of_voice,
        Number: _of_number,
        NumberBlock: _of_block,
        Group: _of_group,
        Members: _of_members,
        GroupPolicy: _of_group_policy,
        AdAccount: _of_ad_account,
        **SKYPE,
    }


def country_code(digits: str) -> str:
    """Give the country code that an international number begins with; its first digit when none is known."""
    return next(
        (digits[:n] for n in (1, 2, 3) if int(digits[:n]) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE), digits[:1]
    )
