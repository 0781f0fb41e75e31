"""SOAP of WS-Management: reading requests, writing responses and faults."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.sax.saxutils import escape

S = "http://www.w3.org/2003/05/soap-envelope"
WSA = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
FAULT = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
CONFIG = "http://schemas.microsoft.com/wbem/wsman/1/config"
POWERSHELL = "http://schemas.microsoft.com/powershell"
ENUMERATION = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"

OPERATION_TIMEOUT = 2150858793
SHELL_NOT_FOUND = 2150858843
QUOTA = 2150859173
SHELL_DISCONNECTED = 0x803381C4
STREAM_DISCONNECTED = 0x803381DE
NOT_DISCONNECTED = 0x803381D0
INVALID_RESOURCE = 0x8033803B
ENVELOPE_TOO_SMALL = 0x8033807E
INTERNAL = 1359
UNEXPECTED_SELECTORS = 0x8033805B
BAD_REQUEST = 2150858769
NOT_SUPPORTED = 2150858752

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?\Z")


class WsmanFault(Exception):
    """A refusal of the protocol, with the number Windows gives it."""

    def __init__(self, code: int, subcode: str, message: str, *, status: int = 500) -> None:
        super().__init__(message)
        self.code, self.subcode, self.message, self.status = code, subcode, message, status


def shell_not_found(shell_id: str) -> WsmanFault:
    """Say that a shell is gone or was never there."""
    text = (
        f'The request for the Windows Remote Shell with ShellId "{shell_id}" failed because the shell was not found on '
        "the server. Possible causes are: the specified ShellId is incorrect or the shell no longer exists on the "
        "server. Provide the correct ShellId or create a new shell and retry the operation."
    )
    return WsmanFault(SHELL_NOT_FOUND, "wsman:InvalidSelectors", text)


def timed_out() -> WsmanFault:
    """Say that nothing happened within the operation time-out."""
    text = "The WS-Management service cannot complete the operation within the time specified in OperationTimeout."
    return WsmanFault(OPERATION_TIMEOUT, "wsman:TimedOut", text)


def disconnected(shell_id: str) -> WsmanFault:
    """Say that a shell waits for somebody to reconnect."""
    return WsmanFault(
        SHELL_DISCONNECTED, "wsman:InvalidSelectors", f"The Windows Remote Shell {shell_id} is disconnected."
    )


def stream_disconnected() -> WsmanFault:
    """Tell a waiting Receive that its shell was disconnected."""
    text = "The WS-Management service cannot process the request because the stream is currently disconnected."
    return WsmanFault(STREAM_DISCONNECTED, "wsman:InternalError", text)


def not_disconnected(shell_id: str) -> WsmanFault:
    """Refuse to take over a shell somebody is connected to."""
    text = f"The WS-Management service cannot connect to the shell {shell_id} because it is not disconnected."
    return WsmanFault(NOT_DISCONNECTED, "wsman:InvalidSelectors", text)


def unknown_resource(resource: str) -> WsmanFault:
    """Refuse a resource this service does not have, WinRS (cmd) among them."""
    text = (
        "The WS-Management service cannot process the request. The resource URI is missing or it has an incorrect "
        f"format, or there is no such session configuration: {resource}"
    )
    return WsmanFault(INVALID_RESOURCE, "wsa:DestinationUnreachable", text)


def envelope_too_small(wanted: int) -> WsmanFault:
    """Refuse an envelope limit nothing can be answered in."""
    text = f"The WS-Management service cannot process the request: MaxEnvelopeSize {wanted} is too small to answer in."
    return WsmanFault(ENVELOPE_TOO_SMALL, "wsman:EncodingLimit", text)


def quota_exceeded(limit: int, whose: str = "user") -> WsmanFault:
    """Say that the user, or the tenant, has as many shells as allowed."""
    text = (
        f"The WS-Management service cannot process the request. The maximum number of concurrent shells for this "
        f"{whose} has been exceeded: this {whose} is allowed a maximum number of {limit} concurrent shells. "
        f"Close existing shells or raise the quota for this {whose}."
    )
    return WsmanFault(QUOTA, "wsman:QuotaLimit", text)


def internal_error() -> WsmanFault:
    """Say that the service failed; what happened is in the lab's own log."""
    return WsmanFault(INTERNAL, "wsman:InternalError", "The WS-Management service failed; see the log of the lab.")


