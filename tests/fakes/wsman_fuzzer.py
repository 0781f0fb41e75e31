"""Broken requests for a WSMan end: envelopes, fragments and CLIXML that are almost right, from a printed seed."""

from __future__ import annotations

import base64
import random
import struct
import uuid
from collections.abc import Callable
from xml.sax.saxutils import escape

_SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
_TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
_ENUMERATION = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
_ACTIONS = [
    *(f"{_TRANSFER}/{name}" for name in ("Create", "Get", "Delete", "Put")),
    *(f"{_SHELL}/{name}" for name in ("Command", "Send", "Receive", "Signal", "Disconnect", "Reconnect", "Connect")),
    *(f"{_ENUMERATION}/{name}" for name in ("Enumerate", "Pull")),
    "",
    "urn:nobody",
]
_RESOURCES = [
    "http://schemas.microsoft.com/powershell/Microsoft.PowerShell",
    "http://schemas.microsoft.com/powershell/VoiceOperators",
    f"{_SHELL}/cmd",
    _SHELL,
    f"{_SHELL}/Command",
    "http://schemas.microsoft.com/wbem/wsman/1/config",
    "",
]
_KINDS = [0x10002, 0x10004, 0x10005, 0x10008, 0x21002, 0x21003, 0x21006, 0x21007, 0x2100A, 0x2100C, 0x41002, 0x41003]
_KINDS += [0x41004, 0x41005, 0x41006, 0x21100, 0x41100, 0, 0xFFFFFFFF]
_VALUES = [
    "<Nil/>",
    "<S>x</S>",
    "<I32>7</I32>",
    "<I32>seven</I32>",
    "<C>99999999999</C>",
    "<DT>never</DT>",
    "<G>no</G>",
    "<BA>!</BA>",
    "<D>1e999</D>",
    "<SS>AAAA</SS>",
    '<Ref RefId="9"/>',
    '<Obj RefId="0"><TNRef RefId="4"/></Obj>',
    '<Obj RefId="0"><MS><I64 N="ci">1</I64><I32 N="MaxRunspaces">0</I32></MS></Obj>',
    '<Obj RefId="0"><MS><I32>1</I32></MS></Obj>',
    '<Obj RefId="0"><LST>' + "<S>a</S>" * 50 + "</LST></Obj>",
    '<Obj RefId="0"><DCT><En></En><En><S N="Key">a</S></En></DCT></Obj>',
    '<Obj RefId="0"><LST>' * 400 + "</LST></Obj>" * 400,
    "<Obj>" * 30_000,
    '<!DOCTYPE a [<!ENTITY b "c">]><S>&b;</S>',
    "\ufeff",
    "\x00",
]
_SCRIPTS = ["1", "throw 'x'", "$(", "while(1){}", "Start-Sleep 30", "Get-CsOnlineUser", "'" + "(" * 500]


