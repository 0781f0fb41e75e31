"""The bodies of WSMan answers: shells described, created, listed, and what a Receive carries."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import datetime
from xml.sax.saxutils import escape, quoteattr

from lab.psrp_outbox import Outbox
from lab.wsman_shells import Shell
from lab.wsman_soap import CONFIG, ENUMERATION, POWERSHELL, SHELL, TRANSFER, WSA, WSMAN

ENVELOPE_KB = 500
MAX_TIMEOUT_S = 60.0
_DONE = f"{SHELL}/CommandState/Done"
_RUNNING = f"{SHELL}/CommandState/Running"


def configured() -> str:
    """Describe the service: what Get on its configuration answers."""
    return (
        f'<cfg:Config xmlns:cfg="{CONFIG}"><cfg:MaxEnvelopeSizekb>{ENVELOPE_KB}</cfg:MaxEnvelopeSizekb>'
        f"<cfg:MaxTimeoutms>{MAX_TIMEOUT_S * 1000:.0f}</cfg:MaxTimeoutms></cfg:Config>"
    )


def described(shell: Shell, now: datetime) -> str:
    """Describe a shell."""
    age, idle = ((now - moment).total_seconds() for moment in (shell.created, shell.used))
    return (
        f"<rsp:Shell><rsp:ShellId>{shell.id}</rsp:ShellId><rsp:ResourceUri>{escape(shell.resource)}</rsp:ResourceUri>"
        f"<rsp:Owner>{escape(shell.owner)}</rsp:Owner><rsp:ClientIP>{shell.client_ip}</rsp:ClientIP>"
        f"<rsp:IdleTimeOut>PT{shell.idle_timeout_s:.3f}S</rsp:IdleTimeOut>"
        "<rsp:InputStreams>stdin pr</rsp:InputStreams><rsp:OutputStreams>stdout</rsp:OutputStreams>"
        f"<rsp:ShellRunTime>PT{age:.0f}S</rsp:ShellRunTime><rsp:ShellInactivity>PT{idle:.0f}S</rsp:ShellInactivity>"
        f"<rsp:State>{'Connected' if shell.connected else 'Disconnected'}</rsp:State></rsp:Shell>"
    )


def created(shell: Shell) -> str:
    """Give the reference of a new shell."""
    return (
        f'<x:ResourceCreated xmlns:x="{TRANSFER}" xmlns:a="{WSA}" xmlns:w="{WSMAN}">'
        "<a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address><a:ReferenceParameters>"
        f"<w:ResourceURI>{escape(shell.resource)}</w:ResourceURI>"
        f'<w:SelectorSet><w:Selector Name="ShellId">{shell.id}</w:Selector></w:SelectorSet>'
        "</a:ReferenceParameters></x:ResourceCreated>"
    )


def listed(items: Iterable[str]) -> str:
    """Give all items of an enumeration at once."""
    return (
        f'<n:EnumerateResponse xmlns:n="{ENUMERATION}"><n:EnumerationContext/><w:Items>{"".join(items)}</w:Items>'
        "<w:EndOfSequence/></n:EnumerateResponse>"
    )


def commands(shell: Shell) -> Iterable[str]:
    """Describe the commands of a shell."""
    for command_id, outbox in shell.session.commands.items():
        state = "Completed" if outbox.done else "Running"
        shown = str(command_id).upper()
        yield (
            f"<rsp:Command><rsp:ShellId>{shell.id}</rsp:ShellId><rsp:CommandId>{shown}</rsp:CommandId>"
            f"<rsp:State>{state}</rsp:State></rsp:Command>"
        )


def connected(data: bytes) -> str:
    """Answer a new client of a disconnected shell."""
    content = base64.b64encode(data).decode()
    inner = f'<p:connectResponseXml xmlns:p="{POWERSHELL}">{content}</p:connectResponseXml>' if data else ""
    return f"<rsp:ConnectResponse>{inner}</rsp:ConnectResponse>"


def received(outbox: Outbox, command: str, budget: int) -> str:
    """Hand over what waits, as much as fits, and tell when a command has nothing more to say."""
    label = f" CommandId={quoteattr(command)}" if command else ""
    data = base64.b64encode(outbox.take(budget)).decode()
    stream = f'<rsp:Stream Name="stdout"{label}>{data}</rsp:Stream>' if data else ""
    if not command:
        return f"<rsp:ReceiveResponse>{stream}</rsp:ReceiveResponse>"
    done = outbox.drained
    ending = "<rsp:ExitCode>0</rsp:ExitCode>" if done else ""
    state = f'<rsp:CommandState{label} State="{_DONE if done else _RUNNING}">{ending}</rsp:CommandState>'
    return f"<rsp:ReceiveResponse>{stream}{state}</rsp:ReceiveResponse>"