def malformed(why: str) -> WsmanFault:
    """Refuse a message that is not what it should be."""
    return WsmanFault(BAD_REQUEST, "wsman:SchemaValidationError", f"Malformed message: {why}")


@dataclass(frozen=True)
class Request:
    """What a request asks for; `body` is the first element of the SOAP body."""

    action: str
    message_id: str
    resource: str
    selectors: dict[str, str]
    timeout_s: float
    envelope_size: int
    body: ElementTree.Element | None

    @property
    def shell_id(self) -> str:
        """Give the shell the request is about, in capitals."""
        return self.selectors.get("ShellId", "").upper()


def read_request(data: bytes) -> Request:
    """Read an envelope; raises WsmanFault for anything else."""
    if b"<!DOCTYPE" in data:
        raise malformed("SOAP messages have no document type.")
    try:
        root = ElementTree.fromstring(data)  # noqa: S314 - no document type, so no entities of its own
    except ElementTree.ParseError as error:
        raise malformed(f"The request is not valid XML: {error}") from error
    header, body = root.find(f"{{{S}}}Header"), root.find(f"{{{S}}}Body")
    if header is None or body is None:
        raise malformed("The request is not a SOAP envelope.")
    return Request(
        action=_text(header, WSA, "Action"),
        message_id=_text(header, WSA, "MessageID"),
        resource=_text(header, WSMAN, "ResourceURI"),
        selectors=_selectors(header),
        timeout_s=_patience(_text(header, WSMAN, "OperationTimeout") or "PT60S"),
        envelope_size=_whole(_text(header, WSMAN, "MaxEnvelopeSize") or "153600"),
        body=next(iter(body), None),
    )


def _patience(text: str) -> float:
    if _DURATION.match(text) is None:
        raise malformed("OperationTimeout is not a duration.")
    return seconds(text)


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise malformed("MaxEnvelopeSize is not a number.")
    return int(text)


def _text(parent: ElementTree.Element, namespace: str, name: str) -> str:
    return (parent.findtext(f"{{{namespace}}}{name}") or "").strip()


def _selectors(header: ElementTree.Element) -> dict[str, str]:
    found = header.find(f"{{{WSMAN}}}SelectorSet")
    return {item.attrib.get("Name", ""): item.text or "" for item in found} if found is not None else {}


def seconds(duration: str) -> float:
    """Read an xs:duration; 0 when it is none."""
    found = _DURATION.match(duration)
    if found is None:
        return 0.0
    days, hours, minutes, rest = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


_OPEN = (
    f'<s:Envelope xml:lang="en-US" xmlns:s="{S}" xmlns:a="{WSA}" xmlns:w="{WSMAN}" xmlns:rsp="{SHELL}">'
    "<s:Header><a:Action>{action}</a:Action><a:MessageID>uuid:{message_id}</a:MessageID>"
    "<a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To>"
    "<a:RelatesTo>{relates_to}</a:RelatesTo></s:Header><s:Body>"
)
_CLOSE = "</s:Body></s:Envelope>"


def response(request: Request, body: str) -> bytes:
    """Answer a request."""
    action = request.action + "Response"
    return (_opening(action, request.message_id) + body + _CLOSE).encode()


def fault_body(fault: WsmanFault, relates_to: str) -> bytes:
    """Write a fault."""
    text = escape(fault.message)
    body = (
        "<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode>"
        f'<s:Value xmlns:wsman="{WSMAN}">{fault.subcode}</s:Value></s:Subcode></s:Code>'
        f'<s:Reason><s:Text xml:lang="en-US">{text}</s:Text></s:Reason><s:Detail>'
        f'<f:WSManFault xmlns:f="{FAULT}" Code="{fault.code}" Machine="lab"><f:Message>{text}</f:Message>'
        "</f:WSManFault></s:Detail></s:Fault>"
    )
    return (_opening(f"{WSMAN}/fault", relates_to) + body + _CLOSE).encode()


def _opening(action: str, relates_to: str) -> str:
    message_id = str(uuid.uuid4()).upper()
    return _OPEN.format(action=action, message_id=message_id, relates_to=escape(relates_to))
