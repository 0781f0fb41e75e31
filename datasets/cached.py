"""What the cache keeps: documents of the outside systems, and users as a search shows them (pure)."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from datasets.record import Record

ON_PREMISES = ("directory", "skype", "forwarding")
SOURCES = ("licences", "users", "voice", "numbers", *ON_PREMISES)
"""The outside systems that are cached, in the order they are read in: later ones refer to earlier ones."""

COLUMNS: Mapping[str, tuple[str, str]] = {
    "name": ("users", "display_name"),
    "address": ("users", "user_principal_name"),
    "number": ("voice", "number"),
    "number_type": ("numbers", "number_type"),
    "voice": ("voice", "is_enterprise_voice_enabled"),
    "account_type": ("voice", "account_type"),
    "enabled": ("users", "account_enabled"),
    "country": ("users", "usage_location"),
    "department": ("users", "department"),
    "company": ("users", "company_name"),
    "employee_id": ("users", "employee_id"),
    "mail": ("users", "mail"),
    "licences": ("users", "licences"),
    "routing": ("voice", "policy:OnlineVoiceRoutingPolicy"),
    "dial_plan": ("voice", "policy:TenantDialPlan"),
    "calling": ("voice", "policy:TeamsCallingPolicy"),
    "caller_id": ("voice", "policy:CallingLineIdentity"),
    "emergency": ("voice", "policy:TeamsEmergencyCallRoutingPolicy"),
    "voicemail": ("voice", "policy:OnlineVoicemailPolicy"),
    "desk_phone": ("directory", "telephone_number"),
    "ip_phone": ("directory", "ip_phone"),
    "mobile": ("directory", "mobile"),
    "home_phone": ("directory", "home_phone"),
    "skype_line": ("directory", "msrtcsip_line"),
    "skype_home": ("skype", "home"),
    "skype_number": ("skype", "line_uri"),
    "forwarding": ("forwarding", "forwarding"),
    "groups": ("groups", "groups"),
    "teams_forwarding": ("teams_calls", "forwarded_to"),
    "teams_rings_too": ("teams_calls", "rings_too"),
    "teams_unanswered": ("teams_calls", "unanswered_to"),
    "delegates": ("teams_calls", "delegates"),
}
"""Every column that a search can show, in order: which source it comes from, and which value of it."""

SEPARATOR = "\x1f"
Body = Mapping[str, Any]


class Document(NamedTuple):
    """One object of a source. `content` is JSON that is the same, byte for byte, as long as the object is.

    `link` is what another source calls it: of a user the account name, of a number its holder.
    """

    key: str
    content: bytes
    link: str = ""


def document(record: Record, link: str = "") -> Document:
    """Make a document of a record; its key is the record's identity."""
    return Document(str(record.key[0]), canonical(record.model_dump(mode="json")), link)


def canonical(body: Body) -> bytes:
    """Give an object as JSON with its keys in order."""
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)


def shown_columns(bodies: Mapping[str, Body], licences: Mapping[str, str]) -> dict[str, str]:
    """Give every column of one user as text, from what each source says of the user; empty ones are left out."""
    found = {name: _value(bodies.get(source), field, licences) for name, (source, field) in COLUMNS.items()}
    return {name: text for name, text in found.items() if text}


def _value(body: Body | None, field: str, licences: Mapping[str, str]) -> str:
    if body is None:
        return ""
    if field == "licences":
        return ", ".join(sorted(licences.get(sku, sku) for sku in body["sku_ids"]))
    if field == "number":
        return next(iter(body["telephone_numbers"]), "")
    if field.startswith("policy:"):
        return str(body["policies"].get(field.removeprefix("policy:"), ""))
    value = body.get(field)
    if isinstance(value, list):
        return _clean(", ".join(map(str, value)))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else _clean(str(value))


def _clean(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(" " if ord(letter) < 32 else letter for letter in text)


def folded(text: str) -> str:
    """Give text in the form in which it is compared: composed and without case, in any alphabet."""
    return unicodedata.normalize("NFC", _clean(text).casefold())


def search_text(columns: Mapping[str, str], shown: Sequence[str] = tuple(COLUMNS)) -> str:
    """Give what a search looks at: the shown columns, so that no match spans two of them."""
    return SEPARATOR.join(folded(columns.get(name, "")) for name in shown)