class Fuzzer:
    """Makes one broken request after the other for a shell that exists."""

    def __init__(self, seed: int, shell_id: str, pool_id: uuid.UUID) -> None:
        self._random = random.Random(seed)
        self._shell_id, self._pool_id = shell_id, pool_id
        self._commands = [uuid.UUID(int=n) for n in range(1, 6)]

    def request(self) -> bytes:
        """Make one request."""
        makers: list[Callable[[], bytes]] = [self._envelope, self._envelope, self._envelope, self._torn, self._noise]
        return self._random.choice(makers)()

    def _uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self._random.getrandbits(128))

    def _noise(self) -> bytes:
        return self._random.randbytes(self._random.randrange(1, 200))

    def _torn(self) -> bytes:
        whole = bytearray(self._envelope())
        while b"Receive" in whole:  # one without a readable time-out would wait for a minute, and rightly so
            whole = bytearray(self._envelope())
        for _ in range(self._random.randrange(1, 6)):
            whole[self._random.randrange(len(whole))] = self._random.randrange(256)
        return bytes(whole[: self._random.randrange(1, len(whole) + 1)])

    def _mostly(self, good: str, *bad: str) -> str:
        return good if self._random.random() < 0.9 else self._random.choice(bad)

    def _envelope(self) -> bytes:
        shell = self._mostly(self._shell_id, str(self._uuid()), "", "no")
        size = self._mostly("153600", "512000", "0", "-1", "ten", "9" * 20, "9000")
        timeout = self._mostly("PT0.01S", "PT0S", "PT-1S", "forever")
        name, body = self._random.choice(self._bodies())
        action = self._mostly(next(item for item in _ACTIONS if item.endswith(name)), *_ACTIONS)
        return (
            '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
            'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
            f'xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:rsp="{_SHELL}"><s:Header>'
            f"<a:Action>{action}</a:Action><a:MessageID>uuid:{self._uuid()}</a:MessageID>"
            f"<w:ResourceURI>{self._mostly(_RESOURCES[0], *_RESOURCES)}</w:ResourceURI>"
            f"<w:MaxEnvelopeSize>{size}</w:MaxEnvelopeSize><w:OperationTimeout>{timeout}</w:OperationTimeout>"
            f'<w:SelectorSet><w:Selector Name="ShellId">{shell}</w:Selector></w:SelectorSet>'
            f"</s:Header><s:Body>{body}</s:Body></s:Envelope>"
        ).encode()

    def _bodies(self) -> list[tuple[str, str]]:
        """Give an action and a body for each kind of request; what is sent often comes more than once."""
        command = self._mostly(str(self._random.choice(self._commands)), str(self._uuid()), "no", "")
        label = self._mostly(f' CommandId="{command}"', "")
        data = self._mostly(self._data(), "!!", "")
        code = self._mostly(f"{_SHELL}/signal/terminate", "powershell/signal/crtl_c", "no")
        xml = f"<p:{{0}} xmlns:p='http://schemas.microsoft.com/powershell'>{data}</p:{{0}}>"
        line = f"<rsp:CommandLine{label}><rsp:Command/><rsp:Arguments>{data}</rsp:Arguments></rsp:CommandLine>"
        receive = f"<rsp:Receive><rsp:DesiredStream{label}>stdout</rsp:DesiredStream></rsp:Receive>"
        new = self._mostly(str(self._uuid()), "no")
        return [
            *[("Command", line)] * 6,
            *[("Receive", receive)] * 6,
            *[("Send", f"<rsp:Send><rsp:Stream Name='stdin'{label}>{data}</rsp:Stream></rsp:Send>")] * 4,
            *[("Signal", f"<rsp:Signal{label}><rsp:Code>{code}</rsp:Code></rsp:Signal>")] * 2,
            ("Create", f"<rsp:Shell ShellId='{new}'>{xml.format('creationXml')}</rsp:Shell>"),
            ("Connect", f"<rsp:Connect{label}>{xml.format('connectXml')}</rsp:Connect>"),
            (
                "Disconnect",
                f"<rsp:Disconnect><rsp:IdleTimeOut>{self._mostly('PT9S', 'x')}</rsp:IdleTimeOut></rsp:Disconnect>",
            ),
            *[("Reconnect", "")] * 2,
            ("Get", ""),
            ("Enumerate", "<a/>"),
            ("Delete", ""),
            ("", "<a/>"),
        ]

    def _data(self) -> str:
        parts = [self._fragment() for _ in range(self._random.choice([1, 1, 2, 3]))]
        return base64.b64encode(b"".join(parts)).decode()

    def _fragment(self) -> bytes:
        pick, message = self._random.choice, self._message()
        good = (pick([1, 2, 2**64 - 1]), 0, 3, len(message))
        bad = (1, pick([0, 1, 2**63]), pick([3, 1, 2, 0]), pick([len(message), 0, 2**32 - 1, max(0, len(message) - 5)]))
        head = good if self._random.random() < 0.85 else bad
        return struct.pack(">QQBI", *head) + message

    def _message(self) -> bytes:
        pick = self._random.choice
        pipeline = pick([*self._commands, uuid.UUID(int=0)])
        if self._random.random() < 0.5:
            kind, content = 0x21006, self._pipeline()
        else:
            kind, content = pick(_KINDS), pick([*_VALUES, self._pipeline()])
        raw = struct.pack("<II", 2, kind) + self._pool_id.bytes_le + pipeline.bytes_le + content.encode()
        return raw if self._random.random() < 0.95 else raw[:20]

    def _pipeline(self) -> str:
        pick = self._random.choice
        command = (
            f'<Obj RefId="3"><MS><S N="Cmd">{escape(pick([*_SCRIPTS, "Get-CsTenant", "Write-Output"]))}</S>'
            f'<B N="IsScript">{pick(["true", "false"])}</B><Nil N="UseLocalScope"/>'
            f'<Obj N="Args" RefId="4"><LST>{pick(_VALUES[:13])}</LST></Obj></MS></Obj>'
        )
        inner = f'<Obj N="Cmds" RefId="2"><LST>{command * pick([0, 1, 1, 2])}</LST></Obj>'
        return (
            f'<Obj RefId="0"><MS><B N="NoInput">{pick(["true", "false"])}</B>'
            f'<Obj N="PowerShell" RefId="1"><MS>{inner}</MS></Obj></MS></Obj>'
        )
