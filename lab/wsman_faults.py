"""Faults of the transport: entries of the fault plan whose operation starts with `WSMan-` hit the protocol itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from aiohttp import web

from lab.faults import Faults, Verdict
from lab.settings import Settings
from lab.wsman_soap import quota_exceeded

_PREFIX = "wsman-"


def transport_verdict(faults: Faults, action: str, user: str) -> Verdict:
    """Ask the plan about `WSMan-Create`, `WSMan-Receive` and so on, unless no entry is about them."""
    # A plain `*` is about cmdlets: it must neither hit nor count the calls of the protocol.
    if not any(_operation(entry.get("match")).startswith(_PREFIX) for entry in faults.listed()):
        return Verdict()
    return faults.before(f"WSMan-{action.rpartition('/')[2]}", user)


def _operation(match: object) -> str:
    return str(match.get("operation", "")).casefold() if isinstance(match, dict) else ""


def check_quota(verdict: Verdict, settings: Settings) -> None:
    """Refuse a shell as if the user, or the tenant, had as many as allowed."""
    if "shell_quota" in verdict.modes:
        raise quota_exceeded(settings.shells_per_user)
    if "tenant_shell_quota" in verdict.modes:
        raise quota_exceeded(settings.shells_per_tenant, "tenant")


async def play(verdict: Verdict, http: web.Request, answer: Callable[[], Awaitable[str]]) -> str:
    """Refuse or lose the answer as the verdict says."""
    if verdict.throttle_s is not None:
        raise web.HTTPTooManyRequests(headers={"Retry-After": f"{verdict.throttle_s:g}"})
    if verdict.unavailable or verdict.error is not None:
        raise web.HTTPServiceUnavailable(headers=_wait(verdict.unavailable_s))
    text = await answer()
    if verdict.drop_reply:
        hang_up(http)
    return text


def _wait(seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": f"{seconds:g}"}


async def cut_short(http: web.Request, status: int, body: bytes, headers: dict[str, str]) -> NoReturn:
    """Send half of an answer and close the connection."""
    answer = web.StreamResponse(status=status, headers={**headers, "Content-Length": str(len(body))})
    await answer.prepare(http)
    await answer.write(body[: len(body) // 2])
    hang_up(http)


def hang_up(http: web.Request) -> NoReturn:
    """Close the connection without an answer."""
    if http.transport is not None:
        http.transport.abort()
    raise asyncio.CancelledError
